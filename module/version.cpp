// SPDX-License-Identifier: GPL-2.0-only
// Version strings and their numbers. Contracts: shim/include/libkern/OSKextLib.h.
#include "libkern/OSKextLib.h"
#include "shim/types.h"
#include "shim/enforce.h"

namespace {

// The digits of a number, four for each part, one for the stage, three for its level.
constexpr OSKextVersion kMajor = 1000000000000;
constexpr OSKextVersion kMinor = 100000000;
constexpr OSKextVersion kRevision = 10000;
constexpr OSKextVersion kStage = 1000;
constexpr OSKextVersion kInvalid = -1;

constexpr u32 kPartDigits = 4;
constexpr u32 kLevelDigits = 3;
constexpr u32 kMaxPart = 9999;
constexpr u32 kMaxLevel = 255;

enum Stage : u32 { Development = 1, Alpha = 3, Beta = 5, Final = 7, Release = 9 };

struct Letter {
	char letter;
	Stage stage;
};
constexpr Letter kLetters[] = {{'d', Development}, {'a', Alpha}, {'b', Beta}, {'f', Final}};

// Reads 1 to `digits` digits at *at; false when there is none or one more.
bool read_number(const char **at, u32 digits, u32 *value)
{
	u32 count = 0;

	*value = 0;
	while (**at >= '0' && **at <= '9') {
		if (count++ == digits)
			return false;
		*value = *value * 10 + static_cast<u32>(**at - '0');
		++*at;
	}
	return count > 0;
}

char *put_number(char *to, u32 value)
{
	u32 unit = 1;

	while (value / unit >= 10)
		unit *= 10;
	for (; unit; unit /= 10)
		*to++ = static_cast<char>('0' + value / unit % 10);
	return to;
}

// False: no text has this number. The text and its NUL have at most 19 bytes: 9999.9999.9999f255.
bool put_version(OSKextVersion version, char *to)
{
	OSKextVersion major = version / kMajor;
	u32 minor = static_cast<u32>(version / kMinor % (kMaxPart + 1));
	u32 revision = static_cast<u32>(version / kRevision % (kMaxPart + 1));
	u32 stage = static_cast<u32>(version / kStage % 10);
	u32 level = static_cast<u32>(version % kStage);

	if (version < 0 || major > kMaxPart || level > kMaxLevel)
		return false;
	to = put_number(to, static_cast<u32>(major));
	*to++ = '.';
	to = put_number(to, minor);
	if (revision) {
		*to++ = '.';
		to = put_number(to, revision);
	}
	if (stage == Release) {
		*to = 0;
		return !level;
	}
	for (const Letter &known : kLetters) {
		if (known.stage != stage)
			continue;
		*to++ = known.letter;
		*put_number(to, level) = 0;
		return level || stage != Final;
	}
	return false;
}

} // namespace

extern "C" OSKextVersion OSKextParseVersionString(const char *versionString)
{
	const char *at = versionString;
	u32 parts[3] = {};
	u32 stage = Release;
	u32 level = 0;

	if (!at)
		return kInvalid;
	for (u32 part = 0;; part++) {
		if (!read_number(&at, kPartDigits, &parts[part]))
			return kInvalid;
		if (*at != '.' || part == 2)
			break;
		at++;
	}
	for (const Letter &known : kLetters)
		if (*at == known.letter)
			stage = known.stage;
	if (stage != Release) {
		at++;
		if (stage == Final && *at == 'c')
			at++;
		if (!read_number(&at, kLevelDigits, &level) || level > kMaxLevel || (stage == Final && !level))
			return kInvalid;
	}
	if (*at && *at != ' ' && (*at < '\t' || *at > '\r'))
		return kInvalid;
	return parts[0] * kMajor + parts[1] * kMinor + parts[2] * kRevision + stage * kStage + level;
}

extern "C" Boolean OSKextVersionGetString(OSKextVersion aVersion, char *buffer, uint32_t bufferSize)
{
	static const char missing[] = "(missing)";
	static const char invalid[] = "(invalid)";

	if (!buffer || bufferSize < kOSKextVersionMaxLength)
		return false;
	if (!aVersion)
		__builtin_memcpy(buffer, missing, sizeof(missing));
	else if (!put_version(aVersion, buffer))
		__builtin_memcpy(buffer, invalid, sizeof(invalid));
	return true;
}
