// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's wait queues and signals, on threads.
#include "fake_threads.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <pthread.h>
#include <thread>

namespace {

struct Waiter {
	Waiter *next = nullptr;
	Waiter *prev = nullptr;
	fake::Task *task = nullptr;
	bool exclusive = false;
	bool queued = false; // guarded by the queue's mutex
	bool woken = false;  // guarded by the task's
};

struct WaitQueueHead {
	pthread_mutex_t mutex;
	Waiter *first;
	Waiter *last;
};

class QueueLock {
	pthread_mutex_t *mutex_;

      public:
	explicit QueueLock(WaitQueueHead *wq) : mutex_(&wq->mutex) { pthread_mutex_lock(mutex_); }
	~QueueLock() { pthread_mutex_unlock(mutex_); }
};

// As prepare_to_wait_event(): exclusive ones at the tail, others at the head.
void enqueue(WaitQueueHead *wq, Waiter &waiter)
{
	if (waiter.queued)
		return;
	waiter.queued = true;
	if (waiter.exclusive) {
		waiter.prev = wq->last;
		waiter.next = nullptr;
	} else {
		waiter.next = wq->first;
		waiter.prev = nullptr;
	}
	(waiter.prev ? waiter.prev->next : wq->first) = &waiter;
	(waiter.next ? waiter.next->prev : wq->last) = &waiter;
}

void dequeue(WaitQueueHead *wq, Waiter &waiter)
{
	if (!waiter.queued)
		return;
	waiter.queued = false;
	(waiter.prev ? waiter.prev->next : wq->first) = waiter.next;
	(waiter.next ? waiter.next->prev : wq->last) = waiter.prev;
}

void wake(WaitQueueHead *wq, int exclusive)
{
	fake::yield_sometimes();
	QueueLock lock(wq);
	Waiter *next;

	for (Waiter *waiter = wq->first; waiter; waiter = next) {
		bool last = waiter->exclusive && !--exclusive;

		next = waiter->next;
		dequeue(wq, *waiter);
		{
			std::lock_guard task(waiter->task->mutex);

			waiter->woken = true;
			waiter->task->wakeup.notify_all();
		}
		if (last)
			return;
	}
}

enum class Sleep { Uninterruptible, Interruptible, Killable };

constexpr u64 kNever = ~0ull;

// until: of the fake clock.
int wait_event(struct wait_queue_head *opaque, bool (*condition)(void *), void *arg, Sleep kind, bool exclusive,
	       u64 until = kNever)
{
	WaitQueueHead *wq = fake::as<WaitQueueHead>(opaque);
	fake::Task &task = fake::current();
	Waiter waiter;
	int err = 0;

	fake::may_sleep("wait_event");
	if (condition(arg))
		return 0;
	waiter.task = &task;
	waiter.exclusive = exclusive;
	auto signalled = [&] {
		return kind == Sleep::Interruptible ? task.signal || task.fatal : kind == Sleep::Killable && task.fatal;
	};

	for (;;) {
		bool stop;
		{
			QueueLock lock(wq);
			std::lock_guard own(task.mutex);

			// A signal takes the waiter off, so that it cannot swallow an exclusive wake-up.
			stop = signalled();
			if (stop) {
				dequeue(wq, waiter);
			} else {
				waiter.woken = false;
				enqueue(wq, waiter);
			}
		}
		fake::yield_sometimes();
		if (condition(arg))
			break;
		if (stop) {
			err = -SHIM_ERESTARTSYS;
			break;
		}
		// The kernel's hrtimer, too, ends the loop after the condition has been looked at once.
		if (fake::now() >= until) {
			err = -SHIM_ETIME;
			break;
		}
		std::unique_lock own(task.mutex);

		fake::counters.sleepers.fetch_add(1);
		task.sleeping = true;
		while (!waiter.woken && !signalled() && fake::now() < until) {
			// Who moves the clock wakes nobody.
			if (until == kNever)
				task.wakeup.wait(own);
			else
				task.wakeup.wait_for(own, std::chrono::milliseconds(1));
		}
		task.sleeping = false;
		fake::counters.sleepers.fetch_sub(1);
	}
	QueueLock lock(wq);

	dequeue(wq, waiter);
	return err;
}

} // namespace

