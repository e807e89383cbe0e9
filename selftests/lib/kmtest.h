/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The wire between the tests and the test driver kmtest.ko, which speaks KMDF for them.
 *
 * What the driver has is kept in slots, by number: devices, queues, requests, timers, locks. Each slot has a gate, that is
 * an event to wait for, and a script: calls to make, each with the callback in which it is to be made. A request brings
 * its slot's number and its script along, in the input of KMTEST_REQUEST. The same calls can be made at once, by the
 * thread that asks for them, with KMTEST_RUN on /dev/kmdf/kmtest_ctl.
 *
 * All that happens is logged: a callback begins, a call of a script has returned, the callback is about to return.
 *
 * Included by the driver, too, which sees Windows' headers only.
 */
#ifndef _KMTEST_H
#define _KMTEST_H

typedef __UINT8_TYPE__ km_u8;
typedef __UINT16_TYPE__ km_u16;
typedef __UINT32_TYPE__ km_u32;
typedef __UINT64_TYPE__ km_u64;
typedef __INT32_TYPE__ km_s32;

/* CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + number, METHOD_BUFFERED, FILE_ANY_ACCESS) */
#define KMTEST_CODE(number) (0x220000u | (0x800u + (number)) << 2)

#define KMTEST_PATIENCE_MS 5000 /* nothing waits longer than this in the driver */

/* ---- slots -------------------------------------------------------------------------------------------------- */

#define KMTEST_SLOTS 512 /* 0 is none */

/* /dev/kmdf/kmtest, power-managed, and its queues. No queue synchronizes; each has all callbacks. */
#define KMTEST_DEVICE 1
#define KMTEST_DEFAULT 2    /* parallel: device controls */
#define KMTEST_SEQUENTIAL 3 /* reads */
#define KMTEST_PARALLEL 4   /* writes, two at a time */
#define KMTEST_MANUAL 5     /* nothing but what is forwarded */
#define KMTEST_CONTROL 6    /* the device /dev/kmdf/kmtest_ctl */
#define KMTEST_FIRST 16     /* the others are a test's to use */

/* ---- scripts ------------------------------------------------------------------------------------------------ */

/* In which callback; also the type of the event that it began. */
#define KMTEST_AT_IO 1    /* EvtIoRead, EvtIoWrite, EvtIoDeviceControl, EvtIoInternalDeviceControl; value: its length */
#define KMTEST_AT_AGAIN 2 /* these, when the request has been presented before */
#define KMTEST_AT_CANCEL 3       /* EvtRequestCancel */
#define KMTEST_AT_OTHER_CANCEL 4 /* another EvtRequestCancel: KMTEST_OTHER */
#define KMTEST_AT_ON_QUEUE 5     /* EvtIoCanceledOnQueue */
#define KMTEST_AT_STOP 6         /* EvtIoStop; value: its action flags */
#define KMTEST_AT_RESUME 7       /* EvtIoResume */
#define KMTEST_AT_COMPLETION 8   /* the completion routine; status, value: the request's */
#define KMTEST_AT_CLEANUP 9      /* EvtCleanup */
#define KMTEST_AT_DESTROY 10     /* EvtDestroy */
#define KMTEST_AT_TIMER 11       /* EvtTimerFunc */
#define KMTEST_AT_WORK 12        /* EvtWorkItem */
/* Of a queue; value: what the call gave as its own. */
#define KMTEST_AT_STOPPED 13 /* what Stop and StopAndPurge call */
#define KMTEST_AT_PURGED 14  /* what Purge and Drain call */
#define KMTEST_AT_READY 15   /* what ReadyNotify calls */
/* Of a device; value: the handle of the file. */
#define KMTEST_AT_FILE_CREATE 16
#define KMTEST_AT_FILE_CLEANUP 17
#define KMTEST_AT_FILE_CLOSE 18
/* Of /dev/kmdf/kmtest. */
#define KMTEST_AT_D0_ENTRY 19
#define KMTEST_AT_D0_EXIT 20
#define KMTEST_AT_IO_INIT 21    /* EvtDeviceSelfManagedIoInit */
#define KMTEST_AT_IO_SUSPEND 22 /* ...Suspend */
#define KMTEST_AT_IO_RESTART 23 /* ...Restart */
#define KMTEST_AT_IO_FLUSH 24
#define KMTEST_AT_IO_CLEANUP 25
#define KMTEST_ATS 26

