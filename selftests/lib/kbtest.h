/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The wire between the tests and the test bench kbtest.ko (/dev/kbtest). The bench keeps what a test wants to know
 * about the test kexts, across their unload, and calls the KPI for them: with their callback, so that the request is
 * theirs, and with their kmod_info.
 */
#ifndef _KBTEST_H
#define _KBTEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KBTEST_NAME_SIZE 32

/* A test's doubts last no longer than this in the kernel: gates and the like give up. */
#define KBTEST_PATIENCE_MS 20000

/* ---- events: what happened to the kexts, in the order in which it did --------------------------------------- */

#define KBTEST_CALLBACK 1 /* a resource callback began; `inner` is not used */
#define KBTEST_RETURN 2   /* it is about to return */
#define KBTEST_START 3    /* a start function began: load_tag from OSKextGetCurrentLoadTag(), context from ki->id */
#define KBTEST_STARTED 4  /* it is about to return `result` */
#define KBTEST_STOP 5
#define KBTEST_STOPPED 6
#define KBTEST_THREAD 7 /* kbtest_thread's thread: `result` of its release, then once more before it ends */

#define KBTEST_HAS_DATA 0x1u      /* data was not NULL */
#define KBTEST_TAG_KNOWN 0x2u     /* *requestTagOut held this tag when the callback began */
#define KBTEST_IN_START 0x4u      /* the kext's start function was running */
#define KBTEST_IN_STOP 0x8u       /* its stop function was running */
#define KBTEST_ON_REQUESTER 0x10u /* on the thread that had requested */
#define KBTEST_ATOMIC 0x20u       /* not in a context that may sleep */

struct kbtest_event {
	__u64 seq;
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 context;
	char kext[KBTEST_NAME_SIZE];
	__u32 type;
	__u32 flags;
	__u32 tag;
	__s32 result;
	__u32 length;
	__u32 crc;        /* of the data, as zlib's crc32(); 0 without data */
	__u32 concurrent; /* callbacks of this kext that ran, this one included */
	__u32 load_tag;
	__s32 inner_result; /* of the call that the callback, start or stop function made */
	__u32 inner_tag;
};

struct kbtest_wait {
	__u64 seq; /* of the event that is wanted */
	__u32 timeout_ms;
	__u32 reserved;
	struct kbtest_event event; /* out */
};

/* ---- requests ------------------------------------------------------------------------------------------------ */

/* Which function a request names as its callback. */
#define KBTEST_LOG 0   /* writes events, acts */
#define KBTEST_COUNT 1 /* adds one to counts[context], nothing else */
#define KBTEST_NULL 2
#define KBTEST_HEAP 3 /* the address of allocated memory */
#define KBTEST_STACK 4
#define KBTEST_USER 5         /* an address of user space */
#define KBTEST_DATA 6         /* in the kext's data */
#define KBTEST_KERNEL 7       /* a function of the kernel proper */
#define KBTEST_RELEASE_SELF 8 /* as KBTEST_COUNT, after it has released its own kext; its way back is long */

/* In the context of KBTEST_COUNT: adds 1 in the byte of its result instead. */
#define KBTEST_BY_RESULT 0x10000u
#define KBTEST_BYTE_SUCCESS 0
#define KBTEST_BYTE_TIMEOUT 1
#define KBTEST_BYTE_INTERNAL 2 /* kOSKextReturnInternalError */
#define KBTEST_BYTE_OTHER 3

/* What the callback does besides writing events, in this order. */
#define KBTEST_DO_SLEEP 0x1u           /* for `ms` */
#define KBTEST_DO_WAIT 0x2u            /* until the gate KBTEST_GATE_CALLBACK is open */
#define KBTEST_DO_CANCEL_OWN 0x4u      /* cancels its own tag */
#define KBTEST_DO_CANCEL 0x8u          /* cancels `other` */
#define KBTEST_DO_REQUEST 0x10u        /* requests again, `chain` times one after the other */
#define KBTEST_DO_MUTEX 0x20u          /* takes the mutex that KBTEST_HOLD_MUTEX holds */
#define KBTEST_DO_ALLOC 0x40u          /* GFP_KERNEL allocations, and msleep */
#define KBTEST_DO_CANCEL_ALL 0x80u     /* cancels all of its kext; inner_tag: how many */
#define KBTEST_DO_CANCEL_SCOPE 0x2000u /* cancels the scope with number `other`; inner_tag: how many */
#define KBTEST_DO_UNLOAD 0x4000u       /* unloads the kext with load tag `other` */
/* Reads the resource "inner" of its kext, within `ms` unless that is 0; inner_tag: how many bytes. */
#define KBTEST_DO_READ 0x8000u

#define KBTEST_NO_IDENTIFIER 0x100u /* NULL instead of the string */
#define KBTEST_NO_NAME 0x200u
#define KBTEST_NO_TAG 0x400u     /* requestTagOut NULL */
#define KBTEST_HOLD_MUTEX 0x800u /* from before the call until `ms` after it */
/* Only while the kext is started, which it stays meanwhile, else ESRCH: its callback may be another kext's code by now. */
#define KBTEST_ALIVE 0x1000u

