/* SPDX-License-Identifier: GPL-2.0-only */
/* kextbridge_record_next: whatever the buffer holds, it reads nothing outside of it and always ends. */
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kextbridge.h"

namespace {

using Bytes = std::vector<char>;

/* A well-formed record. */
Bytes record(uint64_t id, std::string_view identifier, std::string_view name, uint32_t kind = KEXTD_RESOURCE)
{
	kextd_request header{};
	header.kind = kind;
	header.id = id;
	header.identifier_size = static_cast<uint32_t>(identifier.size()) + 1;
	header.name_size = static_cast<uint32_t>(name.size()) + 1;
	const size_t size = sizeof(header) + header.identifier_size + header.name_size;
	header.size = static_cast<uint32_t>((size + 7) / 8 * 8);
	Bytes bytes(header.size);
	memcpy(bytes.data(), &header, sizeof(header));
	memcpy(bytes.data() + sizeof(header), identifier.data(), identifier.size());
	memcpy(bytes.data() + sizeof(header) + header.identifier_size, name.data(), name.size());
	return bytes;
}

template <typename T> void put(Bytes &bytes, size_t offset, T value)
{
	memcpy(bytes.data() + offset, &value, sizeof(value));
}

Bytes operator+(Bytes left, const Bytes &right)
{
	left.insert(left.end(), right.begin(), right.end());
	return left;
}

/* On the heap and exactly as long as it is: AddressSanitizer sees the first byte too many. */
struct Exact {
	explicit Exact(const Bytes &bytes) : data(new char[bytes.size()]), size(bytes.size())
	{
		std::copy(bytes.begin(), bytes.end(), data.get());
	}
	std::unique_ptr<char[]> data;
	size_t size;
};

int first(const Bytes &bytes)
{
	const Exact exact(bytes);
	size_t offset = 0;
	kextbridge_record found{};
	return kextbridge_record_next(exact.data.get(), exact.size, &offset, &found);
}

} // namespace

TEST(Records, EmptyBufferEnds)
{
	EXPECT_EQ(first({}), 0);
}

TEST(Records, WalksAllRecordsInOrder)
{
	const Exact buffer(record(1, "com.example.a", "one") + record(2, "", "") +
			   record(3, "com.example.b", "folder/three", KEXTD_LOAD));
	size_t offset = 0;
	kextbridge_record found{};
	ASSERT_EQ(kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found), 1);
	EXPECT_EQ(found.header.id, 1u);
	EXPECT_STREQ(found.identifier, "com.example.a");
	EXPECT_EQ(found.identifier_length, strlen("com.example.a"));
	EXPECT_STREQ(found.name, "one");
	EXPECT_EQ(found.name_length, 3u);
	ASSERT_EQ(kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found), 1);
	EXPECT_EQ(found.header.id, 2u);
	EXPECT_STREQ(found.identifier, "");
	EXPECT_STREQ(found.name, "");
	ASSERT_EQ(kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found), 1);
	EXPECT_EQ(found.header.kind, static_cast<uint32_t>(KEXTD_LOAD));
	EXPECT_STREQ(found.name, "folder/three");
	EXPECT_EQ(kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found), 0);
	EXPECT_EQ(offset, buffer.size);
}

TEST(Records, UnknownKindIsGivenOn)
{
	EXPECT_EQ(first(record(1, "a", "b", 77)), 1);
}

TEST(Records, MoreAfterTheStringsIsLeftAlone)
{
	Bytes bytes = record(1, "a", "b");
	bytes.resize(bytes.size() + 64);
	put<uint32_t>(bytes, offsetof(kextd_request, size), static_cast<uint32_t>(bytes.size()));
	EXPECT_EQ(first(bytes), 1);
}

TEST(Records, EveryTruncationIsMalformed)
{
	const Bytes whole = record(1, "com.example.a", "name");
	for (size_t size = 1; size < whole.size(); size++)
		EXPECT_EQ(first(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))), -EBADMSG)
			<< size;
}

TEST(Records, BadSizesAreMalformed)
{
	const size_t size = offsetof(kextd_request, size);
	const size_t identifier = offsetof(kextd_request, identifier_size);
	const size_t name = offsetof(kextd_request, name_size);
	for (const size_t field : {size, identifier, name}) {
		for (const uint32_t value : {0u, 0x7fffffffu, 0x80000000u, 0xfffffff8u, 0xffffffffu}) {
			Bytes bytes = record(1, "com.example.a", "name");
			put(bytes, field, value);
			EXPECT_EQ(first(bytes), -EBADMSG) << field << " " << value;
		}
	}
	for (const uint32_t value : {8u, 40u, 47u, 49u, 52u}) {
		Bytes bytes = record(1, "com.example.a", "name");
		put(bytes, size, value);
		EXPECT_EQ(first(bytes), -EBADMSG) << value;
	}
}

