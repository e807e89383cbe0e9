// SPDX-License-Identifier: GPL-2.0-only
// The presentation lock of a queue or a device: held around callbacks that are synchronized (kmdf.md 1.15), and what
// WdfObjectAcquireLock() takes. A mutex where the level is passive, else a spin lock with bottom halves off.
#pragma once

#include "common.hpp"

namespace kmdf {

class PresentationLock final {
	bool passive_ = false;
	bool ready_ = false;
	spinlock spin_;
	mutex mutex_;
	kextbridge::Racy<task_struct *> owner_;
	u32 refused_ = 0;    // the owner's: acquisitions that were not made
	lock_class_key key_; // drivers nest them as they like: each is a class of its own

      public:
	void init(const char *name, bool passive);
	void destroy() KEXTBRIDGE_EXCLUDES(core_lock());
	bool passive() const { return passive_; }
	bool mine() const { return owner_.load() == shim_current(); }
	// SAFETY: mine() is asked before.
	void lock() KEXTBRIDGE_UNCHECKED;
	void unlock() KEXTBRIDGE_UNCHECKED;

	void refuse() { refused_++; }
	bool take_refused()
	{
		if (!refused_)
			return false;
		refused_--;
		return true;
	}
};

// Around a callback; null: it is not synchronized.
class PresentationGuard final {
	PresentationLock *const lock_;

      public:
	explicit PresentationGuard(PresentationLock *lock) : lock_(lock)
	{
		if (lock_)
			lock_->lock();
	}
	~PresentationGuard()
	{
		if (lock_)
			lock_->unlock();
	}
	PresentationGuard(const PresentationGuard &) = delete;
	PresentationGuard &operator=(const PresentationGuard &) = delete;
};

// A callback of a driver that runs: on the stack of its thread, in core.frames.
enum class Call : u8 { Io, Cancel, CanceledOnQueue, Stop, Resume, QueueState };

struct Frame {
	ListNode node KEXTBRIDGE_GUARDED_BY(core_lock());
	task_struct *task = nullptr;
	Call call = Call::Io;
	Queue *queue = nullptr;
	Request *request = nullptr;
	bool acted KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // EvtIoStop has done something with its request
};

void push_frame_locked(Frame &frame, Call call, Queue *queue, Request *request) KEXTBRIDGE_REQUIRES(core_lock());
void pop_frame_locked(Frame &frame) KEXTBRIDGE_REQUIRES(core_lock());
// This thread is in a callback of the queue.
bool in_callback_locked(const Queue &queue) KEXTBRIDGE_REQUIRES(core_lock());
// This thread is in the request's EvtIoStop; null: it is not.
Frame *stop_frame_locked(const Request &request) KEXTBRIDGE_REQUIRES(core_lock());
// How many callbacks this thread is in.
u32 frame_depth_locked() KEXTBRIDGE_REQUIRES(core_lock());

// Calls the driver, and puts right what it left different: the level.
class CallbackGuard final {
	const unsigned int before_ = shim_softirq_count();
	const char *const what_;
	const Object *const object_;

      public:
	CallbackGuard(const char *what, const Object *object) : what_(what), object_(object) {}
	~CallbackGuard();
	CallbackGuard(const CallbackGuard &) = delete;
	CallbackGuard &operator=(const CallbackGuard &) = delete;
};

} // namespace kmdf
