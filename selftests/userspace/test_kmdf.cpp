/* SPDX-License-Identifier: GPL-2.0-only */
/* The library's part for kmdf.ko: records, GUIDs, NTSTATUS, and what it makes of the kernel's answers. */
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <string>
#include <unistd.h>
#include <vector>

#include "fake_node.hpp"
#include "kmdf.h"
#include "kmdf_interface.hpp"

namespace {

using Bytes = std::vector<char>;

template <typename T> Bytes bytes_of(T record, uint32_t kind, size_t size = sizeof(T))
{
	Bytes bytes(std::max(size, sizeof(T)));
	record.record.size = static_cast<uint32_t>(size);
	record.record.kind = kind;
	memcpy(bytes.data(), &record, sizeof(record));
	bytes.resize(size);
	return bytes;
}

Bytes device_record(const char *name, size_t size = sizeof(kmdf_device))
{
	kmdf_device device{};
	device.id = 1;
	device.state = KMDF_DEVICE_WORKING;
	strncpy(device.name, name, sizeof(device.name) - 1);
	return bytes_of(device, KMDF_RECORD_DEVICE, size);
}

Bytes queue_record(uint64_t id)
{
	kmdf_queue queue{};
	queue.id = id;
	return bytes_of(queue, KMDF_RECORD_QUEUE);
}

Bytes request_record(uint64_t id)
{
	kmdf_request request{};
	request.id = id;
	request.state = KMDF_REQUEST_CANCELABLE;
	return bytes_of(request, KMDF_RECORD_REQUEST);
}

Bytes operator+(Bytes left, const Bytes &right)
{
	left.insert(left.end(), right.begin(), right.end());
	return left;
}

template <typename T> void put(Bytes &bytes, size_t offset, T value)
{
	memcpy(bytes.data() + offset, &value, sizeof(value));
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

struct Walk {
	std::vector<kmdf_entry> entries;
	int end;
	size_t offset;
};

Walk walk(const Bytes &bytes)
{
	const Exact exact(bytes);
	Walk result{{}, 0, 0};
	kmdf_entry entry{};
	while ((result.end = kmdf_record_next(exact.data.get(), exact.size, &result.offset, &entry)) == 1)
		result.entries.push_back(entry);
	return result;
}

const GUID wanted = {0x6d5b1e4a, 0x93c7, 0x4f0a, {0xa1, 0xe2, 0x5c, 0x1f, 0x7b, 0x0d, 0x9e, 0x33}};
constexpr const char *wanted_text = "{6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33}";

bool line_matches(std::string_view line, const char *reference)
{
	const Exact exact(Bytes(line.begin(), line.end()));
	return kext::kmdf::line_has_interface(exact.data.get(), exact.size, wanted, reference);
}

} // namespace

/* ---- records */

TEST(KmdfRecords, EmptyBufferEnds)
{
	EXPECT_EQ(walk({}).end, 0);
}

TEST(KmdfRecords, WalksAllKindsInOrder)
{
	const Walk all = walk(device_record("one") + queue_record(2) + request_record(3) + device_record("four"));
	EXPECT_EQ(all.end, 0);
	ASSERT_EQ(all.entries.size(), 4u);
	EXPECT_EQ(all.entries[0].kind, uint32_t{KMDF_RECORD_DEVICE});
	EXPECT_STREQ(all.entries[0].device.name, "one");
	EXPECT_EQ(all.entries[1].kind, uint32_t{KMDF_RECORD_QUEUE});
	EXPECT_EQ(all.entries[1].queue.id, 2u);
	EXPECT_EQ(all.entries[2].kind, uint32_t{KMDF_RECORD_REQUEST});
	EXPECT_EQ(all.entries[2].request.id, 3u);
	EXPECT_EQ(all.entries[2].request.state, uint32_t{KMDF_REQUEST_CANCELABLE});
	EXPECT_STREQ(all.entries[3].device.name, "four");
}

TEST(KmdfRecords, UnknownKindsAreSkipped)
{
	for (const uint32_t kind : {0u, 4u, 77u, 0xffffffffu}) {
		const kmdf_record shortest = {sizeof(kmdf_record), kind};
		Bytes unknown(sizeof(shortest));
		memcpy(unknown.data(), &shortest, sizeof(shortest));
		const Walk all = walk(unknown + device_record("one") + unknown + unknown);
		EXPECT_EQ(all.end, 0) << kind;
		ASSERT_EQ(all.entries.size(), 1u) << kind;
		EXPECT_STREQ(all.entries[0].device.name, "one");
		EXPECT_EQ(walk(unknown).entries.size(), 0u);
	}
}

TEST(KmdfRecords, LongerRecordsOfANewerKernelAreUnderstood)
{
	const Walk all = walk(device_record("one", sizeof(kmdf_device) + 64) + queue_record(2));
	EXPECT_EQ(all.end, 0);
	ASSERT_EQ(all.entries.size(), 2u);
	EXPECT_STREQ(all.entries[0].device.name, "one");
	EXPECT_EQ(all.entries[1].queue.id, 2u);
}

TEST(KmdfRecords, ShorterRecordsThanThereEverWereAreMalformed)
{
	EXPECT_EQ(walk(device_record("one", sizeof(kmdf_device) - 8)).end, -EBADMSG);
	Bytes queue = queue_record(1);
	queue.resize(sizeof(kmdf_record));
	put<uint32_t>(queue, 0, sizeof(kmdf_record));
	EXPECT_EQ(walk(queue).end, -EBADMSG);
}

TEST(KmdfRecords, EveryTruncationIsMalformed)
{
	const Bytes whole = request_record(1);
	for (size_t size = 1; size < whole.size(); size++) {
		const Walk all = walk(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
		EXPECT_EQ(all.end, -EBADMSG) << size;
		EXPECT_TRUE(all.entries.empty());
	}
}

TEST(KmdfRecords, BadSizesAreMalformedAndDoNotMoveTheWalk)
{
	const Bytes good = queue_record(1);
	for (const uint32_t size :
	     {0u, 1u, 7u, 12u, 41u, 44u, 48u, 0x7fffffffu, 0x80000000u, 0xfffffff8u, 0xffffffffu}) {
		Bytes bad = queue_record(2);
		put(bad, 0, size);
		const Walk all = walk(good + bad);
		EXPECT_EQ(all.end, -EBADMSG) << size;
		EXPECT_EQ(all.offset, good.size()) << size;
		EXPECT_EQ(all.entries.size(), 1u) << size;
	}
}

TEST(KmdfRecords, OffsetBeyondTheEndIsMalformed)
{
	const Bytes bytes = queue_record(1);
	size_t offset = bytes.size() + 8;
	kmdf_entry entry{};
	EXPECT_EQ(kmdf_record_next(bytes.data(), bytes.size(), &offset, &entry), -EBADMSG);
}

TEST(KmdfRecords, NamesEndWithinTheirFields)
{
	Bytes bytes = device_record("x");
	memset(bytes.data() + offsetof(kmdf_device, name), 'n', KMDF_NAME_SIZE);
	memset(bytes.data() + offsetof(kmdf_device, driver), 'd', KMDF_NAME_SIZE);
	const Walk all = walk(bytes);
	ASSERT_EQ(all.entries.size(), 1u);
	EXPECT_EQ(strlen(all.entries[0].device.name), size_t{KMDF_NAME_SIZE - 1});
	EXPECT_EQ(strlen(all.entries[0].device.driver), size_t{KMDF_NAME_SIZE - 1});
}

TEST(KmdfRecords, UnalignedBufferIsReadAllTheSame)
{
	const Bytes bytes = Bytes(1) + request_record(9);
	size_t offset = 0;
	kmdf_entry entry{};
	ASSERT_EQ(kmdf_record_next(bytes.data() + 1, bytes.size() - 1, &offset, &entry), 1);
	EXPECT_EQ(entry.request.id, 9u);
}

TEST(KmdfRecords, RandomDamageNeverReadsOutsideAndAlwaysEnds)
{
	std::mt19937 random(20250301);
	const Bytes whole = device_record("one") + queue_record(2) + request_record(3) + request_record(4);
	for (int round = 0; round < 100000; round++) {
		Bytes bytes = whole;
		for (unsigned left = 1 + random() % 4; left; left--)
			bytes[random() % 2 ? random() % bytes.size() : random() % 8] = static_cast<char>(random());
		if (random() % 2)
			bytes.resize(random() % (bytes.size() + 1));
		const Walk all = walk(bytes);
		ASSERT_TRUE(all.end == 0 || all.end == -EBADMSG);
		ASSERT_LE(all.offset, bytes.size());
		for (const kmdf_entry &entry : all.entries) {
			ASSERT_TRUE(entry.kind >= KMDF_RECORD_DEVICE && entry.kind <= KMDF_RECORD_REQUEST);
			ASSERT_TRUE(entry.kind != KMDF_RECORD_DEVICE ||
				    strnlen(entry.device.name, KMDF_NAME_SIZE) < size_t{KMDF_NAME_SIZE});
		}
	}
}

/* ---- GUIDs and interfaces */

TEST(KmdfGuid, IsReadInEveryForm)
{
	for (const char *text : {"{6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33}", "{6D5B1E4A-93C7-4F0A-A1E2-5C1F7B0D9E33}",
				 "6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33", "6D5b1E4a-93C7-4f0A-a1E2-5c1F7b0D9e33"}) {
		GUID guid{};
		ASSERT_EQ(kmdf_guid_parse(text, &guid), 0) << text;
		EXPECT_EQ(memcmp(&guid, &wanted, sizeof(guid)), 0) << text;
	}
}

TEST(KmdfGuid, IsWrittenAsTheKernelHasIt)
{
	char text[KMDF_GUID_SIZE];
	kmdf_guid_format(&wanted, text);
	EXPECT_STREQ(text, wanted_text);
	const GUID low = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};
	kmdf_guid_format(&low, text);
	EXPECT_STREQ(text, "{00000001-0002-0003-0405-060708090a0b}");
	GUID again{};
	EXPECT_EQ(kmdf_guid_parse(text, &again), 0);
	EXPECT_EQ(memcmp(&again, &low, sizeof(low)), 0);
}

TEST(KmdfGuid, NothingElseIsOne)
{
	const std::string text = wanted_text;
	const GUID untouched = {1, 2, 3, {}};
	GUID guid = untouched;
	const auto refused = [&](const std::string &other) {
		EXPECT_EQ(kmdf_guid_parse(other.c_str(), &guid), -EINVAL) << other;
		EXPECT_EQ(memcmp(&guid, &untouched, sizeof(guid)), 0) << other;
	};
	for (size_t length = 0; length < text.size(); length++)
		refused(text.substr(0, length));
	for (size_t at = 0; at < text.size(); at++) {
		for (const char c : {' ', 'g', '{', '}', '-', '\n', '\x80'}) {
			if (text[at] == c)
				continue;
			std::string other = text;
			other[at] = c;
			refused(other);
		}
	}
	for (const char *other : {"", "{}", " ", "{6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33} ",
				  "{6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33}\\ref", "6d5b1e4a93c74f0aa1e25c1f7b0d9e33",
				  "{6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e333}", "[6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33]"})
		refused(other);
	EXPECT_EQ(kmdf_guid_parse(nullptr, &guid), -EINVAL);
	EXPECT_EQ(kmdf_guid_parse(wanted_text, nullptr), -EINVAL);
}

TEST(KmdfInterface, LinesAreTakenApart)
{
	const std::string guid = wanted_text;
	EXPECT_TRUE(line_matches(guid, nullptr));
	EXPECT_TRUE(line_matches(guid, ""));
	EXPECT_FALSE(line_matches(guid, "ref"));
	EXPECT_TRUE(line_matches(guid + "\\ref", nullptr));
	EXPECT_TRUE(line_matches(guid + "\\ref", "ref"));
	EXPECT_FALSE(line_matches(guid + "\\ref", ""));
	EXPECT_FALSE(line_matches(guid + "\\ref", "re"));
	EXPECT_FALSE(line_matches(guid + "\\ref", "reff"));
	EXPECT_FALSE(line_matches(guid + "ref", nullptr));
	EXPECT_FALSE(line_matches("{00000000-93c7-4f0a-a1e2-5c1f7b0d9e33}", nullptr));
	for (size_t length = 0; length < guid.size(); length++)
		EXPECT_FALSE(line_matches(std::string_view(guid).substr(0, length), nullptr)) << length;
}

class KmdfFolder : public testing::Test {
      protected:
	KmdfFolder()
	{
		std::string pattern = testing::TempDir() + "kmdf.XXXXXX";
		folder = mkdtemp(pattern.data());
	}
	~KmdfFolder() override { std::filesystem::remove_all(folder); }

