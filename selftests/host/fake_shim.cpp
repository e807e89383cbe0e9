// SPDX-License-Identifier: GPL-2.0-only
// shim/include/shim/shim.h on threads. Each part keeps the guarantees of the kernel's own, and no more.
#include "fake_shim.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <set>
#include <shared_mutex>
#include <string_view>
#include <thread>

#include "shim/entry.h"

struct kextbridge_params kextbridge_params;

namespace {

constexpr unsigned int kGfpDirectReclaim = 0x400;
constexpr u64 kBoot = 1000000000;
constexpr size_t kVmallocAbove = 4 << 12;

thread_local fake::Task this_task;
thread_local int atomic_depth;
thread_local u64 chaos_state;

std::atomic<unsigned int> chaos_permille;
std::atomic<u64> chaos_seed;
std::atomic<u64> chaos_threads;
std::atomic<u64> clock_ns{kBoot};

// Kept for ever: detached workers use them until the program has ended.
template <typename T> T &immortal()
{
	static T *object = new T;

	return *object;
}

void yield_sometimes()
{
	unsigned int permille = chaos_permille.load(std::memory_order_relaxed);

	if (!permille)
		return;
	if (!chaos_state)
		chaos_state = (chaos_seed.load(std::memory_order_relaxed) + 1) * 0x9e3779b97f4a7c15ull +
			      chaos_threads.fetch_add(1, std::memory_order_relaxed) * 0xbf58476d1ce4e5b9ull + 1;
	chaos_state ^= chaos_state << 13;
	chaos_state ^= chaos_state >> 7;
	chaos_state ^= chaos_state << 17;
	if ((chaos_state >> 20) % 1000 < permille)
		sched_yield();
}

void may_sleep(const char *where)
{
	if (atomic_depth)
		fake::bug("sleeping function called from invalid context: %s with %d locks held", where, atomic_depth);
}

struct MomentHook {
	std::atomic<bool> set{false};
	std::atomic<int> skip{0};
	std::atomic<int> running{0};
	std::mutex mutex;
	std::function<void()> what;
};
MomentHook moment_hooks[static_cast<int>(fake::Moment::Moments)];

void moment(fake::Moment which)
{
	MomentHook &hook = moment_hooks[static_cast<int>(which)];
	std::function<void()> what;

	if (!hook.set.load(std::memory_order_relaxed))
		return;
	hook.running++;
	if (hook.skip.fetch_sub(1) <= 0 && hook.set.exchange(false)) {
		{
			std::lock_guard lock(hook.mutex);

			what = std::move(hook.what);
			hook.what = nullptr;
		}
		if (what)
			what();
	}
	hook.running--;
}

// An inaccessible thing of the kernel's type, as what it is here.
template <typename Fake, typename Opaque> Fake *as(Opaque *opaque)
{
	static_assert(sizeof(Fake) <= sizeof(Opaque) && alignof(Fake) <= alignof(Opaque));
	return reinterpret_cast<Fake *>(opaque);
}

template <typename Fake, typename Opaque> const Fake *as(const Opaque *opaque)
{
	return reinterpret_cast<const Fake *>(opaque);
}

} // namespace

namespace fake {

static char test_name[256];

void set_test_name(const char *name)
{
	snprintf(test_name, sizeof(test_name), "%s", name);
}

void bug(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "fake kernel, in %s: ", test_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

Task &current()
{
	return this_task;
}

int atomic_depth()
{
	return ::atomic_depth;
}

u64 now()
{
	return clock_ns.load(std::memory_order_relaxed);
}

void chaos(unsigned int permille, u64 seed)
{
	chaos_seed = seed;
	chaos_permille = permille;
}

} // namespace fake

// ---- memory

namespace {

struct alignas(16) Header {
	size_t size;
	unsigned int magic;
	bool vmalloc;
};
constexpr unsigned int kAllocated = 0xa110ca7e;
constexpr unsigned int kFreed = 0xdeadbeef;

std::atomic<long> live_allocations;
std::atomic<long> live_krefs;
std::atomic<long> live_file_refs;
std::atomic<long> live_pid_refs;
std::atomic<long> live_sleepers;
std::atomic<long> live_bytes;
std::atomic<u64> made_allocations;

struct NthFailure {
	std::atomic<int> left{0};
	std::atomic<bool> failed{false};

	bool due()
	{
		if (left.load(std::memory_order_relaxed) <= 0 || left.fetch_sub(1) != 1)
			return false;
		failed = true;
		return true;
	}

