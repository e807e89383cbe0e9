/* SPDX-License-Identifier: GPL-2.0-only */
/* kextd's rules for bundles and resources, on real folders. Runs as root, because it is about owners. */
#include <cerrno>
#include <fcntl.h>
#include <plist/plist.h>

#include "bundles.hpp"
#include "modules.hpp"
#include "reply.hpp"

namespace {

/* Sizes around the one where the payload becomes a file. */
std::string pattern(size_t size)
{
	std::string text(size, '\0');
	for (size_t i = 0; i < size; i++)
		text[i] = static_cast<char>(i * 131 + i / 251);
	return text;
}

} // namespace

TEST_F(Bundles, T_040_FilesOfAllSizesComeWhole)
{
	const fs::path bundle = make("A", "com.example.a");
	for (const size_t size : {1ul, 4095ul, 4096ul, 65535ul, 65536ul, 65537ul, 70105ul, 1048576ul}) {
		const std::string text = pattern(size);
		write(bundle / "Contents/Resources/file", text);
		const Answer answer = ask("com.example.a", "file");
		EXPECT_EQ(answer.result, kOSReturnSuccess) << answer.reason;
		EXPECT_EQ(answer.length, size);
		EXPECT_EQ(content(answer), text) << size;
		EXPECT_EQ(static_cast<bool>(answer.file), size > kext::longest_inline);
	}
}

TEST_F(Bundles, T_041_EmptyFileHasNoPayload)
{
	write(make("A", "com.example.a") / "Contents/Resources/empty", "");
	const Answer answer = ask("com.example.a", "empty");
	EXPECT_EQ(answer.result, kOSReturnSuccess);
	EXPECT_EQ(answer.length, 0u);
	EXPECT_FALSE(answer.bytes);
	EXPECT_FALSE(answer.file);
}

TEST_F(Bundles, T_042_MissingIsNotFound)
{
	make("A", "com.example.a");
	EXPECT_EQ(ask("com.example.a", "none").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("com.example.a", "none/none").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("com.example.a", "logo.png/none").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("com.example.none", "logo.png").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("", "logo.png").result, kOSKextReturnNotFound);
	EXPECT_FALSE(ask("com.example.a", "none").reason.empty());
}

TEST_F(Bundles, T_043_NamesThatAreRefused)
{
	make("A", "com.example.a");
	const std::string with_nul("logo.png\0x", 10);
	for (const std::string &name : {std::string(".DS_Store"), std::string(), with_nul})
		EXPECT_EQ(ask("com.example.a", name).result, kOSKextReturnInvalidArgument) << name;
}

TEST_F(Bundles, T_044_NothingOutsideIsDelivered)
{
	const fs::path resources = make("A", "com.example.a") / "Contents/Resources";
	write(top_ / "secret", "secret");
	write(root_ / "A.kext/Contents/secret", "secret");
	for (const char *name :
	     {"/etc/passwd", "../secret", "../Info.plist", "a/../logo.png", "..", "a/..", "/", "//logo.png"})
		EXPECT_EQ(ask("com.example.a", name).result, kOSKextReturnInvalidArgument) << name;
	EXPECT_EQ(ask("com.example.a", "...").result, kOSKextReturnNotFound);

	fs::create_symlink(top_ / "secret", resources / "absolute");
	fs::create_symlink("../secret", resources / "up");
	fs::create_symlink("../../../../secret", resources / "far");
	fs::create_symlink("../Resources/logo.png", resources / "out-and-in");
	fs::create_symlink("..", resources / "folder");
	fs::create_symlink("loop", resources / "loop");
	fs::create_symlink("/proc/self/root/etc/passwd", resources / "magic");
	for (const char *name : {"absolute", "up", "far", "out-and-in", "folder/secret", "loop", "loop/x", "magic"})
		EXPECT_EQ(ask("com.example.a", name).result, kOSKextReturnNotFound) << name;
}

TEST_F(Bundles, LinksThatStayInsideAreFollowed)
{
	const fs::path resources = make("A", "com.example.a") / "Contents/Resources";
	write(resources / "a/b/file", "deep");
	fs::create_symlink("logo.png", resources / "link");
	fs::create_symlink("link", resources / "link2");
	fs::create_symlink("a/b", resources / "ab");
	fs::create_symlink("../../logo.png", resources / "a/b/up");
	EXPECT_EQ(content(ask("com.example.a", "link2")), "picture");
	EXPECT_EQ(content(ask("com.example.a", "ab/file")), "deep");
	EXPECT_EQ(content(ask("com.example.a", "ab/up")), "picture");
	EXPECT_EQ(content(ask("com.example.a", "a//b/./file")), "deep");
}

