/* SPDX-License-Identifier: GPL-2.0-only */
/* What Info.plist says. It may be anybody's: a bundle that is not trusted is read, too, so that it can be named. */
#include <algorithm>
#include <vector>

#include <uapi/kextbridge.h>

#include "bundle.hpp"
#include "../lib/unique_plist.hpp"

namespace kext {

namespace {

/* The string behind a key; false when the key is there and is no string. */
bool string_of(plist_t dictionary, const char *key, std::string &out)
{
	plist_t node = plist_dict_get_item(dictionary, key);
	if (!node)
		return true;
	if (plist_get_node_type(node) != PLIST_STRING)
		return false;
	uint64_t length = 0;
	const char *text = plist_get_string_ptr(node, &length);
	if (!text)
		return false;
	out.assign(text, length);
	return true;
}

/*
 * libplist makes a copy of an object for each reference to it, and goes as deep as they lead: some hundred bytes
 * can ask it for more memory than there is, or for more stack. So the references are counted first; all else is
 * left to libplist.
 */
class References {
      public:
	explicit References(std::string_view bytes) : bytes_(bytes) {}

	/* They make a tree of a size that can be expected of an Info.plist. */
	bool are_harmless()
	{
		if (bytes_.size() < trailer_size || !read_table())
			return false;
		std::vector<bool> seen(objects_.size());
		seen[root_] = true;
		uint64_t copied = 0;
		uint64_t references = 0;
		for (const Object &object : objects_) {
			references += object.references;
			if (references > most_references)
				return false;
			for (uint64_t i = 0; i < object.references; i++) {
				const uint64_t other = number(object.at + i * reference_size_, reference_size_);
				if (other >= objects_.size())
					return false;
				if (objects_[other].container && seen[other])
					return false;
				seen[other] = true;
				copied += objects_[other].length;
				if (copied > most_copied)
					return false;
			}
		}
		return true;
	}

      private:
	static constexpr size_t trailer_size = 32;
	static constexpr uint64_t most_objects = 65536;
	static constexpr uint64_t most_containers = 4096; /* and as deep */
	static constexpr uint64_t most_references = 65536;
	static constexpr uint64_t most_copied = 16 << 20;

	struct Object {
		bool container = false;
		uint64_t at = 0; /* of its references */
		uint64_t references = 0;
		uint64_t length = 0; /* of what is no container, in bytes */
	};

	bool inside(uint64_t at, uint64_t size) const { return at <= bytes_.size() && size <= bytes_.size() - at; }

	/* Big-endian; it is inside. */
	uint64_t number(uint64_t at, uint64_t size) const
	{
		uint64_t value = 0;
		for (uint64_t i = 0; i < size; i++)
			value = value << 8 | static_cast<unsigned char>(bytes_[at + i]);
		return value;
	}

	bool read_table()
	{
		const uint64_t trailer = bytes_.size() - trailer_size;
		const uint64_t offset_size = number(trailer + 6, 1);
		reference_size_ = number(trailer + 7, 1);
		const uint64_t count = number(trailer + 8, 8);
		root_ = number(trailer + 16, 8);
		const uint64_t table = number(trailer + 24, 8);
		if (!offset_size || offset_size > 8 || !reference_size_ || reference_size_ > 8 || !count ||
		    count > most_objects || root_ >= count || !inside(table, count * offset_size))
			return false;
		uint64_t containers = 0;
		for (uint64_t i = 0; i < count; i++) {
			Object object;
			if (!read_object(number(table + i * offset_size, offset_size), object))
				return false;
			containers += object.container;
			objects_.push_back(object);
		}
		return containers <= most_containers;
	}

