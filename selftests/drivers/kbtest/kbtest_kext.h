/* SPDX-License-Identifier: GPL-2.0-only */
/* What kbtest.ko offers to the test kexts. In C and in C++. */
#ifndef _KBTEST_KEXT_H
#define _KBTEST_KEXT_H

#include <kextbridge/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kbtest_entry;

/* A test kext as it introduces itself. */
struct kbtest_kext {
	const char *name; /* of its module */
	kmod_info_t *info;
	OSKextRequestResourceCallback log;       /* calls kbtest_log() */
	OSKextRequestResourceCallback count;     /* calls kbtest_count() */
	OSKextRequestResourceCallback init_text; /* in .init.text; may be NULL */
	/* What its OSKextGetCurrent*() calls gave in its start function. */
	const char *identifier;
	const char *version;
	OSKextLoadTag load_tag;
	OSKextLoadTag atomic_load_tag;
	uint32_t constants;         /* how many values of ../../lib/constants.h it has checked */
	struct kbtest_entry *entry; /* kbtest's own */
	/* As count, then releases its own kext and stays in the kext's text for a while; may be NULL. */
	OSKextRequestResourceCallback release;
	void (*instance)(bool lives); /* one more of its class, or one less; may be NULL */
	uint32_t base_load_tag;       /* by a weak symbol of kbtest_base, if asks_base */
	uint32_t asks_base;
	int32_t instances; /* kbtest's own: how many it has made that live */
};

/* The kext's start and stop functions return what these return. */
kern_return_t kbtest_start(struct kbtest_kext *kext, kmod_info_t *ki);
kern_return_t kbtest_stop(struct kbtest_kext *kext);

void kbtest_log(struct kbtest_kext *kext, OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length,
		void *context);
void kbtest_count(OSReturn result, void *context);
/* Around what a callback does that lets go of its kext: the second one returns into the kext's text late. */
void kbtest_begin(struct kbtest_kext *kext);
void kbtest_linger(struct kbtest_kext *kext);

/* For kbtest_thread: a KBTEST_THREAD event; waits for the gate KBTEST_GATE_THREAD. */
void kbtest_thread_event(struct kbtest_kext *kext, OSReturn result);
void kbtest_thread_wait(void);

#ifdef __cplusplus
}
#endif

#endif
