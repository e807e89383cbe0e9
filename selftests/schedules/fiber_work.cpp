// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's works, delayed works and clock, on fibers: a work that is queued is a fiber of its own.
#include "fiber_shim.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "shim/entry.h"

using namespace schedules;

namespace {

struct Worker {
	void *work; // null: free
	const char *name;
	u8 slot; // of its fiber, while it is queued or runs
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
	workqueue_struct *wq; // where the timer puts it
};

// In the kernel's work_struct.
struct WorkState {
	u32 magic;
	u32 worker;
};

constexpr u32 kWork = 0x40c0ffee;
constexpr int kWorkers = 24;

Worker workers[kWorkers];
workqueue_struct *workqueues[2];
u64 clock_ns;

bool exists(const workqueue_struct *wq)
{
	return wq && std::find(std::begin(workqueues), std::end(workqueues), wq) != std::end(workqueues);
}

Worker &worker_of(const void *work)
{
	const WorkState *state = static_cast<const WorkState *>(work);

	if (state->magic != kWork || state->worker >= kWorkers || workers[state->worker].work != work)
		fake::bug("a work that was not initialized, or is freed");
	return workers[state->worker];
}

void init_worker(void *work, const char *name, bool delayed)
{
	Worker *free =
		std::find_if(std::begin(workers), std::end(workers), [](Worker &w) { return !w.work && !w.running; });

	if (free == std::end(workers))
		fake::bug("more works than there are slots");
	*free = {};
	free->work = work;
	free->name = name;
	free->delayed = delayed;
	*static_cast<WorkState *>(work) = {kWork, static_cast<u32>(free - workers)};
}

Worker *worker_in(int slot)
{
	Worker *found =
		std::find_if(std::begin(workers), std::end(workers), [slot](Worker &w) { return w.slot == slot; });

	return found == std::end(workers) ? nullptr : found;
}

bool is_queued(const Worker &worker)
{
	return worker.work && worker.pending && !worker.timer;
}

void work_body(int slot)
{
	Worker &worker = *worker_in(slot);

	for (;;) {
		worker.pending = false;
		worker.running = true;
		worker.current = worker.queued;
		say("runs");
		clear_dead_stack();
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
	worker.slot = 0;
	if (!worker.work)
		worker = {};
	else if (!worker.waiters)
		worker.queued = worker.current = worker.done = 0;
}

void queue(Worker &worker, workqueue_struct *wq)
{
	if (!exists(wq))
		fake::bug("queue_work on a workqueue that does not exist");
	worker.pending = true;
	worker.queued++;
	if (worker.slot)
		return;
	worker.slot = static_cast<u8>(background_slot(static_cast<int>(&worker - workers)));
	spawn(worker.slot, worker.name, work_body);
}

// Off the timer and the queue. True: it was there.
bool grab(Worker &worker)
{
	if (!worker.pending)
		return false;
	worker.pending = false;
	if (worker.timer) {
		worker.timer = false;
		worker.expires = 0;
		worker.wq = nullptr;
		return true;
	}
	if (!worker.running) {
		worker.done = worker.queued;
		if (!worker.waiters)
			worker.queued = worker.current = worker.done = 0;
		forget(fibers[worker.slot]); // it has not begun
		worker.slot = 0;
	} else {
		worker.queued = worker.current;
	}
	return true;
}

bool runs_here(const Worker &worker)
{
	return worker.slot && running_slot() == worker.slot;
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
	workqueue_struct **room = std::find(std::begin(workqueues), std::end(workqueues), nullptr);

	if (room == std::end(workqueues))
		fake::bug("more workqueues than there is room for");
	*room = new workqueue_struct{name};
	return *room;
}

extern "C" void shim_destroy_workqueue(struct workqueue_struct *wq)
{
	fake::may_sleep("destroy_workqueue");
	for (const Worker &worker : workers)
		if (worker.timer)
			fake::bug("destroy_workqueue with a timer armed for it");
	step("destroy_workqueue", "", idle);
	if (!exists(wq))
		fake::bug("destroy_workqueue twice");
	*std::find(std::begin(workqueues), std::end(workqueues), wq) = nullptr;
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
	const Worker *worker = running_slot() >= kFirstWorker ? worker_in(running_slot()) : nullptr;

	return worker && !worker->delayed ? static_cast<work_struct *>(worker->work) : nullptr;
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

extern "C" u64 shim_ktime_get_ns(void)
{
	return clock_ns;
}

namespace fake {

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
		// What kmdf.ko's works hold, others may drop last: a work that touches it later is found out.
		if (worker.running && !runs_here(worker) && !extension)
			bug("freeing memory that holds a running work");
		worker.work = nullptr;
		if (!worker.running)
			worker = {};
	}
	for (const Fiber &fiber : fibers)
		if (fiber.live && fiber.sleeps_on && inside(fiber.sleeps_on))
			bug("freeing memory that %s sleeps on", fiber.name);
	if (extension)
		extension->check_free(start, size);
}

u64 now()
{
	return clock_ns;
}

} // namespace fake

namespace schedules {

int background_slot(int wanted)
{
	constexpr int kCount = kSlots - kFirstWorker;

	for (int i = 0; i < kCount; i++) {
		int slot = kFirstWorker + (wanted + i) % kCount;

		if (!fibers[slot].live)
			return slot;
	}
	fake::bug("more works and timers at once than there are slots");
}

void reset_kernel()
{
	clock_ns = fake::kBoot;
	fake::reset_params();
}

bool timer_armed()
{
	u64 expires;

	return (fake::extension && fake::extension->next_timer(&expires)) ||
	       std::any_of(std::begin(workers), std::end(workers), [](Worker &worker) { return worker.timer; });
}

void tick()
{
	step("the clock moves", "", [](const void *) { return timer_armed(); });
	u64 next = ~0ull;
	u64 expires;

	for (const Worker &worker : workers)
		if (worker.timer)
			next = std::min(next, worker.expires);
	if (fake::extension && fake::extension->next_timer(&expires))
		next = std::min(next, expires);
	clock_ns = std::max(clock_ns, next);
	if (fake::extension)
		fake::extension->run_timers(false);
	for (Worker &worker : workers) {
		if (worker.timer && worker.expires <= clock_ns) {
			worker.timer = worker.pending = false;
			worker.expires = 0;
			queue(worker, std::exchange(worker.wq, nullptr));
		}
	}
}

bool works_idle()
{
	return std::none_of(std::begin(workers), std::end(workers),
			    [](Worker &worker) { return worker.running || is_queued(worker); });
}

} // namespace schedules
