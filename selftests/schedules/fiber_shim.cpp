// SPDX-License-Identifier: GPL-2.0-only
// shim/include/shim/shim.h on fibers: what depends on who runs when (wait queues, works, timers, the xarray and its lock,
// grace periods). Each call that can block, publish or drop is a scheduling point before it acts; the table's lock also
// after it is dropped. The rest is the host ring's own.
#include "fiber_shim.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "shim/entry.h"

using namespace schedules;

namespace {

int grace_periods; // that run

// It has slept, or left a kext's code. Counted only where it makes a difference.
void quiet_point()
{
	if (grace_periods)
		running().quiet_points++;
}

// ---- works

struct Worker {
	void *work; // null: free
	const char *name;
	bool delayed;
	bool pending; // queued, or its timer runs
	bool timer;
	bool running;
	u8 cancelling;
	u8 waiters; // flush_work
	// Runs are numbered, for flush_work: the one queued last, the one that runs, the last that is over.
	u16 queued;
	u16 current;
	u16 done;
	u64 expires;
	workqueue_struct *wq;
};

// In the kernel's work_struct.
struct WorkState {
	u32 magic;
	u32 worker;
};

constexpr u32 kWork = 0x40c0ffee;
constexpr int kWorkers = kSlots - kFirstWorker;

Worker workers[kWorkers];
workqueue_struct *the_workqueue; // the core has one
u64 clock_ns;
bool allocates_always;

Worker &worker_of(const void *work)
{
	const WorkState *state = static_cast<const WorkState *>(work);

	if (state->magic != kWork || state->worker >= kWorkers || workers[state->worker].work != work)
		fake::bug("a work that was not initialized, or is freed");
	return workers[state->worker];
}

void init_worker(void *work, const char *name, bool delayed)
{
	Worker *free = std::find_if(std::begin(workers), std::end(workers), [](Worker &w) { return !w.work; });

	if (free == std::end(workers))
		fake::bug("more works than there are slots");
	*free = {};
	free->work = work;
	free->name = name;
	free->delayed = delayed;
	*static_cast<WorkState *>(work) = {kWork, static_cast<u32>(free - workers)};
}

bool is_queued(const Worker &worker)
{
	return worker.work && worker.pending && !worker.timer;
}

void work_body(int slot)
{
	Worker &worker = workers[slot - kFirstWorker];

	for (;;) {
		worker.pending = false;
		worker.running = true;
		worker.current = worker.queued;
		say("runs");
		if (worker.delayed)
			kextbridge_delayed_work_c(static_cast<delayed_work *>(worker.work));
		else
			kextbridge_work_c(static_cast<work_struct *>(worker.work));
		if (running().locks)
			fake::bug("a work returned with a lock held");
		// The work may be gone; the worker is not.
		worker.running = false;
		worker.done = worker.current;
		if (!is_queued(worker))
			break;
		step("runs again", worker.name);
		if (!is_queued(worker))
			break; // cancelled meanwhile
	}
	if (!worker.waiters)
		worker.queued = worker.current = worker.done = 0;
}

void queue(Worker &worker, workqueue_struct *wq)
{
	int slot = kFirstWorker + static_cast<int>(&worker - workers);

	if (!wq || wq != the_workqueue)
		fake::bug("queue_work on a workqueue that does not exist");
	worker.pending = true;
	worker.wq = wq;
	worker.queued++;
	if (!fibers[slot].live)
		spawn(slot, worker.name, work_body);
}

// Off the timer and the queue. True: it was there.
bool grab(Worker &worker)
{
	int slot = kFirstWorker + static_cast<int>(&worker - workers);

	if (!worker.pending)
		return false;
	worker.pending = false;
	if (worker.timer) {
		worker.timer = false;
		return true;
	}
	if (!worker.running) {
		worker.done = worker.queued;
		forget(fibers[slot]); // it has not begun
	} else {
		worker.queued = worker.current;
	}
	return true;
}

bool runs_here(const Worker &worker)
{
	return running_slot() == kFirstWorker + static_cast<int>(&worker - workers);
}

bool not_running(const void *worker)
{
	return !static_cast<const Worker *>(worker)->running;
}

bool cancel_sync(Worker &worker)
{
	fake::may_sleep("cancel_work_sync");
	step("cancel_work_sync", worker.name);
	bool was_pending = grab(worker);

	if (worker.running && runs_here(worker))
		fake::bug("cancel_work_sync from the work itself");
	worker.cancelling++;
	if (worker.running)
		step("waits for the work", worker.name, not_running, &worker);
	worker.cancelling--;
	return was_pending;
}

struct Flush {
	const Worker *worker;
	u16 target;
};

bool flushed(const void *arg)
{
	const Flush &flush = *static_cast<const Flush *>(arg);
	const Worker &worker = *flush.worker;

	return worker.done >= flush.target && !(worker.running && worker.current <= flush.target);
}

bool idle(const void *)
{
	return works_idle();
}

} // namespace