/* The strings are freed and overwritten when the call has returned. */
struct kbtest_request {
	char kext[KBTEST_NAME_SIZE];
	__u64 identifier; /* user address of a string */
	__u64 name;
	__u64 context; /* of the first; the next one's is one more */
	__u64 tags;    /* user address of `count` tags, or 0 */
	__u32 callback;
	__u32 flags;
	__u32 count;      /* so many requests */
	__u32 timeout_ms; /* this or max_length not 0: kextbridge_request_resource() */
	__u32 max_length;
	__u32 ms;
	__u32 chain;
	__u32 other;
	__u32 tag;     /* out: of the last request */
	__s32 result;  /* out: of the first that failed, else Success */
	__u64 took_ns; /* out: the longest call */
	__u32 scope;   /* its number; 0: none */
	__u32 reserved;
};

/* kextbridge_read_resource() of a kext, as kbtest_request. */
struct kbtest_read {
	char kext[KBTEST_NAME_SIZE];
	__u64 identifier;
	__u64 name;
	__u64 data;  /* user address */
	__u32 size;  /* room there */
	__u32 flags; /* KBTEST_NO_IDENTIFIER, KBTEST_NO_NAME */
	__u32 timeout_ms;
	__u32 max_length;
	__u32 scope;
	__u32 length;   /* out */
	__s32 result;   /* out */
	__u32 has_data; /* out: the pointer was not NULL */
};

/* The bench's scopes, from 1 on. The last one is never made. */
#define KBTEST_SCOPES 8

#define KBTEST_SCOPE_INIT 1 /* after a cancel, and when nobody uses it */
#define KBTEST_SCOPE_CANCEL 2
#define KBTEST_SCOPE_ASK 3 /* whether it is cancelled: count */

struct kbtest_scope {
	__u32 op;
	__u32 number;
	__u32 count;    /* out: requests cancelled */
	__u32 called;   /* out: how often it was told so */
	__u64 contexts; /* out: the sum of their contexts */
};

#define KBTEST_CANCEL_NO_OUT 0x1u
#define KBTEST_CANCEL_NOWAIT 0x2u
#define KBTEST_CANCEL_ALL 0x4u    /* kextbridge_cancel_all(); tag: out, how many; context: out, the sum of theirs */
#define KBTEST_CANCEL_FORGED 0x8u /* with the kmod_info of no kext */

struct kbtest_cancel {
	char kext[KBTEST_NAME_SIZE]; /* whose call it is */
	__u64 context;               /* in: what *contextOut is set to before; out */
	__u32 tag;
	__u32 flags;
	__s32 result; /* out */
	__u32 reserved;
};

/* ---- kexts --------------------------------------------------------------------------------------------------- */

#define KBTEST_START_WAIT 0x1u      /* until the gate KBTEST_GATE_START is open */
#define KBTEST_START_RETAIN 0x2u    /* retains itself */
#define KBTEST_START_LOAD 0x4u      /* loads itself */
#define KBTEST_START_INIT_TEXT 0x8u /* requests with a callback in .init.text */
/* Reads the resource "start" of its own bundle, within `ms` unless that is 0; inner_tag: how many bytes. */
#define KBTEST_START_READ 0x100u
#define KBTEST_STOP_WAIT 0x10u /* until the gate KBTEST_GATE_STOP is open */
#define KBTEST_STOP_REQUEST 0x20u
#define KBTEST_STOP_RETAIN 0x40u
#define KBTEST_STOP_GONE 0x80u /* its module goes, whatever it returns */

/* What a kext's start and stop functions do from now on, loaded or not. */
struct kbtest_plan {
	char kext[KBTEST_NAME_SIZE];
	__u32 flags;
	__u32 start_requests; /* of the resource "start" of its own bundle, contexts 0, 1, ... */
	__s32 start_result;
	__s32 stop_result;
	__u32 ms;
};

#define KBTEST_GATE_CALLBACK 0x1u
#define KBTEST_GATE_START 0x2u
#define KBTEST_GATE_STOP 0x4u
#define KBTEST_GATE_THREAD 0x8u

#define KBTEST_UNRESOLVED 0xfffffffeu /* there is no such symbol, or the kext does not ask */

/* As the kext's own OSKextGetCurrent*() calls gave them in its start function. */
struct kbtest_kext_info {
	char kext[KBTEST_NAME_SIZE]; /* in */
	char identifier[64];
	char version[64];
	__u32 load_tag;
	__u32 atomic_load_tag; /* asked for with interrupts off */
	__u32 present;         /* started and not stopped */
	__u32 constants;       /* so many KPI constants were right, seen from the kext */
	__u32 base_load_tag;   /* what the weak symbol of kbtest_base gave; KBTEST_UNRESOLVED */
	__u32 modversions;     /* the kernel compares the versions of symbols */
};

