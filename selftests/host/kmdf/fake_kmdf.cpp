// SPDX-License-Identifier: GPL-2.0-only
// The part of the fake kernel that only kmdf.ko calls.
#include "../fake_threads.hpp"
#include "fake_plain.cpp"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <shared_mutex>
#include <thread>

struct kmdf_params kmdf_params;

// ---- bottom halves

namespace {

// As the kernel's preempt_count has them.
constexpr unsigned int kSoftirq = 0x100;
constexpr unsigned int kBhOff = 0x200;

thread_local unsigned int softirq_count;
thread_local int rcu_depth;
thread_local bool io_worker;

void bh_off()
{
	softirq_count += kBhOff;
	fake::change_atomic_depth(1);
}

void bh_on(const char *who)
{
	if (softirq_count < kBhOff)
		fake::bug("%s with bottom halves on", who);
	if (fake::irqs_off())
		fake::bug("WARNING: %s with interrupts off", who);
	softirq_count -= kBhOff;
	fake::change_atomic_depth(-1);
}

void unlocked();

} // namespace

extern "C" void shim_local_bh_disable(void)
{
	bh_off();
}

extern "C" void shim_local_bh_enable(void)
{
	bh_on("local_bh_enable");
	unlocked();
}

extern "C" unsigned int shim_softirq_count(void)
{
	return softirq_count;
}

extern "C" bool shim_irqs_disabled(void)
{
	return fake::irqs_off();
}

extern "C" void shim_spin_lock_bh(struct spinlock *lock)
{
	bh_off();
	shim_spin_lock(lock);
}

extern "C" void shim_spin_unlock_bh(struct spinlock *lock)
{
	shim_spin_unlock(lock);
	bh_on("spin_unlock_bh");
	unlocked();
}

extern "C" void shim_spin_backoff(unsigned int)
{
	sched_yield();
}

// ---- RCU: who frees waits for the readers that were there

namespace {

std::atomic<unsigned int> rcu_epoch;
std::atomic<int> rcu_readers[2];
thread_local unsigned int rcu_of;

void wait_for_readers()
{
	static std::mutex mutex;

	if (rcu_depth)
		fake::bug("synchronize_rcu in an RCU section");
	std::lock_guard lock(mutex);
	unsigned int before = rcu_epoch.fetch_add(1) & 1;

	while (rcu_readers[before].load())
		sched_yield();
}

} // namespace

extern "C" void shim_rcu_read_lock(void)
{
	fake::change_atomic_depth(1);
	if (rcu_depth++)
		return;
	for (;;) {
		rcu_of = rcu_epoch.load() & 1;
		rcu_readers[rcu_of]++;
		if ((rcu_epoch.load() & 1) == rcu_of)
			break;
		rcu_readers[rcu_of]--;
	}
	fake::yield_sometimes();
}

extern "C" void shim_rcu_read_unlock(void)
{
	if (!rcu_depth)
		fake::bug("rcu_read_unlock outside of a section");
	if (!--rcu_depth)
		rcu_readers[rcu_of]--;
	fake::change_atomic_depth(-1);
}

// ---- who and when

extern "C" bool shim_fatal_signal_pending(void)
{
	std::lock_guard lock(fake::current().mutex);

	return fake::current().fatal;
}

extern "C" int shim_current_tid(void)
{
	return fake::tid();
}

extern "C" bool shim_current_is_io_worker(void)
{
	return io_worker;
}

// ---- timers

namespace {

struct TimerState {
	u32 magic;
	bool pending; // guarded by the wheel's mutex
	u64 expires;
	void (*function)(timer_list *timer);
};
constexpr u32 kTimer = 0x713e1157;

struct Running {
	TimerState *timer;
	std::thread::id thread;
};

struct Wheel {
	std::mutex mutex;
	std::condition_variable due;
	std::condition_variable changed;
	std::set<std::pair<u64, TimerState *>> pending;
	std::list<Running> running;
	size_t waiters = 0;
	bool started = false;
	std::atomic<u64> earliest{~0ull}; // so that an unlock need not look