	bool arm(unsigned int nth)
	{
		left = static_cast<int>(nth);
		return failed.exchange(false);
	}
};
NthFailure allocation_failure;
NthFailure copy_failure;

void *allocate(size_t size, unsigned int gfp, bool zero, bool vmalloc)
{
	if (gfp & kGfpDirectReclaim) {
		may_sleep("memory allocation");
		moment(fake::Moment::Allocation);
	}
	made_allocations.fetch_add(1, std::memory_order_relaxed);
	if (allocation_failure.due())
		return nullptr;
	if (size > (1ull << 32))
		return nullptr;
	Header *header = static_cast<Header *>(aligned_alloc(16, (sizeof(Header) + size + 15) & ~size_t{15}));

	if (!header)
		return nullptr;
	header->size = size;
	header->magic = kAllocated;
	header->vmalloc = vmalloc && size > kVmallocAbove;
	memset(static_cast<void *>(header + 1), zero ? 0 : 0x5a, size);
	live_allocations.fetch_add(1, std::memory_order_relaxed);
	live_bytes.fetch_add(static_cast<long>(size), std::memory_order_relaxed);
	return header + 1;
}

void check_nothing_active(const void *start, size_t size);

void release(const void *p, bool vfree, bool rcu = false)
{
	if (!p)
		return;
	Header *header = const_cast<Header *>(static_cast<const Header *>(p) - 1);

	if (header->magic != kAllocated)
		fake::bug("kfree of something that is not allocated");
	if (header->vmalloc && !vfree)
		fake::bug("kfree of memory that came from vmalloc");
	if (header->vmalloc && vfree && !rcu)
		may_sleep("vfree");
	check_nothing_active(p, header->size);
	header->magic = kFreed;
	live_allocations.fetch_sub(1, std::memory_order_relaxed);
	live_bytes.fetch_sub(static_cast<long>(header->size), std::memory_order_relaxed);
	free(header);
}

} // namespace

extern "C" void *shim_kzalloc(size_t size, unsigned int gfp)
{
	return allocate(size, gfp, true, false);
}

extern "C" void *shim_kvzalloc(size_t size, unsigned int gfp)
{
	return allocate(size, gfp, true, true);
}

extern "C" void *shim_kvmalloc(size_t size, unsigned int gfp)
{
	return allocate(size, gfp, false, true);
}

extern "C" void shim_kfree(const void *p)
{
	release(p, false);
}

extern "C" void shim_kvfree(const void *p)
{
	release(p, true);
}

// At once: nobody here is in an RCU section, and whoever still uses it is found out.
extern "C" void shim_kvfree_rcu(void *p)
{
	memset(p, 0x6b, SHIM_RCU_HEAD_SIZE);
	release(p, true, true);
}

// ---- cred

extern "C" bool shim_capable(int cap)
{
	bool has = cap == SHIM_CAP_SYS_ADMIN ? this_task.sys_admin : this_task.sys_module;

	this_task.refused += !has;
	return has;
}

extern "C" bool shim_file_capable(const struct file *file, int)
{
	return file->opener_sys_module;
}

extern "C" u32 shim_current_uid(void)
{
	return this_task.uid;
}

// ---- files

namespace {

struct Descriptors {
	std::mutex mutex;
	std::map<int, file *> files;
	int next = 3;
};

} // namespace

extern "C" struct file *shim_fget(int fd)
{
	Descriptors &table = immortal<Descriptors>();
	std::lock_guard lock(table.mutex);
	auto found = table.files.find(fd);

	if (found == table.files.end())
		return nullptr;
	found->second->refs.fetch_add(1);
	live_file_refs.fetch_add(1);
	return found->second;
}

extern "C" void shim_fput(struct file *file)
{
	if (file->refs.fetch_sub(1) <= 1)
		fake::bug("fput without a reference");
	live_file_refs.fetch_sub(1);
}

extern "C" unsigned int shim_file_mode(const struct file *file)
{
	return file->mode;
}

extern "C" unsigned int shim_file_flags(const struct file *file)
{
	return file->flags;
}

extern "C" bool shim_file_is_regular(const struct file *file)
{
	return file->regular;
}

extern "C" s64 shim_i_size_read(const struct file *file)
{
	return static_cast<s64>(file->contents.size());
}

extern "C" s64 shim_kernel_read(struct file *file, void *to, size_t count, s64 *pos)
{
	may_sleep("kernel_read");
	if (!(file->mode & SHIM_FMODE_READ))
		fake::bug("kernel_read of a file that is not open for reading");
	if (file->while_read) {
		auto run = std::move(file->while_read);

		file->while_read = nullptr;
		run(*file);
	}
	if (file->fail_read_at >= 0 && *pos >= file->fail_read_at)
		return -SHIM_EIO;
	s64 size = static_cast<s64>(file->contents.size());

	if (*pos >= size)
		return 0;
	// A short read now and then, as a file system may give.
	size_t given = std::min({count, static_cast<size_t>(size - *pos), size_t{4096}});

	memcpy(to, file->contents.data() + *pos, given);
	*pos += static_cast<s64>(given);
	return static_cast<s64>(given);
}

// ---- kref

namespace {

struct Kref {
	std::atomic<int> count;
};

} // namespace

extern "C" void shim_kref_init(struct kref *kref)
{
	new (static_cast<void *>(kref)) Kref{1};
	live_krefs.fetch_add(1, std::memory_order_relaxed);
}

extern "C" void shim_kref_get(struct kref *kref)
{
	int old = as<Kref>(kref)->count.fetch_add(1, std::memory_order_relaxed);

	if (old <= 0)
		fake::bug("refcount_t: addition on %d; use-after-free", old);
	if (old > (1 << 30))
		fake::bug("refcount_t: saturated; leaking memory");
}

extern "C" bool shim_kref_get_unless_zero(struct kref *kref)
{
	std::atomic<int> &count = as<Kref>(kref)->count;
	int old = count.load(std::memory_order_relaxed);

	do {
		if (!old)
			return false;
	} while (!count.compare_exchange_weak(old, old + 1, std::memory_order_relaxed));
	return true;
}

extern "C" bool shim_kref_put(struct kref *kref, void (*last)(struct kref *kref))
{
	yield_sometimes();
	int old = as<Kref>(kref)->count.fetch_sub(1, std::memory_order_acq_rel);

	if (old <= 0)
		fake::bug("refcount_t: underflow (%d); use-after-free", old);
	if (old > 1)
		return false;
	live_krefs.fetch_sub(1, std::memory_order_relaxed);
	last(kref);
	return true;
}

// ---- log and trace

namespace {

struct Log {
	std::mutex mutex;
	std::vector<std::string> lines;
};

void append_log(const char *format, va_list arguments)
{
	char line[512];
	Log &log = immortal<Log>();

	vsnprintf(line, sizeof(line), format, arguments);
	std::lock_guard lock(log.mutex);
	log.lines.emplace_back(line);
}

std::atomic<u64> grace_periods;

// No lock: it would order what ThreadSanitizer is to find unordered.
constexpr const char *kEvents[] = {"submit",   "fetch",  "reply",   "cancel", "timeout",
				   "callback", "retain", "release", "start",  "stop"};
std::atomic<u64> event_counts[std::size(kEvents)];

std::atomic<u64> &event_counter(std::string_view name)
{
	return event_counts[std::find(std::begin(kEvents), std::end(kEvents), name) - std::begin(kEvents)];
}

void count_event(std::string_view name)
{
	event_counter(name).fetch_add(1, std::memory_order_relaxed);
}

} // namespace

extern "C" void shim_pr_info(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	append_log(format, arguments);
	va_end(arguments);
}

extern "C" void shim_pr_warn_ratelimited(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	append_log(format, arguments);
	va_end(arguments);
}

extern "C" void shim_trace_submit(u32, u32, u32, const char *identifier, const char *name)
{
	if (strlen(identifier) > 4096 || strlen(name) > 4096)
		fake::bug("trace_submit: unterminated string");
	count_event("submit");
}
extern "C" void shim_trace_fetch(u32, u32, u32)
{
	count_event("fetch");
}
extern "C" void shim_trace_reply(u32, u32, s32, u32, s32)
{
	count_event("reply");
}
extern "C" void shim_trace_cancel(u32, u32, s32)
{
	count_event("cancel");
}
extern "C" void shim_trace_timeout(u32, u32)
{
	count_event("timeout");
}
extern "C" void shim_trace_callback(u32, u32, s32, u32, u64)
{
	count_event("callback");
}
extern "C" void shim_trace_retain(u32, u32, s32)
{
	count_event("retain");
}
extern "C" void shim_trace_release(u32, u32, s32)
{
	count_event("release");
}
extern "C" void shim_trace_start(u32, const char *, s32)
{
	count_event("start");
}
extern "C" void shim_trace_stop(u32, const char *, s32)
{
	count_event("stop");
}

// ---- modules

// What the kernel frees with the module.
static void check_module(const struct module *module, const char *who)
{
	if (module->state.load() == module::Unloaded)
		fake::bug("%s of a module that is freed", who);
}

extern "C" bool shim_try_module_get(struct module *module)
{
	moment(fake::Moment::ModuleGet);
	check_module(module, "try_module_get");
	int refs = module->refs.load();

	if (module->state.load() == module::Going || module->state.load() == module::Unloaded)
		return false;
	do {
		if (refs <= 0)
			return false;
	} while (!module->refs.compare_exchange_weak(refs, refs + 1));
	return true;
}

extern "C" void shim_module_put(struct module *module)
{
	yield_sometimes();
	moment(fake::Moment::ModulePut);
	check_module(module, "module_put");
	if (module->refs.fetch_sub(1) <= 1)
		fake::bug("module_put: count of %s below zero", module->name);
}

extern "C" int shim_module_refcount(struct module *module)
{
	check_module(module, "module_refcount");
	return module->refs.load() - 1;
}

extern "C" const char *shim_module_name(const struct module *module)
{
	check_module(module, "module->name");
	return module->name;
}

extern "C" void shim_module_text(const struct module *module, unsigned long *start, unsigned long *size)
{
	*start = module->text;
	*size = module->text_size;
}

namespace fake {

void init_module(module &module, const char *name, unsigned long text, unsigned long text_size)
{
	snprintf(module.name, sizeof(module.name), "%s", name);
	module.text = text;
	module.text_size = text_size;
	module.refs = 2; // its own, and init's
	module.state = module::Coming;
}

void module_is_live(module &module)
{
	module.state = module::Live;
	module.refs.fetch_sub(1);
}

int delete_module(module &module, bool force, const std::function<void()> &exit)
{
	static std::mutex module_mutex;
	{
		std::lock_guard lock(module_mutex);
		int one = 1;

		if (module.state == module::Unloaded)
			return -2; // ENOENT
		if (module.state != module::Live)
			return -SHIM_EBUSY;
		if (!module.refs.compare_exchange_strong(one, 0)) {
			if (!force)
				return -SHIM_EAGAIN;
			// rmmod -f goes on whatever the count; the references stay.
		}
		module.state = module::Going;
	}
	exit();
	module.state = module::Unloaded;
	return 0;
}

} // namespace fake

// ---- processes

extern "C" struct pid *shim_get_current_tgid(void)
{
	pid *process = this_task.process ? this_task.process : &fake::init_process();

	process->refs.fetch_add(1);
	live_pid_refs.fetch_add(1);
	return process;
}

extern "C" void shim_put_pid(struct pid *pid)
{
	if (pid->refs.fetch_sub(1) <= 0)
		fake::bug("put_pid without a reference");
	live_pid_refs.fetch_sub(1);
}

extern "C" bool shim_process_gone(struct pid *pid)
{
	return pid->gone.load();
}

extern "C" int shim_pid_vnr(struct pid *pid)
{
	return pid->number;
}

namespace fake {

pid &process(int number)
{
	static std::mutex mutex;
	std::lock_guard lock(mutex);
	pid &found = immortal<std::map<int, pid>>()[number];

	found.number = number;
	return found;
}

pid &init_process()
{
	return process(1);
}

} // namespace fake

// ---- rcu, sched, time

extern "C" void shim_synchronize_rcu_tasks(void)
{
	may_sleep("synchronize_rcu_tasks");
	grace_periods.fetch_add(1);
	moment(fake::Moment::GracePeriod);
	sched_yield();
}

extern "C" void shim_cond_resched(void)
{
	may_sleep("cond_resched");
	yield_sometimes();
}

extern "C" void shim_might_sleep(void)
{
	may_sleep("might_sleep");
}

extern "C" u64 shim_ktime_get_ns(void)
{
	return fake::now();
}

// ---- timerqueue: a list in the order of time; new ones are mostly the latest

namespace {

struct TimerNode {
	TimerNode *next;
	TimerNode *prev;
	u64 expires;
	struct TimerHead *head; // whose queue it is on
};

struct TimerHead {
	TimerNode *first;
	TimerNode *last;
};

} // namespace

extern "C" void shim_timerqueue_init_head(struct timerqueue_head *head)
{
	*as<TimerHead>(head) = {};
}

extern "C" void shim_timerqueue_init(struct timerqueue_node *node, u64 expires_ns)
{
	if (as<TimerNode>(node)->head)
		fake::bug("timerqueue_init of a queued node");
	*as<TimerNode>(node) = {nullptr, nullptr, expires_ns, nullptr};
}

extern "C" void shim_timerqueue_add(struct timerqueue_head *opaque_head, struct timerqueue_node *opaque)
{
	TimerHead *head = as<TimerHead>(opaque_head);
	TimerNode *node = as<TimerNode>(opaque);
	TimerNode *after = head->last;

	if (!atomic_depth)
		fake::bug("timerqueue_add without a lock");
	if (node->head)
		fake::bug("timerqueue_add of a queued node");
	while (after && after->expires > node->expires)
		after = after->prev;
	node->head = head;
	node->prev = after;
	node->next = after ? after->next : head->first;
	(node->next ? node->next->prev : head->last) = node;
	(after ? after->next : head->first) = node;
}

extern "C" void shim_timerqueue_del(struct timerqueue_head *opaque_head, struct timerqueue_node *opaque)
{
	TimerHead *head = as<TimerHead>(opaque_head);
	TimerNode *node = as<TimerNode>(opaque);

	if (!atomic_depth)
		fake::bug("timerqueue_del without a lock");
	if (node->head != head)
		fake::bug("timerqueue_del of a node that is not queued");
	(node->prev ? node->prev->next : head->first) = node->next;
	(node->next ? node->next->prev : head->last) = node->prev;
	node->head = nullptr;
}

extern "C" struct timerqueue_node *shim_timerqueue_getnext(struct timerqueue_head *head)
{
	return reinterpret_cast<timerqueue_node *>(as<TimerHead>(head)->first);
}

extern "C" u64 shim_timerqueue_expires(const struct timerqueue_node *node)
{
	return as<TimerNode>(node)->expires;
}

// ---- user memory

namespace {

struct BadRanges {
	std::atomic<bool> any{false}; // so that the usual copy takes no lock
	std::shared_mutex mutex;
	std::vector<std::pair<u64, u64>> ranges;
};

bool is_bad(u64 address, size_t size)
{
	may_sleep("user memory access");
	if (!size)
		return false;
	if (copy_failure.due() || !address || address + size < address || address + size > (1ull << 47))
		return true;
	BadRanges &bad = immortal<BadRanges>();

	if (!bad.any.load(std::memory_order_relaxed))
		return false;
	std::shared_lock lock(bad.mutex);

	for (auto [start, end] : bad.ranges)
		if (address < end && start < address + size)
			return true;
	return false;
}

void *pointer(u64 address)
{
	return reinterpret_cast<void *>(address);
}

} // namespace

extern "C" int shim_copy_from_user(void *to, u64 from, size_t n)
{
	if (is_bad(from, n)) {
		memset(to, 0, n);
		return -SHIM_EFAULT;
	}
	if (n)
		memcpy(to, pointer(from), n);
	return 0;
}

extern "C" int shim_copy_to_user(u64 to, const void *from, size_t n)
{
	if (is_bad(to, n))
		return -SHIM_EFAULT;
	if (n)
		memcpy(pointer(to), from, n);
	return 0;
}

extern "C" int shim_copy_struct_from_user(void *dst, size_t ksize, u64 src, size_t usize)
{
	size_t size = std::min(ksize, usize);

	if (usize > ksize) {
		if (is_bad(src + size, usize - size))
			return -SHIM_EFAULT;
		for (size_t i = size; i < usize; i++)
			if (static_cast<const unsigned char *>(pointer(src))[i])
				return -SHIM_E2BIG;
	}
	memset(static_cast<char *>(dst) + size, 0, ksize - size);
	return shim_copy_from_user(dst, src, size);
}

// ---- wait queues

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
	yield_sometimes();
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

int wait_event(struct wait_queue_head *opaque, bool (*condition)(void *), void *arg, Sleep kind, bool exclusive)
{
	WaitQueueHead *wq = as<WaitQueueHead>(opaque);
	fake::Task &task = this_task;
	Waiter waiter;
	int err = 0;

	may_sleep("wait_event");
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
		yield_sometimes();
		if (condition(arg))
			break;
		if (stop) {
			err = -SHIM_ERESTARTSYS;
			break;
		}
		std::unique_lock own(task.mutex);

		live_sleepers.fetch_add(1);
		task.sleeping = true;
		while (!waiter.woken && !signalled())
			task.wakeup.wait(own);
		task.sleeping = false;
		live_sleepers.fetch_sub(1);
	}
	QueueLock lock(wq);

