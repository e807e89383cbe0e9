// SPDX-License-Identifier: GPL-2.0-only
/* What the bench calls of the KPI by itself, for no kext's request: by load tag, by identifier, versions, memory. */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include <kern/kext_alloc.h>

#include "bench.h"

/* NULL: none of the test kexts has this tag now. */
static struct kbtest_entry *entry_of(OSKextLoadTag tag)
{
	struct kbtest_entry *entry;

	for (entry = bench_entries; entry < bench_entries + BENCH_ENTRIES; entry++)
		if (entry->name[0] && entry->info.present && entry->info.load_tag == tag)
			return entry;
	return NULL;
}

/* Request and cancel, over and over: each tag larger than the one before. */
static void cycle(struct kbtest_call *args)
{
	struct kbtest_entry *entry = entry_of(args->load_tag);
	OSKextRequestTag tag, last = 0;

	args->result = kOSKextReturnNotFound;
	if (!entry)
		return;
	for (args->done = 0; args->done < args->count; args->done++) {
		args->result = OSKextRequestResource("com.example.kbtest", "cycle", entry->count, NULL, &tag);
		if (!args->result)
			args->result = kextbridge_cancel_request(&kmod_info, tag, NULL);
		if (!args->result && tag <= last)
			args->result = kOSKextReturnInternalError;
		if (args->result || fatal_signal_pending(current))
			return;
		if (!args->done)
			args->first_tag = tag;
		args->last_tag = last = tag;
		cond_resched();
	}
}

/* While the bench holds a kext no stop function may run, neither from now on nor already. */
static void hold(struct kbtest_entry *entry, int retains)
{
	if (!entry)
		return;
	atomic_add(retains, &entry->held);
	if (READ_ONCE(entry->in_stop))
		atomic64_inc(&bench_totals.stops_retained);
}

static void retain_or_release(struct kbtest_call *args)
{
	struct kbtest_entry *entry = entry_of(args->load_tag);

	for (args->done = 0; args->done < args->count && !args->result; args->done++) {
		if (args->op != KBTEST_RELEASE) {
			args->result = OSKextRetainKextWithLoadTag(args->load_tag);
			if (!args->result)
				hold(entry, 1);
		}
		if (args->op != KBTEST_RETAIN && !args->result) {
			hold(entry, -1);
			args->result = OSKextReleaseKextWithLoadTag(args->load_tag);
		}
		if (args->result || fatal_signal_pending(current))
			return;
		cond_resched();
	}
}

static bool change_one(struct kbtest_kext *kext, bool create)
{
	int32_t old = READ_ONCE(kext->instances);

	do {
		if (!create && !old)
			return false;
	} while (!try_cmpxchg(&kext->instances, &old, create ? old + 1 : old - 1));
	kext->instance(create);
	return true;
}

static void change_instances(struct kbtest_call *args)
{
	struct kbtest_entry *entry = entry_of(args->load_tag);

	args->result = kOSKextReturnNotFound;
	if (!entry)
		return;
	down_read(&entry->alive);
	if (entry->kext && entry->kext->instance) {
		args->result = kOSReturnSuccess;
		while (args->done < args->count && change_one(entry->kext, args->op == KBTEST_CREATE))
			args->done++;
	}
	up_read(&entry->alive);
}

static void unload(struct kbtest_call *args)
{
	struct kbtest_entry *caller = entry_of(args->first_tag);
	const kmod_info_t *info = &kmod_info;

	if (caller) {
		down_read(&caller->alive);
		info = caller->kext ? caller->kext->info : info;
		up_read(&caller->alive);
	}
	/* It is compared, not followed. Two kexts that unload each other would wait for each other's stop function here. */
	args->result = kextbridge_unload_kext(info, args->load_tag);
}

static OSKextLoadTag lookup(const char *identifier)
{
	static DEFINE_SPINLOCK(lock);
	OSKextLoadTag tag;

	spin_lock(&lock);
	tag = OSKextGetLoadTagForIdentifier(identifier);
	spin_unlock(&lock);
	return tag;
}

long bench_call(struct kbtest_call *args)
{
	char *identifier;

	args->done = 0;
	args->result = kOSReturnSuccess;
	switch (args->op) {
	case KBTEST_RETAIN:
	case KBTEST_RELEASE:
	case KBTEST_PAIRS:
		retain_or_release(args);
		return 0;
	case KBTEST_CYCLES:
		cycle(args);
		return 0;
	case KBTEST_CREATE:
	case KBTEST_DESTROY:
		change_instances(args);
		return 0;
	case KBTEST_UNLOAD:
		unload(args);
		return 0;
	case KBTEST_LOAD:
	case KBTEST_LOOKUP:
		identifier = bench_get_string(args->identifier);
		if (IS_ERR(identifier))
			return PTR_ERR(identifier);
		if (args->op == KBTEST_LOAD)
			args->result = OSKextLoadKextWithIdentifier(identifier);
		else
			args->first_tag = lookup(identifier);
		bench_free_string(identifier);
		return 0;
	}
	return -EINVAL;
}

long bench_version(struct kbtest_version *args)
{
	char *text = bench_get_string(args->text);
	unsigned long flags;

	if (IS_ERR(text))
		return PTR_ERR(text);
	local_irq_save(flags);
	args->parsed = OSKextParseVersionString(text);
	args->result = args->size <= sizeof(args->printed) &&
		       OSKextVersionGetString(args->number, args->printed, args->size);
	local_irq_restore(flags);
	bench_free_string(text);
	return 0;
}

static u32 touch(unsigned long addr, size_t size)
{
	unsigned int level;
	pte_t *pte = lookup_address(addr, &level);
	u32 found = 0;

	if (!memchr_inv((void *)addr, 0, PAGE_ALIGN(size)))
		found |= KBTEST_MEMORY_ZEROED;
	if (!pte || pte_exec(*pte))
		found |= KBTEST_MEMORY_EXECUTABLE;
	if (!pte || !pte_write(*pte))
		found |= KBTEST_MEMORY_READ_ONLY;
	else
		memset((void *)addr, 0xa5, PAGE_ALIGN(size));
	return found;
}

long bench_memory(struct kbtest_memory *args)
{
	vm_offset_t addr = args->addr;

	args->result = 0;
	args->found = 0;
	switch (args->op) {
	case KBTEST_ALLOC:
		kext_alloc_init();
		args->result = kext_alloc(&addr, args->size, args->fixed);
		args->addr = addr;
		if (!args->result && args->size && (args->flags & KBTEST_TOUCH))
			args->found = touch(addr, args->size);
		return 0;
	case KBTEST_ALLOC_NULL:
		args->result = kext_alloc(NULL, args->size, args->fixed);
		return 0;
	case KBTEST_FREE:
		kext_free(addr, args->size);
		return 0;
	}
	return -EINVAL;
}
