// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test bench: /dev/kbtest (../../lib/kbtest.h) on one side, the test kexts (kbtest_kext.h) on the other.
 *
 * What a kext leaves behind when it goes, its entry, its events and its plan, is the bench's own. Only `kext` of an
 * entry points into a kext, and is used under `alive`.
 */
#include <linux/crc32.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include <kern/kext_alloc.h>

#include "../../lib/constants.h"
#include "bench.h"

#define MAX_SLOTS 4096
#define MAX_EVENTS 16384
#define MAX_STRING (1u << 20)
#define NOT_WRITTEN 0xdeadbeefu /* in *requestTagOut before the call */

static DEFINE_MUTEX(entries_lock);
struct kbtest_entry bench_entries[BENCH_ENTRIES];

/* One request that was made through the bench, until its callback or its cancel. */
struct slot {
	u32 refs; /* the request until it is over, and the thread that makes it */
	bool over;
	struct kbtest_entry *entry;
	OSKextRequestTag tag; /* *requestTagOut */
	u32 flags;
	u32 ms;
	u32 chain;
	u32 other;
	const struct task_struct *requester; /* compared only */
};

static DEFINE_SPINLOCK(slots_lock);
static struct slot slots[MAX_SLOTS];

static DEFINE_SPINLOCK(events_lock);
static struct kbtest_event *events;
static u64 event_count;
static DECLARE_WAIT_QUEUE_HEAD(event_wait);

static u32 open_gates;
static DECLARE_WAIT_QUEUE_HEAD(gate_wait);

/* Whoever works with a scope holds its lock for reading: it is made anew when nobody does. */
static struct kextbridge_scope scopes[KBTEST_SCOPES];
static struct rw_semaphore scope_locks[KBTEST_SCOPES];

static DEFINE_MUTEX(held_mutex); /* KBTEST_HOLD_MUTEX, KBTEST_DO_MUTEX */
static atomic_t counts[KBTEST_COUNTS];

struct bench_totals bench_totals;

/* ---- events and gates */

static void add_event(struct kbtest_entry *entry, struct kbtest_event *event)
{
	strscpy(event->kext, entry->name, sizeof(event->kext));
	event->time_ns = ktime_get_ns();
	spin_lock(&events_lock);
	event->seq = event_count;
	if (event_count < MAX_EVENTS)
		events[event_count] = *event;
	event_count++;
	spin_unlock(&events_lock);
	wake_up_all(&event_wait);
}

static bool has_event(u64 seq)
{
	bool has;

	spin_lock(&events_lock);
	has = seq < event_count;
	spin_unlock(&events_lock);
	return has;
}

static long wait_event_of(struct kbtest_wait *wait)
{
	long left = wait_event_interruptible_timeout(event_wait, has_event(wait->seq),
						     msecs_to_jiffies(wait->timeout_ms) + 1);

	if (left < 0)
		return left;
	if (!left)
		return -ETIME;
	if (wait->seq >= MAX_EVENTS)
		return -ENOBUFS;
	spin_lock(&events_lock);
	wait->event = events[wait->seq];
	spin_unlock(&events_lock);
	return 0;
}

static void wait_gate(u32 gate)
{
	if (!wait_event_timeout(gate_wait, READ_ONCE(open_gates) & gate, msecs_to_jiffies(KBTEST_PATIENCE_MS)))
		pr_notice("kbtest: gate %u stayed closed\n", gate);
}

static void set_gates(u32 gates)
{
	WRITE_ONCE(open_gates, gates);
	wake_up_all(&gate_wait);
}

/* ---- entries and slots */

/* NULL: no room, or no name. */
static struct kbtest_entry *find_entry(const char *name)
{
	struct kbtest_entry *entry = bench_entries;

	if (!*name)
		return NULL;
	mutex_lock(&entries_lock);
	while (entry < bench_entries + BENCH_ENTRIES && entry->name[0] && strcmp(entry->name, name))
		entry++;
	if (entry == bench_entries + BENCH_ENTRIES) {
		entry = NULL;
	} else if (!entry->name[0]) {
		init_rwsem(&entry->alive);
		strscpy(entry->name, name, sizeof(entry->name));
	}
	mutex_unlock(&entries_lock);
	return entry;
}

static struct slot *get_slot(struct kbtest_entry *entry)
{
	struct slot *slot;