TEST_F(Bundles, OnlyRegularFilesAreDelivered)
{
	const fs::path resources = make("A", "com.example.a") / "Contents/Resources";
	fs::create_directory(resources / "folder");
	ASSERT_EQ(mkfifo((resources / "pipe").c_str(), 0644), 0);
	EXPECT_EQ(ask("com.example.a", "folder").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("com.example.a", "folder/").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("com.example.a", ".").result, kOSKextReturnNotFound);
	EXPECT_EQ(ask("com.example.a", "pipe").result, kOSKextReturnNotFound);
}

TEST_F(Bundles, T_045_WhatOthersMayChangeIsNotTrusted)
{
	const fs::path bundle = make("A", "com.example.a");
	write(bundle / "Contents/Resources/sub/file", "x");
	fs::create_symlink("sub/file", bundle / "Contents/Resources/link");
	const fs::path parts[] = {root_,
				  bundle,
				  bundle / "Contents",
				  bundle / "Contents/Info.plist",
				  bundle / "Contents/Resources",
				  bundle / "Contents/Resources/sub",
				  bundle / "Contents/Resources/sub/file"};
	for (const fs::path &part : parts) {
		const mode_t mode = fs::is_directory(part) ? 0755 : 0644;
		for (const mode_t bits : {020, 002}) {
			ASSERT_EQ(chmod(part.c_str(), mode | bits), 0);
			for (const char *name : {"sub/file", "link"}) {
				EXPECT_EQ(ask("com.example.a", name).result, kOSKextReturnAuthentication)
					<< part << " " << name;
			}
		}
		ASSERT_EQ(chmod(part.c_str(), mode), 0);
		for (const auto &[user, group] : {std::pair{1, 0}, std::pair{0, 1}}) {
			ASSERT_EQ(chown(part.c_str(), static_cast<uid_t>(user), static_cast<gid_t>(group)), 0);
			EXPECT_EQ(ask("com.example.a", "sub/file").result, kOSKextReturnAuthentication) << part;
		}
		ASSERT_EQ(chown(part.c_str(), 0, 0), 0);
		EXPECT_EQ(ask("com.example.a", "link").result, kOSReturnSuccess) << part;
	}
}

TEST_F(Bundles, WithoutAuthenticationOwnersDoNotMatter)
{
	authenticate_ = false;
	const fs::path bundle = make("A", "com.example.a");
	ASSERT_EQ(chmod(bundle.c_str(), 0777), 0);
	ASSERT_EQ(chown((bundle / "Contents/Info.plist").c_str(), 1, 1), 0);
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
}

TEST_F(Bundles, TooLongIsNoResources)
{
	const fs::path bundle = make("A", "com.example.a");
	EXPECT_EQ(ask("com.example.a", "logo.png", 7).result, kOSReturnSuccess);
	EXPECT_EQ(ask("com.example.a", "logo.png", 6).result, kOSKextReturnNoResources);
	EXPECT_EQ(ask("com.example.a", "logo.png", 0).result, kOSKextReturnNoResources);
	/* T-094 */
	write(bundle / "Contents/Resources/huge", "");
	ASSERT_EQ(truncate((bundle / "Contents/Resources/huge").c_str(), (1ll << 32) + 3), 0);
	EXPECT_EQ(ask("com.example.a", "huge", UINT32_MAX).result, kOSKextReturnNoResources);
}

TEST_F(Bundles, BrokenInfoPlistIsValidation)
{
	const std::string bad_type = "<key>CFBundlePackageType</key><string>APPL</string>";
	const std::string bad_version = "<key>CFBundleVersion</key><integer>1</integer>";
	write(root_ / "Type.kext/Contents/Info.plist", info("com.example.type", bad_type));
	write(root_ / "Version.kext/Contents/Info.plist", info("com.example.version", bad_version));
	write(root_ / "Garbage.kext/Contents/Info.plist", "<plist");
	write(root_ / "Array.kext/Contents/Info.plist", "<plist version=\"1.0\"><array/></plist>");
	write(root_ / "Empty.kext/Contents/Info.plist", "");
	fs::create_directories(root_ / "Nothing.kext");
	fs::create_directories(root_ / "Link.kext/Contents");
	fs::create_symlink("/etc/passwd", root_ / "Link.kext/Contents/Info.plist");
	for (const char *identifier : {"com.example.type", "com.example.version", "Garbage", "com.example.Garbage",
				       "Array", "Empty", "com.example.Nothing", "Link"})
		EXPECT_EQ(ask(identifier, "x").result, kOSKextReturnValidation) << identifier;
}

