// SPDX-License-Identifier: GPL-2.0-only
// I/O targets, and requests that a driver sends to them.
//
// The target's device is given a request of its own, the lower one, with buffers of its own. What was sent ends when the
// last of those who have a share in it lets go: the lower request's completion, the timer, whoever cancels at the moment.
// The completion routine runs on that one's stack.
//
//  send state   send to a stopped target   Start     lower completes   cancel, timeout, purge
//  Idle         Waiting                    -         -                 remembered: the next send is refused
//  Waiting      reported                   Sent      -                 Ending
//  Sent         reported                   -         Ending            the lower one is cancelled
//  Ending       reported                   -         -                 -
//
// Ending becomes Idle when the last share is gone.
#pragma once

#include "device.hpp"

namespace kmdf {

class Target;

enum class SendState : u8 { Idle, Waiting, Sent, Ending };
// Anew: with what the driver has said, in memory that is perhaps not the request's.
enum class Format : u8 { None, AsItCame, Anew };

struct Part {
	Ref<Object> memory; // whose; null: the request's own
	u8 *data = nullptr;
	size_t size = 0;
};

struct Sending final : Client {
	Request *const request; // SAFETY: it owns this
	StateWord<SendState> state KEXTBRIDGE_GUARDED_BY(core_lock()){SendState::Idle};
	u32 shares KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	ListNode node KEXTBRIDGE_GUARDED_BY(core_lock()); // of its target
	Ref<Request> lower KEXTBRIDGE_GUARDED_BY(core_lock());
	Ref<Target> target KEXTBRIDGE_GUARDED_BY(core_lock());
	bool timed_out KEXTBRIDGE_GUARDED_BY(core_lock()) = false;
	NTSTATUS status KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u64 information KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	timer_list timer;
	WaitQueue back; // woken when it is Idle again

	// The sender's: it has the request.
	Format format = Format::None;
	bool forget = false;
	bool ignore_target_state = false;
	bool waited_for = false;
	WDF_REQUEST_TYPE kind = WdfRequestTypeNoFormat;
	u32 code = 0;
	s64 offset = 0;
	Part in;
	Part out;
	PFN_WDF_REQUEST_COMPLETION_ROUTINE on_completion = nullptr;
	WDFCONTEXT context = nullptr;

	explicit Sending(Request *request);
	void completed(Request &lower) override;
};

class Target final : public Object {
      public:
	static constexpr Type kType = Type::Target;

	Target(Driver *driver, Device *owner);
	void dispose() override;
	void release_parts() override KEXTBRIDGE_UNCHECKED { to = Ref<Device>(); } // nobody else can see it any more

	Device *const owner; // SAFETY: its parent
	WDF_IO_TARGET_STATE state KEXTBRIDGE_GUARDED_BY(core_lock()) = WdfIoTargetClosed;
	Ref<Device> to KEXTBRIDGE_GUARDED_BY(core_lock());
	List<Sending, &Sending::node> requests KEXTBRIDGE_GUARDED_BY(core_lock()); // Waiting, Sent or Ending
	WaitQueue idle;

	void end_all(bool waiting, bool sent, NTSTATUS status) KEXTBRIDGE_EXCLUDES(core_lock());
	void wait() KEXTBRIDGE_EXCLUDES(core_lock());
	// STATUS_INVALID_DEVICE_STATE: it is closed.
	NTSTATUS start() KEXTBRIDGE_EXCLUDES(core_lock());
	void close() KEXTBRIDGE_EXCLUDES(core_lock());
};

// Whoever cancels a request that its driver has sent on cancels what is below.
void cancel_below(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
void free_sending(Request &request);
void forget_format(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());

// What it has come back with.
void completion_params(const Sending &sending, WDF_REQUEST_COMPLETION_PARAMS *params) KEXTBRIDGE_REQUIRES(core_lock());

// What the request is sent as. Null: no memory.
Sending *sending_of(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
// Null: nobody has wanted it to be sent yet.
Sending *sending_there(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
// What WdfRequestSend() does. Success: it has been sent, and, if that is to be waited for, is back; else why it was not.
NTSTATUS send(WDFREQUEST handle, WDFIOTARGET target_handle, const WDF_REQUEST_SEND_OPTIONS *options, const void *caller)
	KEXTBRIDGE_EXCLUDES(core_lock());
// Success: it has been sent, or waits. Else why it was not, and the driver has it.
NTSTATUS start_sending(Sending &sending, Target &target, u64 timeout_ns) KEXTBRIDGE_EXCLUDES(core_lock());
// waiting_status: of one that has not been handed on yet. True: somebody below was asked.
bool cancel_sending(Sending &sending, NTSTATUS waiting_status) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
