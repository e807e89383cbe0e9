// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's works, delayed works and clock, on threads.
#include "fake_threads.hpp"

#include <algorithm>
#include <list>
#include <memory>
#include <set>
#include <thread>

#include "shim/entry.h"

namespace {

struct WorkState {
	u32 magic;
	bool delayed;
	bool pending; // queued, or its timer runs; guarded by the pool's mutex, as all here
	int cancelling;
};
constexpr u32 kWork = 0x40c0ffee;

struct DelayedState {
	WorkState work;
	u64 expires;
	bool timer;
	workqueue_struct *wq;
};

struct Item {
	WorkState *work;
	workqueue_struct *wq;
	bool done = false;
	int waiters = 0; // flush_work
};

struct Pool {
	std::mutex mutex;
	std::condition_variable more;
	std::condition_variable changed;
	std::list<std::shared_ptr<Item>> queued;
	std::list<std::shared_ptr<Item>> running;
	std::set<std::pair<u64, DelayedState *>> timers;
	std::set<workqueue_struct *> workqueues;
	unsigned int idle = 0;
	unsigned int threads = 0;
	size_t flushers = 0;

	static bool is(const std::list<std::shared_ptr<Item>> &items, const WorkState *work)
	{
		return std::any_of(items.begin(), items.end(), [&](auto &item) { return item->work == work; });
	}

	// An item whose work runs already waits: a work is on one thread at a time.
	std::shared_ptr<Item> take()
	{
		for (auto at = queued.begin(); at != queued.end(); ++at) {
			if (is(running, (*at)->work))
				continue;
			std::shared_ptr<Item> item = *at;

			queued.erase(at);
			running.push_back(item);
			item->work->pending = false;
			return item;
		}
		return nullptr;
	}

	void worker();
	void spawn_if_needed()
	{
		if (idle >= queued.size() || threads >= 256)
			return;
		threads++;
		std::thread([this] { worker(); }).detach();
	}

	void queue(WorkState *work, workqueue_struct *wq)
	{
		if (!workqueues.count(wq))
			fake::bug("queue_work on a workqueue that does not exist");
		work->pending = true;
		queued.push_back(std::make_shared<Item>(Item{work, wq}));
		spawn_if_needed();
		more.notify_one();
	}

	// The kernel's barrier: what is queued now, else what runs now. A re-queue while it runs is not waited for.
	bool flush(std::unique_lock<std::mutex> &lock, const WorkState *work)
	{
		std::shared_ptr<Item> last;

		for (auto &item : running)
			if (item->work == work)
				last = item;
		for (auto &item : queued)
			if (item->work == work)
				last = item;
		if (!last)
			return false;
		last->waiters++;
		flushers++;
		while (!last->done)
			changed.wait(lock);
		flushers--;
		return true;
	}

	// Off the timer and the queue. True: it was there.
	bool grab(WorkState *work)
	{
		if (!work->pending)
			return false;
		work->pending = false;
		if (work->delayed) {
			DelayedState *delayed = reinterpret_cast<DelayedState *>(work);

			if (delayed->timer) {
				delayed->timer = false;
				timers.erase({delayed->expires, delayed});
				return true;
			}
		}
		for (auto at = queued.begin(); at != queued.end(); ++at) {
			if ((*at)->work == work) {
				(*at)->done = true;
				queued.erase(at);
				changed.notify_all();
				return true;
			}
		}
		fake::bug("a pending work is nowhere");
	}
};

Pool &pool()
{
	return fake::immortal<Pool>();
}

thread_local WorkState *current_work;
thread_local Item *current_item;

void Pool::worker()
{
	std::unique_lock lock(mutex);

	for (;;) {
		std::shared_ptr<Item> item = take();

		if (!item) {
			idle++;
			more.wait(lock);
			idle--;
			continue;
		}
		spawn_if_needed();
		bool delayed = item->work->delayed;

		lock.unlock();
		fake::yield_sometimes();
		current_work = item->work;
		current_item = item.get();
		fake::moment(fake::Moment::WorkBegins);
		if (delayed)
			kextbridge_delayed_work_c(reinterpret_cast<delayed_work *>(item->work));
		else
			kextbridge_work_c(reinterpret_cast<work_struct *>(item->work));
		current_work = nullptr;
		current_item = nullptr;
		if (fake::atomic_depth())
			fake::bug("a work returned with a lock held");
		// From here on the work may be gone.
		lock.lock();
		running.remove(item);
		item->done = true;
		changed.notify_all();
		more.notify_all();
	}
}

WorkState *checked(void *work)
{
	WorkState *state = static_cast<WorkState *>(work);

	if (state->magic != kWork)
		fake::bug("a work that was not initialized");
	return state;
}

bool cancel_sync(WorkState *work)
{
	Pool &works = pool();

	fake::may_sleep("cancel_work_sync");
	std::unique_lock lock(works.mutex);
	bool was_pending = works.grab(work);

	if (Pool::is(works.running, work) && current_work == work)
		fake::bug("cancel_work_sync from the work itself");
	work->cancelling++;
	while (Pool::is(works.running, work))
		works.changed.wait(lock);
	work->cancelling--;
	return was_pending;
}

} // namespace

extern "C" struct workqueue_struct *shim_alloc_workqueue(const char *name, unsigned int, int)
{
	fake::may_sleep("alloc_workqueue");
	if (fake::allocation_fails())
		return nullptr;
	workqueue_struct *wq = new workqueue_struct{name};
	std::lock_guard lock(pool().mutex);

	pool().workqueues.insert(wq);
	return wq;
}