	spin_lock(&slots_lock);
	for (slot = slots; slot < slots + MAX_SLOTS && slot->refs; slot++)
		;
	if (slot < slots + MAX_SLOTS)
		*slot = (struct slot){.refs = 2, .entry = entry, .tag = NOT_WRITTEN, .requester = current};
	else
		slot = NULL;
	spin_unlock(&slots_lock);
	return slot;
}

/* The call has returned, and the request was refused or not. */
static void end_call(struct slot *slot, bool refused)
{
	spin_lock(&slots_lock);
	slot->refs--;
	if (refused && !slot->over) {
		slot->over = true;
		slot->refs--;
	}
	spin_unlock(&slots_lock);
}

/* The request with this tag is over: gives its reference back. False: there is none, *requestTagOut did not have it. */
static bool take_slot(OSKextRequestTag tag, struct slot *copy)
{
	struct slot *slot;
	bool found;

	spin_lock(&slots_lock);
	for (slot = slots; slot < slots + MAX_SLOTS; slot++)
		if (slot->refs && !slot->over && READ_ONCE(slot->tag) == tag)
			break;
	found = slot < slots + MAX_SLOTS;
	if (found) {
		*copy = *slot;
		slot->over = true;
		slot->refs--;
	}
	spin_unlock(&slots_lock);
	return found;
}

/* The requests of an entry, or of all, are over as far as we are concerned. */
static void forget_slots(const struct kbtest_entry *entry)
{
	struct slot *slot;

	spin_lock(&slots_lock);
	for (slot = slots; slot < slots + MAX_SLOTS; slot++)
		if (slot->refs && !slot->over && (!entry || slot->entry == entry)) {
			slot->over = true;
			slot->refs--;
		}
	spin_unlock(&slots_lock);
}

/* ---- requests */

static void kbtest_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context) {}

static OSKextRequestResourceCallback pick_callback(struct kbtest_entry *entry, u32 which, void *heap, void *stack)
{
	switch (which) {
	case KBTEST_LOG:
		return entry->log;
	case KBTEST_COUNT:
		return entry->count;
	case KBTEST_RELEASE_SELF:
		return entry->release;
	case KBTEST_HEAP:
		return (OSKextRequestResourceCallback)heap;
	case KBTEST_STACK:
		return (OSKextRequestResourceCallback)stack;
	case KBTEST_USER:
		return (OSKextRequestResourceCallback)0x400000ul;
	case KBTEST_DATA:
		return (OSKextRequestResourceCallback)entry->data;
	case KBTEST_KERNEL:
		return (OSKextRequestResourceCallback)(void *)_printk;
	}
	return NULL;
}

/* NULL: number 0, or none of the bench's. */
static struct kextbridge_scope *scope_of(u32 number)
{
	return number && number <= KBTEST_SCOPES ? &scopes[number - 1] : NULL;
}

static void use_scope(const struct kextbridge_scope *scope)
{
	if (scope)
		down_read(&scope_locks[scope - scopes]);
}

static void leave_scope(const struct kextbridge_scope *scope)
{
	if (scope)
		up_read(&scope_locks[scope - scopes]);
}

static OSReturn request_one(struct kbtest_entry *entry, OSKextRequestResourceCallback callback, const char *identifier,
			    const char *name, const struct kbtest_request *args, u64 context, u32 *tag)
{
	struct kextbridge_resource_options options = {
		.timeout_ms = args->timeout_ms, .max_length = args->max_length, .scope = scope_of(args->scope)};
	OSKextRequestTag *tag_out;
	struct slot *slot = NULL;
	OSReturn result;

	*tag = NOT_WRITTEN;
	tag_out = args->flags & KBTEST_NO_TAG ? NULL : tag;
	if (args->callback == KBTEST_LOG && tag_out) {
		slot = get_slot(entry);
		if (!slot)
			return kOSKextReturnNoMemory;
		slot->flags = args->flags;
		slot->ms = args->ms;
		slot->chain = args->chain;
		slot->other = args->other;
		tag_out = &slot->tag;
	}
	use_scope(options.scope);
	if (args->flags & KBTEST_HOLD_MUTEX)
		mutex_lock(&held_mutex);
	if (args->timeout_ms || args->max_length || args->scope)
		result = kextbridge_request_resource(identifier, name, callback, (void *)(unsigned long)context,
						     tag_out, &options);
	else
		result = OSKextRequestResource(identifier, name, callback, (void *)(unsigned long)context, tag_out);
	if (!result)
		atomic64_inc(&bench_totals.accepted);
	if (slot)
		*tag = slot->tag;
	if (args->flags & KBTEST_HOLD_MUTEX) {
		msleep(args->ms);
		mutex_unlock(&held_mutex);
	}
	leave_scope(options.scope);
	if (slot)
		end_call(slot, result);
	return result;
}