/* The call; "S" is the slot that it is about: `slot`, or if that is 0 the script's own. */
enum {
	KMTEST_NOTHING, /* the end of a script */
	KMTEST_NOTE,    /* nothing but the event */

	/* S: a request. */
	KMTEST_MARK, /* WdfRequestMarkCancelable; flag KMTEST_OTHER: with the other callback */
	KMTEST_MARK_EX,
	KMTEST_UNMARK,
	KMTEST_IS_CANCELED,   /* value out */
	KMTEST_COMPLETE,      /* with `status` */
	KMTEST_COMPLETE_WITH, /* and the information `value` */
	KMTEST_COMPLETE_BOOST,
	KMTEST_COMPLETE_AS,     /* with status and value of the op before, or if it is the first, of the callback */
	KMTEST_SET_INFORMATION, /* value */
	KMTEST_GET_INFORMATION, /* value out */
	KMTEST_FORWARD,         /* to the queue `other` */
	KMTEST_REQUEUE,
	KMTEST_STOP_ACK,   /* value: Requeue */
	KMTEST_GET_QUEUE,  /* value out: its slot */
	KMTEST_PARAMETERS, /* value out: WDF_REQUEST_TYPE; status: of a device control, its code */
	KMTEST_INPUT,      /* WdfRequestRetrieveInputBuffer, at least `value` bytes; value out: how many */
	KMTEST_OUTPUT,
	KMTEST_FILL,      /* the first `value` bytes of its output with bytes 0, 1, 2... */
	KMTEST_IN_MEMORY, /* WdfRequestRetrieveInputMemory, into slot `other` */
	KMTEST_OUT_MEMORY,
	KMTEST_FILE,            /* WdfRequestGetFileObject, into slot `other`; value out: the handle */
	KMTEST_REQUESTOR,       /* value out: WdfRequestGetRequestorProcessId */
	KMTEST_IN_FILE_CLEANUP, /* value out: WdfFileObjectGetFlags of its file */

	/* S: a request, to be sent to the target `other`. */
	KMTEST_REQUEST_CREATE, /* a new one, below `value` (0: the driver) */
	KMTEST_FORMAT,         /* flags: KMTEST_FORMAT_*; value: slot of the memory to read to, or to write */
	KMTEST_SET_COMPLETION,
	KMTEST_SEND,        /* flags: WDF_REQUEST_SEND_OPTION_*; value: timeout in ms. value out; status: if not, why */
	KMTEST_CANCEL_SENT, /* value out */
	KMTEST_GET_STATUS,
	KMTEST_REUSE,
	KMTEST_TARGET_CREATE, /* S: a target of the device `other` */
	KMTEST_TARGET_LOCAL,  /* S becomes the local target of the device `other` */
	KMTEST_TARGET_OPEN,   /* the device `other`, by its name */
	KMTEST_TARGET_CLOSE,
	KMTEST_TARGET_START,
	KMTEST_TARGET_STOP,  /* value: WDF_IO_TARGET_SENT_IO_ACTION */
	KMTEST_TARGET_PURGE, /* value: WDF_IO_TARGET_PURGE_IO_ACTION */
	KMTEST_TARGET_STATE, /* value out */