/* What kextd logs of a refusal: the file, by its whole name, and what is wrong with it. */
TEST_F(Bundles, RefusalsOfAnInfoPlistNameItAndTheReason)
{
	const std::vector<std::pair<std::string, const char *>> lists = {
		{"", "is no property list with a dictionary"},
		{"<plist", "is no property list with a dictionary"},
		{"<plist version=\"1.0\"><array/></plist>", "is no property list with a dictionary"},
		{std::string(plist_head) + "</dict></plist>", "has no CFBundleIdentifier"},
		{info(""), "has no CFBundleIdentifier"},
		{info("com.example bad"), "has a CFBundleIdentifier that no kext can have"},
		{info("A", "<key>CFBundleVersion</key><integer>1</integer>"),
		 "has a CFBundleVersion that is no string"},
		{info("A", "<key>CFBundleVersion</key><string>one</string>"),
		 "has a CFBundleVersion that no kext can have"},
		{info("A", "<key>CFBundlePackageType</key><string>APPL</string>"),
		 "has a CFBundlePackageType that is not KEXT"},
		{std::string((1 << 20) + 1, ' '), "is too long"},
	};
	const fs::path bundle = make("A", "A");
	for (const auto &[list, problem] : lists) {
		write(bundle / "Contents/Info.plist", list);
		store_.reset();
		const Answer answer =
			ask(list.find("com.example bad") != std::string::npos ? "com.example bad" : "A", "x");
		EXPECT_EQ(answer.result, kOSKextReturnValidation) << problem;
		EXPECT_EQ(answer.reason, bundle.string() + ": Contents/Info.plist " + problem);
		ASSERT_EQ(store().index()->size(), 1u);
		EXPECT_EQ(store().index()->bundles()[0]->problem, std::string("Contents/Info.plist ") + problem);
	}
	fs::remove(bundle / "Contents/Info.plist");
	EXPECT_EQ(ask("A", "x").reason, bundle.string() + ": Contents/Info.plist is missing or no regular file");
	fs::create_directory(bundle / "Contents/Info.plist");
	EXPECT_EQ(ask("A", "x").reason, bundle.string() + ": Contents/Info.plist is missing or no regular file");
	fs::remove_all(bundle / "Contents");
	EXPECT_EQ(ask("A", "x").reason, bundle.string() + ": has no folder Contents");
}

namespace {

/* Each way in which somebody else may change a file or a folder, and what kextd says about it. */
template <typename Check> void in_wrong_hands(const fs::path &part, Check check)
{
	const mode_t mode = fs::is_directory(part) ? 0755 : 0644;
	ASSERT_EQ(chown(part.c_str(), 1, 0), 0);
	check("is not owned by root");
	ASSERT_EQ(chown(part.c_str(), 0, 1), 0);
	check("does not belong to group root");
	ASSERT_EQ(chown(part.c_str(), 0, 0), 0);
	for (const mode_t bits : {020, 002}) {
		ASSERT_EQ(chmod(part.c_str(), mode | bits), 0);
		check("is writable for others than root");
	}
	ASSERT_EQ(chmod(part.c_str(), mode), 0);
}

} // namespace

TEST_F(Bundles, T_045_RefusalsNameTheFileAndTheReason)
{
	const fs::path bundle = make("A", "com.example.a");
	write(bundle / "Contents/Resources/sub/file", "x");
	for (const char *part :
	     {"", "A.kext", "A.kext/Contents", "A.kext/Contents/Info.plist", "A.kext/Contents/Resources",
	      "A.kext/Contents/Resources/sub", "A.kext/Contents/Resources/sub/file"}) {
		const fs::path path = *part ? root_ / part : root_;
		const bool is_info = path.filename() == "Info.plist";
		in_wrong_hands(path, [&](const std::string &problem) {
			const Answer answer = ask("com.example.a", "sub/file");
			EXPECT_EQ(answer.result, kOSKextReturnAuthentication) << path;
			EXPECT_EQ(answer.reason, is_info ? bundle.string() + ": Contents/Info.plist " + problem :
							   path.string() + " " + problem);
		});
	}
	EXPECT_EQ(ask("com.example.a", "sub/file").reason, "");
}