/* The strings are overwritten before they are freed: whoever kept a pointer shows it. */
void bench_free_string(char *string)
{
	if (!string)
		return;
	memset(string, '#', strlen(string));
	kvfree(string);
}

/* NULL for address 0. */
char *bench_get_string(u64 address)
{
	long size = address ? strnlen_user(u64_to_user_ptr(address), MAX_STRING) : 0;
	char *string;

	if (!address)
		return NULL;
	if (!size || size > MAX_STRING)
		return ERR_PTR(-EINVAL);
	string = kvmalloc(size, GFP_KERNEL);
	if (!string)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(string, u64_to_user_ptr(address), size)) {
		kvfree(string);
		return ERR_PTR(-EFAULT);
	}
	string[size - 1] = 0;
	return string;
}

/* Both, or neither: 0 or a negative errno. flags: KBTEST_NO_IDENTIFIER, KBTEST_NO_NAME. */
static long get_names(u64 identifier, u64 name, u32 flags, char *names[2])
{
	names[0] = bench_get_string(flags & KBTEST_NO_IDENTIFIER ? 0 : identifier);
	if (IS_ERR(names[0]))
		return PTR_ERR(names[0]);
	names[1] = bench_get_string(flags & KBTEST_NO_NAME ? 0 : name);
	if (!IS_ERR(names[1]))
		return 0;
	bench_free_string(names[0]);
	return PTR_ERR(names[1]);
}

static void free_names(char *names[2])
{
	bench_free_string(names[0]);
	bench_free_string(names[1]);
}

static long request(struct kbtest_request *args)
{
	struct kbtest_entry *entry = find_entry(args->kext);
	OSKextRequestResourceCallback callback;
	char *names[2], *heap;
	u64 stack = 0;
	long err;
	u32 i, tag;

	if (!entry)
		return -ENOENT;
	err = get_names(args->identifier, args->name, args->flags, names);
	if (err)
		return err;
	heap = kzalloc(64, GFP_KERNEL);
	if (args->flags & KBTEST_ALIVE) {
		down_read(&entry->alive);
		err = entry->kext ? 0 : -ESRCH;
	}
	callback = pick_callback(entry, args->callback, heap, &stack);
	args->took_ns = 0;
	args->result = kOSReturnSuccess;
	for (i = 0; i < max(args->count, 1u) && !args->result && !err; i++) {
		u64 began = ktime_get_ns();

		args->result = request_one(entry, callback, names[0], names[1], args, args->context + i, &tag);
		args->took_ns = max(args->took_ns, ktime_get_ns() - began);
		args->tag = tag;
		if (args->tags && put_user(tag, (u32 __user *)u64_to_user_ptr(args->tags) + i))
			err = -EFAULT;
		cond_resched();
	}
	if (args->flags & KBTEST_ALIVE)
		up_read(&entry->alive);
	kfree(heap);
	free_names(names);
	return err;
}

/* It has no slot unless its callback is KBTEST_LOG and its tag was asked for. */
static void note_cancel(OSKextRequestTag tag)
{
	struct slot slot;

	atomic64_inc(&bench_totals.cancelled);
	take_slot(tag, &slot);
}

static void add_contexts(OSKextRequestTag tag, void *context, void *arg)
{
	struct kbtest_cancel *args = arg;

	args->context += (unsigned long)context;
	note_cancel(tag);
}

static void count_cancel(OSKextRequestTag tag, void *context, void *arg)
{
	note_cancel(tag);
}

