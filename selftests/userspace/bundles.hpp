/* SPDX-License-Identifier: GPL-2.0-only */
/* The fixture of the tests about bundles: a folder of them, and kextd's way of looking into it. */
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.hpp"
#include "resource.hpp"

namespace fs = std::filesystem;
using kext::Answer;
using kext::Bundle;
using kext::BundleIndex;
using kext::BundleStore;

inline constexpr const char *plist_head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>";

inline std::string info(const std::string &identifier, const std::string &more = "")
{
	return std::string(plist_head) + "<key>CFBundleIdentifier</key><string>" + identifier + "</string>" + more +
	       "</dict></plist>";
}

class Bundles : public ::testing::Test {
      protected:
	void SetUp() override
	{
		if (geteuid() != 0)
			GTEST_SKIP() << "needs root: bundles must be root's";
		umask(022);
		char name[] = "/tmp/kextd-test-XXXXXX";
		ASSERT_NE(mkdtemp(name), nullptr);
		top_ = name;
		root_ = top_ / "kexts";
		fs::create_directories(root_);
	}

	void TearDown() override
	{
		if (!top_.empty())
			fs::remove_all(top_);
	}

	static void write(const fs::path &path, const std::string &content)
	{
		fs::create_directories(path.parent_path());
		std::ofstream(path, std::ios::binary) << content;
		ASSERT_EQ(chmod(path.c_str(), 0644), 0);
	}

	/* A good bundle with one resource, logo.png. */
	fs::path make(const std::string &folder, const std::string &identifier)
	{
		const fs::path bundle = root_ / (folder + ".kext");
		write(bundle / "Contents/Info.plist", info(identifier));
		write(bundle / "Contents/Resources/logo.png", "picture");
		return bundle;
	}

	BundleStore &store()
	{
		if (!store_)
			store_ = std::make_unique<BundleStore>(std::vector<std::string>{root_}, authenticate_);
		return *store_;
	}

	Answer ask(const std::string &identifier, const std::string &name, uint32_t max_length = 1 << 20)
	{
		kext::OpenFolder folder;
		return kext::find_resource(store(), {identifier, name, max_length, nullptr}, folder);
	}

	static std::string content(const Answer &answer)
	{
		if (answer.file) {
			std::string text(answer.length, '\0');
			const ssize_t count = pread(answer.file.get(), text.data(), text.size(), 0);
			return count == static_cast<ssize_t>(text.size()) ? text : "unreadable";
		}
		return answer.bytes ? std::string(answer.bytes.get(), answer.length) : std::string();
	}

	fs::path top_;
	fs::path root_;
	bool authenticate_ = true;
	std::unique_ptr<BundleStore> store_;
};