/* Nothing here is a module: none of it can come into the kernel. */
TEST_F(Bundles, T_045_ModulesInWrongHandsNameTheFileAndTheReason)
{
	const fs::path bundle = make("A", "com.example.a");
	const fs::path module = bundle / "Contents/Modules/a.ko";
	write(module, "no module");
	const auto load = [&](const char *identifier) { return kext::load_module(identifier, top_, store()); };
	for (const fs::path &path : {root_, bundle, bundle / "Contents", module.parent_path(), module}) {
		in_wrong_hands(path, [&](const std::string &problem) {
			const Answer answer = load("com.example.a");
			EXPECT_EQ(answer.result, kOSKextReturnAuthentication) << path;
			EXPECT_EQ(answer.reason, path.string() + " " + problem);
		});
	}
	const Answer good = load("com.example.a");
	EXPECT_EQ(good.result, kOSKextReturnNotFound);
	EXPECT_NE(good.reason.find("kext:com.example.a"), std::string::npos) << good.reason;
	in_wrong_hands(bundle / "Contents/Info.plist", [&](const std::string &problem) {
		EXPECT_EQ(load("com.example.a").result, kOSKextReturnAuthentication);
		EXPECT_EQ(load("com.example.a").reason, bundle.string() + ": Contents/Info.plist " + problem);
	});
	write(bundle / "Contents/Info.plist",
	      info("com.example.a", "<key>CFBundlePackageType</key><string>APPL</string>"));
	EXPECT_EQ(load("com.example.a").result, kOSKextReturnValidation);
	EXPECT_EQ(load("com.example.a").reason,
		  bundle.string() + ": Contents/Info.plist has a CFBundlePackageType that is not KEXT");
}

TEST_F(Bundles, BinaryPlistIsRead)
{
	plist_t dictionary = plist_new_dict();
	plist_dict_set_item(dictionary, "CFBundleIdentifier", plist_new_string("com.example.binary"));
	char *bytes = nullptr;
	uint32_t length = 0;
	plist_to_bin(dictionary, &bytes, &length);
	ASSERT_NE(bytes, nullptr);
	const fs::path bundle = make("B", "x");
	write(bundle / "Contents/Info.plist", std::string(bytes, length));
	free(bytes);
	plist_free(dictionary);
	EXPECT_EQ(content(ask("com.example.binary", "logo.png")), "picture");
}

TEST_F(Bundles, AnyBytesAsInfoPlistAreSurvived)
{
	const std::string good = info("com.example.a");
	for (size_t size = 0; size < good.size(); size++)
		(void)kext::parse_info_plist(good.substr(0, size));
	for (size_t at = 0; at < good.size(); at++) {
		std::string bad = good;
		bad[at] ^= 0x15;
		(void)kext::parse_info_plist(bad);
	}
	EXPECT_TRUE(kext::parse_info_plist(good).problem.empty());
	EXPECT_FALSE(kext::parse_info_plist(info("")).problem.empty());
}

namespace {

/* A good binary Info.plist, and in it `levels` arrays, each with `width` references to the next one. */
std::string nested_arrays(unsigned levels, unsigned width)
{
	const auto number = [](uint64_t value, unsigned size) {
		std::string text;
		while (size--)
			text.push_back(static_cast<char>(value >> (8 * size)));
		return text;
	};
	std::string bytes = "bplist00";
	std::string table;
	uint64_t count = 0;
	const auto add = [&](const std::string &object) {
		table += number(bytes.size(), 4);
		bytes += object;
		count++;
	};
	add("\xd2" + number(1, 3) + number(2, 3) + number(3, 3) + number(4, 3));
	add("\x5f\x10\x12"
	    "CFBundleIdentifier");
	add("\x51x");
	add("\x5d"
	    "com.example.a");
	for (unsigned i = 0; i < levels; i++) {
		std::string array(1, static_cast<char>(0xa0 + width));
		for (unsigned j = 0; j < width; j++)
			array += number(count + 1, 3);
		add(array);
	}
	add("\x50"); /* an empty string */
	const uint64_t table_at = bytes.size();
	return bytes + table + number(0, 6) + number(4, 1) + number(3, 1) + number(count, 8) + number(0, 8) +
	       number(table_at, 8);
}

} // namespace