	void changed_locked() { earliest = pending.empty() ? ~0ull : pending.begin()->first; }
	bool runs(const TimerState *timer) const
	{
		return std::any_of(running.begin(), running.end(), [&](auto &r) { return r.timer == timer; });
	}
	bool take_off(TimerState *timer)
	{
		if (!timer->pending)
			return false;
		timer->pending = false;
		pending.erase({timer->expires, timer});
		changed_locked();
		return true;
	}
	// One that is due, and does not run already; null: none.
	TimerState *take_due()
	{
		for (auto &[expires, timer] : pending) {
			if (expires > fake::now())
				break;
			if (runs(timer))
				continue;
			TimerState *found = timer;

			take_off(found);
			return found;
		}
		return nullptr;
	}

	void run(std::unique_lock<std::mutex> &lock, TimerState *timer)
	{
		unsigned int before = softirq_count;
		int depth = fake::atomic_depth();
		auto self = running.insert(running.end(), {timer, std::this_thread::get_id()});

		lock.unlock();
		softirq_count += kSoftirq;
		fake::change_atomic_depth(1);
		fake::yield_sometimes();
		timer->function(reinterpret_cast<timer_list *>(timer));
		fake::change_atomic_depth(-1);
		softirq_count -= kSoftirq;
		if (softirq_count != before || fake::atomic_depth() != depth)
			fake::bug("a timer's function returned with a lock held");
		lock.lock();
		running.erase(self);
		changed.notify_all();
		due.notify_all();
	}

	void softirqd()
	{
		std::unique_lock lock(mutex);

		for (;;) {
			TimerState *timer = take_due();

			if (timer)
				run(lock, timer);
			else
				due.wait(lock);
		}
	}

	void kick_locked()
	{
		if (!started) {
			// Two, as there are CPUs.
			std::thread([this] { softirqd(); }).detach();
			std::thread([this] { softirqd(); }).detach();
			started = true;
		}
		due.notify_all();
	}

	bool any_due() const { return !pending.empty() && pending.begin()->first <= fake::now(); }
};

Wheel &wheel()
{
	return fake::immortal<Wheel>();
}

TimerState *checked(timer_list *timer)
{
	TimerState *state = fake::as<TimerState>(timer);

	if (state->magic != kTimer)
		fake::bug("a timer that was not set up");
	return state;
}

std::atomic<bool> softirq_everywhere;

void unlocked()
{
	if (!softirq_everywhere.load(std::memory_order_relaxed) || fake::atomic_depth() || fake::irqs_off() ||
	    softirq_count)
		return;
	Wheel &timers = wheel();

	if (timers.earliest.load(std::memory_order_relaxed) > fake::now())
		return;
	std::unique_lock lock(timers.mutex);

	if (TimerState *timer = timers.take_due())
		timers.run(lock, timer);
}

} // namespace

extern "C" void shim_timer_setup(struct timer_list *timer, void (*function)(struct timer_list *timer), const char *,
				 struct lock_class_key *)
{
	*fake::as<TimerState>(timer) = {kTimer, false, 0, function};
}

extern "C" bool shim_mod_timer(struct timer_list *timer, u64 delay_ns)
{
	TimerState *state = checked(timer);
	Wheel &timers = wheel();
	std::lock_guard lock(timers.mutex);
	bool was = timers.take_off(state);

	state->pending = true;
	state->expires = delay_ns > SHIM_KTIME_MAX - fake::now() ? SHIM_KTIME_MAX : fake::now() + delay_ns;
	timers.pending.insert({state->expires, state});
	timers.changed_locked();
	if (!delay_ns)
		timers.kick_locked();
	return was;
}

extern "C" bool shim_timer_pending(const struct timer_list *timer)
{
	std::lock_guard lock(wheel().mutex);

	return checked(const_cast<timer_list *>(timer))->pending;
}

