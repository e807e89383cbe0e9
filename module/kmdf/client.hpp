// SPDX-License-Identifier: GPL-2.0-only
// How a program's call becomes a request: one that its thread waits for (client.cpp), or an asynchronous one (async.cpp).
#pragma once

#include "device.hpp"

namespace kmdf {

// Null: *err says why.
Ref<Request> make_request(File &file, const Transfer &transfer, int *err) KEXTBRIDGE_EXCLUDES(core_lock());

// What its call returns to the program: bytes, or -errno.
s64 outcome(const Request &request);

// OWNERSHIP: takes the request over. to: where a read's bytes go. -EIOCBQUEUED, or why it was not begun.
s64 submit_async(Ref<Request> request, kiocb *iocb, iov_iter *to) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