/* For libplist each level is ten times the last one; or deep, until there is no stack. */
TEST_F(Bundles, BinaryPlistsThatGrowAreRefused)
{
	EXPECT_TRUE(kext::parse_info_plist(nested_arrays(2, 1)).problem.empty());
	EXPECT_TRUE(kext::parse_info_plist(nested_arrays(1000, 1)).problem.empty());
	EXPECT_FALSE(kext::parse_info_plist(nested_arrays(6, 10)).problem.empty());
	EXPECT_FALSE(kext::parse_info_plist(nested_arrays(10000, 1)).problem.empty());
}

TEST_F(Bundles, AnIdentityThatTheKernelWouldRefuseIsValidation)
{
	for (const char *good : {"a", "com.example.a", "com.example.a-b_c+d"})
		EXPECT_EQ(kext::parse_info_plist(info(good)).problem, "") << good;
	const std::string longest(63, 'a');
	EXPECT_EQ(kext::parse_info_plist(info(longest)).problem, "");
	for (const std::string &bad : {longest + "a", std::string("com.example a"), std::string("com/example"),
				       std::string("com.example\n"), std::string("com.ex\xc3\xa4mple")})
		EXPECT_NE(kext::parse_info_plist(info(bad)).problem, "") << bad;

	const auto version = [](const std::string &text) {
		return kext::parse_info_plist(
			       info("com.example.a", "<key>CFBundleVersion</key><string>" + text + "</string>"))
			.problem;
	};
	for (const char *good : {"1", "1.0", "9999.9999.9999", "1.2.3d4", "1.0b255", "1.0fc1", "1.0 beta"})
		EXPECT_EQ(version(good), "") << good;
	for (const char *bad : {"one", "1.", "1.2.3.4", "12345", "1.0x", "1.0d", "1.0d256", "1.0f0", "1.0fc0", "-1"})
		EXPECT_NE(version(bad), "") << bad;

	make("Bad", "com.example bad");
	EXPECT_EQ(ask("com.example bad", "logo.png").result, kOSKextReturnValidation);
}

TEST_F(Bundles, TheFirstRootWins)
{
	make("A", "com.example.a");
	const fs::path second = top_ / "second";
	write(second / "A.kext/Contents/Info.plist", info("com.example.a"));
	write(second / "A.kext/Contents/Resources/logo.png", "second");
	write(second / "B.kext/Contents/Info.plist", info("com.example.b"));
	write(second / "B.kext/Contents/Resources/logo.png", "b");
	store_ = std::make_unique<BundleStore>(std::vector<std::string>{top_ / "missing", root_, second}, true);
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
	EXPECT_EQ(content(ask("com.example.b", "logo.png")), "b");
}

TEST_F(Bundles, NewBundlesAreFoundByTheNextMiss)
{
	EXPECT_EQ(ask("com.example.a", "logo.png").result, kOSKextReturnNotFound);
	make("A", "com.example.a");
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
	/* In steps: a scan may come between any two of them. */
	fs::create_directories(root_ / "B.kext");
	EXPECT_NE(ask("com.example.b", "logo.png").result, kOSReturnSuccess);
	write(root_ / "B.kext/Contents/Resources/logo.png", "b");
	EXPECT_NE(ask("com.example.b", "logo.png").result, kOSReturnSuccess);
	write(root_ / "B.kext/Contents/Info.plist", info("com.example.b"));
	EXPECT_EQ(content(ask("com.example.b", "logo.png")), "b");
}

TEST_F(Bundles, RenamedAndRepairedBundlesAreFoundAgain)
{
	const fs::path bundle = make("A", "com.example.a");
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
	fs::rename(bundle, root_ / "Z.kext");
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
	fs::remove_all(root_ / "Z.kext");
	EXPECT_EQ(ask("com.example.a", "logo.png").result, kOSKextReturnNotFound);
	const fs::path again = make("A", "com.example.a");
	ASSERT_EQ(chmod((again / "Contents/Info.plist").c_str(), 0666), 0);
	EXPECT_EQ(ask("com.example.a", "logo.png").result, kOSKextReturnAuthentication);
	ASSERT_EQ(chmod((again / "Contents/Info.plist").c_str(), 0644), 0);
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
}

TEST_F(Bundles, AnotherIdentifierInPlaceIsSeen)
{
	const fs::path bundle = make("A", "com.example.a");
	EXPECT_EQ(content(ask("com.example.a", "logo.png")), "picture");
	usleep(20000);
	write(bundle / "Contents/Info.plist", info("com.example.z"));
	EXPECT_EQ(ask("com.example.a", "logo.png").result, kOSKextReturnNotFound);
	EXPECT_EQ(content(ask("com.example.z", "logo.png")), "picture");
}