	void device(const std::string &name, const std::string &interfaces) const
	{
		std::filesystem::create_directory(folder / name);
		std::ofstream(folder / name / "interfaces") << interfaces;
	}
	int find(const char *reference, char (*names)[KMDF_NAME_SIZE], uint32_t count) const
	{
		return kext::kmdf::find_interface(folder.c_str(), wanted, reference, names, count);
	}

	std::filesystem::path folder;
};

TEST_F(KmdfFolder, FindsDevicesInTheOrderOfTheirNames)
{
	const std::string guid = wanted_text;
	for (const char *name : {"echo10", "echo2", "echo0", "echo9", "echo1"})
		device(name, guid + "\n");
	device("other", "{00000000-0000-0000-0000-000000000000}\n");
	device("none", "");
	std::filesystem::create_directory(folder / "strange");
	device(std::string(KMDF_NAME_SIZE, 'x'), guid + "\n");

	char names[8][KMDF_NAME_SIZE] = {};
	ASSERT_EQ(find(nullptr, names, 8), 5);
	for (const auto &[at, name] : {std::pair{0, "echo0"}, {1, "echo1"}, {2, "echo2"}, {3, "echo9"}, {4, "echo10"}})
		EXPECT_STREQ(names[at], name);
	EXPECT_STREQ(names[5], "");
	char first[2][KMDF_NAME_SIZE] = {};
	ASSERT_EQ(find(nullptr, first, 1), 5);
	EXPECT_STREQ(first[0], "echo0");
	EXPECT_STREQ(first[1], "");
	EXPECT_EQ(find(nullptr, nullptr, 0), 5);
}

TEST_F(KmdfFolder, FindsAnInterfaceAmongSeveral)
{
	const std::string guid = wanted_text;
	device("first", "{00000000-0000-0000-0000-000000000000}\n" + guid + "\\one\n" + guid + "\\two\n");
	device("second", guid + "\\two\n");
	char names[2][KMDF_NAME_SIZE] = {};
	EXPECT_EQ(find(nullptr, names, 2), 2);
	ASSERT_EQ(find("one", names, 2), 1);
	EXPECT_STREQ(names[0], "first");
	EXPECT_EQ(find("two", names, 2), 2);
	EXPECT_EQ(find("three", names, 2), 0);
	EXPECT_EQ(find("", names, 2), 0);
}

TEST_F(KmdfFolder, LongAttributesEndAtAPage)
{
	std::string lines;
	while (lines.size() < 12288)
		lines += "{00000000-0000-0000-0000-000000000000}\\reference\n";
	device("long", lines + wanted_text + "\n");
	device("no-newline", wanted_text);
	device("zeros", std::string(5000, '\0'));
	char names[2][KMDF_NAME_SIZE] = {};
	ASSERT_EQ(find(nullptr, names, 2), 1);
	EXPECT_STREQ(names[0], "no-newline");
}

TEST(KmdfInterface, WithoutTheModuleThereIsNoFolder)
{
	char names[1][KMDF_NAME_SIZE];
	EXPECT_EQ(kext::kmdf::find_interface("/nonexistent/kmdf", wanted, nullptr, names, 1), -ENOENT);
	EXPECT_EQ(kmdf_find_interface(nullptr, nullptr, names, 1), -EINVAL);
	EXPECT_EQ(kmdf_find_interface(&wanted, nullptr, nullptr, 1), -EINVAL);
	EXPECT_LE(kmdf_open_interface(&wanted, "no such reference", O_RDWR), -1);
}

TEST(KmdfDevice, NamesArePartsOfAPath)
{
	EXPECT_EQ(kmdf_open_device(nullptr, O_RDWR), -EINVAL);
	for (const char *name : {"", ".", "..", "/dev/null", "../null", "x/y"})
		EXPECT_EQ(kmdf_open_device(name, O_RDWR), -EINVAL) << name;
	EXPECT_EQ(kmdf_open_device(std::string(KMDF_NAME_SIZE, 'x').c_str(), O_RDWR), -EINVAL);
	EXPECT_EQ(kmdf_open_device("no-such-device", O_RDWR), -ENOENT);
	EXPECT_EQ(kmdf_open_control("/nonexistent/control"), -ENOENT);
}

/* ---- NTSTATUS */

TEST(KmdfStatus, HasNames)
{
	EXPECT_STREQ(kmdf_status_string(0), "STATUS_SUCCESS");
	EXPECT_STREQ(kmdf_status_string(static_cast<NTSTATUS>(0xc0000120)), "STATUS_CANCELLED");
	EXPECT_STREQ(kmdf_status_string(static_cast<NTSTATUS>(0x80000005)), "STATUS_BUFFER_OVERFLOW");
	EXPECT_STREQ(kmdf_status_string(static_cast<NTSTATUS>(0xc0200204)), "STATUS_WDF_BUSY");
	EXPECT_STREQ(kmdf_status_string(static_cast<NTSTATUS>(0xdeadbeef)), "unknown status");
	EXPECT_STREQ(kmdf_status_string(12345), "unknown status");
}

TEST(KmdfStatus, EveryNameOfTheHeaderIsKnown)
{
	std::ifstream header(TOP "/shim/include/windows/ntstatus.h");
	const std::regex line("#define (STATUS_\\w+) \\(\\(NTSTATUS\\)(0x[0-9A-F]+)\\)");
	std::string text;
	int count = 0;
	while (std::getline(header, text)) {
		std::smatch part;
		if (!std::regex_match(text, part, line))
			continue;
		count++;
		const auto value = static_cast<NTSTATUS>(std::stoul(part[2], nullptr, 16));
		/* One value has two names. */
		const std::string name = part[1] == "STATUS_WAIT_0" ? "STATUS_SUCCESS" : part[1].str();
		EXPECT_EQ(kmdf_status_string(value), name);
	}
	EXPECT_GT(count, 150);
}

TEST(KmdfStatus, OnlyFailuresHaveAnErrno)
{
	for (const uint32_t status : {0x00000000u, 0x00000102u, 0x00000103u, 0x40000000u, 0x40200000u, 0x7fffffffu})
		EXPECT_EQ(kmdf_errno(static_cast<NTSTATUS>(status)), 0) << std::hex << status;
	EXPECT_EQ(kmdf_errno(static_cast<NTSTATUS>(0xc0000120)), ECANCELED);
	EXPECT_EQ(kmdf_errno(static_cast<NTSTATUS>(0x80000005)), EOVERFLOW);
	EXPECT_EQ(kmdf_errno(static_cast<NTSTATUS>(0xc0000001)), EIO);
	EXPECT_EQ(kmdf_errno(static_cast<NTSTATUS>(0xdeadbeef)), EIO);
	EXPECT_EQ(kmdf_errno(static_cast<NTSTATUS>(0x80000000)), EIO);
}

/* The kernel's table, from its source: read(2) and kmdf_errno() say the same. */
TEST(KmdfStatus, HasTheErrnosOfTheModule)
{
	const std::map<std::string, int> errnos = {
		{"ECANCELED", ECANCELED}, {"EOPNOTSUPP", EOPNOTSUPP}, {"ENOMEM", ENOMEM},
		{"EOVERFLOW", EOVERFLOW}, {"EBUSY", EBUSY},           {"ENOENT", ENOENT},
		{"EINVAL", EINVAL},       {"EMSGSIZE", EMSGSIZE},     {"ETIMEDOUT", ETIMEDOUT},
		{"EACCES", EACCES},       {"ESHUTDOWN", ESHUTDOWN},   {"EIO", EIO},
		{"ENODEV", ENODEV},       {"ENOTTY", ENOTTY},         {"EFAULT", EFAULT}};
	std::ifstream source(TOP "/module/kmdf/status.cpp");
	const std::string text((std::istreambuf_iterator<char>(source)), std::istreambuf_iterator<char>());
	const std::regex row("\\{[^{}]*\\b(STATUS_\\w+)\\)?,\\s*SHIM_(E\\w+)\\}");
	std::map<std::string, int> module;
	for (std::sregex_iterator part(text.begin(), text.end(), row), end; part != end; ++part) {
		ASSERT_TRUE(errnos.contains((*part)[2])) << (*part)[2];
		module[(*part)[1]] = errnos.at((*part)[2]);
	}
	EXPECT_GE(module.size(), 15u);
	EXPECT_NE(text.find("return SHIM_EIO;"), std::string::npos);

	/* All that the library can name. */
	std::ifstream header(TOP "/shim/include/windows/ntstatus.h");
	const std::regex line("#define (STATUS_\\w+) \\(\\(NTSTATUS\\)(0x[0-9A-F]+)\\)");
	std::string define;
	while (std::getline(header, define)) {
		std::smatch part;
		if (!std::regex_match(define, part, line))
			continue;
		const auto value = static_cast<NTSTATUS>(std::stoul(part[2], nullptr, 16));
		const int there = module.contains(part[1]) ? module.at(part[1]) : EIO;
		EXPECT_EQ(kmdf_errno(value), NT_SUCCESS(value) ? 0 : there) << part[1];
	}
}

/* ---- calls */

namespace {

class KmdfNode : public FakeNode {
      public:
	KmdfNode() : fd(open("/dev/null", O_RDWR | O_CLOEXEC)) { answer_calls(fd, this); }
	~KmdfNode() override
	{
		answer_calls(fd, nullptr);
		close(fd);
	}
	int call(unsigned long request, void *argument) override
	{
		calls++;
		return answer(request, argument);
	}