static long cancel(struct kbtest_cancel *args)
{
	static const kmod_info_t forged = {.id = kOSKextInvalidLoadTag};
	struct kbtest_entry *entry = find_entry(args->kext);
	void *context = (void *)(unsigned long)args->context;
	void **context_out = args->flags & KBTEST_CANCEL_NO_OUT ? NULL : &context;
	const kmod_info_t *info;
	long err = 0;

	if (!entry)
		return -ENOENT;
	down_read(&entry->alive);
	info = args->flags & KBTEST_CANCEL_FORGED ? &forged : entry->kext ? entry->kext->info : NULL;
	if (!info) {
		err = -ESRCH;
	} else if (args->flags & KBTEST_CANCEL_ALL) {
		args->context = 0;
		args->tag = kextbridge_cancel_requests(info, add_contexts, args);
	} else {
		args->result = args->flags & KBTEST_CANCEL_NOWAIT ?
				       kextbridge_cancel_request_nowait(info, args->tag, context_out) :
				       kextbridge_cancel_request(info, args->tag, context_out);
		args->context = (unsigned long)context;
		if (!args->result)
			note_cancel(args->tag);
	}
	up_read(&entry->alive);
	return err;
}

/* The kext stays what it is meanwhile: its stop function waits for us in leave(). */
static OSReturn read_of(struct kbtest_kext *kext, const struct kbtest_read *args, const char *identifier,
			const char *name, void **data, u32 *length)
{
	struct kextbridge_resource_options options = {
		.timeout_ms = args->timeout_ms, .max_length = args->max_length, .scope = scope_of(args->scope)};
	OSReturn result;

	atomic64_inc(&bench_totals.accepted);
	use_scope(options.scope);
	result = kextbridge_read(kext->info, identifier, name, &options, data, length);
	leave_scope(options.scope);
	atomic64_inc(&bench_totals.called_back);
	return result;
}

static long read_resource(struct kbtest_read *args)
{
	struct kbtest_entry *entry = find_entry(args->kext);
	void *data = (void *)1;
	char *names[2];
	long err;

	if (!entry)
		return -ENOENT;
	err = get_names(args->identifier, args->name, args->flags, names);
	if (err)
		return err;
	down_read(&entry->alive);
	if (entry->kext) {
		args->result = read_of(entry->kext, args, names[0], names[1], &data, &args->length);
		args->has_data = !!data;
		if (data && copy_to_user(u64_to_user_ptr(args->data), data, min(args->size, args->length)))
			err = -EFAULT;
		kextbridge_free_resource(data);
	} else {
		err = -ESRCH;
	}
	up_read(&entry->alive);
	free_names(names);
	return err;
}

static void add_to_scope(OSKextRequestTag tag, void *context, void *arg)
{
	struct kbtest_scope *args = arg;

	args->contexts += (unsigned long)context;
	args->called++;
	note_cancel(tag);
}

/* Its memory is the scope's until all of its requests are over. */
static void renew_scope(struct kextbridge_scope *scope, struct kbtest_scope *args)
{
	struct rw_semaphore *lock = &scope_locks[scope - scopes];
	bool over;

	do {
		use_scope(scope);
		args->count += kextbridge_scope_cancel(scope, add_to_scope, args);
		leave_scope(scope);
		down_write(lock);
		/* Unless somebody else has been quicker, and others use it already. */
		over = kextbridge_scope_is_cancelled(scope);
		if (over)
			kextbridge_scope_init(scope);
		up_write(lock);
	} while (!over);
}

static long scope_call(struct kbtest_scope *args)
{
	struct kextbridge_scope *scope = scope_of(args->number);

	args->count = args->called = 0;
	args->contexts = 0;
	switch (args->op) {
	case KBTEST_SCOPE_INIT:
		if (!scope || args->number == KBTEST_SCOPES)
			return -EINVAL;
		renew_scope(scope, args);
		return 0;
	case KBTEST_SCOPE_CANCEL:
		use_scope(scope);
		args->count = kextbridge_scope_cancel(scope, add_to_scope, args);
		leave_scope(scope);
		return 0;
	case KBTEST_SCOPE_ASK:
		use_scope(scope);
		args->count = kextbridge_scope_is_cancelled(scope);
		leave_scope(scope);
		return 0;
	}
	return -EINVAL;
}

/* ---- what the kexts call */

static void allocate_and_sleep(void)
{
	void *small = kmalloc(100, GFP_KERNEL);
	void *large = vmalloc(1 << 20);

	msleep(1);
	vfree(large);
	kfree(small);
}