	bool read_object(uint64_t at, Object &object) const
	{
		if (!inside(at, 1))
			return false;
		const uint64_t marker = number(at++, 1);
		const uint64_t type = marker >> 4;
		uint64_t count = marker & 15;
		if (type < 4 || type == 8) {
			object.length = 16; /* a number, a date: at most that */
			return true;
		}
		if (count == 15) { /* the count is a number of its own, behind the marker */
			if (!inside(at, 1))
				return false;
			const uint64_t size = uint64_t{1} << (number(at++, 1) & 15);
			if (size > 8 || !inside(at, size))
				return false;
			count = number(at, size);
			at += size;
		}
		if (count > bytes_.size())
			return false;
		object.container = type == 0xa || type == 0xc || type == 0xd;
		if (!object.container) {
			object.length = type == 6 ? 2 * count : count;
			return true;
		}
		object.at = at;
		object.references = type == 0xd ? 2 * count : count;
		return inside(at, object.references * reference_size_);
	}

	const std::string_view bytes_;
	uint64_t reference_size_ = 0;
	uint64_t root_ = 0;
	std::vector<Object> objects_;
};

/* The kernel would register no kext with another one. */
bool can_be_identifier(std::string_view text)
{
	return text.size() < KEXTBRIDGE_IDENTIFIER_SIZE && std::all_of(text.begin(), text.end(), [](char c) {
		       return c > ' ' && c <= '~' && c != '/' && c != '"' && c != '\\';
	       });
}

/* Takes up to `most` digits from the front; -1 when there is none, or one more. */
int take_number(std::string_view &text, size_t most)
{
	int value = 0;
	size_t count = 0;
	for (; count < text.size() && text[count] >= '0' && text[count] <= '9'; count++) {
		if (count == most)
			return -1;
		value = value * 10 + (text[count] - '0');
	}
	text.remove_prefix(count);
	return count ? value : -1;
}

/* The same for a version: 1.2.3, 1.2.3d4 (d, a, b, f or fc, up to 255), and behind a blank whatever one likes. */
bool can_be_version(std::string_view text)
{
	if (text.size() >= KEXTBRIDGE_IDENTIFIER_SIZE)
		return false;
	text = text.substr(0, text.find('\0'));
	for (int part = 0;; part++) {
		if (take_number(text, 4) < 0)
			return false;
		if (part == 2 || !text.starts_with('.'))
			break;
		text.remove_prefix(1);
	}
	const char stage = text.empty() ? '\0' : text.front();
	if (stage == 'd' || stage == 'a' || stage == 'b' || stage == 'f') {
		text.remove_prefix(text.starts_with("fc") ? 2 : 1);
		const int level = take_number(text, 3);
		if (level < (stage == 'f' ? 1 : 0) || level > 255)
			return false;
	}
	return text.empty() || text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r');
}

} // namespace

Identity parse_info_plist(std::string_view content)
{
	plist_t raw = nullptr;
	if (!content.starts_with("bplist") || References(content).are_harmless())
		plist_from_memory(content.data(), static_cast<uint32_t>(content.size()), &raw);
	const UniquePlist plist(raw);
	if (!plist || plist_get_node_type(raw) != PLIST_DICT)
		return {{}, "is no property list with a dictionary"};

	Identity identity;
	std::string type;
	std::string version;
	if (!string_of(raw, "CFBundleIdentifier", identity.identifier) || identity.identifier.empty() ||
	    identity.identifier.find('\0') != std::string::npos)
		return {{}, "has no CFBundleIdentifier"};
	if (!string_of(raw, "CFBundlePackageType", type) || (!type.empty() && type != "KEXT"))
		identity.problem = "has a CFBundlePackageType that is not KEXT";
	else if (!string_of(raw, "CFBundleVersion", version))
		identity.problem = "has a CFBundleVersion that is no string";
	else if (!can_be_identifier(identity.identifier))
		identity.problem = "has a CFBundleIdentifier that no kext can have";
	else if (!version.empty() && !can_be_version(version))
		identity.problem = "has a CFBundleVersion that no kext can have";
	return identity;
}

} // namespace kext
