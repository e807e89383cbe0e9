// SPDX-License-Identifier: GPL-2.0-only
// Info.plist: bytes as they are, XML and binary lists put together of the right pieces in the wrong order. libplist is not
// instrumented: what it is given must be made so that it goes deep.
#include <memory>
#include <plist/plist.h>

#include "input.hpp"
#include "memory_limit.hpp"
#include "target.hpp"

#include "../../userspace/kextd/bundle.hpp"

extern "C" bool kernel_takes_identifier(const char *text, uint32_t size);
extern "C" bool kernel_takes_version(const char *text, uint32_t size);
namespace {

constexpr size_t kLongest = 1 << 15;
constexpr uint32_t kFieldSize = 64; // of kmod_info

// ---- making lists

std::string xml(fuzz::Input &input)
{
	static constexpr const char *pieces[] = {
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
		"<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"x\">",
		"<!DOCTYPE plist [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>",
		"<plist version=\"1.0\">",
		"</plist>",
		"<dict>",
		"</dict>",
		"<array>",
		"</array>",
		"<key>CFBundleIdentifier</key>",
		"<key>CFBundleVersion</key>",
		"<key>CFBundlePackageType</key>",
		"<string>com.example.a</string>",
		"<string>KEXT</string>",
		"<string>1.0</string>",
		"<string>",
		"</string>",
		"<key>",
		"</key>",
		"<integer>",
		"</integer>",
		"<real>1e400</real>",
		"<data>AAAA</data>",
		"<data>",
		"</data>",
		"<date>2026-01-01T00:00:00Z</date>",
		"<true/>",
		"<string/>",
		"<dict/>",
		"<!--",
		"-->",
		"<![CDATA[",
		"]]>",
		"&lt;",
		"&#x0;",
		"&#1114112;",
		"&b;",
		"&",
		"<",
		">",
		"0x8000000000000000",
		"-9223372036854775809",
	};
	std::string text;

	while (!input.empty() && text.size() < kLongest) {
		uint8_t which = input.byte();

		if (which < 192) {
			text += pieces[which % (sizeof(pieces) / sizeof(pieces[0]))];
		} else if (which < 224) {
			text += input.text(which % 32);
		} else {
			// The end of it, again and again.
			size_t size = std::min<size_t>(text.size(), 1 + which % 32 * 4);
			std::string tail = text.substr(text.size() - size);

			for (uint64_t left = input.number() % 512; left && text.size() < kLongest; left--)
				text += tail;
		}
	}
	return text;
}

std::string big_endian(uint64_t value, unsigned int size)
{
	std::string text;

	while (size--)
		text.push_back(size < 8 ? static_cast<char>(value >> (8 * size)) : '\0');
	return text;
}

// Objects that refer to each other as the input has it; the first three are a good dictionary's.
std::string binary(fuzz::Input &input)
{
	uint8_t how = input.byte();
	unsigned int reference_size = 1 + how % 3;
	unsigned int offset_size = 2 + how / 4 % 3;
	std::string bytes = "bplist00";
	std::string table;
	uint64_t count = 0;
	auto add = [&](const std::string &object) {
		table += big_endian(bytes.size(), offset_size);
		bytes += object;
		count++;
	};
	auto reference = [&](uint64_t index) { return big_endian(index, reference_size); };
	auto counted = [&](uint8_t type, uint64_t length) {
		return length < 15 ? std::string(1, static_cast<char>(type << 4 | length)) :
				     std::string(1, static_cast<char>(type << 4 | 15)) + "\x11" + big_endian(length, 2);
	};

	add(std::string("\xd2") + reference(1) + reference(3) + reference(2) + reference(4));
	add(counted(5, 18) + "CFBundleIdentifier");
	add(counted(5, 13) + "com.example.a");
	add(counted(5, 15) + "CFBundleVersion");
	while (!input.empty() && bytes.size() < kLongest) {
		uint8_t which = input.byte();
		uint64_t length = input.byte() % 20;

		switch (which % 8) {
		case 0: {
			// A chain, each with as many references to the next.
			for (uint64_t left = 1 + input.number() % 2048; left && bytes.size() < kLongest; left--) {
				std::string object = counted(0xa, length);

				for (uint64_t i = 0; i < length; i++)
					object += reference(count + 1);
				add(object);
			}
			break;
		}
		case 1:
		case 2: {
			bool dictionary = which % 8 == 1;
			std::string object = counted(dictionary ? 0xd : 0xa, length);

			for (uint64_t i = 0; i < length << dictionary; i++)
				object += reference(input.byte());
			add(object);
			break;
		}
		case 3:
			add(counted(5, length) + input.text(length));
			break;
		case 4:
			add(counted(6, length) + input.text(2 * length));
			break;
		case 5:
			add(counted(4, input.number() & 0xffff) + input.text(length));
			break;
		default:
			// Any marker, and whatever follows.
			add(std::string(1, static_cast<char>(input.byte())) + input.text(length));
			break;
		}
	}
	struct Trailer {
		uint8_t unused[6];
		uint8_t offset_size;
		uint8_t reference_size;
	} trailer{{}, static_cast<uint8_t>(offset_size), static_cast<uint8_t>(reference_size)};
	uint64_t table_at = bytes.size();

	bytes += table;
	if (how >= 224)
		trailer.offset_size ^= how % 16;
	bytes.append(reinterpret_cast<const char *>(&trailer), sizeof(trailer));
	bytes += big_endian(count + (how >= 240), 8) + big_endian(how % 32 == 31, 8) +
		 big_endian(table_at - (how % 32 == 30), 8);
	return bytes;
}

void check(const std::string &content)
{
	// On the heap and exactly as long as it is.
	std::unique_ptr<char[]> exact(new char[content.size()]);

	memcpy(exact.get(), content.data(), content.size());
	kext::Identity identity;
	{
		fuzz::MemoryLimit limit(content.size(), "an Info.plist");

		identity = kext::parse_info_plist({exact.get(), content.size()});
	}
	if (!identity.problem.empty())
		return;
	char field[kFieldSize] = {};

	if (identity.identifier.size() >= sizeof(field))
		fuzz::wrong("an identifier of %zu bytes is accepted", identity.identifier.size());
	memcpy(field, identity.identifier.data(), identity.identifier.size());
	if (!kernel_takes_identifier(field, sizeof(field)))
		fuzz::wrong("an identifier is accepted that the kernel would refuse");
	plist_t list = nullptr;

	plist_from_memory(exact.get(), static_cast<uint32_t>(content.size()), &list);
	const char *version = plist_get_string_ptr(plist_dict_get_item(list, "CFBundleVersion"), nullptr);

	if (version && *version) {
		memset(field, 0, sizeof(field));
		memcpy(field, version, std::min(strlen(version), sizeof(field)));
		if (!kernel_takes_version(field, sizeof(field)))
			fuzz::wrong("a version is accepted that the kernel would refuse");
	}
	plist_free(list);
}

} // namespace