	dequeue(wq, waiter);
	return err;
}

} // namespace

extern "C" void shim_init_waitqueue_head(struct wait_queue_head *wq, const char *, struct lock_class_key *)
{
	WaitQueueHead *head = as<WaitQueueHead>(wq);

	pthread_mutex_init(&head->mutex, nullptr);
	head->first = head->last = nullptr;
}

extern "C" void shim_wake_up(struct wait_queue_head *wq)
{
	wake(as<WaitQueueHead>(wq), 1);
}

extern "C" void shim_wake_up_all(struct wait_queue_head *wq)
{
	wake(as<WaitQueueHead>(wq), 0);
}

extern "C" bool shim_waitqueue_active(struct wait_queue_head *wq)
{
	QueueLock lock(as<WaitQueueHead>(wq));

	return as<WaitQueueHead>(wq)->first;
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
	std::deque<Entry> entries;
};

extern "C" void shim_poll_wait(struct file *, struct wait_queue_head *wq, struct poll_table_struct *table)
{
	if (!table)
		return;
	table->entries.push_back({Waiter(), as<WaitQueueHead>(wq)});
	auto &entry = table->entries.back();

	entry.waiter.task = &this_task;
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
	std::lock_guard own(this_task.mutex);

	return std::any_of(entries_->entries.begin(), entries_->entries.end(),
			   [](auto &entry) { return entry.waiter.woken; });
}

