// SPDX-License-Identifier: GPL-2.0-only
// A driver that sends to another one, and what comes back.
#pragma once

#include "kit.hpp"

namespace kmdf_test {

// What a send has come to.
struct Sent {
	std::atomic<u32> calls{0};
	std::atomic<NTSTATUS> status{0};
	std::atomic<u64> information{0};
	std::atomic<int> thread{0};
	std::function<void(WDFREQUEST)> then;
};

inline void completion(WDFREQUEST request, WDFIOTARGET, PWDF_REQUEST_COMPLETION_PARAMS parameters, WDFCONTEXT context)
{
	Sent &sent = *static_cast<Sent *>(context);

	sent.status = parameters->IoStatus.Status;
	sent.information = parameters->IoStatus.Information;
	sent.thread = fake::tid();
	if (sent.then)
		sent.then(request);
	sent.calls++;
}

// A driver that sends to another one.
struct Pair {
	Queue below;
	Driver lower{"lower"};
	Queue queue;
	Driver upper{"upper"};
	std::optional<File> file;
	WDFIOTARGET target = nullptr;

	Pair()
	{
		lower.queues = {&below};
		upper.queues = {&queue};
	}
	void start()
	{
		lower.must_load();
		upper.must_load();
		ASSERT_EQ(WdfIoTargetCreate(upper.device, nullptr, &target), STATUS_SUCCESS);
		ASSERT_EQ(open(), STATUS_SUCCESS);
		file.emplace(upper);
	}
	bool forget(WDFREQUEST request)
	{
		WDF_REQUEST_SEND_OPTIONS options;

		WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET);
		return WdfRequestSend(request, target, &options);
	}
	NTSTATUS open(const char16_t *what = u"\\DosDevices\\lower0")
	{
		UNICODE_STRING name;
		WDF_IO_TARGET_OPEN_PARAMS parameters;

		RtlInitUnicodeString(&name, what);
		WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&parameters, &name, GENERIC_READ);
		return WdfIoTargetOpen(target, &parameters);
	}
};

// A request of the upper driver's own, with memory of its own.
struct Own {
	Pair &pair;
	WDFREQUEST request;
	WDFMEMORY memory;
	char bytes[16] = {};
	Sent sent;

	explicit Own(Pair &of) : pair(of)
	{
		WDF_OBJECT_ATTRIBUTES attributes;

		WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
		attributes.ParentObject = of.upper.device;
		EXPECT_EQ(WdfRequestCreate(&attributes, of.target, &request), STATUS_SUCCESS);
		attributes.ParentObject = request;
		EXPECT_EQ(WdfMemoryCreatePreallocated(&attributes, bytes, sizeof(bytes), &memory), STATUS_SUCCESS);
	}
	~Own() { WdfObjectDelete(request); }
	void format_read()
	{
		EXPECT_EQ(WdfIoTargetFormatRequestForRead(pair.target, request, memory, nullptr, nullptr),
			  STATUS_SUCCESS);
		WdfRequestSetCompletionRoutine(request, completion, &sent);
	}
	void format_write(size_t length)
	{
		WDFMEMORY_OFFSET part = {0, length};

		EXPECT_EQ(WdfIoTargetFormatRequestForWrite(pair.target, request, memory, &part, nullptr),
			  STATUS_SUCCESS);
		WdfRequestSetCompletionRoutine(request, completion, &sent);
	}
	bool send(PWDF_REQUEST_SEND_OPTIONS options = nullptr) { return WdfRequestSend(request, pair.target, options); }
	bool send_with_timeout(u32 ms)
	{
		WDF_REQUEST_SEND_OPTIONS options;

		WDF_REQUEST_SEND_OPTIONS_INIT(&options, 0);
		WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, in_ms(ms));
		return send(&options);
	}
	NTSTATUS status() { return WdfRequestGetStatus(request); }
	void wait() const
	{
		until([&] { return sent.calls == 1; }, "the completion routine was called");
	}
	void reuse()
	{
		WDF_REQUEST_REUSE_PARAMS parameters;

		WDF_REQUEST_REUSE_PARAMS_INIT(&parameters, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_NOT_SUPPORTED);
		EXPECT_EQ(WdfRequestReuse(request, &parameters), STATUS_SUCCESS);
		sent.calls = 0;
	}
};

inline void answer(WDFREQUEST request, const char *text)
{
	void *buffer;

	EXPECT_EQ(WdfRequestRetrieveOutputBuffer(request, strlen(text), &buffer, nullptr), STATUS_SUCCESS);
	memcpy(buffer, text, strlen(text));
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, strlen(text));
}

} // namespace kmdf_test