extern "C" struct workqueue_struct *shim_alloc_workqueue(const char *name, unsigned int, int)
{
	fake::may_sleep("alloc_workqueue");
	the_workqueue = new workqueue_struct{name};
	return the_workqueue;
}

extern "C" void shim_destroy_workqueue(struct workqueue_struct *wq)
{
	fake::may_sleep("destroy_workqueue");
	for (const Worker &worker : workers)
		if (worker.timer)
			fake::bug("destroy_workqueue with a timer armed for it");
	step("destroy_workqueue", "", idle);
	if (wq != the_workqueue)
		fake::bug("destroy_workqueue twice");
	the_workqueue = nullptr;
	delete wq;
}

extern "C" void shim_init_work(struct work_struct *work, const char *name, struct lock_class_key *)
{
	init_worker(work, name, false);
}

extern "C" bool shim_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	step("queue_work", worker_of(work).name);
	Worker &worker = worker_of(work);

	if (worker.pending || worker.cancelling)
		return false;
	queue(worker, wq);
	return true;
}

extern "C" bool shim_flush_work(struct work_struct *work)
{
	Worker &worker = worker_of(work);

	fake::may_sleep("flush_work");
	step("flush_work", worker.name);
	if (runs_here(worker))
		fake::bug("flush_work from the work itself");
	// The kernel's barrier: what is queued now, else what runs now. A re-queue while it runs is not waited for.
	if (!worker.pending && !worker.running)
		return false;
	Flush flush{&worker, worker.pending ? worker.queued : worker.current};

	worker.waiters++;
	step("waits for the work", worker.name, flushed, &flush);
	worker.waiters--;
	return true;
}

extern "C" bool shim_cancel_work_sync(struct work_struct *work)
{
	return cancel_sync(worker_of(work));
}

extern "C" struct work_struct *shim_current_work(void)
{
	int at = running_slot() - kFirstWorker;

	return at >= 0 && !workers[at].delayed ? static_cast<work_struct *>(workers[at].work) : nullptr;
}

extern "C" void shim_init_delayed_work(struct delayed_work *work, const char *name, struct lock_class_key *)
{
	init_worker(work, name, true);
}

extern "C" bool shim_mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work, u64 delay_ns)
{
	step("mod_delayed_work", worker_of(work).name);
	Worker &worker = worker_of(work);

	if (worker.cancelling)
		return false;
	bool was_pending = grab(worker);

	if (!delay_ns) {
		queue(worker, wq);
		return was_pending;
	}
	worker.pending = worker.timer = true;
	worker.wq = wq;
	worker.expires = clock_ns + delay_ns;
	return was_pending;
}

extern "C" bool shim_cancel_delayed_work_sync(struct delayed_work *work)
{
	return cancel_sync(worker_of(work));
}

// ---- wait queues

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

struct Sleeper {
	Waiter waiter;
	Sleep kind = Sleep::Uninterruptible;
};

bool signalled(int slot, Sleep kind)
{
	const fake::Task &task = fibers[slot].task;

	return kind == Sleep::Interruptible ? task.signal || task.fatal : kind == Sleep::Killable && task.fatal;
}

bool may_go_on(const void *arg)
{
	const Sleeper &sleeper = *static_cast<const Sleeper *>(arg);

	return sleeper.waiter.woken || signalled(sleeper.waiter.slot, sleeper.kind);
}

int wait_event(struct wait_queue_head *opaque, bool (*condition)(void *), void *arg, Sleep kind, bool exclusive)
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

} // namespace fake

// ---- xarray

namespace {

struct Xarray {
	struct Entry {
		unsigned long index;
		void *entry;
	};
	bool used;
	u8 holder; // slot + 1; 0: nobody
	const char *name;
	int count;
	Entry entries[16]; // in the order of their indices
};

Xarray arrays[2];
char zero_entry; // XA_ZERO_ENTRY: reserved, not there for a look-up

// In the kernel's xarray.
struct XarrayState {
	u32 number; // in arrays, + 1
};

Xarray &array(struct xarray *xa)
{
	u32 number = fake::as<XarrayState>(xa)->number;

	if (!number)
		fake::bug("xarray: not initialized, or destroyed");
	return arrays[number - 1];
}

bool held(const Xarray &xa)
{
	return xa.holder == running_slot() + 1;
}

void need_lock(const Xarray &xa, const char *what)
{
	if (!held(xa))
		fake::bug("%s without the lock", what);
}

bool is_free(const void *xa)
{
	return !static_cast<const Xarray *>(xa)->holder;
}

void *visible(void *entry)
{
	return entry == &zero_entry ? nullptr : entry;
}

// The first entry at or behind index.
Xarray::Entry *at_or_after(Xarray &xa, unsigned long index)
{
	Xarray::Entry *entry = xa.entries;

	while (entry < xa.entries + xa.count && entry->index < index)
		entry++;
	return entry;
}

Xarray::Entry *entry_at(Xarray &xa, unsigned long index)
{
	Xarray::Entry *found = at_or_after(xa, index);

	return found < xa.entries + xa.count && found->index == index ? found : nullptr;
}

} // namespace