static void request_next(struct kbtest_entry *entry, const struct slot *last, u64 context, struct kbtest_event *event)
{
	struct kbtest_request args = {.flags = last->flags, .ms = last->ms, .chain = last->chain - 1};

	event->inner_result =
		request_one(entry, entry->log, "com.example.kbtest", "chain", &args, context, &event->inner_tag);
}

static OSReturn read_own(struct kbtest_kext *kext, const char *name, u32 ms, u32 *length)
{
	struct kextbridge_resource_options options = {.timeout_ms = ms};
	void *data;
	OSReturn result = kextbridge_read(kext->info, kext->identifier, name, &options, &data, length);

	kextbridge_free_resource(data);
	return result;
}

/* Whoever makes it anew may be waiting for this callback. */
static u32 cancel_scope_in_callback(struct kextbridge_scope *scope)
{
	u32 count;

	if (!scope || !down_read_trylock(&scope_locks[scope - scopes]))
		return 0;
	count = kextbridge_scope_cancel(scope, count_cancel, NULL);
	leave_scope(scope);
	return count;
}

static void act(struct kbtest_kext *kext, const struct slot *slot, u64 context, struct kbtest_event *event)
{
	if (slot->flags & KBTEST_DO_SLEEP)
		msleep(slot->ms);
	if (slot->flags & KBTEST_DO_WAIT)
		wait_gate(KBTEST_GATE_CALLBACK);
	if (slot->flags & KBTEST_DO_CANCEL_OWN)
		event->inner_result = kextbridge_cancel_request(kext->info, event->tag, NULL);
	if (slot->flags & KBTEST_DO_CANCEL) {
		event->inner_result = kextbridge_cancel_request(kext->info, slot->other, NULL);
		if (!event->inner_result)
			note_cancel(slot->other);
	}
	if (slot->flags & KBTEST_DO_CANCEL_ALL)
		event->inner_tag = kextbridge_cancel_requests(kext->info, count_cancel, NULL);
	if (slot->flags & KBTEST_DO_CANCEL_SCOPE)
		event->inner_tag = cancel_scope_in_callback(scope_of(slot->other));
	if (slot->flags & KBTEST_DO_UNLOAD)
		event->inner_result = kextbridge_unload_kext(kext->info, slot->other);
	if (slot->flags & KBTEST_DO_READ)
		event->inner_result = read_own(kext, "inner", slot->ms, &event->inner_tag);
	if ((slot->flags & KBTEST_DO_REQUEST) && slot->chain)
		request_next(kext->entry, slot, context + 1, event);
	if (slot->flags & KBTEST_DO_MUTEX) {
		mutex_lock(&held_mutex);
		mutex_unlock(&held_mutex);
	}
	if (slot->flags & KBTEST_DO_ALLOC)
		allocate_and_sleep();
}

void kbtest_log(struct kbtest_kext *kext, OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length,
		void *context)
{
	struct kbtest_entry *entry = kext->entry;
	struct slot slot = {};
	struct kbtest_event event = {
		.type = KBTEST_CALLBACK,
		.context = (unsigned long)context,
		.tag = tag,
		.result = result,
		.length = length,
		.load_tag = kext->info->id,
		.concurrent = atomic_inc_return(&entry->running),
	};

	atomic64_inc(&bench_totals.called_back);
	if (take_slot(tag, &slot))
		event.flags |= KBTEST_TAG_KNOWN;
	else
		atomic64_inc(&bench_totals.unexpected);
	if (slot.requester == current)
		event.flags |= KBTEST_ON_REQUESTER;
	if (data)
		event.flags |= KBTEST_HAS_DATA;
	if (READ_ONCE(entry->in_start))
		event.flags |= KBTEST_IN_START;
	if (READ_ONCE(entry->in_stop))
		event.flags |= KBTEST_IN_STOP;
	if (!preemptible() && IS_ENABLED(CONFIG_PREEMPT_COUNT))
		event.flags |= KBTEST_ATOMIC;
	if (data)
		event.crc = ~crc32_le(~0u, data, length);
	add_event(entry, &event);

	act(kext, &slot, event.context, &event);

	event.type = KBTEST_RETURN;
	if (data && slot.flags)
		event.crc = ~crc32_le(~0u, data, length);
	atomic_dec(&entry->running);
	add_event(entry, &event);
}
EXPORT_SYMBOL_GPL(kbtest_log);

