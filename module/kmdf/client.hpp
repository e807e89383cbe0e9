// SPDX-License-Identifier: GPL-2.0-only
// How a program's call becomes a request: one that its thread waits for (client.cpp), or an asynchronous one (async.cpp).
#pragma once

#include "device.hpp"

namespace kmdf {

// Null: *err says why.
Ref<Request> make_request(File &file, const Transfer &transfer, int *err) KEXTBRIDGE_EXCLUDES(core_lock());

// What its call returns to the program: bytes, or -errno.
s64 outcome(const Request &request);

enum class IocbState : u8 { Pending, Completed };

// OWNERSHIP: one reference is the request's, until it is completed; one the cancel's, while it is under way.
class AsyncClient final : public kextbridge::RefCounted<AsyncClient>, public Client {
	kiocb *const iocb_;
	kmdf_pages *const pages_; // a read's; null: none
	Ref<Request> request_;
	pid *const process_;
	StateWord<IocbState> state_ KEXTBRIDGE_GUARDED_BY(core_lock()){IocbState::Pending};
	Work complete_work_;
	Work cancel_work_;

	static void complete_function(void *self);
	static void cancel_function(void *self);
	bool take() KEXTBRIDGE_EXCLUDES(core_lock());
	void end(s64 result) KEXTBRIDGE_EXCLUDES(core_lock());
	void complete() KEXTBRIDGE_EXCLUDES(core_lock());
	void cancel() KEXTBRIDGE_EXCLUDES(core_lock());
	void keep_locked() KEXTBRIDGE_REQUIRES(core_lock());

      public:
	ListNode kept_node KEXTBRIDGE_GUARDED_BY(core_lock());

	AsyncClient(kiocb *iocb, kmdf_pages *pages, Ref<Request> request);
	static void destroy(AsyncClient *client);

	void completed(Request &request) override;
	// CONTEXT: interrupts off. The iocb is not completed before this has returned, so the request's reference is there.
	void cancelled();
	bool process_gone() const { return shim_process_gone(process_); }
};

// OWNERSHIP: takes the request over. to: where a read's bytes go. -EIOCBQUEUED, or why it was not begun.
s64 submit_async(Ref<Request> request, kiocb *iocb, iov_iter *to) KEXTBRIDGE_EXCLUDES(core_lock());

// What the delayed work does, while there are cancelled ones that their drivers keep.
void look_for_killed_clients() KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