size_t fake::workqueues()
{
	std::lock_guard lock(pool().mutex);

	return pool().workqueues.size();
}

extern "C" void shim_destroy_workqueue(struct workqueue_struct *wq)
{
	Pool &works = pool();

	fake::may_sleep("destroy_workqueue");
	std::unique_lock lock(works.mutex);
	auto busy = [&](auto &items) {
		return std::any_of(items.begin(), items.end(), [&](auto &item) { return item->wq == wq; });
	};

	for (auto &timer : works.timers)
		if (timer.second->wq == wq)
			fake::bug("destroy_workqueue with a timer armed for it");
	while (busy(works.queued) || busy(works.running))
		works.changed.wait(lock);
	if (!works.workqueues.erase(wq))
		fake::bug("destroy_workqueue twice");
	delete wq;
}

extern "C" void shim_init_work(struct work_struct *work, const char *, struct lock_class_key *)
{
	*fake::as<WorkState>(work) = {kWork, false, false, 0};
}

extern "C" bool shim_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	WorkState *state = checked(work);

	fake::yield_sometimes();
	fake::moment(fake::Moment::QueueWork);
	std::lock_guard lock(pool().mutex);

	if (state->pending || state->cancelling)
		return false;
	pool().queue(state, wq);
	return true;
}

extern "C" bool shim_flush_work(struct work_struct *work)
{
	fake::may_sleep("flush_work");
	WorkState *state = checked(work);
	std::unique_lock lock(pool().mutex);

	if (current_work == state)
		fake::bug("flush_work from the work itself");
	return pool().flush(lock, state);
}

extern "C" bool shim_cancel_work_sync(struct work_struct *work)
{
	return cancel_sync(checked(work));
}

extern "C" struct work_struct *shim_current_work(void)
{
	return current_work && !current_work->delayed ? reinterpret_cast<work_struct *>(current_work) : nullptr;
}

size_t fake::flushers()
{
	std::lock_guard lock(pool().mutex);

	return pool().flushers;
}

bool fake::this_run_is_awaited()
{
	std::lock_guard lock(pool().mutex);

	return current_item && (current_item->waiters || current_work->cancelling);
}

extern "C" void shim_init_delayed_work(struct delayed_work *work, const char *, struct lock_class_key *)
{
	*fake::as<DelayedState>(work) = {{kWork, true, false, 0}, 0, false, nullptr};
}

extern "C" bool shim_mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *opaque, u64 delay_ns)
{
	DelayedState *work = reinterpret_cast<DelayedState *>(checked(opaque));
	Pool &works = pool();

	fake::yield_sometimes();
	std::lock_guard lock(works.mutex);

	if (work->work.cancelling)
		return false;
	bool was_pending = works.grab(&work->work);

	if (!delay_ns) {
		works.queue(&work->work, wq);
		return was_pending;
	}
	work->work.pending = work->timer = true;
	work->wq = wq;
	work->expires = fake::now() + delay_ns;
	works.timers.insert({work->expires, work});
	return was_pending;
}

extern "C" bool shim_cancel_delayed_work_sync(struct delayed_work *work)
{
	return cancel_sync(checked(work));
}

namespace fake {

void check_nothing_active([[maybe_unused]] const void *start, [[maybe_unused]] size_t size)
{
#ifndef __SANITIZE_THREAD__ // the pool's lock would order all frees
	const char *from = static_cast<const char *>(start);
	const char *to = from + size;
	auto inside = [&](const void *p) { return p >= from && p < to; };
	Pool &works = pool();
	std::lock_guard lock(works.mutex);

	for (auto &item : works.queued)
		if (inside(item->work))
			bug("freeing memory that holds a queued work");
	// kmdf's own hold a reference until their last line: who then drops the last one may be another thread.
	for (auto &item : works.running)
		if (inside(item->work) && item->work != current_work && !extension)
			bug("freeing memory that holds a running work");
	for (auto &timer : works.timers)
		if (inside(timer.second))
			bug("freeing memory that holds an armed timer");
	if (extension)
		extension->check_free(start, size);
#endif
}

static void fire_due_timers(Pool &works)
{
	while (!works.timers.empty() && works.timers.begin()->first <= now()) {
		DelayedState *work = works.timers.begin()->second;

		works.timers.erase(works.timers.begin());
		work->timer = false;
		works.queue(&work->work, work->wq);
	}
}

void settle()
{
	Pool &works = pool();
	std::unique_lock lock(works.mutex);

	while (!works.queued.empty() || !works.running.empty())
		works.changed.wait(lock);
}

size_t timers_armed()
{
	std::lock_guard lock(pool().mutex);

	return pool().timers.size();
}

void advance_ns(u64 ns)
{
	u64 until = now() + ns;

	settle();
	for (;;) {
		{
			std::lock_guard lock(pool().mutex);
			Pool &works = pool();
			bool due = !works.timers.empty() && works.timers.begin()->first <= until;
			u64 next = due ? works.timers.begin()->first : until;
			u64 expires;

			if (extension && extension->next_timer(&expires) && expires <= next) {
				due = true;
				next = expires;
			}
			set_clock(std::max(next, now()));
			fire_due_timers(works);
			if (!due)
				break;
		}
		if (extension)
			extension->run_timers(true);
		settle();
	}
	settle();
}

void advance_ms(u64 ms)
{
	advance_ns(ms * 1000000);
}

void jump_ms(u64 ms)
{
	{
		std::lock_guard lock(pool().mutex);

		set_clock(now() + ms * 1000000);
		fire_due_timers(pool());
	}
	if (extension)
		extension->run_timers(false);
}

} // namespace fake