	/* S: a queue. Flags: KMTEST_SYNC, KMTEST_NO_CALLBACK; value: what the callback gets. */
	KMTEST_QUEUE_START,
	KMTEST_QUEUE_STOP,
	KMTEST_QUEUE_PURGE,
	KMTEST_QUEUE_DRAIN,
	KMTEST_QUEUE_STOP_AND_PURGE,
	KMTEST_QUEUE_STATE,      /* status: the bits; value out: KMTEST_QUEUED(), KMTEST_OWNED() */
	KMTEST_RETRIEVE_NEXT,    /* value out: its slot */
	KMTEST_RETRIEVE_BY_FILE, /* of the file in slot `other` */
	KMTEST_FIND,             /* after the one in `other`, if not 0; into slot `value`; flags: KMTEST_FIND_* */
	KMTEST_RETRIEVE_FOUND,   /* the one in `other` */
	KMTEST_READY_NOTIFY,     /* value: 0 ends it, else what the callback gets */

	/* S: a new timer or work item below `other`. */
	KMTEST_TIMER_CREATE, /* value: its period in ms; flags: KMTEST_PASSIVE, KMTEST_NOT_SERIALIZED */
	KMTEST_TIMER_START,  /* value: in how many us; value out */
	KMTEST_TIMER_STOP,   /* flag KMTEST_SYNC; value out */
	KMTEST_TIMER_PARENT, /* value out: 1 if it is `other` */
	KMTEST_WORK_CREATE,  /* flag KMTEST_NOT_SERIALIZED */
	KMTEST_WORK_ENQUEUE,
	KMTEST_WORK_FLUSH,

	/* S: a lock; or for LOCK and UNLOCK, a device or queue. */
	KMTEST_LOCK, /* WdfObjectAcquireLock */
	KMTEST_UNLOCK,
	KMTEST_SPIN_CREATE,
	KMTEST_SPIN_ACQUIRE,
	KMTEST_SPIN_RELEASE,
	KMTEST_WAIT_CREATE,
	KMTEST_WAIT_ACQUIRE, /* value: timeout in ms; flag KMTEST_NO_TIMEOUT */
	KMTEST_WAIT_RELEASE,

	/* S: anything; of CREATE, a new object below `other`. */
	KMTEST_OBJECT_CREATE,
	KMTEST_REFERENCE,
	KMTEST_DEREFERENCE,
	KMTEST_DELETE,
	KMTEST_CONTEXT,       /* value out: 1 if the context that each slot's object has is readable, and its own */
	KMTEST_CONTEXT_ADD,   /* a context of another type; value out: 1 if it is the same as before */
	KMTEST_CONTEXT_UNITS, /* value out: 1 if three files of the driver see the same context */

	/* S: a memory object. */
	KMTEST_MEMORY_CREATE, /* below `other`, of `value` bytes */
	KMTEST_MEMORY_READ,   /* value: offset << 32 | bytes; value out: the first byte */
	KMTEST_MEMORY_WRITE,  /* the same, and each byte is `flags` */
	KMTEST_MEMORY_SIZE,   /* value out */

	/* What drivers keep about requests, under a lock of their own. */
	KMTEST_LIST,             /* S is on the list */
	KMTEST_UNLIST,           /* STATUS_NOT_FOUND: it was not */
	KMTEST_REFERENCE_LISTED, /* if it is; likewise */
	KMTEST_SWAP,             /* sets a flag of S; value out: what it was. A script clears it */

	KMTEST_RAISE, /* to DISPATCH_LEVEL, until LOWER or the end of the ops */
	KMTEST_LOWER,
	KMTEST_WAIT, /* until the gate of S is open; PASSIVE_LEVEL sleeps, else it spins */
	KMTEST_OPEN, /* the gate of S; it stays open */
	KMTEST_CLOSE,
	KMTEST_STALL,  /* spins for `value` us */
	KMTEST_SLEEP,  /* for `value` ms */
	KMTEST_DO,     /* what S's script has for `other` */
	KMTEST_FORGET, /* S is empty */
	KMTEST_FINISH, /* all gates open, and all requests are completed, those to come too */
	KMTEST_OPS_KNOWN,
};

