// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's wait queues, signals and poll, on fibers.
#include "fiber_shim.hpp"

#include <algorithm>

using namespace schedules;

namespace {

struct Waiter {
	Waiter *next = nullptr;
	Waiter *prev = nullptr;
	int slot = 0;
	bool exclusive = false;
	bool queued = false;
	bool woken = false;
};

struct WaitQueueHead {
	const char *name;
	Waiter *first;
	Waiter *last;
};

WaitQueueHead *head_of(struct wait_queue_head *wq)
{
	return fake::as<WaitQueueHead>(wq);
}

// As prepare_to_wait_event(): exclusive ones at the tail, others at the head.
void enqueue(WaitQueueHead *wq, Waiter &waiter)
{
	if (waiter.queued)
		return;
	waiter.queued = true;
	waiter.prev = waiter.exclusive ? wq->last : nullptr;
	waiter.next = waiter.exclusive ? nullptr : wq->first;
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
	waiter.next = waiter.prev = nullptr;
}

void wake(WaitQueueHead *wq, int exclusive)
{
	step("wake_up", wq->name);
	Waiter *next;

	for (Waiter *waiter = wq->first; waiter; waiter = next) {
		bool last = waiter->exclusive && !--exclusive;

		next = waiter->next;
		dequeue(wq, *waiter);
		waiter->woken = true;
		if (last)
			return;
	}
}

enum class Sleep { Uninterruptible, Interruptible, Killable };

constexpr u64 kNever = ~0ull;

struct Sleeper {
	Waiter waiter;
	Sleep kind = Sleep::Uninterruptible;
	u64 until = kNever;
};

bool signalled(int slot, Sleep kind)
{
	const fake::Task &task = fibers[slot].task;

	return kind == Sleep::Interruptible ? task.signal || task.fatal : kind == Sleep::Killable && task.fatal;
}

bool may_go_on(const void *arg)
{
	const Sleeper &sleeper = *static_cast<const Sleeper *>(arg);

	return sleeper.waiter.woken || fake::now() >= sleeper.until || signalled(sleeper.waiter.slot, sleeper.kind);
}

int wait_event(struct wait_queue_head *opaque, bool (*condition)(void *), void *arg, Sleep kind, bool exclusive,
	       u64 until = kNever)
{
	WaitQueueHead *wq = head_of(opaque);
	Sleeper sleeper;
	Waiter &waiter = sleeper.waiter;
	int err = 0;

	fake::may_sleep("wait_event");
	if (condition(arg))
		return 0;
	waiter.slot = running_slot();
	waiter.exclusive = exclusive;
	sleeper.kind = kind;
	sleeper.until = until;
	for (;;) {
		step("prepare_to_wait", wq->name);
		// A signal takes the waiter off, so that it cannot swallow an exclusive wake-up.
		bool stop = signalled(waiter.slot, kind);

		if (stop) {
			dequeue(wq, waiter);
		} else {
			waiter.woken = false;
			enqueue(wq, waiter);
		}
		if (condition(arg))
			break;
		if (stop) {
			err = -SHIM_ERESTARTSYS;
			break;
		}
		if (fake::now() >= until) {
			err = -SHIM_ETIME;
			break;
		}
		running().sleeps_on = wq;
		running().task.sleeping = true;
		quiet_point();
		fake::counters.sleepers++;
		step("sleeps on", wq->name, may_go_on, &sleeper);
		fake::counters.sleepers--;
		running().task.sleeping = false;
		running().sleeps_on = nullptr;
	}
	step("finish_wait", wq->name);
	dequeue(wq, waiter);
	return err;
}

} // namespace

extern "C" void shim_init_waitqueue_head(struct wait_queue_head *wq, const char *name, struct lock_class_key *)
{
	*head_of(wq) = {name, nullptr, nullptr};
}

extern "C" void shim_wake_up(struct wait_queue_head *wq)
{
	wake(head_of(wq), 1);
}

extern "C" void shim_wake_up_all(struct wait_queue_head *wq)
{
	wake(head_of(wq), 0);
}

extern "C" bool shim_waitqueue_active(struct wait_queue_head *wq)
{
	step("waitqueue_active", head_of(wq)->name);
	return head_of(wq)->first;
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
	Entry entries[2];
	int count;
};

extern "C" void shim_poll_wait(struct file *, struct wait_queue_head *wq, struct poll_table_struct *table)
{
	if (!table)
		return;
	if (table->count == 2)
		fake::bug("poll_wait on more queues than there is room for");
	auto &entry = table->entries[table->count++];

	entry.wq = head_of(wq);
	entry.waiter.slot = running_slot();
	step("poll_wait", entry.wq->name);
	enqueue(entry.wq, entry.waiter);
}

namespace fake {

struct Poll::Entries : poll_table_struct {};

Poll::Poll() : entries_(new Entries()) {}

Poll::~Poll()
{
	for (int i = 0; i < entries_->count; i++)
		dequeue(entries_->entries[i].wq, entries_->entries[i].waiter);
	delete entries_;
}

poll_table_struct *Poll::table()
{
	return entries_;
}

bool Poll::woken()
{
	return std::any_of(entries_->entries, entries_->entries + entries_->count,
			   [](auto &entry) { return entry.waiter.woken; });
}

void Poll::wait()
{
	running().task.sleeping = true;
	step(
		"polls", "",
		[](const void *poll) { return const_cast<Poll *>(static_cast<const Poll *>(poll))->woken(); }, this);
	running().task.sleeping = false;
}

void clear_signal()
{
	current().signal = current().fatal = false;
}

} // namespace fake

namespace schedules {

void set_signal(Fiber &fiber, bool fatal)
{
	fiber.task.signal = true;
	fiber.task.fatal |= fatal;
}

} // namespace schedules
