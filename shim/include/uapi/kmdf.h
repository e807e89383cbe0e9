/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The wire between kmdf.ko and user space: a node /dev/kmdf/NAME per KMDF device, and /dev/kmdf/control.
 *
 * The rules of structures are those of uapi/kextbridge.h: fixed width, no holes, extensible by `size`, reserved fields
 * zero, unknown flags refused. An ioctl's return value is the transport's, 0 or -1 with errno; what became of an I/O
 * request is the NTSTATUS that its driver completed it with, in a field of its own.
 */
#ifndef _UAPI_KMDF_H
#define _UAPI_KMDF_H

#ifdef KEXTBRIDGE_CORE
#include "shim/types.h"
#define KMDF_IOWR(nr, type) (0xc0000000u | ((__u32)sizeof(type) << 16) | (0xb7u << 8) | (nr))
#else
#include <linux/ioctl.h>
#include <linux/types.h>
#define KMDF_IOWR(nr, type) _IOWR(0xb7, nr, type)
#endif

#define KMDF_NAME_SIZE 64 /* of a device or a driver, NUL included */

/* ---- /dev/kmdf/NAME --------------------------------------------------------------------------- */

/*
 * read, write: one request of that size, at the file's offset. They wait until the driver has completed it, killably:
 * a killed caller leaves at once, its request is cancelled, and the driver completes it in its own time. The result is
 * the request's information, or, for a status that is an error, -1 with errno (kmdf_errno() of libkextbridge has the
 * table). A read of a status that is a warning gives its bytes if there are any.
 * O_NONBLOCK: EAGAIN if the driver has not completed it when it has been presented; it is cancelled then.
 */

/*
 * KMDF_IOC_DEVICE_CONTROL: DeviceIoControl(). For a METHOD_BUFFERED code, and for the direct ones, both buffers are
 * copied: the driver never sees user memory. METHOD_NEITHER is refused with STATUS_INVALID_DEVICE_REQUEST unless the
 * driver has asked for it (EvtIoInCallerContext).
 * Returns 0 once the request is completed: `status` and `information` are its. Errors: EINVAL, E2BIG, EFAULT (the
 * request has been completed, but its result could not be written), ENOMEM, EINTR (killed), EAGAIN (O_NONBLOCK),
 * ENOSPC (max_pending_per_file requests are under way), EMSGSIZE (a buffer is longer than max_buffer_bytes).
 */
struct kmdf_device_control {
	__u32 size;
	__u32 code; /* CTL_CODE */
	__u64 in;   /* user addresses */
	__u64 out;
	__u32 in_length; /* bytes */
	__u32 out_length;
	__u64 tag;         /* in: what KMDF_IOC_CANCEL may name it by, 0: nothing */
	__u64 information; /* out: bytes written to `out`, or whatever the driver says */
	__s32 status;      /* out: NTSTATUS */
	__u32 reserved;
};

#define KMDF_CANCEL_TAG 1u  /* the requests of this open file whose tag is `tag` */
#define KMDF_CANCEL_FILE 2u /* all of this open file: CancelIoEx(handle, NULL) */
#define KMDF_CANCEL_THREAD \
	3u /* those of this open file that thread `tag` (its thread id) waits for: CancelSynchronousIo() */

/* KMDF_IOC_CANCEL: returns 0, also when nothing was found. EINVAL: KMDF_CANCEL_TAG with tag 0. Never waits for a driver. */
struct kmdf_cancel {
	__u32 size;
	__u32 what; /* KMDF_CANCEL_* */
	__u64 tag;
	__u32 found;    /* out: requests that were not completed yet */
	__u32 finished; /* out: of these, were still in a queue: completed with STATUS_CANCELLED now */
	__u32 notified; /* out: of these, their driver's EvtRequestCancel will run, runs or has run */
	__u32 flagged;  /* out: of these, their driver has not marked them: it can only ask WdfRequestIsCanceled() */
};

/* KMDF_IOC_LAST_STATUS: of the read or write of this open file that was completed last. */
struct kmdf_last_status {
	__u32 size;
	__s32 status; /* NTSTATUS */
	__u64 information;
};

#define KMDF_IOC_DEVICE_CONTROL KMDF_IOWR(0x01, struct kmdf_device_control)
#define KMDF_IOC_CANCEL KMDF_IOWR(0x02, struct kmdf_cancel)
#define KMDF_IOC_LAST_STATUS KMDF_IOWR(0x03, struct kmdf_last_status)

/* ---- /dev/kmdf/control ------------------------------------------------------------------------ */

#define KMDF_RECORD_DEVICE 1
#define KMDF_RECORD_QUEUE 2
#define KMDF_RECORD_REQUEST 3