extern "C" bool shim_del_timer(struct timer_list *timer)
{
	TimerState *state = checked(timer);
	std::lock_guard lock(wheel().mutex);

	return wheel().take_off(state);
}

extern "C" bool shim_del_timer_sync(struct timer_list *timer)
{
	TimerState *state = checked(timer);
	Wheel &timers = wheel();
	bool was = false;

	fake::may_sleep("del_timer_sync");
	std::unique_lock lock(timers.mutex);

	for (auto &running : timers.running)
		if (running.timer == state && running.thread == std::this_thread::get_id())
			fake::bug("del_timer_sync from the timer itself");
	for (;;) {
		was |= timers.take_off(state);
		if (!timers.runs(state))
			return was;
		timers.waiters++;
		timers.changed.wait(lock);
		timers.waiters--;
	}
}

namespace {

// A running timer's memory may go: its function holds a reference until its last line, and whoever then drops the last one may
// be another thread. ASan and TSan see a function that touches it later.
void check_free(const void *start, size_t size)
{
	const char *from = static_cast<const char *>(start);
	auto inside = [&](const void *p) { return p >= from && p < from + size; };
	Wheel &timers = wheel();
	std::lock_guard lock(timers.mutex);

	for (auto &entry : timers.pending)
		if (inside(entry.second))
			fake::bug("freeing memory that holds a pending timer");
}

bool next_timer(u64 *expires)
{
	std::lock_guard lock(wheel().mutex);

	if (wheel().pending.empty())
		return false;
	*expires = wheel().pending.begin()->first;
	return true;
}

void run_timers(bool wait)
{
	Wheel &timers = wheel();
	std::unique_lock lock(timers.mutex);

	if (timers.any_due())
		timers.kick_locked();
	while (wait && (timers.any_due() || !timers.running.empty()))
		timers.changed.wait(lock);
}

// ---- lock classes of their own

struct LockKeys {
	std::mutex mutex;
	std::set<const void *> keys;
};

void lock_key(const void *key, bool registered)
{
	LockKeys &all = fake::immortal<LockKeys>();
	std::lock_guard lock(all.mutex);

	if (registered && !all.keys.insert(key).second)
		fake::bug("WARNING: lockdep_register_key of a key that is registered");
	if (!registered && !all.keys.erase(key))
		fake::bug("WARNING: lockdep_unregister_key of a key that is not registered");
}

const fake::Extension kExtension = {wait_for_readers, check_free, lock_key, next_timer, run_timers, unlocked};

// ---- nodes

struct Node {
	std::string name;
	void *owner; // null: it is being destroyed
	device node;
};

struct Nodes {
	std::shared_mutex owners;
	std::map<u32, Node> by_minor;
};

Nodes &all_nodes()
{
	return fake::immortal<Nodes>();
}

Node *find_node(const char *name)
{
	for (auto &[minor, node] : all_nodes().by_minor)
		if (node.name == name && node.owner)
			return &node;
	return nullptr;
}

} // namespace

extern "C" int shim_kmdf_node_create(const char *name, void *owner, u32 *minor, struct device **node)
{
	Nodes &nodes = all_nodes();
	u32 free = 0;

	fake::may_sleep("device_create");
	if (fake::allocation_fails())
		return -SHIM_ENOMEM;
	std::unique_lock lock(nodes.owners);

	for (auto &[used, other] : nodes.by_minor) {
		if (other.name == name)
			return -SHIM_EEXIST;
		free = used == free ? used + 1 : free;
	}
	Node &made = nodes.by_minor[free];

	made.name = name;
	made.owner = owner;
	made.node.name = name;
	*minor = free;
	*node = &made.node;
	return 0;
}

extern "C" void shim_kmdf_node_destroy(u32 minor, struct device *node)
{
	Nodes &nodes = all_nodes();

	fake::may_sleep("device_destroy");
	std::unique_lock lock(nodes.owners);

	if (!nodes.by_minor.count(minor) || &nodes.by_minor[minor].node != node)
		fake::bug("device_destroy of no node");
	nodes.by_minor.erase(minor);
}