void Poll::wait()
{
	std::unique_lock own(this_task.mutex);

	this_task.sleeping = true;
	while (std::none_of(entries_->entries.begin(), entries_->entries.end(),
			    [](auto &entry) { return entry.waiter.woken; }))
		this_task.wakeup.wait(own);
	this_task.sleeping = false;
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
	std::lock_guard lock(this_task.mutex);

	this_task.signal = this_task.fatal = false;
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

// ---- works

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
		while (!last->done)
			changed.wait(lock);
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
	return immortal<Pool>();
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
		yield_sometimes();
		current_work = item->work;
		current_item = item.get();
		moment(fake::Moment::WorkBegins);
		if (delayed)
			kextbridge_delayed_work_c(reinterpret_cast<delayed_work *>(item->work));
		else
			kextbridge_work_c(reinterpret_cast<work_struct *>(item->work));
		current_work = nullptr;
		current_item = nullptr;
		if (atomic_depth)
			fake::bug("a work returned with a lock held");
		// From here on the work may be gone.
		lock.lock();
		running.remove(item);
		item->done = true;
		changed.notify_all();
		more.notify_all();
	}
}

// As CONFIG_DEBUG_OBJECTS_FREE: freed memory holds no queued work, running timer or sleeper.
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
			fake::bug("freeing memory that holds a queued work");
	for (auto &item : works.running)
		if (inside(item->work) && item->work != current_work)
			fake::bug("freeing memory that holds a running work");
	for (auto &timer : works.timers)
		if (inside(timer.second))
			fake::bug("freeing memory that holds an armed timer");
