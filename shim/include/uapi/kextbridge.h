/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The wire between kextbridge.ko and user space: /dev/kextd (the daemon's node) and /dev/kextbridge
 * (everybody else's).
 *
 * Rules for every structure here:
 *  - fixed-width little-endian fields, natural alignment, no holes; the same for 32-bit callers;
 *  - `size` is sizeof the structure the caller was built with. A larger one is accepted when what the
 *    kernel does not know is zero (else E2BIG); a smaller one when it holds at least the first version
 *    (else EINVAL);
 *  - reserved fields must be zero and unknown flags are refused, both with EINVAL.
 *
 * An ioctl's return value is the transport's: 0, or -1 with errno. What became of the operation is an
 * OSReturn in a field of its own (libkern/OSReturn.h: 0 is success, errors are negative).
 */
#ifndef _UAPI_KEXTBRIDGE_H
#define _UAPI_KEXTBRIDGE_H

#ifdef KEXTBRIDGE_CORE
#include "shim/types.h"
#define KEXTBRIDGE_IOWR(nr, type) (0xc0000000u | ((__u32)sizeof(type) << 16) | (0xb6u << 8) | (nr))
#else
#include <linux/ioctl.h>
#include <linux/types.h>
#define KEXTBRIDGE_IOWR(nr, type) _IOWR(0xb6, nr, type)
#endif

#define KEXTBRIDGE_IDENTIFIER_SIZE 64 /* a kext's identifier or version, NUL included */
#define KEXTBRIDGE_MODULE_SIZE 56     /* a module's name, NUL included */
#define KEXTBRIDGE_NAME_LIMIT 3072u   /* no identifier or resource name is longer, NUL not counted */

/* ---- /dev/kextd ------------------------------------------------------------------------------- */

/* Kinds of struct kextd_request. */
#define KEXTD_RESOURCE 1 /* find a resource; wants a reply */
#define KEXTD_LOAD 2     /* load the module whose alias is kext:<identifier>; wants a reply */
#define KEXTD_UNLOAD 3   /* delete_module(name) of kext <identifier>, O_NONBLOCK; wants a reply */
#define KEXTD_CANCEL 4   /* notice: nobody waits for request `id` any more; a reply would be refused */
/*
 * Notices without an id, each handed out once to the daemon that is there when it happens, if it has asked for them
 * (KEXTD_EXCHANGE_NOTIFY): a kext has been loaded and started, a kext is gone and its module is being deleted (both:
 * <identifier>, module name, load tag); the system goes down, no more requests, loads and unloads come, and the daemon
 * should end once it has answered what it has. Of loads and unloads at most 4096 wait to be fetched, later ones are lost.
 */
#define KEXTD_LOADED 5
#define KEXTD_UNLOADED 6
#define KEXTD_EXIT 7

/*
 * One record of the buffer that KEXTD_IOC_EXCHANGE fills. Records are 8-byte aligned; the next one
 * starts `size` bytes after this one. The two strings follow the header, each NUL-terminated.
 */
struct kextd_request {
	__u32 size;        /* of the whole record: header, strings, padding */
	__u32 kind;        /* KEXTD_RESOURCE... */
	__u64 id;          /* never comes back, not even after a new boot of the daemon; 0: a notice without one */
	__u64 deadline_ns; /* CLOCK_MONOTONIC; 0: none */
	__u32 max_length;  /* KEXTD_RESOURCE: the longest reply that will be taken, in bytes */
	__u32 load_tag;    /* KEXTD_RESOURCE: the kext that asks, 0 = a program; else the kext that it is about, or 0 */
	__u32 identifier_size; /* of the first string, NUL included; 1 where the kind has none */
	__u32 name_size;       /* of the second: resource name, or module name for KEXTD_*LOAD*; 1 where none */
	__u32 attempt;         /* daemons that died with this request, and no other, in hand */
	__u32 reserved;
};

#define KEXTD_REPLY_RESULT 0x1u /* `result` is valid: required */
#define KEXTD_REPLY_DATA 0x2u   /* `data`, `length`: the payload's bytes */
#define KEXTD_REPLY_FD 0x4u     /* `fd`: the payload is all of this regular file, opened for reading only */
#define KEXTD_REPLY_FLAGS 0x7u

/* One element of the array that KEXTD_IOC_EXCHANGE takes. */
struct kextd_reply {
	__u64 id;     /* of the kextd_request; 0 is refused */
	__s32 result; /* OSReturn of the operation, handed to the asker as it is */
	__u32 flags;  /* KEXTD_REPLY_* */
	__u64 data;   /* user address */
	__u32 length; /* bytes at data */
	__s32 fd;
	/*
	 * Written by the kernel: what became of this reply.
	 *  kOSReturnSuccess            taken
	 *  kOSKextReturnNotFound       no such request, or not fetched by this file, or already answered,
	 *                              cancelled or timed out
	 *  kOSKextReturnInvalidArgument no id, no result, both payloads, unknown flag, bad address, a
	 *                              descriptor that is no regular file or is not opened for reading only
	 *  kOSKextReturnNoResources    longer than max_length
	 *  kOSKextReturnBadData        the file changed its size, or could not be read
	 *  kOSKextReturnNoMemory
	 * After anything but Success and NotFound the request is still in hand and can be answered again.
	 */
	__s32 status;
	__u32 reserved;
};

#define KEXTD_EXCHANGE_NOWAIT 0x1u /* do not sleep when there is nothing to fetch; also O_NONBLOCK */
#define KEXTD_EXCHANGE_NOTIFY \
	0x2u /* from now on this file is handed KEXTD_LOADED, KEXTD_UNLOADED and KEXTD_EXIT, too */

/*
 * Hands in `reply_count` replies, then fetches up to `max_requests` requests. With max_requests 0 it
 * never sleeps. Otherwise it sleeps until there is something to fetch, unless NOWAIT, or unless a reply was
 * refused and has to be given again (a status other than Success and NotFound).
 *
 * Returns 0 with the out fields written, also when a signal or NOWAIT left nothing to fetch but
 * replies were handed in. Errors: EINTR/restart, EAGAIN (nothing to fetch, no replies), EINVAL, E2BIG,
 * EFAULT (out fields tell how many replies were taken; what was fetched goes back to the queue),
 * ENOBUFS (the first record does not fit: requests_used holds the size it needs), EPERM, EOWNERDEAD
 * (the process that opened this file is gone, or another daemon has taken over).
 * open: EBUSY (there is a daemon), ESHUTDOWN (the system goes down).
 */
struct kextd_exchange {
	__u32 size;
	__u32 flags;         /* KEXTD_EXCHANGE_* */
	__u64 replies;       /* in/out: array of struct kextd_reply */
	__u32 reply_count;   /* in: at most KEXTD_EXCHANGE_MAX; out: how many have a status */
	__u32 max_requests;  /* in: at most KEXTD_EXCHANGE_MAX */
	__u64 requests;      /* out: buffer of records, 8-byte aligned */
	__u32 requests_size; /* in: of the buffer */
	__u32 requests_used; /* out */
	__u32 request_count; /* out */
	__u32 reserved;
};

#define KEXTD_EXCHANGE_MAX 1024u

#define KEXTD_IOC_EXCHANGE KEXTBRIDGE_IOWR(0x01, struct kextd_exchange)

/* poll on /dev/kextd: EPOLLIN = something to fetch, EPOLLHUP = this file is not the daemon any more. */

/* ---- /dev/kextbridge -------------------------------------------------------------------------- */

/* A kext's state. */
#define KEXT_STATE_STARTING 1
#define KEXT_STATE_STARTED 2
#define KEXT_STATE_STOPPING 3 /* being flushed, or its stop function runs */
#define KEXT_STATE_STOPPED 4  /* stopped; its module is about to be deleted */
#define KEXT_STATE_LOADED 5   /* loaded, not started: its start function failed after a failed delete */

struct kextbridge_kext {
	__u32 load_tag;
	__u32 state;           /* KEXT_STATE_* */
	__u32 retains;         /* by OSKextRetainKextWithLoadTag */
	__s32 module_refcount; /* the module's own count, the core's base reference included */
	__u32 pending;         /* requests that are not finished */
	__u32 flags;           /* KEXT_FLAG_* */
	__u32 instances;       /* living objects of its classes (kextbridge/instance.h) */
	__u32 refused;         /* calls of it or about it that were refused as misuse */
	char identifier[KEXTBRIDGE_IDENTIFIER_SIZE];
	char version[KEXTBRIDGE_IDENTIFIER_SIZE];
	char module[KEXTBRIDGE_MODULE_SIZE];
};

#define KEXT_FLAG_AUTOUNLOAD 0x1u  /* has been retained once: leaves by itself when idle */
#define KEXT_FLAG_PLAIN_RMMOD 0x2u /* built with KEXT_PLAIN_RMMOD: holds no base reference */
#define KEXT_FLAG_IN_CALLBACK 0x4u /* a resource callback runs right now */
#define KEXT_FLAG_DELAYED 0x8u     /* the next scan that would unload it does not */

/* Fills up to `count` entries in the order of load tags, from the first tag >= `from`. */
struct kextbridge_list {
	__u32 size;
	__u32 flags; /* KEXTBRIDGE_LIST_* */
	__u64 kexts; /* out: array of struct kextbridge_kext */
	__u32 count; /* in: room; out: entries written */
	__u32 total; /* out: kexts in all */
	__u32 from;  /* in */
	__u32 reserved;
};

#define KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD 0x1u /* an armed scan for idle kexts comes later, as after a request */

/*
 * The identifiers that drivers and programs have ever asked to load, each once, in the order in which they were first
 * asked for: up to `count` of them, from the number `from` on. The first 4096 are kept.
 */
struct kextbridge_load_requests {
	__u32 size;
	__u32 flags;       /* 0 */
	__u64 identifiers; /* out: array of char[KEXTBRIDGE_IDENTIFIER_SIZE] */
	__u32 count;       /* in: room; out: entries written */
	__u32 total;       /* out: how many there are */
	__u32 from;        /* in */
	__u32 reserved;
};

struct kextbridge_status {
	__u32 size;
	__u32 flags;      /* out: KEXTBRIDGE_STATUS_* */
	__s32 daemon_pid; /* out: in the caller's pid namespace; 0: none */
	__u32 kexts;
	__u64 generation; /* grows with every change; poll gives EPOLLPRI when it has grown since this file read it */
	/* now */
	__u32 pending;  /* waiting for the daemon */
	__u32 fetched;  /* in the daemon's hands */
	__u32 answered; /* waiting for their callback */
	__u32 reserved;
	/* since the module was loaded */
	__u64 submitted;
	__u64 callbacks;
	__u64 cancelled;
	__u64 discarded; /* of a start that failed, or of a program that closed its file or was not told the tag */
	__u64 timeouts;
	__u64 replies;
	__u64 late_replies; /* refused: answered, cancelled or timed out before */
	__u64 bad_replies;  /* refused for what was in them */
	__u64 requeued;     /* given back by a daemon's death */
	__u64 poisoned;     /* given up after three daemons */
	__u64 limited;      /* refused because of a limit */
	__u64 retains;
	__u64 releases;
	__u64 loads;
	__u64 unloads;
	__u64 autounloads;
};

#define KEXTBRIDGE_STATUS_DAEMON 0x1u   /* a daemon is there */
#define KEXTBRIDGE_STATUS_SHUTDOWN 0x2u /* the system goes down: requests, loads and unloads are refused (Disabled) */

#define KEXTBRIDGE_REQUEST_HOLD 0x1u /* never handed to the daemon: it ends by cancel, deadline or close */

/*
 * Asks for a resource as a driver would. The request belongs to this open file: it is cancelled when
 * the file is closed. Its result is kept until KEXTBRIDGE_IOC_RESULT has taken it. After EFAULT there is none.
 * result: Success (tag valid), InvalidArgument (empty or over-long string), NoResources (a limit), NoMemory.
 */
struct kextbridge_request {
	__u32 size;
	__u32 flags;           /* KEXTBRIDGE_REQUEST_* */
	__u64 identifier;      /* user address of the bundle's identifier */
	__u64 name;            /* user address of the resource's name */
	__u32 identifier_size; /* bytes, without NUL */
	__u32 name_size;
	__u32 timeout_ms; /* 0: the module's default */
	__u32 max_length; /* 0: the module's default */
	__u32 tag;        /* out */
	__s32 result;     /* out: OSReturn */
};

#define KEXTBRIDGE_RESULT_NOWAIT 0x1u /* also O_NONBLOCK */

/*
 * The result of a request of this file. Sleeps (interruptibly) until there is one, else EAGAIN.
 * outcome: what a driver's callback would have been given. A request cancelled by another program
 * gives status Success and outcome NotFound with KEXTBRIDGE_RESULT_CANCELLED.
 * Copies payload bytes [offset, offset + count) to `data`; the result stays until `release` is set, and after
 * EFAULT even then.
 */
struct kextbridge_result {
	__u32 size;
	__u32 flags;     /* in: KEXTBRIDGE_RESULT_NOWAIT, KEXTBRIDGE_RESULT_RELEASE */
	__u32 tag;       /* in; 0xffffffff: whichever is finished first; out: its tag */
	__s32 status;    /* out: Success, or NotFound: this file has no such request */
	__s32 outcome;   /* out: OSReturn of the request */
	__u32 out_flags; /* out: KEXTBRIDGE_RESULT_CANCELLED */
	__u64 data;      /* user address, may be 0 with count 0 */
	__u32 offset;
	__u32 count;  /* in: room at data; out: bytes written */
	__u32 length; /* out: of the whole payload */
	__u32 reserved;
};

#define KEXTBRIDGE_RESULT_RELEASE 0x2u   /* the kernel may drop the result after this call */
#define KEXTBRIDGE_RESULT_CANCELLED 0x1u /* out_flags */

/*
 * KEXTBRIDGE_IOC_CANCEL: `tag` is a request made through /dev/kextbridge by the same user, or the
 *   caller has CAP_SYS_ADMIN (else EPERM). A driver's request can be cancelled by that driver only:
 *   NotPrivileged. Success or NotFound.
 * KEXTBRIDGE_IOC_RETAIN, _RELEASE: `tag` is a load tag; results as of the calls of that name. CAP_SYS_MODULE.
 * KEXTBRIDGE_IOC_UNLOAD: `tag` is a load tag; flags KEXTBRIDGE_UNLOAD_*. Waits, killably, until the
 *   module is deleted or the unload has failed. Success; NotFound; InUse (retained, in use by another
 *   module or an open file, instances live, another unload runs, or IF_IDLE with requests pending); StartStopError (the
 *   stop function refused: the kext stays started); kOSKextReturnDisabled (no daemon is there to delete
 *   it); anything the daemon found (InUse, NotPrivileged...), after which the kext was started again.
 *   With STOP_ONLY the kext is stopped and stays loaded, with its load tag, until KEXTBRIDGE_IOC_LOAD starts it again or
 *   it is unloaded; that needs no daemon. CAP_SYS_MODULE.
 */
struct kextbridge_tag {
	__u32 size;
	__u32 flags;
	__u32 tag;
	__s32 result; /* out: OSReturn */
};

#define KEXTBRIDGE_UNLOAD_IF_IDLE 0x1u
#define KEXTBRIDGE_UNLOAD_STOP_ONLY 0x2u

/*
 * Loads a kext as OSKextLoadKextWithIdentifier does; with WAIT it sleeps, killably, for the daemon's
 * answer. Success: started. Deferred: queued for the daemon (without WAIT). With WAIT: what the daemon
 * found; Disabled: there is no daemon, or the system goes down. CAP_SYS_MODULE.
 */
struct kextbridge_load {
	__u32 size;
	__u32 flags;
	__u64 identifier;      /* user address */
	__u32 identifier_size; /* bytes, without NUL */
	__s32 result;          /* out: OSReturn */
};

#define KEXTBRIDGE_LOAD_WAIT 0x1u
#define KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD 0x2u /* the first scan that would unload the kext does not */

#define KEXTBRIDGE_IOC_LIST KEXTBRIDGE_IOWR(0x10, struct kextbridge_list)
#define KEXTBRIDGE_IOC_STATUS KEXTBRIDGE_IOWR(0x11, struct kextbridge_status)
#define KEXTBRIDGE_IOC_REQUEST KEXTBRIDGE_IOWR(0x12, struct kextbridge_request)
#define KEXTBRIDGE_IOC_RESULT KEXTBRIDGE_IOWR(0x13, struct kextbridge_result)
#define KEXTBRIDGE_IOC_CANCEL KEXTBRIDGE_IOWR(0x14, struct kextbridge_tag)
#define KEXTBRIDGE_IOC_RETAIN KEXTBRIDGE_IOWR(0x15, struct kextbridge_tag)
#define KEXTBRIDGE_IOC_RELEASE KEXTBRIDGE_IOWR(0x16, struct kextbridge_tag)
#define KEXTBRIDGE_IOC_UNLOAD KEXTBRIDGE_IOWR(0x17, struct kextbridge_tag)
#define KEXTBRIDGE_IOC_LOAD KEXTBRIDGE_IOWR(0x18, struct kextbridge_load)
#define KEXTBRIDGE_IOC_LOAD_REQUESTS KEXTBRIDGE_IOWR(0x19, struct kextbridge_load_requests)

/*
 * poll on /dev/kextbridge: EPOLLIN = a request of this file has its result; EPOLLPRI = something has
 * changed since this file's last KEXTBRIDGE_IOC_STATUS.
 */

#endif /* _UAPI_KEXTBRIDGE_H */