/* op.flags */
#define KMTEST_OTHER 0x1u
#define KMTEST_SYNC 0x2u
#define KMTEST_NO_CALLBACK 0x4u
#define KMTEST_PASSIVE 0x8u
#define KMTEST_NOT_SERIALIZED 0x10u
#define KMTEST_NO_TIMEOUT 0x20u
#define KMTEST_FORMAT_CURRENT 0u
#define KMTEST_FORMAT_READ 1u
#define KMTEST_FORMAT_WRITE 2u
#define KMTEST_FORMAT_IOCTL 3u    /* KMTEST_REQUEST */
#define KMTEST_FORMAT_INTERNAL 4u /* the same, as an internal device control */

#define KMTEST_FIND_READ 0x1u                       /* of that kind */
#define KMTEST_FIND_CONTROL 0x2u                    /* with code KMTEST_REQUEST */
#define KMTEST_FIND_OTHER 0x4u                      /* with another code */
#define KMTEST_FIND_OF(slot) ((km_u32)(slot) << 16) /* of the file in that slot */

/* op.only_if: skipped, unless the op that was done before it, spin locks and gates not counted... */
#define KMTEST_IF_SUCCESS 1 /* had NT_SUCCESS */
#define KMTEST_IF_FAILED 2
#define KMTEST_IF_CANCELLED 3 /* returned STATUS_CANCELLED */
#define KMTEST_UNLESS_CANCELLED 4
#define KMTEST_IF_VALUE 5 /* had a value that is not 0 */
#define KMTEST_UNLESS_VALUE 6

#define KMTEST_SKIPPED ((km_s32)0xe0000001) /* status of an op that was not done */
#define KMTEST_NO_SLOT ((km_s32)0xe0000002) /* its slot does not hold what it is about */

#define KMTEST_QUEUED(value) ((km_u32)((value) >> 32))
#define KMTEST_OWNED(value) ((km_u32)(value))

struct kmtest_op {
	km_u8 when; /* KMTEST_AT_*; in KMTEST_RUN not looked at */
	km_u8 only_if;
	km_u16 code;
	km_u16 slot;
	km_u16 other;
	km_u32 flags;
	km_s32 status; /* in where the call takes one; out: what it returned */
	km_u64 value;
};

#define KMTEST_SCRIPT_OPS 12

#define KMTEST_QUIET 1u      /* its callbacks are counted and not logged */
#define KMTEST_OWN_SCRIPT 2u /* a queue's: requests get its script, also those that bring one */

struct kmtest_script {
	km_u16 slot;
	km_u16 flags;
	/* A queue's script: that of requests without one. They get slots [first, first + count) in turn. */
	km_u16 first;
	km_u16 count;
	struct kmtest_op ops[KMTEST_SCRIPT_OPS];
};

/* ---- device controls of all devices but kmtest_ctl ------------------------------------------------------------- */

/* In: struct kmtest_script. What comes out is what the script makes of it. */
#define KMTEST_REQUEST KMTEST_CODE(0)

/* ---- device controls of kmtest_ctl ----------------------------------------------------------------------------- */

/* In and out: struct kmtest_run. */
#define KMTEST_RUN KMTEST_CODE(1)
#define KMTEST_RUN_OPS 64

struct kmtest_run {
	km_u32 slot; /* the own one */
	km_u32 count;
	struct kmtest_op ops[KMTEST_RUN_OPS]; /* as many as `count` says are read and written */
};

/* In: struct kmtest_script, of whatever slot. */
#define KMTEST_SCRIPT KMTEST_CODE(2)

#define KMTEST_OP 0x100u  /* type: an op of a script or a run has been done */
#define KMTEST_END 0x200u /* | KMTEST_AT_*: this callback is about to return */

struct kmtest_event {
	km_u64 seq; /* from 1, without gaps */
	km_u64 time_ns;
	km_u64 handle;
	km_u64 value;
	km_u64 stack; /* where the callback has its variables */
	km_u32 type;
	km_u32 slot;
	km_u32 op;
	km_s32 status;
	km_u32 thread; /* Linux's thread id */
	km_u32 irql;
};

/* In and out: struct kmtest_wait. The first event that is at least `from` and has this type, slot and op. */
#define KMTEST_WAIT_EVENT KMTEST_CODE(3)

