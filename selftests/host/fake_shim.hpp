// SPDX-License-Identifier: GPL-2.0-only
// The kernel as the tests see it: what stands behind shim/include/shim/shim.h on the host, and the handles to steer it.
//
// Time stands still until advance(). Memory, references, locks and contexts are checked as a debug kernel checks them;
// what such a kernel would report ends the program with "fake kernel, in <test>: ...".
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "shim/shim.h"

struct pid {
	std::atomic<int> refs{0};
	std::atomic<bool> gone{false};
	int number = 0;
};

struct module {
	enum { Coming, Live, Going, Unloaded };

	char name[SHIM_MODULE_NAME_LEN] = {};
	unsigned long text = 0;
	unsigned long text_size = 0;
	// As the kernel's: one more than module_refcount() says, 0 once the module is going.
	std::atomic<int> refs{0};
	std::atomic<int> state{Coming};
};

struct file {
	std::atomic<int> refs{1};
	bool opener_sys_module = true;
	unsigned int flags = 0;
	unsigned int mode = SHIM_FMODE_READ;
	bool regular = true;
	std::string contents;
	s64 fail_read_at = -1;                  // reads beyond this offset give EIO
	std::function<void(file &)> while_read; // runs in the middle of a read
};

struct workqueue_struct {
	std::string name;
};

namespace fake {

// Ends the program with a line that says where and why.
void set_test_name(const char *name);
[[noreturn]] void bug(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- the thread that runs, as a task
struct Task {
	u32 uid = 0;
	bool sys_admin = true;
	bool sys_module = true;
	pid *process = nullptr; // null: the test program's
	// How often capable() was asked and said no.
	int refused = 0;

	std::mutex mutex;
	std::condition_variable wakeup;
	bool signal = false; // pending, guarded by mutex
	bool fatal = false;
	bool sleeping = false;
};
Task &current();
// signal_wake_up(): sent to the task; stays pending until clear_signal().
void interrupt(Task &task);
void kill(Task &task);
void clear_signal();
// Until the task sleeps in a wait_event of its own.
void wait_until_asleep(Task &task);

pid &process(int number); // lives as long as the program
pid &init_process();

// ---- time
u64 now();
// Moves the clock, stops at each timer on the way, waits until the works that it started are done.
void advance_ns(u64 ns);
void advance_ms(u64 ms);
// Moves the clock and starts the works that are due; waits for nothing.
void jump_ms(u64 ms);
// Until no work is queued or running.
void settle();
size_t workqueues(); // that there are
size_t timers_armed();

// ---- memory
struct Live {
	long allocations;
	long krefs;
	long file_refs;
	long pid_refs;
	long sleepers;
};
Live live();
// The n-th allocation from now on fails (1: the next), whoever makes it; 0: none. Returns whether one has failed since.
bool fail_allocation(unsigned int nth);
// The same for copies from and to user memory.
bool fail_user_copy(unsigned int nth);
// Bytes of all live allocations.
u64 allocated_bytes();
u64 vmalloced_bytes();
u64 allocations_made(); // since the program started

// ---- user memory
u64 user(const void *address);
void add_bad_range(const void *start, size_t size);
void clear_bad_ranges();

// ---- files
int install_fd(file &file); // takes a reference for the table
void close_fd(int fd);

// ---- modules
void init_module(module &module, const char *name, unsigned long text, unsigned long text_size);
void module_is_live(module &module);
// delete_module() with O_NONBLOCK; with force, as rmmod -f. 0, -EAGAIN (in use), -EBUSY, -ENOENT.
int delete_module(module &module, bool force, const std::function<void()> &exit);

// ---- what happens at the worst moment: runs once, at a call of that kind, on the thread that makes it
enum class Moment {
	Allocation,    // one that may sleep: reclaim
	XaLockDropped, // __xa_insert has let go of the lock for a node
	ModulePut,     // before the reference is dropped
	ModuleGet,     // try_module_get, before it looks
	WorkBegins,    // a work has left the queue and has not looked at anything
	GracePeriod,   // synchronize_rcu_tasks
	QueueWork,     // before it looks whether the work is queued already
	Unlock,        // the next unlock: where a softirq or a preemption comes in
	Moments,
};
// skip: how many such moments pass before.
void at_next(Moment moment, std::function<void()> what, int skip = 0);
// Somebody waits for this run of the work that the thread is in: flush_work, cancel_work_sync.
bool this_run_is_awaited();
size_t flushers(); // threads in flush_work()

// ---- xarray
// Every __xa_insert needs a new node: it allocates, and drops the lock to do so.
void xa_always_allocates(bool on);

// ---- scheduling
// At lock, unlock, wake-up and queueing the thread yields with this probability; seeded.
void chaos(unsigned int permille, u64 seed);
int atomic_depth(); // how many locks this thread holds

// ---- poll: registers, sleeps, leaves
class Poll {
	struct Entries;
	Entries *entries_;

      public:
	Poll();
	~Poll();
	poll_table_struct *table();
	// Until one of the queues was woken.
	void wait();
	bool woken();
};

// ---- log
std::vector<std::string> log(); // since reset()
u64 rcu_tasks_grace_periods();
u64 trace_count(const char *event);

// Before each test: default settings, clock at one second.
void reset();

} // namespace fake