extern "C" void shim_xa_init_flags(struct xarray *xa, unsigned int, const char *name, struct lock_class_key *)
{
	Xarray *free = std::find_if(std::begin(arrays), std::end(arrays), [](Xarray &a) { return !a.used; });

	if (free == std::end(arrays))
		fake::bug("more xarrays than there are slots");
	*free = {};
	free->used = true;
	free->name = name;
	fake::as<XarrayState>(xa)->number = static_cast<u32>(free - arrays) + 1;
}

extern "C" void shim_xa_destroy(struct xarray *xa)
{
	Xarray &found = array(xa);

	// The core may leave a mark of its own in it: the array's address.
	for (int i = 0; i < found.count; i++)
		if (found.entries[i].entry != xa)
			fake::bug("xa_destroy: %d entries are left, one at %lu", found.count, found.entries[i].index);
	found.used = false;
	fake::as<XarrayState>(xa)->number = 0;
}

extern "C" void shim_xa_lock_bh(struct xarray *xa)
{
	Xarray &found = array(xa);

	if (held(found))
		fake::bug("deadlock: %s taken twice", found.name);
	step("lock", found.name, is_free, &found);
	found.holder = static_cast<u8>(running_slot() + 1);
	running().locks++;
}

extern "C" void shim_xa_unlock_bh(struct xarray *xa)
{
	Xarray &found = array(xa);

	if (!held(found))
		fake::bug("xa_unlock by one that does not hold it");
	found.holder = 0;
	running().locks--;
	step("unlocked", found.name);
}

extern "C" void *shim_xa_load(struct xarray *xa, unsigned long index)
{
	if (!running().locks)
		step("xa_load", array(xa).name);
	Xarray::Entry *found = entry_at(array(xa), index);

	return found ? visible(found->entry) : nullptr;
}

extern "C" void *shim_xa_find(struct xarray *xa, unsigned long *index, unsigned long max)
{
	if (!running().locks)
		step("xa_find", array(xa).name);
	Xarray &found = array(xa);

	for (Xarray::Entry *at = at_or_after(found, *index); at < found.entries + found.count && at->index <= max;
	     at++) {
		if (visible(at->entry)) {
			*index = at->index;
			return at->entry;
		}
	}
	return nullptr;
}

extern "C" int shim___xa_insert(struct xarray *xa, unsigned long index, void *entry, unsigned int gfp)
{
	Xarray &found = array(xa);

	need_lock(found, "__xa_insert");
	if (entry_at(found, index))
		return -SHIM_EBUSY;
	// A node for it: the lock is dropped for the allocation.
	if (allocates_always && (gfp & fake::kGfpDirectReclaim)) {
		shim_xa_unlock_bh(xa);
		fake::may_sleep("xarray node allocation");
		shim_xa_lock_bh(xa);
		if (entry_at(found, index))
			return -SHIM_EBUSY;
	}
	if (found.count == static_cast<int>(std::size(found.entries)))
		fake::bug("more entries in %s than there is room for", found.name);
	Xarray::Entry *at = at_or_after(found, index);

	std::move_backward(at, found.entries + found.count, found.entries + found.count + 1);
	found.count++;
	*at = {index, entry ? entry : &zero_entry};
	return 0;
}

extern "C" void *shim___xa_store(struct xarray *xa, unsigned long index, void *entry, unsigned int)
{
	need_lock(array(xa), "__xa_store");
	Xarray::Entry *found = entry_at(array(xa), index);

	if (!found)
		fake::bug("__xa_store into an index that is not reserved would allocate");
	void *old = visible(found->entry);

	found->entry = entry;
	return old;
}

extern "C" void *shim___xa_erase(struct xarray *xa, unsigned long index)
{
	Xarray &found = array(xa);

	need_lock(found, "__xa_erase");
	Xarray::Entry *at = entry_at(found, index);

	if (!at)
		return nullptr;
	void *old = visible(at->entry);

	std::move(at + 1, found.entries + found.count, at);
	found.entries[--found.count] = {};
	return old;
}

// ---- rcu, sched, time