#endif
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

	may_sleep("cancel_work_sync");
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
	may_sleep("alloc_workqueue");
	if (allocation_failure.due())
		return nullptr;
	workqueue_struct *wq = new workqueue_struct{name};
	std::lock_guard lock(pool().mutex);

	pool().workqueues.insert(wq);
	return wq;
}

extern "C" void shim_destroy_workqueue(struct workqueue_struct *wq)
{
	Pool &works = pool();

	may_sleep("destroy_workqueue");
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
	*as<WorkState>(work) = {kWork, false, false, 0};
}

extern "C" bool shim_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	WorkState *state = checked(work);

	yield_sometimes();
	moment(fake::Moment::QueueWork);
	std::lock_guard lock(pool().mutex);

	if (state->pending || state->cancelling)
		return false;
	pool().queue(state, wq);
	return true;
}

extern "C" bool shim_flush_work(struct work_struct *work)
{
	may_sleep("flush_work");
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

bool fake::this_run_is_awaited()
{
	std::lock_guard lock(pool().mutex);

	return current_item && (current_item->waiters || current_work->cancelling);
}

extern "C" void shim_init_delayed_work(struct delayed_work *work, const char *, struct lock_class_key *)
{
	*as<DelayedState>(work) = {{kWork, true, false, 0}, 0, false, nullptr};
}

extern "C" bool shim_mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *opaque, u64 delay_ns)
{
	DelayedState *work = reinterpret_cast<DelayedState *>(checked(opaque));
	Pool &works = pool();

	yield_sometimes();
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

			clock_ns = std::max(next, now());
			fire_due_timers(works);
			if (!due)
				break;
		}
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
	std::lock_guard lock(pool().mutex);

	clock_ns = now() + ms * 1000000;
	fire_due_timers(pool());
}

} // namespace fake