struct kmtest_wait {
	km_u64 from;
	km_u32 type; /* 0: any; likewise slot and op */
	km_u32 slot;
	km_u32 op;
	km_u32 timeout_ms;
	km_u32 found; /* out */
	km_u32 reserved;
	struct kmtest_event event; /* out */
};

/* In and out: struct kmtest_device. Makes a control device, to be opened as /dev/kmdf/NAME, and its queues. */
#define KMTEST_CREATE_DEVICE KMTEST_CODE(4)
/* In and out: struct kmtest_queue, of a device that is there. */
#define KMTEST_CREATE_QUEUE KMTEST_CODE(5)

#define KMTEST_HANDLE_READ 0x1u
#define KMTEST_HANDLE_WRITE 0x2u
#define KMTEST_HANDLE_CONTROL 0x4u
#define KMTEST_HANDLE_INTERNAL 0x8u
#define KMTEST_HANDLE_DEFAULT 0x10u

#define KMTEST_DEFAULT_QUEUE 0x1u
#define KMTEST_ZERO_LENGTH 0x2u /* AllowZeroLengthRequests */
#define KMTEST_ON_QUEUE 0x4u    /* has EvtIoCanceledOnQueue */
#define KMTEST_STOPS 0x8u       /* has EvtIoStop and EvtIoResume */
#define KMTEST_NOT_POWER_MANAGED 0x10u
#define KMTEST_POWER_MANAGED 0x20u
/* Mistakes. */
#define KMTEST_BAD_SIZE 0x100u
#define KMTEST_NO_HANDLE 0x200u /* nowhere to put the handle */
#define KMTEST_LIMIT_0 0x400u   /* NumberOfPresentedRequests is 0 */

struct kmtest_queue {
	km_u16 slot;
	km_u16 device;
	km_u16 type;  /* WDF_IO_QUEUE_DISPATCH_TYPE */
	km_u16 level; /* WDF_EXECUTION_LEVEL; 0: not set; likewise scope */
	km_u16 scope;
	km_u16 handlers;   /* KMTEST_HANDLE_* */
	km_u16 dispatched; /* KMTEST_HANDLE_*: gets these by WdfDeviceConfigureRequestDispatching */
	km_u16 flags;
	km_u32 limit;  /* NumberOfPresentedRequests, if not 0 */
	km_s32 status; /* out */
};

#define KMTEST_NAME_SIZE 32
#define KMTEST_DEVICE_QUEUES 8

#define KMTEST_EXCLUSIVE 0x1u
#define KMTEST_FILES 0x2u   /* has EvtDeviceFileCreate, EvtFileCleanup, EvtFileClose */
#define KMTEST_REFUSES 0x4u /* and the first completes with STATUS_UNSUCCESSFUL */
#define KMTEST_DEFERS 0x8u  /* or puts the request into the default queue, which is manual */

struct kmtest_device {
	char name[KMTEST_NAME_SIZE];
	km_u16 slot;
	km_u16 flags;
	km_u16 level;
	km_u16 scope;
	km_s32 status; /* out: of the first call that failed */
	km_u32 count;
	struct kmtest_queue queues[KMTEST_DEVICE_QUEUES];
};

/* In and out: struct kmtest_look. */
#define KMTEST_LOOK KMTEST_CODE(6)
#define KMTEST_LOOK_SLOTS 64

struct kmtest_look_slot {
	km_u32 slot;
	km_u32 alive; /* a request that has not been completed, or an object that has not been cleaned up */
	km_u64 handle;
	km_s32 status;             /* of the last callback that had one */
	km_u32 done;               /* callbacks that have returned */
	km_u32 counts[KMTEST_ATS]; /* callbacks, since its script was set */
};

struct kmtest_look {
	km_u32 count;
	km_u32 reserved;
	km_u64 seq;                                       /* out: of the last event */
	struct kmtest_look_slot slots[KMTEST_LOOK_SLOTS]; /* as many as `count` says */
};

#endif
