// SPDX-License-Identifier: GPL-2.0-only
// An I/O queue and its dispatcher.
//
// The dispatcher is a loop that any thread runs which has given the queue something to do. `inside` counts the threads in
// it; whoever finds one inside and may leave it to that one does. One turn of the loop takes the first of: a cancelled
// request whose EvtRequestCancel is due, one for EvtIoCanceledOnQueue, the end of a stop, of a purge or drain, the ready
// notice, a new request. So what is cancelled overtakes what is new.
//
// A queue of passive level has its callbacks on a worker, so that a client waits killably whatever its driver does.
#pragma once

#include "request.hpp"
#include "sync.hpp"

namespace kmdf {

// Who waits for the end of a stop, or of a purge or drain.
struct StateCallback {
	PFN_WDF_IO_QUEUE_STATE function = nullptr;
	WDFCONTEXT context = nullptr;
	bool waited_for = false; // by a thread
	bool purges = false;     // until then what is marked counts as cancelled

	bool taken() const { return function || waited_for; }
};

// What the dispatcher does in one turn.
struct Due {
	Call call = Call::Io;
	Request *request = nullptr;
	PFN_WDF_REQUEST_CANCEL on_cancel = nullptr;
	PFN_WDF_IO_QUEUE_STATE function = nullptr;
	WDFCONTEXT context = nullptr;
	bool unsynchronized = false; // the end of a stop
};

// Notifying: EvtIoStop is being called, no EvtRequestCancel is. Waiting: for what EvtIoStop has not answered for.
enum class Power : u8 { On, Notifying, Waiting, Off };

// Who runs the loop: Event must see that it is looked at, Completion leaves it to a thread that is inside.
enum class Enter : u8 { Event, Completion };

class Queue final : public Object {
      public:
	static constexpr Type kType = Type::Queue;

	Queue(Driver *driver, Device *device, const WDF_IO_QUEUE_CONFIG &config);
	void dispose() override;
	void release_parts() override;
	bool runs_here() const override KEXTBRIDGE_REQUIRES(core_lock()) { return in_callback_locked(*this); }

	// immutable
	Device *const device;
	const WDF_IO_QUEUE_CONFIG config;
	u64 id = 0;
	bool power_managed = false;
	bool passive = false;
	PresentationLock own_lock;                // what WdfObjectAcquireLock() takes if nothing is synchronized
	PresentationLock *synchronized = nullptr; // around its callbacks; its own, its device's, or none

	List<Request, &Request::queue_node> queued KEXTBRIDGE_GUARDED_BY(core_lock());
	List<Request, &Request::queue_node> cancelled KEXTBRIDGE_GUARDED_BY(core_lock()); // each holds a reference
	List<Request, &Request::queue_node> canceled_on_queue KEXTBRIDGE_GUARDED_BY(core_lock());
	List<Request, &Request::owned_node> owned KEXTBRIDGE_GUARDED_BY(core_lock());
	u32 queued_count KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u32 owned_count KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u32 inside KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	bool accepts KEXTBRIDGE_GUARDED_BY(core_lock()) = true;
	bool dispatches KEXTBRIDGE_GUARDED_BY(core_lock()) = true;
	bool purging KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // what is presented meanwhile counts as cancelled
	Power power KEXTBRIDGE_GUARDED_BY(core_lock()) = Power::On;
	StateCallback stopped KEXTBRIDGE_GUARDED_BY(core_lock());
	StateCallback purged KEXTBRIDGE_GUARDED_BY(core_lock());
	PFN_WDF_IO_QUEUE_STATE ready KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	WDFCONTEXT ready_context KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	bool ready_due KEXTBRIDGE_GUARDED_BY(core_lock()) = false;
	WaitQueue idle; // woken when one of the counts falls
	Work work;

	void dispatch(Enter enter) KEXTBRIDGE_EXCLUDES(core_lock());

	// State bits and counts as WdfIoQueueGetState() has them.
	WDF_IO_QUEUE_STATE bits_locked() const KEXTBRIDGE_REQUIRES(core_lock());

	// Of what is Queued, and in no list: into it.
	void put_in_locked(Request &request, bool at_head) KEXTBRIDGE_REQUIRES(core_lock());
	// Queued -> Owned, by a handler or a retrieve.
	void present_locked(Request &request) KEXTBRIDGE_REQUIRES(core_lock());
	// What a cancel does with one in this queue whose driver is told of it (EvtIoCanceledOnQueue). False: it is not.
	bool cancel_queued_locked(Request &request) KEXTBRIDGE_REQUIRES(core_lock());
	void own_locked(Request &request) KEXTBRIDGE_REQUIRES(core_lock());
	void leave_owned_locked(Request &request) KEXTBRIDGE_REQUIRES(core_lock());
	bool may_present_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	bool drained_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	// Each request in it, and of the driver's the cancelable ones.
	void cancel_all() KEXTBRIDGE_EXCLUDES(core_lock());
	// From now on it takes nothing, and ends what it has.
	void begin_purge() KEXTBRIDGE_EXCLUDES(core_lock());
	void purge_and_wait() KEXTBRIDGE_EXCLUDES(core_lock());

	// D0 is left: EvtIoStop of each request that the driver has; then until each is given back, kept or completed.
	void power_tell(u32 action) KEXTBRIDGE_EXCLUDES(core_lock());
	void power_wait() KEXTBRIDGE_EXCLUDES(core_lock());
	void power_start() KEXTBRIDGE_EXCLUDES(core_lock());

	// The end of what `present` has not given to the driver.
	void end_presented(Request &request, NTSTATUS result) KEXTBRIDGE_EXCLUDES(core_lock());
	bool trivial(const Request &request) const;

	// Until the condition, which is asked under the lock, holds; the log says who keeps it waiting.
	void wait_for(bool (*condition)(Queue &queue), const char *what) KEXTBRIDGE_EXCLUDES(core_lock());

	// The work of a request whose handler has a worker of its own.
	static void handler_function(void *request) KEXTBRIDGE_EXCLUDES(core_lock());

	void unqueue_locked(Request &request) KEXTBRIDGE_REQUIRES(core_lock());
	// Somebody inside, or else a worker, goes on.
	void hand_over_locked() KEXTBRIDGE_REQUIRES(core_lock());

      private:
	static void work_function(void *queue);
	bool side_by_side() const
	{
		return passive && !synchronized && config.DispatchType == WdfIoQueueDispatchParallel;
	}
	void enter(Enter enter_as, bool on_worker) KEXTBRIDGE_EXCLUDES(core_lock());
	void run() KEXTBRIDGE_EXCLUDES(core_lock());
	bool turn(u32 turns) KEXTBRIDGE_EXCLUDES(core_lock());
	bool take_end_locked(StateCallback &slot, bool ended, Due &due) KEXTBRIDGE_REQUIRES(core_lock());
	bool take_due_locked(Due &due) KEXTBRIDGE_REQUIRES(core_lock());
	void deliver(const Due &due) KEXTBRIDGE_EXCLUDES(core_lock());
	void present(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
	bool stop_one(u32 action) KEXTBRIDGE_EXCLUDES(core_lock());
	bool resume_one() KEXTBRIDGE_EXCLUDES(core_lock());
	void defer_locked() KEXTBRIDGE_REQUIRES(core_lock());
	bool cancel_due_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	bool ready_due_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	bool something_due_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	bool all_kept_locked() const KEXTBRIDGE_REQUIRES(core_lock());
	void report_keeper(const char *what, u32 waited_ms) KEXTBRIDGE_EXCLUDES(core_lock());
};

} // namespace kmdf