// ---- xarray

namespace {

struct Xarray {
	std::mutex lock; // xa_lock
	std::atomic<std::thread::id> owner{};
	// Stands for RCU: look-ups without xa_lock.
	std::shared_mutex tree;
	std::map<unsigned long, void *> entries;

	bool held() const { return owner.load(std::memory_order_relaxed) == std::this_thread::get_id(); }
};

// An empty xarray that is not destroyed is no leak in the kernel, and none here.
struct AllXarrays {
	std::mutex mutex;
	std::set<Xarray *> arrays;
};

// XA_ZERO_ENTRY: reserved, not there for a look-up.
char zero_entry;

std::atomic<bool> always_allocates;

Xarray *array(struct xarray *xa)
{
	Xarray *found;

	memcpy(&found, xa->bytes, sizeof(found));
	if (!found)
		fake::bug("xarray: not initialized, or destroyed");
	return found;
}

void *visible(void *entry)
{
	return entry == &zero_entry ? nullptr : entry;
}

template <typename F> auto look(Xarray *xa, F f)
{
	if (xa->held())
		return f();
	std::shared_lock lock(xa->tree);

	return f();
}

// Before an entry is stored at a new index: room for it. A node holds 64 entries; without one the lock is dropped for an
// allocation. 1: it was dropped, look again. 0: there is room. -ENOMEM.
int make_room(struct xarray *opaque, unsigned long index, unsigned int gfp, bool *allocated)
{
	Xarray *xa = array(opaque);
	auto neighbour = xa->entries.lower_bound(index & ~63ul);
	bool needs_node = always_allocates || neighbour == xa->entries.end() || neighbour->first > (index | 63);

	if (!needs_node || *allocated)
		return 0;
	*allocated = true;
	made_allocations.fetch_add(1, std::memory_order_relaxed);
	if (gfp & kGfpDirectReclaim) {
		shim_xa_unlock_bh(opaque);
		may_sleep("xarray node allocation");
		moment(fake::Moment::XaLockDropped);
		sched_yield();
		shim_xa_lock_bh(opaque);
	}
	return allocation_failure.due() ? -SHIM_ENOMEM : 1;
}

} // namespace