namespace fuzz {

enum { Raw, Xml, Binary, Identity, Kinds };

void run(const uint8_t *data, size_t size)
{
	Input input(data, size);

	switch (input.below(Kinds)) {
	case Raw:
		return check(input.text(input.left()));
	case Xml:
		return check(xml(input));
	case Binary:
		return check(binary(input));
	case Identity: {
		// One that parses, whatever it says.
		std::string identifier = input.text(input.below(80));
		std::string version = input.text(input.below(80));
		plist_t list = plist_new_dict();
		char *bytes = nullptr;
		uint32_t length = 0;

		for (std::string *text : {&identifier, &version})
			*text = text->substr(0, text->find('\0'));
		plist_dict_set_item(list, "CFBundleIdentifier", plist_new_string(identifier.c_str()));
		plist_dict_set_item(list, "CFBundleVersion", plist_new_string(version.c_str()));
		plist_to_bin(list, &bytes, &length);
		plist_free(list);
		std::string content(bytes, length);

		free(bytes);
		return check(content);
	}
	}
}

std::vector<std::string> seeds()
{
	const std::string good = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>"
				 "<key>CFBundleIdentifier</key><string>com.example.a</string>"
				 "<key>CFBundlePackageType</key><string>KEXT</string>"
				 "<key>CFBundleVersion</key><string>1.0</string></dict></plist>";
	auto pieces = [](std::initializer_list<uint8_t> which) {
		Seed seed;

		seed.byte(Xml);
		for (uint8_t piece : which)
			seed.byte(piece);
		return seed.bytes();
	};

	return {
		Seed().byte(Raw).text(good).bytes(),
		pieces({0, 1, 3, 5, 9, 12, 10, 14, 11, 13, 6, 4}),
		pieces({3, 5, 9, 15, 33, 16, 10, 7, 7, 8, 8, 6, 4}),
		pieces({3, 5, 9, 12, 17, 18, 7, 225, 25, 8, 225, 25, 6, 4}),
		Seed().byte(Binary).byte(0).byte(3).byte(3).text("1.0").bytes(),
		Seed().byte(Binary).byte(0).byte(0).byte(1).byte(20).byte(3).byte(0).bytes(),
		Seed().byte(Binary).byte(1).byte(2).byte(3).byte(5).byte(6).byte(7).byte(3).byte(1).text("x").bytes(),
		Seed().byte(Identity).byte(13).text("com.example.a").byte(3).text("1.0").bytes(),
		Seed().byte(Identity).byte(13).text("com.example.a").byte(9).text("1.2.3fc12").bytes(),
	};
}

} // namespace fuzz