TEST_F(Bundles, MissesDoNotScanAgainWhenNothingChanged)
{
	make("A", "com.example.a");
	usleep(50000); /* stamps of just now say nothing */
	(void)ask("com.example.none", "x");
	const auto index = store().index();
	for (int i = 0; i < 10; i++)
		(void)ask("com.example.none", "x");
	EXPECT_EQ(store().index(), index);
}

TEST_F(Bundles, FromMemoryGivesTheSameAnswers)
{
	const fs::path resources = make("A", "com.example.a") / "Contents/Resources";
	write(resources / "big", pattern(100000));
	Answer answer;
	kext::OpenFolder folder;
	const auto at_once = [&](const char *identifier, const char *name) {
		return kext::find_resource_at_once(store(), {identifier, name, 1 << 20, nullptr}, folder, answer);
	};
	(void)ask("com.example.a", "logo.png");
	if (at_once("com.example.a", "logo.png")) {
		EXPECT_EQ(answer.result, kOSReturnSuccess);
		EXPECT_EQ(content(answer), "picture");
	}
	EXPECT_FALSE(at_once("com.example.none", "logo.png"));
	EXPECT_FALSE(at_once("com.example.a", "big"));
	EXPECT_TRUE(at_once("com.example.a", "../x"));
	EXPECT_EQ(answer.result, kOSKextReturnInvalidArgument);
}

TEST(Notices, T_110_SayWhichKextHasComeOrGone)
{
	kextbridge_record record{};
	record.header.kind = KEXTD_LOADED;
	record.header.load_tag = 7;
	record.identifier = "com.example.a";
	record.name = "a\nb";
	EXPECT_EQ(kext::describe(record), "kext 7 com.example.a (module a\\x0ab) has been loaded");
	record.header.kind = KEXTD_UNLOADED;
	EXPECT_EQ(kext::describe(record), "kext 7 com.example.a (module a\\x0ab) has been unloaded");
	record.header.kind = KEXTD_EXIT;
	EXPECT_EQ(kext::describe(record), "the system is shutting down");
	record.header.kind = 77;
	EXPECT_EQ(kext::describe(record), "notice of kind 77");
}

TEST(ReplyPolicy, WhoeverAskedIsAnswered)
{
	EXPECT_FALSE(kext::second_answer(kOSReturnSuccess));
	EXPECT_FALSE(kext::second_answer(kOSKextReturnNotFound));
	EXPECT_EQ(kext::second_answer(kOSKextReturnBadData), kOSKextReturnBadData);
	EXPECT_EQ(kext::second_answer(kOSKextReturnNoMemory), kOSKextReturnNoMemory);
	EXPECT_EQ(kext::second_answer(kOSKextReturnNoResources), kOSKextReturnNoResources);
	EXPECT_EQ(kext::second_answer(kOSKextReturnInvalidArgument), kOSKextReturnInternalError);
	EXPECT_EQ(kext::second_answer(-1), kOSKextReturnInternalError);
}

TEST(ReplyPolicy, RefusedPayloadsBecomeErrorsAndTheRestWaits)
{
	std::vector<kext::Reply> replies;
	for (uint64_t id = 1; id <= 4; id++) {
		kextbridge_record record{};
		record.header.id = id;
		record.header.kind = KEXTD_RESOURCE;
		record.identifier = record.name = "";
		Answer answer;
		answer.bytes.reset(new char[1]);
		answer.length = 1;
		replies.push_back({std::make_shared<kext::Job>(record), std::move(answer)});
	}
	auto wire = kext::wire_forms(replies);
	ASSERT_EQ(wire.size(), 4u);
	EXPECT_EQ(wire[0].flags, KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA);
	wire[0].status = kOSReturnSuccess;
	wire[1].status = kOSKextReturnNoMemory;
	wire[2].status = kOSKextReturnNotFound;
	kext::settle(replies, wire, 3);
	ASSERT_EQ(replies.size(), 2u);
	EXPECT_EQ(replies[0].job->id, 2u);
	EXPECT_EQ(replies[0].answer.result, kOSKextReturnNoMemory);
	EXPECT_FALSE(replies[0].answer.bytes);
	EXPECT_EQ(replies[1].job->id, 4u);
	EXPECT_TRUE(replies[1].answer.bytes);
}