static unsigned int byte_of(OSReturn result)
{
	switch (result) {
	case kOSReturnSuccess:
		return KBTEST_BYTE_SUCCESS;
	case kOSKextReturnTimeout:
		return KBTEST_BYTE_TIMEOUT;
	case kOSKextReturnInternalError:
		return KBTEST_BYTE_INTERNAL;
	}
	return KBTEST_BYTE_OTHER;
}

void kbtest_count(OSReturn result, void *context)
{
	unsigned long at = (unsigned long)context & ~(unsigned long)KBTEST_BY_RESULT;
	int one = at == (unsigned long)context ? 1 : 1 << (8 * byte_of(result));

	atomic64_inc(&bench_totals.called_back);
	if (at < KBTEST_COUNTS)
		atomic_add(one, &counts[at]);
}
EXPORT_SYMBOL_GPL(kbtest_count);

void kbtest_begin(struct kbtest_kext *kext)
{
	atomic_inc(&kext->entry->running);
}
EXPORT_SYMBOL_GPL(kbtest_begin);

void kbtest_linger(struct kbtest_kext *kext)
{
	u32 us = get_random_u32() % 512;

	if (us < 64)
		msleep(us);
	else if (us & 1)
		usleep_range(us, us + 50);
	else
		udelay(us / 4);
	atomic_dec(&kext->entry->running);
}
EXPORT_SYMBOL_GPL(kbtest_linger);

static void enter(struct kbtest_kext *kext, struct kbtest_entry *entry)
{
	down_write(&entry->alive);
	kext->entry = entry;
	entry->kext = kext;
	entry->data = kext;
	entry->log = kext->log;
	entry->count = kext->count;
	entry->release = kext->release;
	strscpy(entry->info.identifier, kext->identifier, sizeof(entry->info.identifier));
	strscpy(entry->info.version, kext->version, sizeof(entry->info.version));
	entry->info.load_tag = kext->load_tag;
	entry->info.atomic_load_tag = kext->atomic_load_tag;
	entry->info.constants = kext->constants;
	entry->info.base_load_tag = kext->asks_base ? kext->base_load_tag : KBTEST_UNRESOLVED;
	entry->info.present = 1;
	up_write(&entry->alive);
}

static void leave(struct kbtest_entry *entry)
{
	down_write(&entry->alive);
	entry->kext = NULL;
	entry->info.present = 0;
	up_write(&entry->alive);
	forget_slots(entry);
}

kern_return_t kbtest_start(struct kbtest_kext *kext, kmod_info_t *ki)
{
	struct kbtest_entry *entry = find_entry(kext->name);
	struct kbtest_request args = {};
	struct kbtest_event event = {.type = KBTEST_START, .context = ki->id, .load_tag = kext->load_tag};
	struct kbtest_plan plan;
	u32 i, tag;

	if (!entry)
		return KMOD_RETURN_FAILURE;
	plan = entry->plan;
	enter(kext, entry);
	WRITE_ONCE(entry->in_start, true);
	add_event(entry, &event);

	for (i = 0; i < plan.start_requests; i++)
		event.inner_result = request_one(entry, kext->log, kext->identifier, "start", &args, i, &tag);
	if ((plan.flags & KBTEST_START_INIT_TEXT) && kext->init_text)
		event.inner_result =
			OSKextRequestResource(kext->identifier, "start", kext->init_text, NULL, &event.inner_tag);
	/* When it is started again, this may be another kext's text. */
	kext->init_text = NULL;
	if (plan.flags & KBTEST_START_RETAIN)
		event.inner_result = OSKextRetainKextWithLoadTag(kext->load_tag);
	if (plan.flags & KBTEST_START_LOAD)
		event.inner_result = OSKextLoadKextWithIdentifier(kext->identifier);
	if (plan.flags & KBTEST_START_READ)
		event.inner_result = read_own(kext, "start", plan.ms, &event.inner_tag);
	if (plan.flags & KBTEST_START_WAIT)
		wait_gate(KBTEST_GATE_START);

	event.type = KBTEST_STARTED;
	event.result = plan.start_result;
	add_event(entry, &event);
	WRITE_ONCE(entry->in_start, false);
	if (plan.start_result)
		leave(entry);
	return plan.start_result;
}
EXPORT_SYMBOL_GPL(kbtest_start);

