// SPDX-License-Identifier: GPL-2.0-only
// Requests with options, and those that a thread waits for. Contracts: shim/include/kextbridge/client.h.
#include "cancel.hpp"
#include "core.hpp"
#include "in_flight.hpp"
#include "payload.hpp"
#include "submit.hpp"
#include "shim/enforce.h"

using namespace kextbridge;

static constinit lock_class_key reader_key = {};

extern "C" OSReturn kextbridge_request_resource(const char *kextIdentifier, const char *resourceName,
						OSKextRequestResourceCallback callback, void *context,
						OSKextRequestTag *requestTagOut,
						const struct kextbridge_resource_options *options)
{
	return submit({.identifier = kextIdentifier,
		       .name = resourceName,
		       .callback = callback,
		       .context = context,
		       .tag_out = requestTagOut,
		       .options = options,
		       .called_from = __builtin_return_address(0)},
		      nullptr);
}

// The request is this thread's until it is taken: here, or by a cancel.
static OSReturn take_answer(Request &request, bool killed, Payload *payload) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> finished;
	Guard guard(core.requests);

	if (killed || request.state != State::Answered) {
		finished = cancel_locked(request);
		return kIOReturnAborted;
	}
	if (!take_locked(request))
		return kIOReturnAborted;
	finished = forget_locked(request);
	*payload = request.take_payload_locked();
	core.stats.callbacks++;
	shim_trace_callback(request.tag, request.owner->load_tag(), request.result, payload->length,
			    shim_ktime_get_ns() - request.issued_ns);
	return request.result;
}

extern "C" OSReturn kextbridge_read(const kmod_info_t *caller, const char *kextIdentifier, const char *resourceName,
				    const struct kextbridge_resource_options *options, void **dataOut,
				    uint32_t *lengthOut)
{
	Ref<Request> request;
	Reader reader;

	shim_might_sleep();
	if (!dataOut || !lengthOut)
		return kOSKextReturnInvalidArgument;
	*dataOut = nullptr;
	*lengthOut = 0;
	reader.wake.init("kextbridge_reader", &reader_key);
	OSReturn result = submit({.identifier = kextIdentifier,
				  .name = resourceName,
				  .options = options,
				  .called_from = __builtin_return_address(0),
				  .caller = caller,
				  .reader = &reader},
				 &request);

	if (result)
		return result;
	int err = reader.wake.wait_killable([&] {
		Guard guard(core.requests);

		return request->state == State::Answered || request->state == State::Finished;
	});
	Payload payload;

	result = take_answer(*request, err, &payload);
	if (result) {
		payload_free(payload.data);
		return result;
	}
	*dataOut = payload.data;
	*lengthOut = payload.length;
	return kOSReturnSuccess;
}

extern "C" void kextbridge_free_resource(void *data)
{
	shim_might_sleep();
	payload_free(data);
}
