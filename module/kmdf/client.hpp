// SPDX-License-Identifier: GPL-2.0-only
// How a program's call becomes a request: one that its thread waits for (client.cpp), or an asynchronous one (async.cpp).
#pragma once

#include "device.hpp"

namespace kmdf {

// What one call of a program is about.
struct Transfer {
	WDF_REQUEST_TYPE kind;
	u32 code = 0;
	size_t in_length = 0;
	size_t out_length = 0;
	s64 offset = 0;
	u64 tag = 0;
};

// Null: *err says why.
Ref<Request> make_request(File &file, const Transfer &transfer, int *err) KEXTBRIDGE_EXCLUDES(core_lock());

// Bytes for the program, or -errno; *copy: how many of the buffer.
s64 outcome(const Request &request, size_t *copy);

// OWNERSHIP: takes the request over. to: where a read's bytes go. -EIOCBQUEUED, or why it was not begun.
s64 submit_async(Ref<Request> request, kiocb *iocb, iov_iter *to) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