kern_return_t kbtest_stop(struct kbtest_kext *kext)
{
	struct kbtest_entry *entry = kext->entry;
	struct kbtest_request args = {};
	struct kbtest_event event = {.type = KBTEST_STOP, .load_tag = kext->load_tag};
	struct kbtest_plan plan = entry->plan;

	WRITE_ONCE(entry->in_stop, true);
	atomic64_inc(&bench_totals.stops);
	if (atomic_read(&entry->held))
		atomic64_inc(&bench_totals.stops_retained);
	if (atomic_read(&entry->running))
		atomic64_inc(&bench_totals.stops_in_callback);
	add_event(entry, &event);

	if (plan.flags & KBTEST_STOP_REQUEST)
		event.inner_result =
			request_one(entry, kext->log, kext->identifier, "stop", &args, 0, &event.inner_tag);
	if (plan.flags & KBTEST_STOP_RETAIN)
		event.inner_result = OSKextRetainKextWithLoadTag(kext->load_tag);
	if (plan.flags & KBTEST_STOP_WAIT)
		wait_gate(KBTEST_GATE_STOP);

	event.type = KBTEST_STOPPED;
	event.result = plan.stop_result;
	add_event(entry, &event);
	WRITE_ONCE(entry->in_stop, false);
	if (!plan.stop_result || (plan.flags & KBTEST_STOP_GONE))
		leave(entry);
	return plan.stop_result;
}
EXPORT_SYMBOL_GPL(kbtest_stop);

void kbtest_thread_event(struct kbtest_kext *kext, OSReturn result)
{
	struct kbtest_event event = {.type = KBTEST_THREAD, .result = result, .load_tag = kext->load_tag};

	add_event(kext->entry, &event);
}
EXPORT_SYMBOL_GPL(kbtest_thread_event);

void kbtest_thread_wait(void)
{
	wait_gate(KBTEST_GATE_THREAD);
}
EXPORT_SYMBOL_GPL(kbtest_thread_wait);

/* ---- /dev/kbtest */

static void reset(void)
{
	struct kbtest_entry *entry;

	for (entry = bench_entries; entry < bench_entries + BENCH_ENTRIES; entry++) {
		memset(&entry->plan, 0, sizeof(entry->plan));
		atomic_set(&entry->held, 0);
	}
	forget_slots(NULL);
	spin_lock(&events_lock);
	event_count = 0;
	spin_unlock(&events_lock);
	set_gates(0);
	memset(counts, 0, sizeof(counts));
	memset(&bench_totals, 0, sizeof(bench_totals));
}

static void take_totals(struct kbtest_totals *args)
{
	*args = (struct kbtest_totals){
		.accepted = atomic64_read(&bench_totals.accepted),
		.called_back = atomic64_read(&bench_totals.called_back),
		.cancelled = atomic64_read(&bench_totals.cancelled),
		.unexpected = atomic64_read(&bench_totals.unexpected),
		.stops = atomic64_read(&bench_totals.stops),
		.stops_retained = atomic64_read(&bench_totals.stops_retained),
		.stops_in_callback = atomic64_read(&bench_totals.stops_in_callback),
	};
}

static long plan(const struct kbtest_plan *args)
{
	struct kbtest_entry *entry = find_entry(args->kext);

	if (!entry)
		return -ENOENT;
	entry->plan = *args;
	return 0;
}

static long kext_info(struct kbtest_kext_info *args)
{
	struct kbtest_entry *entry = find_entry(args->kext);

	if (!entry)
		return -ENOENT;
	down_read(&entry->alive);
	*args = entry->info;
	up_read(&entry->alive);
	args->modversions = IS_ENABLED(CONFIG_MODVERSIONS);
	strscpy(args->kext, entry->name, sizeof(args->kext));
	return 0;
}

