/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread swaps a part of a bundle's path for a link that leads outside, over and over, while kextd's code opens a
 * resource behind it: what is outside is never read, neither as a resource nor as an Info.plist. KEXTBRIDGE_SEED repeats
 * the swaps as far as a race can be repeated.
 */
#include <atomic>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <thread>

#include "bundles.hpp"
#include "walk.hpp"

namespace {

constexpr unsigned enough = 1000;  /* of each outcome */
constexpr unsigned most = 500'000; /* tries; a machine that needs more is too slow to prove anything */

class Swapped : public Bundles {
      protected:
	void SetUp() override
	{
		Bundles::SetUp();
		if (IsSkipped())
			return;
		bundle_ = make("A", "com.example.a");
		write(bundle_ / "Contents/Resources/sub/deep/file", "picture");
		fs::create_symlink("../../logo.png", bundle_ / "Contents/Resources/sub/deep/up");
		/* The same names lead to a secret, as trusted as the bundle itself. */
		outside_ = top_ / "outside";
		write(outside_ / "A.kext/Contents/Info.plist", info("com.example.outside"));
		for (const char *name : {"logo.png", "sub/logo.png", "sub/deep/file", "sub/deep/up"})
			write(outside_ / "A.kext/Contents/Resources" / name, "secret");
		const char *given = getenv("KEXTBRIDGE_SEED");
		random_ = given ? strtoull(given, nullptr, 0) : static_cast<uint64_t>(time(nullptr));
		printf("KEXTBRIDGE_SEED=%llu\n", static_cast<unsigned long long>(random_));
	}

	/* Both names are there at all times. */
	static void exchange(const fs::path &one, const fs::path &other)
	{
		EXPECT_EQ(syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE), 0);
	}

	/*
	 * `part` of the bundle is now itself and now a link to `target`, while `name` is asked for. Whoever looks sees one
	 * or the other: the bundle's content, or a refusal.
	 */
	void swap(const fs::path &part, const fs::path &target, const char *name)
	{
		const fs::path link = top_ / "link";
		fs::remove(link);
		fs::create_symlink(target, link);
		swap_with(part, link, name);
	}

	void swap_with(const fs::path &part, const fs::path &other, const char *name)
	{
		std::atomic<bool> stop{false};
		std::atomic<unsigned> swaps{0};
		std::thread swapper([&] {
			while (!stop) {
				exchange(part, other);
				swaps++;
				random_ = random_ * 6364136223846793005u + 1442695040888963407u;
				for (uint64_t turns = random_ >> 50; turns; turns--)
					asm volatile("");
			}
			if (swaps % 2)
				exchange(part, other);
		});
		unsigned inside = 0;
		unsigned refused = 0;
		unsigned tries = 0;
		for (; (inside < enough || refused < enough) && tries < most && !HasFailure(); tries++) {
			const Answer answer = tries % 4 ? ask("com.example.a", name) : at_once(name);
			if (answer.result == kOSReturnSuccess) {
				EXPECT_EQ(content(answer), "picture") << "try " << tries;
				inside++;
			} else {
				refused++;
			}
			EXPECT_EQ(store().index()->find("com.example.outside"), nullptr) << "try " << tries;
		}
		stop = true;
		swapper.join();
		printf("%s for %s: %u times the bundle's, %u times refused, %u tries, %u swaps\n",
		       part.lexically_relative(root_).c_str(), other.c_str(), inside, refused, tries, swaps.load());
		EXPECT_GE(inside, enough) << "the machine is too slow";
		EXPECT_GE(refused, enough) << "the machine is too slow";
		EXPECT_GE(swaps, enough);
	}

	/* What the kernel has in memory, where it is not known which file systems are of this machine. */
	Answer at_once(const char *name)
	{
		const auto index = store().index();
		const Bundle *bundle = index->find("com.example.a");
		if (!bundle)
			return Answer::refusal(kOSKextReturnNotFound, "");
		kext::Opened resources = kext::open_resources(*bundle, true, kext::Reach::CachedOnly);
		if (resources.outcome != kext::Opened::Outcome::Found)
			return ask("com.example.a", name);
		kext::Opened opened =
			kext::open_resource(*bundle, resources.file.get(), name, true, kext::Reach::CachedOnly);
		if (opened.outcome != kext::Opened::Outcome::Found)
			return Answer::refusal(kOSKextReturnNotFound, "");
		Answer answer;
		answer.length = opened.length;
		answer.file = std::move(opened.file);
		return answer;
	}

	fs::path bundle_;
	fs::path outside_;
	uint64_t random_ = 0;
};

TEST_F(Swapped, T_044_TheFile)
{
	swap(bundle_ / "Contents/Resources/logo.png", outside_ / "A.kext/Contents/Resources/logo.png", "logo.png");
}

TEST_F(Swapped, T_044_AFolderOfResources)
{
	swap(bundle_ / "Contents/Resources/sub", outside_ / "A.kext/Contents/Resources/sub", "sub/deep/file");
	swap(bundle_ / "Contents/Resources/sub/deep", outside_ / "A.kext/Contents/Resources/sub/deep", "sub/deep/file");
}

TEST_F(Swapped, T_044_Resources)
{
	swap(bundle_ / "Contents/Resources", outside_ / "A.kext/Contents/Resources", "logo.png");
}

TEST_F(Swapped, T_044_Contents)
{
	swap(bundle_ / "Contents", outside_ / "A.kext/Contents", "logo.png");
}

TEST_F(Swapped, T_044_TheBundle)
{
	swap(bundle_, outside_ / "A.kext", "logo.png");
}

TEST_F(Swapped, T_044_InfoPlist)
{
	swap(bundle_ / "Contents/Info.plist", outside_ / "A.kext/Contents/Info.plist", "logo.png");
}

/* A link that leads inside, for one that does not: it is followed by hand, a part at a time. */
TEST_F(Swapped, T_044_ALink)
{
	const fs::path link = bundle_ / "Contents/Resources/link";
	fs::create_symlink("sub/deep/file", link);
	swap(link, "../../../../outside/A.kext/Contents/Resources/logo.png", "link");
	fs::remove(link);
	fs::create_symlink("sub", link);
	swap(link, outside_ / "A.kext/Contents/Resources/sub", "link/deep/file");
}

/* The folder that is passed is moved out of the bundle: what is above it now is not what was above it. */
TEST_F(Swapped, T_044_AFolderThatIsMovedOut)
{
	const fs::path moved = outside_ / "A.kext/Contents/Resources/sub/deep";
	fs::remove_all(moved);
	fs::create_directory(moved);
	fs::create_symlink("nowhere", moved / "up");
	swap_with(bundle_ / "Contents/Resources/sub/deep", moved, "sub/deep/up");
}

} // namespace