extern "C" void shim_xa_init_flags(struct xarray *xa, unsigned int, const char *, struct lock_class_key *)
{
	Xarray *made = new Xarray;
	AllXarrays &all = immortal<AllXarrays>();
	std::lock_guard lock(all.mutex);

	all.arrays.insert(made);
	memcpy(xa->bytes, &made, sizeof(made));
}

extern "C" void shim_xa_destroy(struct xarray *xa)
{
	Xarray *found = array(xa);

	// The core may leave a mark of its own in it: the array's address.
	for (auto &[index, entry] : found->entries)
		if (entry != xa)
			fake::bug("xa_destroy: %zu entries are left, one at %lu", found->entries.size(), index);
	AllXarrays &all = immortal<AllXarrays>();
	std::lock_guard lock(all.mutex);

	all.arrays.erase(found);
	delete found;
	memset(xa->bytes, 0, sizeof(xa->bytes));
}

extern "C" void shim_xa_lock_bh(struct xarray *xa)
{
	Xarray *found = array(xa);

	if (found->held())
		fake::bug("deadlock: xa_lock taken twice");
	yield_sometimes();
	found->lock.lock();
	found->owner.store(std::this_thread::get_id(), std::memory_order_relaxed);
	atomic_depth++;
}

extern "C" void shim_xa_unlock_bh(struct xarray *xa)
{
	Xarray *found = array(xa);

	if (!found->held())
		fake::bug("xa_unlock by a thread that does not hold it");
	found->owner.store(std::thread::id(), std::memory_order_relaxed);
	atomic_depth--;
	found->lock.unlock();
	yield_sometimes();
	if (!atomic_depth)
		moment(fake::Moment::Unlock);
}

extern "C" void *shim_xa_load(struct xarray *opaque, unsigned long index)
{
	Xarray *xa = array(opaque);

	return look(xa, [&] {
		auto found = xa->entries.find(index);

		return found == xa->entries.end() ? nullptr : visible(found->second);
	});
}

extern "C" void *shim_xa_find(struct xarray *opaque, unsigned long *index, unsigned long max)
{
	Xarray *xa = array(opaque);

	return look(xa, [&]() -> void * {
		for (auto at = xa->entries.lower_bound(*index); at != xa->entries.end() && at->first <= max; ++at) {
			if (visible(at->second)) {
				*index = at->first;
				return at->second;
			}
		}
		return nullptr;
	});
}

extern "C" int shim___xa_insert(struct xarray *opaque, unsigned long index, void *entry, unsigned int gfp)
{
	Xarray *xa = array(opaque);
	bool allocated = false;
	int err;

	if (!xa->held())
		fake::bug("__xa_insert without the lock");
	do {
		if (xa->entries.count(index))
			return -SHIM_EBUSY;
		err = make_room(opaque, index, gfp, &allocated);
	} while (err > 0);
	if (err)
		return err;
	std::unique_lock tree(xa->tree);

	xa->entries[index] = entry ? entry : &zero_entry;
	return 0;
}

