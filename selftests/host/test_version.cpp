// SPDX-License-Identifier: GPL-2.0-only
// Version strings and their numbers.
#include <cinttypes>
#include <cstring>

#include "../lib/versions.h"
#include "kit.hpp"

namespace {

constexpr char kUntouched = '#';

// As OSKextVersionGetString() prints it; "" when it says FALSE, and then it has written nothing.
std::string printed(OSKextVersion version, uint32_t size = kOSKextVersionMaxLength)
{
	std::unique_ptr<char[]> buffer(new char[size]); // AddressSanitizer sees one byte too many

	memset(buffer.get(), kUntouched, size);
	if (OSKextVersionGetString(version, buffer.get(), size)) {
		EXPECT_NE(memchr(buffer.get(), 0, kOSKextVersionMaxLength), nullptr) << version;
		return buffer.get();
	}
	EXPECT_EQ(std::string(buffer.get(), size), std::string(size, kUntouched));
	return "";
}

OSKextVersion parsed(const std::string &text)
{
	std::unique_ptr<char[]> copy(new char[text.size() + 1]);

	memcpy(copy.get(), text.c_str(), text.size() + 1);
	return OSKextParseVersionString(copy.get());
}

TEST_F(Oskext, T_164_vectors)
{
	static const struct version_vector vectors[] = {VERSION_VECTORS(VERSION_VECTOR)};

	for (const version_vector &vector : vectors) {
		EXPECT_EQ(parsed(vector.text), vector.number) << vector.text;
		EXPECT_EQ(printed(vector.number), vector.printed) << vector.number;
	}
}

TEST_F(Oskext, T_164_what_is_a_version_of_a_kext_has_a_number)
{
	for (const char *good : {VERSIONS}) {
		OSKextVersion number = parsed(good);

		EXPECT_GT(number, 0) << good;
		EXPECT_EQ(parsed(printed(number)), number) << good;
	}
	for (const char *bad : {NO_VERSIONS, ONLY_NO_NUMBERS})
		EXPECT_EQ(parsed(bad), -1) << bad;
	EXPECT_EQ(OSKextParseVersionString(nullptr), -1);
}

TEST_F(Oskext, T_164_white_space_ends_a_version)
{
	for (char space : {' ', '\t', '\n', '\v', '\f', '\r'}) {
		EXPECT_EQ(parsed(std::string("1.2.3b4") + space), 1000200035004);
		EXPECT_EQ(parsed(std::string("1.2.3") + space + "\xff.x"), 1000200039000);
		EXPECT_EQ(parsed(std::string("1.") + space), -1);
		EXPECT_EQ(parsed(std::string("1.0b") + space + "4"), -1);
		EXPECT_EQ(parsed(space + std::string("1.0")), -1);
	}
	// Nothing else does.
	for (int c = 1; c < 256; c++)
		EXPECT_EQ(parsed(std::string("1.0.0") + static_cast<char>(c)) == -1,
			  !strchr(" \t\n\v\f\r0123456789", c))
			<< c;
}

// Each number of parts, stage and level, with the parts at the ends of their lengths.
TEST_F(Oskext, T_164_round_trip_of_every_form)
{
	static const struct {
		const char *name, *printed;
		int digit;
	} stages[] = {{"d", "d", 1}, {"a", "a", 3}, {"b", "b", 5}, {"f", "f", 7}, {"fc", "f", 7}, {"", "", 9}};
	static constexpr int parts[] = {0, 1, 9, 10, 99, 100, 999, 1000, 9999};
	OSKextVersion before = 0;

	for (int major : parts)
		for (int minor : parts)
			for (int revision : parts)
				for (auto &stage : stages)
					for (int level = 0; level <= (*stage.name ? 256 : 0); level++) {
						char text[64];
						char expected[64];
						char number[64];
						std::string end = stage.name;

						if (*stage.name)
							end += std::to_string(level);
						snprintf(text, sizeof(text), "%d.%d.%d%s", major, minor, revision,
							 end.c_str());
						if (level > 255 || (stage.digit == 7 && !level)) {
							ASSERT_EQ(OSKextParseVersionString(text), -1) << text;
							continue;
						}
						snprintf(number, sizeof(number), "%d%04d%04d%d%03d", major, minor,
							 revision, stage.digit, level);
						OSKextVersion version = OSKextParseVersionString(text);

						ASSERT_EQ(version, strtoll(number, nullptr, 10)) << text;
						// Those that are later are larger; f and fc are the same.
						if (strcmp(stage.name, "fc")) {
							ASSERT_GT(version, before) << text;
							before = version;
						}
						snprintf(expected, sizeof(expected), revision ? "%d.%d.%d" : "%d.%d",
							 major, minor, revision);
						if (*stage.name)
							sprintf(expected + strlen(expected), "%s%d", stage.printed,
								level);
						char buffer[kOSKextVersionMaxLength];
						ASSERT_TRUE(OSKextVersionGetString(version, buffer, sizeof(buffer)));
						ASSERT_STREQ(buffer, expected);
						ASSERT_EQ(OSKextParseVersionString(buffer), version) << text;
						if (!revision) {
							snprintf(text, sizeof(text), "%d.%d%s", major, minor,
								 end.c_str());
							ASSERT_EQ(OSKextParseVersionString(text), version) << text;
						}
						if (!revision && !minor) {
							snprintf(text, sizeof(text), "%d%s", major, end.c_str());
							ASSERT_EQ(OSKextParseVersionString(text), version) << text;
						}
					}
}

// A number that no text has is no version.
TEST_F(Oskext, T_164_numbers_that_are_none)
{
	static constexpr OSKextVersion bad[] = {NO_VERSION_NUMBERS};

	EXPECT_EQ(printed(0), "(missing)");
	for (OSKextVersion number : bad)
		EXPECT_EQ(printed(number), "(invalid)") << number;
	for (OSKextVersion stage_and_level = 0; stage_and_level < 10000; stage_and_level++) {
		OSKextVersion number = 12000300000000 + stage_and_level;
		std::string text = printed(number);

		if (text == "(invalid)") {
			EXPECT_FALSE(stage_and_level == 9000 ||
				     (stage_and_level / 1000 % 2 == 1 && stage_and_level / 1000 < 9 &&
				      stage_and_level % 1000 < 256 && stage_and_level != 7000))
				<< number;
		} else {
			EXPECT_EQ(parsed(text), number);
		}
	}
}

TEST_F(Oskext, T_164_room_for_a_version)
{
	for (OSKextVersion number :
	     {OSKextVersion{0}, OSKextVersion{-1}, OSKextVersion{1000000009000}, OSKextVersion{9999999999997255}}) {
		for (uint32_t size : {0, 1, 19})
			EXPECT_EQ(printed(number, size), "") << number;
		for (uint32_t size : {20, 21, 100})
			EXPECT_NE(printed(number, size), "") << number;
		EXPECT_FALSE(OSKextVersionGetString(number, nullptr, 20));
		EXPECT_FALSE(OSKextVersionGetString(number, nullptr, 0xffffffff));
	}
	EXPECT_EQ(printed(9999999999997255), "9999.9999.9999f255");
}

} // namespace