/* A record of the buffer that KMDF_IOC_LIST fills: 8-byte aligned, the next one `size` bytes after this one. */
struct kmdf_record {
	__u32 size;
	__u32 kind; /* KMDF_RECORD_*; others are skipped */
};

#define KMDF_DEVICE_WORKING 1   /* in D0 */
#define KMDF_DEVICE_LOW_POWER 2 /* suspended */
#define KMDF_DEVICE_REMOVED 3

/* Its queues and requests follow it, each queue before its requests. */
struct kmdf_device {
	struct kmdf_record record;
	__u64 id;       /* never comes back */
	__u32 state;    /* KMDF_DEVICE_* */
	__u32 opens;    /* open files */
	__u32 requests; /* that are not completed */
	__u32 reserved;
	char name[KMDF_NAME_SIZE];   /* of its node in /dev/kmdf, "" if it has none */
	char driver[KMDF_NAME_SIZE]; /* the module */
};

#define KMDF_QUEUE_SEQUENTIAL 1 /* as WDF_IO_QUEUE_DISPATCH_TYPE */
#define KMDF_QUEUE_PARALLEL 2
#define KMDF_QUEUE_MANUAL 3

#define KMDF_QUEUE_ACCEPTS 0x1u /* as the bits of WDF_IO_QUEUE_STATE */
#define KMDF_QUEUE_DISPATCHES 0x2u
#define KMDF_QUEUE_POWER_OFF 0x10u
#define KMDF_QUEUE_DEFAULT 0x10000u
#define KMDF_QUEUE_POWER_MANAGED 0x20000u

struct kmdf_queue {
	struct kmdf_record record;
	__u64 id;
	__u64 device;
	__u32 type;  /* KMDF_QUEUE_SEQUENTIAL... */
	__u32 flags; /* KMDF_QUEUE_ACCEPTS... */
	__u32 queued;
	__u32 driver_owned;
};

#define KMDF_REQUEST_QUEUED 1     /* in a queue; the driver does not have it */
#define KMDF_REQUEST_OWNED 2      /* the driver has it, not cancelable */
#define KMDF_REQUEST_CANCELABLE 3 /* the driver has it, marked cancelable */
#define KMDF_REQUEST_CANCELLED 4  /* cancelled; EvtRequestCancel will be called */
#define KMDF_REQUEST_CALLED 5     /* EvtRequestCancel has been called, the driver has not completed it */
#define KMDF_REQUEST_COMPLETED 6  /* is only remembered */

#define KMDF_REQUEST_CANCEL_ASKED 0x1u /* somebody has cancelled it */
#define KMDF_REQUEST_DETACHED 0x2u     /* its client is gone */
#define KMDF_REQUEST_SENT 0x4u         /* the driver has sent it to another device */

struct kmdf_request {
	struct kmdf_record record;
	__u64 id; /* never comes back */
	__u64 queue;
	__u64 age_ns;   /* since its client has made it */
	__u64 owned_ns; /* since the driver has it; 0: it has not */
	__u64 tag;      /* of KMDF_IOC_DEVICE_CONTROL */
	__u32 state;    /* KMDF_REQUEST_QUEUED... */
	__u32 flags;    /* KMDF_REQUEST_CANCEL_ASKED... */
	__u32 type;     /* WDF_REQUEST_TYPE: 3 read, 4 write, 14 device control, 15 internal device control */
	__u32 code;     /* of a device control */
	__u32 length;   /* bytes to read or write; of the output buffer */
	__u32 in_length;
	__s32 pid; /* of its client, in the initial namespace; 0: a driver */
	__u32 uid;
};

/*
 * KMDF_IOC_LIST: all of it as of one moment. Requests that are in no queue are counted at their device only: an open that
 * its driver has not answered, one in EvtIoInCallerContext, one that its driver has sent on and forgotten: the one below
 * is listed there. ENOBUFS: it does not fit, `used` is the size that it needs now;
 * there is no list of more than 4 MiB.
 */
struct kmdf_list {
	__u32 size;
	__u32 buffer_size; /* bytes */
	__u64 buffer;      /* user address, 8-byte aligned */
	__u32 used;        /* out: bytes */
	__u32 reserved;
};

/*
 * KMDF_IOC_CANCEL_REQUEST: as KMDF_IOC_CANCEL, of the request with this id, for its client's user and for CAP_SYS_ADMIN
 * (else EPERM). ENOENT: there is none with this id.
 */
struct kmdf_cancel_request {
	__u32 size;
	__u32 state; /* out: KMDF_REQUEST_* that the cancel found it in */
	__u64 id;
};

#define KMDF_IOC_LIST KMDF_IOWR(0x10, struct kmdf_list)
#define KMDF_IOC_CANCEL_REQUEST KMDF_IOWR(0x11, struct kmdf_cancel_request)

#endif