extern "C" void *shim___xa_store(struct xarray *opaque, unsigned long index, void *entry, unsigned int)
{
	Xarray *xa = array(opaque);

	if (!xa->held())
		fake::bug("__xa_store without the lock");
	std::unique_lock tree(xa->tree);
	auto found = xa->entries.find(index);

	if (found == xa->entries.end())
		fake::bug("__xa_store into an index that is not reserved would allocate");
	void *old = visible(found->second);

	found->second = entry;
	tree.unlock();
	yield_sometimes();
	return old;
}

extern "C" void *shim___xa_erase(struct xarray *opaque, unsigned long index)
{
	Xarray *xa = array(opaque);

	if (!xa->held())
		fake::bug("__xa_erase without the lock");
	std::unique_lock tree(xa->tree);
	auto found = xa->entries.find(index);

	if (found == xa->entries.end())
		return nullptr;
	void *old = visible(found->second);

	xa->entries.erase(found);
	return old;
}

// ---- handles

namespace fake {

Live live()
{
	return {live_allocations, live_krefs, live_file_refs, live_pid_refs, live_sleepers};
}

u64 allocated_bytes()
{
	return static_cast<u64>(live_bytes.load());
}

u64 allocations_made()
{
	return made_allocations;
}

bool fail_allocation(unsigned int nth)
{
	return allocation_failure.arm(nth);
}

bool fail_user_copy(unsigned int nth)
{
	return copy_failure.arm(nth);
}

u64 user(const void *address)
{
	return reinterpret_cast<u64>(address);
}

void add_bad_range(const void *start, size_t size)
{
	BadRanges &bad = immortal<BadRanges>();
	std::unique_lock lock(bad.mutex);

	bad.ranges.emplace_back(user(start), user(start) + size);
	bad.any = true;
}

void clear_bad_ranges()
{
	BadRanges &bad = immortal<BadRanges>();
	std::unique_lock lock(bad.mutex);

	bad.ranges.clear();
	bad.any = false;
}

int install_fd(file &file)
{
	Descriptors &table = immortal<Descriptors>();
	std::lock_guard lock(table.mutex);

	file.refs.fetch_add(1);
	table.files[table.next] = &file;
	return table.next++;
}

void close_fd(int fd)
{
	Descriptors &table = immortal<Descriptors>();
	std::lock_guard lock(table.mutex);

	table.files.at(fd)->refs.fetch_sub(1);
	table.files.erase(fd);
}

void at_next(Moment moment, std::function<void()> what, int skip)
{
	MomentHook &hook = moment_hooks[static_cast<int>(moment)];
	{
		std::lock_guard lock(hook.mutex);

		hook.what = std::move(what);
		hook.skip = skip;
		hook.set = static_cast<bool>(hook.what);
	}
	// Taken back: afterwards it does not run any more.
	while (!hook.set && hook.running)
		std::this_thread::yield();
}

void xa_always_allocates(bool on)
{
	always_allocates = on;
}

std::vector<std::string> log()
{
	Log &kept = immortal<Log>();
	std::lock_guard lock(kept.mutex);

	return kept.lines;
}

u64 rcu_tasks_grace_periods()
{
	return grace_periods;
}

u64 trace_count(const char *event)
{
	return event_counter(event);
}

void reset()
{
	settle();
	clock_ns = kBoot;
	chaos(0, 0);
	fail_allocation(0);
	fail_user_copy(0);
	clear_bad_ranges();
	xa_always_allocates(false);
	for (int i = 0; i < static_cast<int>(Moment::Moments); i++)
		at_next(static_cast<Moment>(i), nullptr);
	clear_signal();
	this_task.uid = 0;
	this_task.sys_admin = this_task.sys_module = true;
	this_task.process = nullptr;
	this_task.refused = 0;
	grace_periods = 0;
	{
		AllXarrays &all = immortal<AllXarrays>();
		std::lock_guard lock(all.mutex);

		for (Xarray *array : all.arrays)
			delete array;
		all.arrays.clear();
	}
	{
		Log &kept = immortal<Log>();
		std::lock_guard lock(kept.mutex);

		kept.lines.clear();
	}
	for (auto &count : event_counts)
		count = 0;
	// shim/entry.c's defaults.
	kextbridge_params = {};
	kextbridge_params.request_timeout_ms = 120000;
	kextbridge_params.autounload_delay_ms = 60000;
	kextbridge_params.max_pending = 16384;
	kextbridge_params.max_pending_per_file = 1024;
	kextbridge_params.max_reply_bytes = 256u << 20;
	kextbridge_params.max_bytes_per_file = 512u << 20;
	kextbridge_params.max_name = 1023;
}

} // namespace fake
