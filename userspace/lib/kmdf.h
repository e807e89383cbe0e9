/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libkextbridge for kmdf.ko: the devices of KMDF drivers, their requests, and the cancellation of these.
 *
 * A device is a file, /dev/kmdf/NAME: open(2), read(2), write(2), close(2) and poll(2) are a program's CreateFile(),
 * ReadFile(), WriteFile(), CloseHandle() and no more. Here is what Windows has besides: a device is found by its
 * interface, controlled, its requests are cancelled; and what an administrator asks /dev/kmdf/control for.
 *
 * Rules that hold for every call:
 *
 *  - A call returns 0 (or a descriptor, or a count, where it says so) or a negative errno: that is the transport's
 *    result. What became of a request is the NTSTATUS that its driver completed it with, behind the `status` pointer,
 *    valid only when the call returned 0. No call touches errno's meaning for the caller, prints, starts a thread or
 *    keeps a global.
 *  - Buffers belong to the caller and are not used after the call has returned.
 *  - Descriptors are the caller's, for close(2); they are close-on-exec. Several threads may use one at once.
 *  - A request is waited for until its driver has completed it. Only a signal that kills the process, or a cancel, ends
 *    that earlier; signal handlers run afterwards, and no call of a device is made twice.
 *
 * <windows/devioctl.h>, which is installed with this file, has CTL_CODE() for what a driver's header makes of it.
 * Man pages: kmdf_device(3), kmdf(7).
 */
#ifndef _KEXTBRIDGE_KMDF_H
#define _KEXTBRIDGE_KMDF_H

#include <stddef.h>
#include <stdint.h>

#include <uapi/kmdf.h>
#include <windows/guiddef.h>
#include <windows/ntstatus.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define KMDF_DEVICE_FOLDER "/dev/kmdf"
#define KMDF_CONTROL_DEVICE "/dev/kmdf/control"

typedef int NTSTATUS;

#ifndef NT_SUCCESS
#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)
#endif

/* ---- finding and opening a device ------------------------------------------------------------- */

#define KMDF_GUID_SIZE 39 /* of "{01234567-89ab-cdef-0123-456789abcdef}", NUL included */

/**
 * kmdf_guid_parse - a GUID from its text
 * @text: as kmdf_guid_format() has it; either case, with or without the braces, and nothing before or behind it
 *
 * Return: 0; -EINVAL: it is none, and *@guid is as it was.
 * Since: 0.1
 */
int kmdf_guid_parse(const char *text, GUID *guid);

/**
 * kmdf_guid_format - a GUID's text, in lower case and braces
 * Since: 0.1
 */
void kmdf_guid_format(const GUID *guid, char text[KMDF_GUID_SIZE]);

/**
 * kmdf_find_interface - the devices that have an interface
 * @guid: the interface's class
 * @reference: only those that were registered under this reference string; NULL: whatever theirs is
 * @names: room for @count names of devices; they come in the order that strverscmp(3) has. May be NULL if @count is 0
 *
 * Looks into /sys/class/kmdf. Every name is NUL-terminated.
 * Return: how many devices have it, which may be more than @count, or none; -ENOENT: kmdf.ko is not loaded; another
 * negative errno.
 * Since: 0.1
 */
int kmdf_find_interface(const GUID *guid, const char *reference, char (*names)[KMDF_NAME_SIZE], uint32_t count);

/**
 * kmdf_open_device - open a device by its name
 * @name: of the node in /dev/kmdf
 * @flags: as for open(2): O_RDWR..., O_NONBLOCK
 *
 * The driver may have a say (EvtDeviceFileCreate), and may take its time.
 * Return: a descriptor; -EINVAL: no name; -ENOENT: there is no such node; -ENODEV, -ENXIO: the device is being
 * removed; -EACCES: not permitted, or it is exclusive and open already; what the driver's status is as an errno; another
 * negative errno.
 * Since: 0.1
 */
int kmdf_open_device(const char *name, int flags);

/**
 * kmdf_open_interface - open the first device that has an interface
 * @guid, @reference: as for kmdf_find_interface()
 * @flags: as for kmdf_open_device()
 *
 * Return: a descriptor; -ENODEV: no device has it; -ENOENT: kmdf.ko is not loaded; what kmdf_open_device() returns.
 * Since: 0.1
 */
int kmdf_open_interface(const GUID *guid, const char *reference, int flags);

/* ---- requests of a device --------------------------------------------------------------------- */

/**
 * kmdf_device_io_control - DeviceIoControl()
 * @fd: a device
 * @code: CTL_CODE(); its method says what becomes of the buffers
 * @in: @in_length bytes for the driver; may be NULL if that is 0
 * @out: room for @out_length bytes; with METHOD_IN_DIRECT they are the driver's to read, too
 * @tag: what kmdf_cancel_io() can name the request by, meanwhile; 0: nothing
 * @information: what the driver says, of a code that gives data the number of bytes in @out; may be NULL
 * @status: what the driver has completed it with. Data comes with success and with a warning, not with an error.
 *
 * Waits until the driver has completed the request.
 * Return: 0, whatever the status; -EAGAIN: the file is O_NONBLOCK, and the driver did not complete it at once: it is
 * cancelled; -EFAULT: a buffer is no memory, and if that was the output, the driver has acted on the request;
 * -EMSGSIZE: a buffer is longer than the module's max_buffer_bytes; -ENOSPC: max_pending_per_file requests are under
 * way; -ENODEV: the device is being removed; -EINVAL, -ENOMEM, -ENOTTY (no device of kmdf.ko).
 * Since: 0.1
 */
