// SPDX-License-Identifier: GPL-2.0-only
// What a target reads of the fuzzer's bytes: from the front, and zeros when they are used up, so that each input has one
// meaning and a shorter one is a simpler one. And the writer of the same form, for seeds.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace fuzz {

class Input {
	const uint8_t *at_;
	const uint8_t *end_;

      public:
	Input(const uint8_t *data, size_t size) : at_(data), end_(data + size) {}

	bool empty() const { return at_ == end_; }
	size_t left() const { return static_cast<size_t>(end_ - at_); }
	uint8_t byte() { return empty() ? uint8_t{0} : *at_++; }
	uint32_t below(uint32_t limit) { return limit ? byte() % limit : 0; }
	bool flag() { return byte() & 1; }

	void bytes(void *to, size_t size)
	{
		size_t given = size < left() ? size : left();

		if (given)
			memcpy(to, at_, given);
		if (given < size)
			memset(static_cast<char *>(to) + given, 0, size - given);
		at_ += given;
	}

	template <typename T> T value()
	{
		T value;

		bytes(&value, sizeof(value));
		return value;
	}

	std::string text(size_t size)
	{
		std::string text(size < left() ? size : left(), '\0');

		bytes(text.data(), text.size());
		return text;
	}

	// Mostly one of those at which something changes, by one byte.
	uint64_t number()
	{
		static constexpr uint64_t edges[] = {0,
						     1,
						     2,
						     3,
						     7,
						     8,
						     15,
						     16,
						     47,
						     48,
						     49,
						     63,
						     64,
						     65,
						     127,
						     128,
						     255,
						     256,
						     1023,
						     1024,
						     1025,
						     3072,
						     3073,
						     4095,
						     4096,
						     4097,
						     65535,
						     65536,
						     65537,
						     0x7fffffff,
						     0x80000000,
						     0xfffffffe,
						     0xffffffff,
						     0x100000000,
						     0x7fffffffffffffff,
						     0x8000000000000000,
						     0xfffffffffffffff8,
						     0xffffffffffffffff};
		constexpr uint8_t count = sizeof(edges) / sizeof(edges[0]);
		uint8_t which = byte();

		if (which < count)
			return edges[which];
		if (which < 128)
			return which;
		return which < 192 ? value<uint16_t>() : which < 224 ? value<uint32_t>() : value<uint64_t>();
	}

	// A structure of the wire as the target has filled it in, and up to three changes to it; or all of it from the input.
	template <typename T> void change(T &structure)
	{
		uint8_t how = byte();

		if (how >= 0xf0)
			return bytes(&structure, sizeof(structure));
		for (uint8_t left = how % 4; left; left--) {
			size_t width = size_t{1} << below(4);
			size_t at = byte() % sizeof(structure) / width * width;
			uint64_t number = this->number();

			memcpy(reinterpret_cast<char *>(&structure) + at, &number,
			       at + width <= sizeof(structure) ? width : sizeof(structure) - at);
		}
	}
};

class Seed {
	std::string bytes_;

      public:
	Seed &byte(uint8_t value)
	{
		bytes_.push_back(static_cast<char>(value));
		return *this;
	}
	Seed &text(std::string_view text)
	{
		bytes_.append(text);
		return *this;
	}
	template <typename T> Seed &value(const T &value)
	{
		bytes_.append(reinterpret_cast<const char *>(&value), sizeof(value));
		return *this;
	}
	const std::string &bytes() const { return bytes_; }
};

} // namespace fuzz