namespace {

struct Grace {
	u8 slots[kSlots]; // their quiet points when it began; those that need not be waited for: 0xff
};

bool passed(const void *arg)
{
	const Grace &grace = *static_cast<const Grace *>(arg);

	for (int slot = 0; slot < kSlots; slot++) {
		const Fiber &fiber = fibers[slot];

		if (grace.slots[slot] != 0xff && fiber.live && fiber.in_text &&
		    grace.slots[slot] == (fiber.quiet_points & 0x7f))
			return false;
	}
	return true;
}

} // namespace

// Until each that was preempted in a kext's code has left it, or slept.
extern "C" void shim_synchronize_rcu_tasks(void)
{
	Grace grace;

	fake::may_sleep("synchronize_rcu_tasks");
	step("synchronize_rcu_tasks");
	for (int slot = 0; slot < kSlots; slot++) {
		const Fiber &fiber = fibers[slot];
		bool waits = slot != running_slot() && fiber.live && fiber.in_text && !fiber.task.sleeping;

		grace.slots[slot] = waits ? fiber.quiet_points & 0x7f : 0xff;
	}
	if (passed(&grace))
		return;
	grace_periods++;
	step("waits for the grace period", "", passed, &grace);
	if (!--grace_periods)
		for (Fiber &fiber : fibers)
			fiber.quiet_points = 0;
}

extern "C" void shim_cond_resched(void)
{
	fake::may_sleep("cond_resched");
	step("cond_resched");
}

extern "C" void shim_might_sleep(void)
{
	fake::may_sleep("might_sleep");
}

extern "C" u64 shim_ktime_get_ns(void)
{
	return clock_ns;
}

// ---- the seam

namespace fake {

void point(Point point, const void *)
{
	static constexpr const char *names[] = {"allocation", "kref_put", "module_put", "try_module_get", "user copy"};

	if (point != Point::Allocation)
		step(names[static_cast<int>(point)]);
}

void check_nothing_active(const void *start, size_t size)
{
	const char *from = static_cast<const char *>(start);
	auto inside = [&](const void *p) { return p >= from && p < from + size; };

	for (Worker &worker : workers) {
		if (!worker.work || !inside(worker.work))
			continue;
		if (worker.timer)
			bug("freeing memory that holds an armed timer");
		if (worker.pending)
			bug("freeing memory that holds a queued work");
		if (worker.running && !runs_here(worker))
			bug("freeing memory that holds a running work");
		worker.work = nullptr;
	}
	for (const Fiber &fiber : fibers)
		if (fiber.live && fiber.sleeps_on && inside(fiber.sleeps_on))
			bug("freeing memory that %s sleeps on", fiber.name);
}

bool allocation_fails()
{
	return false;
}

bool user_copy_fails()
{
	if (!running().copies_may_fail || !choose(2, "the copy fails"))
		return false;
	running().copies_may_fail = false; // once
	return true;
}

void log_line(const char *format, va_list arguments)
{
	char line[256];

	if (!tracing())
		return;
	vsnprintf(line, sizeof(line), format, arguments);
	say("log: %s", line);
}

u64 now()
{
	return clock_ns;
}

void xa_always_allocates(bool on)
{
	allocates_always = on;
}

void clear_signal()
{
	current().signal = current().fatal = false;
}

} // namespace fake

// ---- for scenarios

namespace schedules {

void reset_kernel()
{
	clock_ns = fake::kBoot;
	fake::reset_params();
}

bool timer_armed()
{
	return std::any_of(std::begin(workers), std::end(workers), [](Worker &worker) { return worker.timer; });
}

void tick()
{
	step("the clock moves", "", [](const void *) { return timer_armed(); });
	u64 next = ~0ull;

	for (const Worker &worker : workers)
		if (worker.timer)
			next = std::min(next, worker.expires);
	clock_ns = std::max(clock_ns, next);
	for (Worker &worker : workers) {
		if (worker.timer && worker.expires <= clock_ns) {
			worker.timer = worker.pending = false;
			queue(worker, worker.wq);
		}
	}
}

bool works_idle()
{
	return std::none_of(std::begin(workers), std::end(workers),
			    [](Worker &worker) { return worker.running || is_queued(worker); });
}

void set_signal(Fiber &fiber, bool fatal)
{
	fiber.task.signal = true;
	fiber.task.fatal |= fatal;
}

void enter_text(int kext)
{
	running().in_text = static_cast<u8>(kext + 1);
}

void leave_text()
{
	running().in_text = 0;
	quiet_point();
}

const char *who_is_in_text(int kext)
{
	for (const Fiber &fiber : fibers)
		if (fiber.live && fiber.in_text == kext + 1)
			return fiber.name;
	return nullptr;
}

} // namespace schedules