	const int fd;
	int calls = 0;
	std::function<int(unsigned long, void *)> answer = [](unsigned long, void *) { return 0; };
};

} // namespace

TEST(KmdfCalls, DeviceControlCarriesAllAndIsNeverRepeated)
{
	KmdfNode node;
	char in[3] = {1, 2, 3};
	char out[8] = {};
	uint64_t information = 0;
	NTSTATUS status = 1;
	node.answer = [&](unsigned long request, void *argument) {
		EXPECT_EQ(request, KMDF_IOC_DEVICE_CONTROL);
		auto &control = *static_cast<kmdf_device_control *>(argument);
		EXPECT_EQ(control.size, sizeof(control));
		EXPECT_EQ(control.code, 0x222004u);
		EXPECT_EQ(control.in, reinterpret_cast<uintptr_t>(in));
		EXPECT_EQ(control.in_length, sizeof(in));
		EXPECT_EQ(control.out, reinterpret_cast<uintptr_t>(out));
		EXPECT_EQ(control.out_length, sizeof(out));
		EXPECT_EQ(control.tag, 0x123456789u);
		EXPECT_EQ(control.reserved, 0u);
		control.status = static_cast<NTSTATUS>(0xc0000120);
		control.information = 5;
		return 0;
	};
	EXPECT_EQ(kmdf_device_io_control(node.fd, 0x222004, in, 3, out, 8, 0x123456789, &information, &status), 0);
	EXPECT_EQ(status, static_cast<NTSTATUS>(0xc0000120));
	EXPECT_EQ(information, 5u);
	EXPECT_EQ(kmdf_device_io_control(node.fd, 0x222004, in, 3, out, 8, 0x123456789, nullptr, &status), 0);

	for (const int error : {-EINTR, -EAGAIN, -EFAULT, -ENOSPC, -EMSGSIZE}) {
		node.calls = 0;
		node.answer = [error](unsigned long, void *) { return error; };
		status = 77;
		EXPECT_EQ(kmdf_device_io_control(node.fd, 1, in, 3, out, 8, 0, &information, &status), error);
		EXPECT_EQ(node.calls, 1);
		EXPECT_EQ(status, 77);
	}
	node.calls = 0;
	EXPECT_EQ(kmdf_device_io_control(node.fd, 1, nullptr, 3, out, 8, 0, &information, &status), -EINVAL);
	EXPECT_EQ(kmdf_device_io_control(node.fd, 1, in, 3, nullptr, 8, 0, &information, &status), -EINVAL);
	EXPECT_EQ(kmdf_device_io_control(node.fd, 1, in, 3, out, 8, 0, &information, nullptr), -EINVAL);
	EXPECT_EQ(node.calls, 0);
}

TEST(KmdfCalls, CancelSaysWhatItHasFound)
{
	KmdfNode node;
	kmdf_cancelled counts{};
	uint32_t what = 0;
	uint64_t tag = 0;
	node.answer = [&](unsigned long request, void *argument) {
		EXPECT_EQ(request, KMDF_IOC_CANCEL);
		auto &cancel = *static_cast<kmdf_cancel *>(argument);
		EXPECT_EQ(cancel.size, sizeof(cancel));
		what = cancel.what;
		tag = cancel.tag;
		cancel.found = 6;
		cancel.finished = 3;
		cancel.notified = 2;
		cancel.flagged = 1;
		return 0;
	};
	EXPECT_EQ(kmdf_cancel_io(node.fd, KMDF_CANCEL_TAG, 7, &counts), 0);
	EXPECT_EQ(what, KMDF_CANCEL_TAG);
	EXPECT_EQ(tag, 7u);
	EXPECT_EQ(counts.found, 6u);
	EXPECT_EQ(counts.finished, 3u);
	EXPECT_EQ(counts.notified, 2u);
	EXPECT_EQ(counts.flagged, 1u);
	EXPECT_EQ(kmdf_cancel_io(node.fd, KMDF_CANCEL_THREAD, 42, nullptr), 0);
	EXPECT_EQ(what, KMDF_CANCEL_THREAD);
	EXPECT_EQ(kmdf_cancel_io(node.fd, KMDF_CANCEL_FILE, 0, &counts), 0);
	EXPECT_EQ(what, KMDF_CANCEL_FILE);
	/* What has no tag is not to be cancelled by it. */
	node.calls = 0;
	EXPECT_EQ(kmdf_cancel_io(node.fd, KMDF_CANCEL_TAG, 0, &counts), -EINVAL);
	EXPECT_EQ(kmdf_cancel_io(node.fd, KMDF_CANCEL_THREAD, 0, &counts), -EINVAL);
	EXPECT_EQ(kmdf_cancel_io(node.fd, KMDF_CANCEL_FILE, 1, &counts), -EINVAL);
	EXPECT_EQ(node.calls, 0);
}

TEST(KmdfCalls, LastStatusAndCancelById)
{
	KmdfNode node;
	NTSTATUS status = 0;
	uint64_t information = 0;
	uint32_t state = 0;
	node.answer = [&](unsigned long request, void *argument) {
		if (node.calls == 1)
			return -EINTR;
		if (request == KMDF_IOC_LAST_STATUS) {
			auto &last = *static_cast<kmdf_last_status *>(argument);
			last.status = static_cast<NTSTATUS>(0x80000005);
			last.information = 11;
			return 0;
		}
		EXPECT_EQ(request, KMDF_IOC_CANCEL_REQUEST);
		auto &cancel = *static_cast<kmdf_cancel_request *>(argument);
		if (cancel.id != 5)
			return -ENOENT;
		cancel.state = KMDF_REQUEST_CANCELABLE;
		return 0;
	};
	EXPECT_EQ(kmdf_get_last_status(node.fd, &status, &information), 0);
	EXPECT_EQ(node.calls, 2);
	EXPECT_EQ(status, static_cast<NTSTATUS>(0x80000005));
	EXPECT_EQ(information, 11u);
	EXPECT_EQ(kmdf_get_last_status(node.fd, &status, nullptr), 0);
	EXPECT_EQ(kmdf_get_last_status(node.fd, nullptr, nullptr), -EINVAL);
	EXPECT_EQ(kmdf_cancel_by_id(node.fd, 5, &state), 0);
	EXPECT_EQ(state, uint32_t{KMDF_REQUEST_CANCELABLE});
	EXPECT_EQ(kmdf_cancel_by_id(node.fd, 5, nullptr), 0);
	EXPECT_EQ(kmdf_cancel_by_id(node.fd, 6, &state), -ENOENT);
}

TEST(KmdfCalls, OtherNodesAreRefused)
{
	const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	NTSTATUS status = 0;
	void *records = nullptr;
	size_t used = 0;
	EXPECT_EQ(kmdf_device_io_control(fd, 1, nullptr, 0, nullptr, 0, 0, nullptr, &status), -ENOTTY);
	EXPECT_EQ(kmdf_cancel_io(fd, KMDF_CANCEL_FILE, 0, nullptr), -ENOTTY);
	EXPECT_EQ(kmdf_get_last_status(fd, &status, nullptr), -ENOTTY);
	EXPECT_EQ(kmdf_snapshot(fd, &records, &used), -ENOTTY);
	EXPECT_EQ(kmdf_cancel_by_id(fd, 1, nullptr), -ENOTTY);
	close(fd);
	EXPECT_EQ(kmdf_cancel_io(-1, KMDF_CANCEL_FILE, 0, nullptr), -EBADF);
}

TEST(KmdfSnapshot, GrowsUntilAllFits)
{
	KmdfNode node;
	Bytes bytes;
	while (bytes.size() < 100000)
		bytes = bytes + request_record(bytes.size());
	node.answer = [&](unsigned long request, void *argument) {
		EXPECT_EQ(request, KMDF_IOC_LIST);
		auto &list = *static_cast<kmdf_list *>(argument);
		EXPECT_EQ(list.buffer % 8, 0u);
		list.used = static_cast<uint32_t>(bytes.size());
		if (list.buffer_size < bytes.size()) {
			/* There is more each time that one looks. */
			if (bytes.size() < 200000)
				bytes = bytes + bytes;
			return -ENOBUFS;
		}
		memcpy(reinterpret_cast<void *>(list.buffer), bytes.data(), bytes.size());
		return 0;
	};
	void *records = nullptr;
	size_t used = 0;
	ASSERT_EQ(kmdf_snapshot(node.fd, &records, &used), 0);
	ASSERT_EQ(used, bytes.size());
	EXPECT_EQ(memcmp(records, bytes.data(), used), 0);
	free(records);
	EXPECT_EQ(kmdf_snapshot(node.fd, nullptr, &used), -EINVAL);
	EXPECT_EQ(kmdf_snapshot(node.fd, &records, nullptr), -EINVAL);
}

TEST(KmdfSnapshot, HostileSizesEnd)
{
	KmdfNode node;
	void *records = nullptr;
	size_t used = 0;
	node.answer = [](unsigned long, void *argument) {
		auto &list = *static_cast<kmdf_list *>(argument);
		list.used = list.buffer_size + 1;
		return 0;
	};
	EXPECT_EQ(kmdf_snapshot(node.fd, &records, &used), -EPROTO);
	node.answer = [](unsigned long, void *argument) {
		auto &list = *static_cast<kmdf_list *>(argument);
		list.used = list.buffer_size;
		return -ENOBUFS;
	};
	EXPECT_EQ(kmdf_snapshot(node.fd, &records, &used), -ENOBUFS);
	/* Always more, but only a little. */
	node.calls = 0;
	node.answer = [](unsigned long, void *argument) {
		auto &list = *static_cast<kmdf_list *>(argument);
		list.used = list.buffer_size + 8;
		return -ENOBUFS;
	};
	EXPECT_EQ(kmdf_snapshot(node.fd, &records, &used), -ENOBUFS);
	EXPECT_LE(node.calls, 32);
	EXPECT_EQ(records, nullptr);
}
