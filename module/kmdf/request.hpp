// SPDX-License-Identifier: GPL-2.0-only
// An I/O request, and who owns it.
//
//  state       client cancels, purge           Mark        MarkEx      Unmark     Complete        callback begins
//  Queued      Done (CANCELLED), or Cancelled  -           -           -          -               -
//  Owned       flagged                         Cancelable  Cancelable  refused    Done            -
//   flagged    -                               Cancelled   CANCELLED   refused    Done            -
//  Cancelable  Cancelled                       refused     refused     Owned      Done, reported  -
//  Cancelled   -                               refused     refused     CANCELLED  Done, reported  Called, or Owned
//  Called      -                               refused     refused     CANCELLED  Done            -
//  Done        -                               reported    reported    reported   reported        -
//
// Each arrow is take(): exactly one of those who race for a state has it. "Cancelled" of a cancel in a queue, and "Owned"
// after it: the request was presented before and its queue has an EvtIoCanceledOnQueue, which is called with it.
#pragma once

#include "object.hpp"

namespace kmdf {

class Memory;
struct Sending;

enum class State : u8 { Queued = 1, Owned, Cancelable, Cancelled, Called, Done }; // KMDF_REQUEST_*

// What a request is about.
struct Transfer {
	WDF_REQUEST_TYPE kind;
	u32 code = 0;
	size_t in_length = 0;
	size_t out_length = 0;
	s64 offset = 0;
};

// Who is told when a request is completed, if that is no thread that waits on it.
class Client {
      protected:
	~Client() = default;

      public:
	// Exactly once, after EvtCleanup. CONTEXT: the completer's, up to DISPATCH_LEVEL, no lock of ours held.
	virtual void completed(Request &request) KEXTBRIDGE_EXCLUDES(core_lock()) = 0;
};

enum class StopAck : u8 { None, Keep, Requeue };

class Request final : public Object {
      public:
	static constexpr Type kType = Type::Request;

	explicit Request(Driver *driver);
	void release_parts() override;

	// immutable once it is submitted
	Device *device = nullptr; // SAFETY: waits for all of its requests before it goes
	Ref<File> file;
	Client *client = nullptr;
	WDF_REQUEST_TYPE kind = WdfRequestTypeNoFormat;
	u32 code = 0;
	size_t in_length = 0;
	size_t out_length = 0;
	s64 offset = 0;
	u8 *buffer = nullptr; // OWNERSHIP: its own; holds both of:
	u8 *in_data = nullptr;
	u8 *out_data = nullptr; // for METHOD_BUFFERED the same as in_data
	u64 user_in = 0;        // of METHOD_NEITHER: where in_data and out_data are the client's
	u64 user_out = 0;
	bool incoming = false; // somebody waits for its completion: not one that a driver has created
	u64 id = 0;
	u64 tag = 0;
	u64 issued_ns = 0;
	int pid = 0;
	int tid = 0;
	u32 uid = 0;

	StateWord<State> state KEXTBRIDGE_GUARDED_BY(core_lock()){State::Owned};
	// Sticky, and the greatest of those who have wanted its end; but of its driver, who wants it of what it sends, a
	// reuse takes it back.
	enum Canceled : u8 { kNotCanceled, kByItsDriver, kByOthers };
	Canceled canceled KEXTBRIDGE_GUARDED_BY(core_lock()) = kNotCanceled;
	bool presented KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // to the driver, at least once
	bool detached KEXTBRIDGE_GUARDED_BY(core_lock()) = false;
	bool early KEXTBRIDGE_GUARDED_BY(core_lock()) = false;  // completed before its EvtRequestCancel was called
	bool called KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // EvtRequestCancel has been
	task_struct *unmarked_in_vain KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr; // who was told CANCELLED
	bool named KEXTBRIDGE_GUARDED_BY(core_lock()) = false;                      // the log has said that it is stuck
	bool finished KEXTBRIDGE_GUARDED_BY(core_lock()) = false;                   // its client has been told
	StopAck ack KEXTBRIDGE_GUARDED_BY(core_lock()) = StopAck::None;
	bool stop_told KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // EvtIoStop has been called with it
	u64 owned_ns KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u64 canceled_ns KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	// The one that it is in, or was in last; null: it has been in none. SAFETY: waits for it before it goes.
	Queue *queue KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	ListNode queue_node KEXTBRIDGE_GUARDED_BY(core_lock()); // queued; cancelled; canceled on queue
	ListNode owned_node KEXTBRIDGE_GUARDED_BY(core_lock()); // the driver's, of its queue
	ListNode file_node KEXTBRIDGE_GUARDED_BY(core_lock());  // of its file, until it is finished
	PFN_WDF_REQUEST_CANCEL on_cancel KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	const void *marked_at KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	WaitQueue done; // woken when it is finished
	Work handler_work;
	// Which presents it so. OWNERSHIP: holds a reference until the work begins.
	Queue *handler_queue KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	// The driver's own: who owns it writes it.
	NTSTATUS result = 0;
	u64 information = 0;
	Memory *in_memory KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr; // children, once the driver has asked for them
	Memory *out_memory KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	// What it is, or was, sent as (target.hpp). OWNERSHIP: its own, from the first time on.
	Sending *sending KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	// To a target, and not back yet.
	bool sent_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	// Somebody has cancelled it.
	void note_cancel_locked(Canceled by = kByOthers) KEXTBRIDGE_REQUIRES(core_lock());
	// Cancelable -> Cancelled: its EvtRequestCancel is due. False: it is not cancelable.
	bool cancel_marked_locked() KEXTBRIDGE_REQUIRES(core_lock());
	// The most that it can be completed with.
	u64 longest_information() const;
	// How much of out_data goes back to who has made it: warnings bring data, errors do not.
	size_t bytes_back() const;

	bool driver_has_locked() const KEXTBRIDGE_REQUIRES(core_lock())
	{
		return !state.is(State::Queued) && !state.is(State::Done);
	}
};

// One for the device, with its buffers, that is not submitted yet. Null: no memory.
Ref<Request> make_incoming(Device &device, const Transfer &transfer, unsigned int gfp) KEXTBRIDGE_EXCLUDES(core_lock());

// What a cancel has found.
enum class CancelOutcome : u8 { TooLate, Finished, Notified, Flagged };

// Every source of cancellation: the client, its death, an ioctl, a purge, a target.
// CONTEXT: up to DISPATCH_LEVEL, no lock of ours held: EvtRequestCancel may run.
CancelOutcome cancel_request(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());

// Ends a request that the caller has taken to Done: EvtCleanup, the client, the queue.
// OWNERSHIP: `alive` is the reference that stands for its not being completed.
void finish(Ref<Request> alive, NTSTATUS result, u64 information) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
