/* SPDX-License-Identifier: GPL-2.0-only */
#include "kmdf_interface.hpp"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "unique_fd.hpp"

namespace {

constexpr size_t kGuidLength = 36; /* without braces */
constexpr size_t kBracedLength = kGuidLength + 2;

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool parse_guid(const char *text, size_t length, GUID &guid)
{
	if (length == kBracedLength && text[0] == '{' && text[length - 1] == '}') {
		text++;
		length -= 2;
	}
	if (length != kGuidLength)
		return false;
	unsigned char bytes[16] = {};
	size_t digits = 0;
	for (size_t at = 0; at < length; at++) {
		if (at == 8 || at == 13 || at == 18 || at == 23) {
			if (text[at] != '-')
				return false;
			continue;
		}
		const int digit = hex_digit(text[at]);
		if (digit < 0)
			return false;
		unsigned char &byte = bytes[digits++ / 2];
		byte = static_cast<unsigned char>(byte << 4 | digit);
	}
	guid.Data1 = unsigned{bytes[0]} << 24 | unsigned{bytes[1]} << 16 | unsigned{bytes[2]} << 8 | bytes[3];
	guid.Data2 = static_cast<unsigned short>(bytes[4] << 8 | bytes[5]);
	guid.Data3 = static_cast<unsigned short>(bytes[6] << 8 | bytes[7]);
	memcpy(guid.Data4, bytes + 8, sizeof(guid.Data4));
	return true;
}

/* The attribute of one device; false: it has gone, or is none. */
bool has_interface(const char *folder, const char *device, const GUID &guid, const char *reference)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s/interfaces", folder, device);
	const kext::UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
	if (!file)
		return false;
	/* An attribute is a page at most, and read at once. */
	char text[4096];
	const ssize_t length = read(file.get(), text, sizeof(text));
	const char *end = text + (length > 0 ? length : 0);
	for (const char *line = text; line < end;) {
		const auto *newline = static_cast<const char *>(memchr(line, '\n', static_cast<size_t>(end - line)));
		const char *stop = newline ? newline : end;
		if (kext::kmdf::line_has_interface(line, static_cast<size_t>(stop - line), guid, reference))
			return true;
		line = stop + 1;
	}
	return false;
}

/* Into the names that are there so far, which are in order; the last one gives way. */
void insert(const char *name, char (*names)[KMDF_NAME_SIZE], uint32_t count, uint32_t have)
{
	uint32_t at = have < count ? have : count;
	while (at > 0 && strverscmp(name, names[at - 1]) < 0) {
		at--;
		if (at + 1 < count)
			memcpy(names[at + 1], names[at], KMDF_NAME_SIZE);
	}
	if (at < count)
		(void)snprintf(names[at], KMDF_NAME_SIZE, "%s", name);
}

} // namespace

namespace kext::kmdf {

bool line_has_interface(const char *line, size_t length, const GUID &guid, const char *reference)
{
	GUID found;
	if (length < kBracedLength || !parse_guid(line, kBracedLength, found) ||
	    memcmp(&found, &guid, sizeof(guid)) != 0)
		return false;
	const char *behind = line + kBracedLength;
	size_t left = length - kBracedLength;
	if (left) {
		if (*behind != '\\')
			return false;
		behind++;
		left--;
	}
	return !reference || (strlen(reference) == left && memcmp(behind, reference, left) == 0);
}

int find_interface(const char *folder, const GUID &guid, const char *reference, char (*names)[KMDF_NAME_SIZE],
		   uint32_t count)
{
	DIR *devices = opendir(folder);
	if (!devices)
		return -errno;
	uint32_t found = 0;
	while (const dirent *entry = readdir(devices)) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= KMDF_NAME_SIZE)
			continue;
		if (!has_interface(folder, entry->d_name, guid, reference))
			continue;
		insert(entry->d_name, names, count, found);
		found++;
	}
	(void)closedir(devices);
	return static_cast<int>(found);
}

} // namespace kext::kmdf

extern "C" {

int kmdf_guid_parse(const char *text, GUID *guid)
{
	if (!text || !guid)
		return -EINVAL;
	return parse_guid(text, strlen(text), *guid) ? 0 : -EINVAL;
}

void kmdf_guid_format(const GUID *guid, char text[KMDF_GUID_SIZE])
{
	const unsigned char *d = guid->Data4;
	(void)snprintf(text, KMDF_GUID_SIZE, "{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", guid->Data1,
		       guid->Data2, guid->Data3, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
}

int kmdf_find_interface(const GUID *guid, const char *reference, char (*names)[KMDF_NAME_SIZE], uint32_t count)
{
	if (!guid || (!names && count))
		return -EINVAL;
	return kext::kmdf::find_interface("/sys/class/kmdf", *guid, reference, names, count);
}

} // extern "C"