static long take_counts(const struct kbtest_counts *args)
{
	u32 i;

	if (args->from > KBTEST_COUNTS || args->count > KBTEST_COUNTS - args->from)
		return -EINVAL;
	for (i = 0; i < args->count; i++)
		if (put_user((u32)atomic_xchg(&counts[args->from + i], 0),
			     (u32 __user *)u64_to_user_ptr(args->counts) + i))
			return -EFAULT;
	return 0;
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	union {
		char kext[KBTEST_NAME_SIZE];
		struct kbtest_wait wait;
		struct kbtest_request request;
		struct kbtest_cancel cancel;
		struct kbtest_plan plan;
		struct kbtest_kext_info info;
		struct kbtest_call call;
		struct kbtest_counts counts;
		struct kbtest_totals totals;
		struct kbtest_read read;
		struct kbtest_scope scope;
		struct kbtest_version version;
		struct kbtest_memory memory;
	} args;
	void __user *user = (void __user *)arg;
	long err;

	if (_IOC_SIZE(cmd) > sizeof(args) ||
	    ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&args, user, _IOC_SIZE(cmd))))
		return -EFAULT;
	switch (cmd) {
	case KBTEST_IOC_REQUEST:
	case KBTEST_IOC_CANCEL:
	case KBTEST_IOC_PLAN:
	case KBTEST_IOC_KEXT:
	case KBTEST_IOC_READ:
		args.kext[KBTEST_NAME_SIZE - 1] = 0;
	}
	switch (cmd) {
	case KBTEST_IOC_RESET:
		reset();
		return 0;
	case KBTEST_IOC_GATES:
		set_gates(arg);
		return 0;
	case KBTEST_IOC_WAIT:
		err = wait_event_of(&args.wait);
		break;
	case KBTEST_IOC_REQUEST:
		err = request(&args.request);
		break;
	case KBTEST_IOC_CANCEL:
		err = cancel(&args.cancel);
		break;
	case KBTEST_IOC_PLAN:
		err = plan(&args.plan);
		break;
	case KBTEST_IOC_KEXT:
		err = kext_info(&args.info);
		break;
	case KBTEST_IOC_CALL:
		err = bench_call(&args.call);
		break;
	case KBTEST_IOC_READ:
		err = read_resource(&args.read);
		break;
	case KBTEST_IOC_SCOPE:
		err = scope_call(&args.scope);
		break;
	case KBTEST_IOC_VERSION:
		err = bench_version(&args.version);
		break;
	case KBTEST_IOC_MEMORY:
		err = bench_memory(&args.memory);
		break;
	case KBTEST_IOC_COUNTS:
		err = take_counts(&args.counts);
		break;
	case KBTEST_IOC_TOTALS:
		take_totals(&args.totals);
		err = 0;
		break;
	default:
		return -ENOTTY;
	}
	if (!err && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(user, &args, _IOC_SIZE(cmd))) {
		err = -EFAULT;
		if (cmd == KBTEST_IOC_MEMORY && args.memory.op == KBTEST_ALLOC && !args.memory.result)
			kext_free(args.memory.addr, args.memory.size); /* nobody else knows it */
	}
	return err;
}

/* A test that died leaves nothing asleep. */
static int bench_release(struct inode *inode, struct file *file)
{
	set_gates(~0u);
	return 0;
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.release = bench_release,
	.unlocked_ioctl = bench_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice bench_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kbtest",
	.mode = 0666, /* the tests' own gate: what an unprivileged program may do is asked elsewhere */
	.fops = &bench_fops,
};

static struct kbtest_kext self = {
	.name = KBUILD_MODNAME,
	.info = &kmod_info,
	.log = kbtest_callback,
	.count = kbtest_callback,
};

static kern_return_t bench_start(struct kmod_info *ki, void *data)
{
	struct kbtest_entry *entry = find_entry(KBUILD_MODNAME);
	int err, i;

	if (!events)
		events = vmalloc(array_size(MAX_EVENTS, sizeof(*events)));
	if (!events || !entry)
		return KMOD_RETURN_FAILURE;
	for (i = 0; i < KBTEST_SCOPES; i++)
		init_rwsem(&scope_locks[i]);
	self.identifier = OSKextGetCurrentIdentifier();
	self.version = OSKextGetCurrentVersionString();
	self.load_tag = self.atomic_load_tag = OSKextGetCurrentLoadTag();
	self.constants = kbtest_right_constants();
	enter(&self, entry);
	err = misc_register(&bench_device);
	if (err) {
		leave(entry);
		vfree(events);
		events = NULL;
	}
	return err ? KMOD_RETURN_FAILURE : KMOD_RETURN_SUCCESS;
}

static kern_return_t bench_stop(struct kmod_info *ki, void *data)
{
	misc_deregister(&bench_device);
	leave(self.entry);
	vfree(events);
	events = NULL;
	return KMOD_RETURN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.kbtest, "1.0", bench_start, bench_stop);