extern "C" void shim_init_waitqueue_head(struct wait_queue_head *wq, const char *, struct lock_class_key *)
{
	WaitQueueHead *head = fake::as<WaitQueueHead>(wq);

	pthread_mutex_init(&head->mutex, nullptr);
	head->first = head->last = nullptr;
}

extern "C" void shim_wake_up(struct wait_queue_head *wq)
{
	wake(fake::as<WaitQueueHead>(wq), 1);
}

extern "C" void shim_wake_up_all(struct wait_queue_head *wq)
{
	wake(fake::as<WaitQueueHead>(wq), 0);
}

extern "C" bool shim_waitqueue_active(struct wait_queue_head *wq)
{
	QueueLock lock(fake::as<WaitQueueHead>(wq));

	return fake::as<WaitQueueHead>(wq)->first;
}

extern "C" void shim_wait_event(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	wait_event(wq, condition, arg, Sleep::Uninterruptible, false);
}

extern "C" int shim_wait_event_interruptible(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	return wait_event(wq, condition, arg, Sleep::Interruptible, false);
}

extern "C" int shim_wait_event_interruptible_exclusive(struct wait_queue_head *wq, bool (*condition)(void *arg),
						       void *arg)
{
	return wait_event(wq, condition, arg, Sleep::Interruptible, true);
}

extern "C" int shim_wait_event_killable(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	return wait_event(wq, condition, arg, Sleep::Killable, false);
}

extern "C" int shim___wait_event_hrtimeout(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg,
					   s64 timeout_ns, unsigned int state)
{
	u64 until = timeout_ns == SHIM_KTIME_MAX ? kNever : fake::now() + static_cast<u64>(timeout_ns);

	return wait_event(wq, condition, arg,
			  state == SHIM_TASK_INTERRUPTIBLE ? Sleep::Interruptible : Sleep::Uninterruptible, false,
			  until);
}

struct poll_table_struct {
	struct Entry {
		Waiter waiter;
		WaitQueueHead *wq;
	};
	std::deque<Entry> entries;
};

extern "C" void shim_poll_wait(struct file *, struct wait_queue_head *wq, struct poll_table_struct *table)
{
	if (!table)
		return;
	table->entries.push_back({Waiter(), fake::as<WaitQueueHead>(wq)});
	auto &entry = table->entries.back();

	entry.waiter.task = &fake::current();
	QueueLock lock(entry.wq);

	enqueue(entry.wq, entry.waiter);
}

namespace fake {

struct Poll::Entries : poll_table_struct {};

Poll::Poll() : entries_(new Entries) {}

Poll::~Poll()
{
	for (auto &entry : entries_->entries) {
		QueueLock lock(entry.wq);

		dequeue(entry.wq, entry.waiter);
	}
	delete entries_;
}

poll_table_struct *Poll::table()
{
	return entries_;
}

bool Poll::woken()
{
	std::lock_guard own(current().mutex);

	return std::any_of(entries_->entries.begin(), entries_->entries.end(),
			   [](auto &entry) { return entry.waiter.woken; });
}

void Poll::wait()
{
	std::unique_lock own(current().mutex);

	current().sleeping = true;
	while (std::none_of(entries_->entries.begin(), entries_->entries.end(),
			    [](auto &entry) { return entry.waiter.woken; }))
		current().wakeup.wait(own);
	current().sleeping = false;
}

void interrupt(Task &task)
{
	std::lock_guard lock(task.mutex);

	task.signal = true;
	task.wakeup.notify_all();
}

void kill(Task &task)
{
	std::lock_guard lock(task.mutex);

	task.signal = task.fatal = true;
	task.wakeup.notify_all();
}

void clear_signal()
{
	std::lock_guard lock(current().mutex);

	current().signal = current().fatal = false;
}

void wait_until_asleep(Task &task)
{
	for (;;) {
		{
			std::lock_guard lock(task.mutex);

			if (task.sleeping)
				return;
		}
		std::this_thread::sleep_for(std::chrono::microseconds(50));
	}
}

} // namespace fake