TEST(Records, SizesWhoseSumWrapsAreMalformed)
{
	Bytes bytes = record(1, "com.example.a", "name");
	put<uint32_t>(bytes, offsetof(kextd_request, identifier_size), 16);
	put<uint32_t>(bytes, offsetof(kextd_request, name_size), 0xfffffff8u);
	EXPECT_EQ(first(bytes), -EBADMSG);
}

TEST(Records, StringsMustEndWithNul)
{
	Bytes bytes = record(1, "abc", "def");
	bytes[sizeof(kextd_request) + 3] = 'x';
	EXPECT_EQ(first(bytes), -EBADMSG);
	bytes = record(1, "abc", "def");
	bytes[sizeof(kextd_request) + 7] = 'x';
	EXPECT_EQ(first(bytes), -EBADMSG);
}

TEST(Records, MalformedRecordDoesNotMoveTheOffset)
{
	const Bytes good = record(1, "a", "b");
	const Exact buffer(good + Bytes(24));
	size_t offset = 0;
	kextbridge_record found{};
	ASSERT_EQ(kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found), 1);
	EXPECT_EQ(kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found), -EBADMSG);
	EXPECT_EQ(offset, good.size());
}

TEST(Records, OffsetBeyondTheEndIsMalformed)
{
	const Bytes bytes = record(1, "a", "b");
	size_t offset = bytes.size() + 8;
	kextbridge_record found{};
	EXPECT_EQ(kextbridge_record_next(bytes.data(), bytes.size(), &offset, &found), -EBADMSG);
}

TEST(Records, UnalignedBufferIsReadAllTheSame)
{
	Bytes bytes(1);
	bytes = bytes + record(9, "a", "b");
	size_t offset = 0;
	kextbridge_record found{};
	ASSERT_EQ(kextbridge_record_next(bytes.data() + 1, bytes.size() - 1, &offset, &found), 1);
	EXPECT_EQ(found.header.id, 9u);
}

TEST(Records, RandomDamageNeverReadsOutsideAndAlwaysEnds)
{
	std::mt19937 random(20240607);
	for (int round = 0; round < 100000; round++) {
		Bytes bytes = record(1, "com.example.a", "one") + record(2, "b", "two") + record(3, "", "");
		const unsigned changes = 1 + random() % 4;
		for (unsigned i = 0; i < changes; i++)
			bytes[random() % bytes.size()] = static_cast<char>(random());
		if (random() % 2)
			bytes.resize(random() % (bytes.size() + 1));
		const Exact buffer(bytes);
		size_t offset = 0;
		kextbridge_record found{};
		int more;
		int steps = 0;
		while ((more = kextbridge_record_next(buffer.data.get(), buffer.size, &offset, &found)) == 1) {
			ASSERT_LE(offset, buffer.size);
			ASSERT_GE(found.identifier, buffer.data.get());
			ASSERT_LE(found.name + found.name_length + 1, buffer.data.get() + buffer.size);
			ASSERT_EQ(found.identifier[found.identifier_length], '\0');
			ASSERT_EQ(found.name[found.name_length], '\0');
			ASSERT_LT(++steps, 16);
		}
		ASSERT_TRUE(more == 0 || more == -EBADMSG);
	}
}

TEST(Returns, HaveNamesAndTexts)
{
	EXPECT_STREQ(kextbridge_return_name(kOSReturnSuccess), "kOSReturnSuccess");
	EXPECT_STREQ(kextbridge_return_name(kOSKextReturnNotFound), "kOSKextReturnNotFound");
	EXPECT_STREQ(kextbridge_return_name(kOSKextReturnStopping), "kOSKextReturnStopping");
	EXPECT_EQ(kextbridge_return_name(12345), nullptr);
	EXPECT_STRNE(kextbridge_return_text(kOSKextReturnTimeout), "");
	EXPECT_NE(kextbridge_return_text(12345), nullptr);
}

TEST(Transport, ErrorsOfTheNodeAreGivenBack)
{
	kextbridge *client = nullptr;
	EXPECT_EQ(kextbridge_open("/nonexistent/kextbridge", &client), -ENOENT);
	kextbridge_daemon *daemon = nullptr;
	EXPECT_EQ(kextbridge_daemon_open("/nonexistent/kextd", &daemon), -ENOENT);
	ASSERT_EQ(kextbridge_open("/dev/null", &client), 0);
	struct kextbridge_status status;
	EXPECT_EQ(kextbridge_get_status(client, &status), -ENOTTY);
	OSReturn result = 0;
	EXPECT_EQ(kextbridge_cancel(client, 1, &result), -ENOTTY);
	EXPECT_EQ(kextbridge_submit(client, nullptr, "x", nullptr, nullptr, &result), -EINVAL);
	kextbridge_close(client);
	kextbridge_close(nullptr);
	kextbridge_daemon_close(nullptr);
}
