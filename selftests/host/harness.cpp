// SPDX-License-Identifier: GPL-2.0-only
#include "harness.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include "fake_shim.hpp"

namespace host {

u64 race_seed()
{
	const char *given = getenv("KEXTBRIDGE_SEED");
	u64 seed = given ? strtoull(given, nullptr, 0) :
			   static_cast<u64>(std::chrono::steady_clock::now().time_since_epoch().count()) & 0xffffffff;

	printf("seed: KEXTBRIDGE_SEED=%llu\n", seed);
	fflush(stdout);
	return seed;
}

bool is_slow()
{
#if defined(__SANITIZE_THREAD__)
	return true;
#else
	return false;
#endif
}

u32 rounds(u32 plain)
{
	const char *factor = getenv("KEXTBRIDGE_ROUNDS");

#if defined(__SANITIZE_THREAD__)
	plain /= 16;
#elif defined(__SANITIZE_ADDRESS__)
	plain /= 6;
#endif
	plain = static_cast<u32>(plain * (factor ? strtod(factor, nullptr) : 1));
	return plain ? plain : 1;
}

bool one_more(u32 done, u32 count, bool seen_both)
{
	return done < count || (!seen_both && done < 50 * count);
}

} // namespace host

namespace {

// A test that hangs is a failure with a name; one that crashes has a name as well. On a busy machine races take minutes.
class Watchdog : public testing::EmptyTestEventListener {
	static inline char name_[256];

	static void say(const char *what)
	{
		(void)!write(2, what, strlen(what));
		(void)!write(2, name_, strlen(name_));
		(void)!write(2, "\n", 1);
	}

	static void expired(int)
	{
		say("host: hangs: ");
		signal(SIGABRT, SIG_DFL);
		abort();
	}

	// The sanitizers, which end so, have reported before.
	static void crashed(int number)
	{
		say("host: crashed in ");
		signal(number, SIG_DFL);
		raise(number);
	}

	void OnTestStart(const testing::TestInfo &test) override
	{
		const char *limit = getenv("KEXTBRIDGE_TEST_SECONDS");

		snprintf(name_, sizeof(name_), "%s.%s", test.test_suite_name(), test.name());
		fake::set_test_name(name_);
		signal(SIGALRM, expired);
		signal(SIGABRT, crashed);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		signal(SIGSEGV, crashed);
		signal(SIGILL, crashed);
#endif
		alarm(limit ? static_cast<unsigned int>(strtoul(limit, nullptr, 10)) : 300);
	}

	void OnTestEnd(const testing::TestInfo &) override
	{
		alarm(0);
	}
};

} // namespace

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);
	testing::UnitTest::GetInstance()->listeners().Append(new Watchdog);
	return RUN_ALL_TESTS();
}