// ---- asynchronous clients

namespace {

struct AioContext {
	std::mutex lock;
	std::atomic<std::thread::id> owner{};
};

class AioLock {
	AioContext &context_ = fake::immortal<AioContext>();

      public:
	explicit AioLock(const char *who)
	{
		if (context_.owner.load() == std::this_thread::get_id())
			fake::bug("deadlock: %s under the lock of the asynchronous context", who);
		fake::yield_sometimes();
		context_.lock.lock();
		context_.owner = std::this_thread::get_id();
		fake::change_atomic_depth(1);
		fake::change_irqs_off(1);
	}
	~AioLock()
	{
		fake::change_irqs_off(-1);
		fake::change_atomic_depth(-1);
		context_.owner = std::thread::id();
		context_.lock.unlock();
	}
};

} // namespace

extern "C" void shim_kiocb_set_cancel_fn(struct kiocb *iocb, void *owner)
{
	AioLock lock("kiocb_set_cancel_fn");

	if (!iocb->aio || iocb->active)
		fake::bug("WARNING: kiocb_set_cancel_fn of what is none, or twice");
	iocb->owner = owner;
	iocb->active = true;
}

extern "C" void shim_ki_complete(struct kiocb *iocb, s64 result)
{
	{
		AioLock lock("ki_complete");

		if (iocb->completed)
			fake::bug("ki_complete twice");
		iocb->completed = true;
		iocb->active = false;
	}
	iocb->complete(result); // it may be gone now
}

namespace fake {

bool io_cancel(kiocb &iocb)
{
	AioLock lock("io_cancel");

	if (!iocb.active)
		return false;
	kmdf_aio_cancel_c(iocb.owner);
	iocb.active = false;
	return true;
}

int open_node(const char *name, void **data)
{
	void *owner = nullptr;
	int err = -6; // ENXIO
	{
		std::shared_lock lock(all_nodes().owners);
		Node *node = find_node(name);

		if (node) {
			owner = node->owner;
			err = kmdf_hold_c(owner);
		}
	}
	return err ? err : kmdf_open_c(owner, data);
}

bool node_exists(const char *name)
{
	std::shared_lock lock(all_nodes().owners);

	return find_node(name);
}

size_t nodes()
{
	std::shared_lock lock(all_nodes().owners);

	return all_nodes().by_minor.size();
}

std::string node_attribute(const char *name, kmdf_attribute which)
{
	std::shared_lock lock(all_nodes().owners);
	Node *node = find_node(name);
	std::string page(4096, 0);

	page.resize(node ? kmdf_attribute_c(node->owner, which, page.data(), page.size()) : 0);
	return page;
}

int tid()
{
	static std::atomic<int> last{1000};
	thread_local int own = ++last;

	return own;
}

void be_io_worker(bool is)
{
	io_worker = is;
}

bool timers_are_quiet()
{
	std::lock_guard lock(wheel().mutex);

	return wheel().pending.empty() && wheel().running.empty();
}

size_t timer_waiters()
{
	std::lock_guard lock(wheel().mutex);

	return wheel().waiters;
}

size_t kernel_timers()
{
	std::lock_guard lock(wheel().mutex);

	return wheel().pending.size();
}

void let_softirq_in(bool everywhere)
{
	softirq_everywhere = everywhere;
}

void reset_kmdf()
{
	if (!extension) // not again: threads look at it
		extension = &kExtension;
	let_softirq_in(false);
	io_worker = false;
	kmdf_params = {};
	kmdf_params.max_pending_per_file = 1024;
	kmdf_params.max_buffer_bytes = 4u << 20;
	kmdf_params.stop_ms = 10000;
	kmdf_params.verifier = KMDF_VERIFIER_WARN;
	all_nodes().by_minor.clear();
	immortal<LockKeys>().keys.clear();
	std::lock_guard lock(wheel().mutex);

	wheel().pending.clear();
	wheel().changed_locked();
}

} // namespace fake