int kmdf_device_io_control(int fd, uint32_t code, const void *in, uint32_t in_length, void *out, uint32_t out_length,
			   uint64_t tag, uint64_t *information, NTSTATUS *status);

/**
 * kmdf_get_last_status - what became of the file's read or write that was completed last
 * @information: may be NULL
 *
 * For what read(2) and write(2) have no errno for. With several threads on one file it is any one's.
 * Return: 0 or a negative errno.
 * Since: 0.1
 */
int kmdf_get_last_status(int fd, NTSTATUS *status, uint64_t *information);

/* What a cancel has found. */
struct kmdf_cancelled {
	uint32_t found;    /* requests that were not completed yet: the sum of these: */
	uint32_t finished; /* were in a queue: completed with STATUS_CANCELLED now */
	uint32_t notified; /* were marked cancelable: their driver's EvtRequestCancel runs, will run, or has run */
	uint32_t flagged;  /* are the driver's and not marked: it can only ask WdfRequestIsCanceled() */
};

/**
 * kmdf_cancel_io - cancel requests of an open file; from any thread, and any process that has the descriptor
 * @fd: a device
 * @what: KMDF_CANCEL_TAG: those with this @tag: CancelIoEx(). KMDF_CANCEL_FILE: all, @tag is 0: CancelIoEx(NULL).
 *        KMDF_CANCEL_THREAD: those that the thread @tag, as gettid(2) names it, waits for: CancelSynchronousIo()
 * @cancelled: counts; may be NULL
 *
 * Never waits for the driver. Who waits for such a request is told by its own call, in general STATUS_CANCELLED, which
 * read(2) and write(2) have as ECANCELED; but a driver may still complete it with anything else.
 * Return: 0, also if there was none; -EINVAL: an unknown @what, or the tag 0; another negative errno.
 * Since: 0.1
 */
int kmdf_cancel_io(int fd, uint32_t what, uint64_t tag, struct kmdf_cancelled *cancelled);

/* ---- all devices ------------------------------------------------------------------------------ */

/**
 * kmdf_open_control - open what lists all devices and requests, and cancels any
 * @path: the node; NULL for KMDF_CONTROL_DEVICE
 *
 * Return: a descriptor; -ENOENT: kmdf.ko is not loaded; -EACCES, ...
 * Since: 0.1
 */
int kmdf_open_control(const char *path);

/**
 * kmdf_snapshot - all devices, queues and requests that there are
 * @control: of kmdf_open_control()
 * @records: for kmdf_record_next(), and then for free(3)
 * @used: bytes of it
 *
 * All of a device is as of one moment. A request is there once it is in a queue, or was.
 * Return: 0; -ENOBUFS: there is more than the kernel gives; -ENOMEM; another negative errno.
 * Since: 0.1
 */
int kmdf_snapshot(int control, void **records, size_t *used);

/* One record. */
struct kmdf_entry {
	uint32_t kind; /* KMDF_RECORD_DEVICE, _QUEUE or _REQUEST; says which of these: */
	union {
		struct kmdf_device device;
		struct kmdf_queue queue;     /* of the last device */
		struct kmdf_request request; /* of the last queue */
	};
};

/**
 * kmdf_record_next - walk the records of a snapshot
 * @records: what kmdf_snapshot() gave, or KMDF_IOC_LIST wrote; of any alignment
 * @used: how many bytes of it
 * @offset: the walk's position: 0 at first; the call advances it
 *
 * Every size is checked against the buffer before it is used, whatever the buffer holds. Kinds that this library does
 * not know are skipped, and so is what a record has behind what it knows. Every name is NUL-terminated.
 * Return: 1: *@entry is valid; 0: the end; -EBADMSG: the buffer is malformed at *@offset.
 * Since: 0.1
 */
int kmdf_record_next(const void *records, size_t used, size_t *offset, struct kmdf_entry *entry);

/**
 * kmdf_cancel_by_id - cancel a request of any program
 * @control: of kmdf_open_control()
 * @id: the request's, of kmdf_snapshot()
 * @state: KMDF_REQUEST_*: what the cancel found it in, and so what it could do; may be NULL
 *
 * As kmdf_cancel_io(): never waits. One's own requests, or with CAP_SYS_ADMIN anybody's.
 * Return: 0; -ENOENT: there is no such request, or it is completed; -EPERM: another user's; another negative errno.
 * Since: 0.1
 */
int kmdf_cancel_by_id(int control, uint64_t id, uint32_t *state);

/* ---- NTSTATUS --------------------------------------------------------------------------------- */

/**
 * kmdf_status_string - "STATUS_CANCELLED"; "unknown status" for a value without a name
 *
 * Never NULL.
 * Since: 0.1
 */
const char *kmdf_status_string(NTSTATUS status);

/**
 * kmdf_errno - what read(2), write(2) and open(2) make of a status
 *
 * Return: 0 for what is NT_SUCCESS(); an errno, which is positive, of the table in kmdf(7), for all others.
 * Since: 0.1
 */
int kmdf_errno(NTSTATUS status);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* _KEXTBRIDGE_KMDF_H */
