// SPDX-License-Identifier: GPL-2.0-only
// W-34, W-37: what a driver sees of a client's memory, and how far it may reach.
#include "kit.hpp"

namespace {

struct Seen {
	NTSTATUS status;
	void *data;
	size_t length;
};

Seen input(WDFREQUEST request, size_t least)
{
	Seen seen{};

	seen.status = WdfRequestRetrieveInputBuffer(request, least, &seen.data, &seen.length);
	return seen;
}

Seen output(WDFREQUEST request, size_t least)
{
	Seen seen{};

	seen.status = WdfRequestRetrieveOutputBuffer(request, least, &seen.data, &seen.length);
	return seen;
}

TEST_F(Kmdf, W_034_method_neither_is_refused)
{
	Simple d;

	d.start();
	IoctlResult result = d.file->control(kNeither, "in", 8);

	EXPECT_EQ(result.error, 0);
	EXPECT_EQ(result.status, STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(d.queue.arrived.total(), 0u);
}

// Where the client's context is, its addresses are; everywhere else its memory is what was probed.
TEST_F(Kmdf, W_034_method_neither_in_the_callers_context)
{
	Simple d;
	WDFMEMORY in = nullptr;
	WDFMEMORY out = nullptr;

	d.driver.in_caller_context = [&](WDFREQUEST request) {
		void *from;
		void *to;
		size_t length;

		EXPECT_EQ(input(request, 1).status, STATUS_INVALID_DEVICE_REQUEST);
		EXPECT_EQ(output(request, 1).status, STATUS_INVALID_DEVICE_REQUEST);
		EXPECT_EQ(WdfRequestRetrieveUnsafeUserInputBuffer(request, 5, &from, &length), STATUS_BUFFER_TOO_SMALL);
		EXPECT_EQ(WdfRequestRetrieveUnsafeUserInputBuffer(request, 4, &from, &length), STATUS_SUCCESS);
		EXPECT_EQ(length, 4u);
		EXPECT_EQ(WdfRequestProbeAndLockUserBufferForRead(request, from, 5, &in), STATUS_ACCESS_VIOLATION);
		EXPECT_EQ(WdfRequestProbeAndLockUserBufferForRead(request, static_cast<char *>(from) + 1, 4, &in),
			  STATUS_ACCESS_VIOLATION);
		EXPECT_EQ(WdfRequestProbeAndLockUserBufferForRead(request, static_cast<char *>(from) - 1, 1, &in),
			  STATUS_ACCESS_VIOLATION);
		EXPECT_EQ(WdfRequestProbeAndLockUserBufferForRead(request, from, 4, &in), STATUS_SUCCESS);
		EXPECT_EQ(WdfRequestRetrieveUnsafeUserOutputBuffer(request, 8, &to, &length), STATUS_SUCCESS);
		EXPECT_EQ(length, 8u);
		EXPECT_EQ(WdfRequestProbeAndLockUserBufferForWrite(request, to, 8, &out), STATUS_SUCCESS);
		EXPECT_EQ(WdfDeviceEnqueueRequest(d.driver.device, request), STATUS_SUCCESS);
	};
	d.queue.on_io = [&](WDFREQUEST request) {
		void *anywhere;
		size_t size;

		EXPECT_EQ(WdfRequestRetrieveUnsafeUserInputBuffer(request, 1, &anywhere, nullptr),
			  STATUS_INVALID_DEVICE_REQUEST);
		EXPECT_EQ(input(request, 1).status, STATUS_INVALID_DEVICE_REQUEST);
		EXPECT_EQ(output(request, 1).status, STATUS_INVALID_DEVICE_REQUEST);
		void *from = WdfMemoryGetBuffer(in, &size);

		EXPECT_EQ(std::string(static_cast<char *>(from), size), "abcd");
		EXPECT_EQ(WdfMemoryCopyFromBuffer(out, 4, from, 4), STATUS_SUCCESS);
		EXPECT_EQ(WdfMemoryCopyFromBuffer(in, 0, from, 1), STATUS_ACCESS_VIOLATION);
		complete(request, 8);
	};
	d.start();
	IoctlResult result = d.file->control(kNeither, "abcd", 8);

	EXPECT_EQ(result.error, 0);
	EXPECT_EQ(result.status, STATUS_SUCCESS);
	EXPECT_EQ(result.data.substr(4), "abcd");
}

TEST_F(Kmdf, W_034_direct_methods_have_two_buffers)
{
	Simple d;
	std::string in;
	std::string out;

	d.queue.on_io = [&](WDFREQUEST request) {
		Seen from = input(request, 2);
		Seen to = output(request, 8);

		in.assign(static_cast<char *>(from.data), from.length);
		out.assign(static_cast<char *>(to.data), to.length);
		memcpy(to.data, "ABCDEFGH", 8);
		EXPECT_EQ(in == std::string(static_cast<char *>(from.data), from.length), from.data != to.data);
		complete(request, 8);
	};
	d.start();
	EXPECT_EQ(d.file->control(kInDirect, "in", 8).data, "ABCDEFGH");
	EXPECT_EQ(in, "in");
	EXPECT_EQ(out, "########"); // the client's: it goes in, too
	EXPECT_EQ(d.file->control(kOutDirect, "in", 8).data, "ABCDEFGH");
	EXPECT_EQ(in, "in");
	EXPECT_EQ(out, std::string(8, 0));
	EXPECT_EQ(d.file->control(kBuffered, "in", 8).data, "ABCDEFGH");
	EXPECT_EQ(out, std::string("in\0\0\0\0\0\0", 8));
}

TEST_F(Kmdf, W_037_buffer_shorter_than_wanted)
{
	Simple d;

	d.queue.on_read = [](WDFREQUEST request, size_t) {
		Seen seen = output(request, 9);

		EXPECT_EQ(seen.status, STATUS_BUFFER_TOO_SMALL);
		EXPECT_EQ(seen.data, nullptr);
		EXPECT_EQ(seen.length, 0u);
		seen = output(request, 8);
		EXPECT_EQ(seen.status, STATUS_SUCCESS);
		EXPECT_EQ(seen.length, 8u);
		EXPECT_EQ(input(request, 1).status, STATUS_INVALID_DEVICE_REQUEST);
		complete(request);
	};
	d.queue.on_write = [](WDFREQUEST request, size_t) {
		EXPECT_EQ(input(request, 6).status, STATUS_BUFFER_TOO_SMALL);
		EXPECT_EQ(input(request, 5).status, STATUS_SUCCESS);
		EXPECT_EQ(output(request, 1).status, STATUS_INVALID_DEVICE_REQUEST);
		complete(request);
	};
	d.queue.on_control = [](WDFREQUEST request, size_t, size_t, ULONG) {
		WDFMEMORY memory;

		EXPECT_EQ(input(request, 0).status, STATUS_BUFFER_TOO_SMALL); // there is none
		EXPECT_EQ(WdfRequestRetrieveInputMemory(request, &memory), STATUS_BUFFER_TOO_SMALL);
		EXPECT_EQ(output(request, 3).status, STATUS_SUCCESS);
		complete(request);
	};
	d.start();
	EXPECT_EQ(d.file->read(8), 0);
	EXPECT_EQ(d.file->write("12345"), 0);
	EXPECT_EQ(d.file->control(kBuffered, "", 3).status, STATUS_SUCCESS);
}

TEST_F(Kmdf, W_037_memory_and_its_ends)
{
	Simple d;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFMEMORY memory;
	char bytes[32] = {};
	struct {
		size_t offset;
		size_t bytes;
		bool fits;
	} rows[] = {{0, 16, true}, {8, 8, true},   {15, 1, true},   {0, 17, false},
		    {8, 9, false}, {16, 1, false}, {~0ul, 2, false}};

	d.start();
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfMemoryCreate(&attributes, NonPagedPoolNx, 0, 16, &memory, nullptr), STATUS_SUCCESS);
	for (auto &row : rows) {
		SCOPED_TRACE(row.offset);
		EXPECT_EQ(WdfMemoryCopyToBuffer(memory, row.offset, bytes, row.bytes),
			  row.fits ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL);
		EXPECT_EQ(WdfMemoryCopyFromBuffer(memory, row.offset, bytes, row.bytes),
			  row.fits ? STATUS_SUCCESS : STATUS_INVALID_BUFFER_SIZE);
	}
}

} // namespace