/* ---- calls without a kext ------------------------------------------------------------------------------------ */

#define KBTEST_RETAIN 1 /* load_tag; `count` times, stops at the first failure */
#define KBTEST_RELEASE 2
#define KBTEST_PAIRS 3   /* `count` times retain, release */
#define KBTEST_LOAD 4    /* OSKextLoadKextWithIdentifier(identifier) */
#define KBTEST_CYCLES 5  /* `count` times request, cancel, for the kext that has load_tag; tags must increase */
#define KBTEST_CREATE 6  /* `count` instances of a class of the kext that has load_tag */
#define KBTEST_DESTROY 7 /* no more than there are */
/* OSKextUnloadKextWithLoadTag(load_tag), by the kext with load tag first_tag, or by the bench. */
#define KBTEST_UNLOAD 8
#define KBTEST_LOOKUP 9 /* first_tag: OSKextGetLoadTagForIdentifier(identifier), asked for under a spin lock */

struct kbtest_call {
	__u32 op;
	__u32 load_tag;
	__u64 identifier; /* user address; 0: NULL */
	__u32 count;
	__u32 done;      /* out: how often it went well */
	__s32 result;    /* out */
	__u32 first_tag; /* out, KBTEST_CYCLES, KBTEST_LOOKUP */
	__u32 last_tag;
	__u32 reserved;
};

/* With interrupts off: OSKextParseVersionString(text), OSKextVersionGetString(number). */
struct kbtest_version {
	__u64 text;       /* user address; 0: NULL */
	__s64 parsed;     /* out */
	__s64 number;     /* in */
	char printed[32]; /* in and out: the buffer */
	__u32 size;       /* as it is said to be */
	__u32 result;     /* out */
};

#define KBTEST_ALLOC 1      /* kext_alloc(addr, size, fixed) */
#define KBTEST_ALLOC_NULL 2 /* with addr NULL */
#define KBTEST_FREE 3       /* kext_free(addr, size) */
/* With KBTEST_ALLOC: looks at all bytes and fills them with something. The caller knows that nobody frees them. */
#define KBTEST_TOUCH 0x1u

#define KBTEST_MEMORY_ZEROED 0x1u
#define KBTEST_MEMORY_EXECUTABLE 0x2u
#define KBTEST_MEMORY_READ_ONLY 0x4u

struct kbtest_memory {
	__u64 addr; /* in and out */
	__u64 size;
	__u32 op;
	__u32 fixed;
	__u32 flags;
	__s32 result; /* out: a kern_return_t */
	__u32 found;  /* out, with KBTEST_TOUCH: KBTEST_MEMORY_* */
	__u32 reserved;
};

/* counts[] of KBTEST_COUNT callbacks: reads [from, from + count) and sets them to 0. */
#define KBTEST_COUNTS 4096
struct kbtest_counts {
	__u64 counts; /* user address of __u32 */
	__u32 from;
	__u32 count;
};

/* Since KBTEST_IOC_RESET. */
struct kbtest_totals {
	__u64 accepted; /* requests, of every callback */
	__u64 called_back;
	__u64 cancelled;
	__u64 unexpected; /* callbacks of KBTEST_LOG with a tag that was over already, or that nobody was told */
	__u64 stops;
	__u64 stops_retained;    /* a kext was stopped, or was stopping, while the bench retained it */
	__u64 stops_in_callback; /* its stop function began while a callback ran that calls the bench at both ends */
};

#define KBTEST_IOC_RESET _IO(0xb7, 0)                      /* no events, gates closed, plans empty */
#define KBTEST_IOC_WAIT _IOWR(0xb7, 1, struct kbtest_wait) /* ETIME: no such event came */
#define KBTEST_IOC_REQUEST _IOWR(0xb7, 2, struct kbtest_request)
#define KBTEST_IOC_CANCEL _IOWR(0xb7, 3, struct kbtest_cancel)
#define KBTEST_IOC_PLAN _IOW(0xb7, 4, struct kbtest_plan)
#define KBTEST_IOC_GATES _IO(0xb7, 5) /* the argument: those that are open from now on, the others are closed */
#define KBTEST_IOC_KEXT _IOWR(0xb7, 6, struct kbtest_kext_info)
#define KBTEST_IOC_CALL _IOWR(0xb7, 7, struct kbtest_call)
#define KBTEST_IOC_COUNTS _IOW(0xb7, 8, struct kbtest_counts)
#define KBTEST_IOC_TOTALS _IOR(0xb7, 9, struct kbtest_totals)
#define KBTEST_IOC_READ _IOWR(0xb7, 10, struct kbtest_read)
#define KBTEST_IOC_SCOPE _IOWR(0xb7, 11, struct kbtest_scope)
#define KBTEST_IOC_VERSION _IOWR(0xb7, 12, struct kbtest_version)
#define KBTEST_IOC_MEMORY _IOWR(0xb7, 13, struct kbtest_memory)

#endif
