/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libkextbridge: the two device nodes of kextbridge.ko for C and C++ programs.
 *
 * Two groups of calls, each with a handle of its own:
 *
 *   struct kextbridge         a client of /dev/kextbridge: list kexts, ask for resources, cancel, retain,
 *                             release, load, start, stop, unload
 *   struct kextbridge_daemon  the daemon's side of /dev/kextd
 *
 * and kext_request(), which takes requests as macOS's call of that name does, as property lists, with either
 * handle.
 *
 * Rules that hold for every call but that one:
 *
 *  - A call returns 0 (or a count, where it says so) or a negative errno: that is the transport's result.
 *    What became of the operation is an OSReturn behind the `result` pointer, valid only when the call
 *    returned 0. No call touches errno's meaning for the caller, prints, starts a thread or keeps a global.
 *  - Buffers belong to the caller and are not used after the call has returned.
 *  - A handle may be used by several threads at once. It must not be closed while another call runs.
 *  - A handle belongs to the process that opened it; a child must open its own.
 *  - Calls that sleep until something happens (kextbridge_result_wait, kextbridge_exchange) return -EINTR
 *    when a signal handler ran, so that a program can stop; all others are repeated. Nothing else depends
 *    on signals.
 *  - Descriptors are close-on-exec.
 *
 * <kmdf.h> has the part for kmdf.ko.
 * Man pages: kextbridge_request(3), kextbridge_kexts(3), kextbridge_daemon(3), kext_request(3).
 */
#ifndef _KEXTBRIDGE_H
#define _KEXTBRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include <libkern/OSReturn.h>
#include <mach/kern_return.h>
#include <uapi/kextbridge.h>

#include "kext_request_keys.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define KEXTBRIDGE_DEVICE "/dev/kextbridge"
#define KEXTBRIDGE_DAEMON_DEVICE "/dev/kextd"

/* ---- the client's handle ---------------------------------------------------------------------- */

struct kextbridge;

/**
 * kextbridge_open - open a client of the bridge
 * @path: the device node; NULL for KEXTBRIDGE_DEVICE
 * @out: the handle; give it back with kextbridge_close()
 *
 * Return: 0; -ENOENT (kextbridge.ko is not loaded), -EACCES, -ENOMEM, ...
 * Since: 0.1
 */
int kextbridge_open(const char *path, struct kextbridge **out);

/**
 * kextbridge_close - close a client; NULL is allowed
 *
 * Requests of this handle that are not finished are cancelled; results not taken are dropped.
 * Since: 0.1
 */
void kextbridge_close(struct kextbridge *kb);

/**
 * kextbridge_fd - the descriptor, for poll only
 *
 * POLLIN: a request of this handle has its result. POLLPRI: something has changed since this handle's
 * last kextbridge_get_status(). The descriptor stays the handle's.
 * Since: 0.1
 */
int kextbridge_fd(const struct kextbridge *kb);

/* ---- looking ---------------------------------------------------------------------------------- */

/**
 * kextbridge_get_status - the daemon's pid and all counters
 *
 * Return: 0 or a negative errno.
 * Since: 0.1
 */
int kextbridge_get_status(struct kextbridge *kb, struct kextbridge_status *status);

/**
 * kextbridge_list_kexts - a page of the list of kexts, in the order of load tags
 * @from: the first load tag of interest; go on with the last entry's tag + 1
 * @kexts: room for @count entries
 * @total: how many kexts there are in all; may be NULL
 *
 * Return: the number of entries written, or a negative errno. Every string is NUL-terminated.
 * Since: 0.1
 */
int kextbridge_list_kexts(struct kextbridge *kb, uint32_t from, struct kextbridge_kext *kexts, uint32_t count,
			  uint32_t *total);

/**
 * kextbridge_find_kext - find a kext by its bundle identifier
 *
 * Return: 0; -ENOENT: no kext has that identifier now; another negative errno.
 * Since: 0.1
 */
int kextbridge_find_kext(struct kextbridge *kb, const char *identifier, struct kextbridge_kext *kext);

/**
 * kextbridge_delay_autounload - have the next scan for idle kexts come later
 *
 * As after a request: a scan that is armed begins its delay again, if none is armed nothing happens. For a
 * program that has looked kexts up and is about to use them.
 * Return: 0 or a negative errno.
 * Since: 0.1
 */
int kextbridge_delay_autounload(struct kextbridge *kb);

/**
 * kextbridge_list_load_requests - what drivers and programs have ever asked to load
 * @from: the first number of interest; go on with @from plus what was returned
 * @identifiers: room for @count identifiers, each once, in the order in which they were first asked for
 * @total: how many there are; may be NULL
 *
 * Return: the number of entries written, or a negative errno. Every string is NUL-terminated.
 * Since: 0.1
 */
int kextbridge_list_load_requests(struct kextbridge *kb, uint32_t from, char (*identifiers)[KEXTBRIDGE_IDENTIFIER_SIZE],
				  uint32_t count, uint32_t *total);

/* ---- requests --------------------------------------------------------------------------------- */

#define KEXTBRIDGE_ANY_TAG 0xffffffffu

/* All zero gives the module's defaults. */
struct kextbridge_request_options {
	uint32_t timeout_ms;
	uint32_t max_length; /* the longest payload to take, in bytes */
	uint32_t flags;      /* KEXTBRIDGE_REQUEST_HOLD */
	uint32_t reserved[5];
};

/* How a request ended. */
struct kextbridge_outcome {
	uint32_t tag;
	OSReturn result; /* what a driver's callback would have been given */
	uint32_t length; /* of the whole payload */
	uint32_t flags;  /* KEXTBRIDGE_RESULT_CANCELLED */
};

/**
 * kextbridge_submit - ask for a resource as a driver would
 * @identifier: the bundle's identifier
 * @name: the resource's name
 * @options: NULL for the defaults
 * @tag: set when @result is kOSReturnSuccess; may be NULL
 * @result: kOSReturnSuccess, kOSKextReturnInvalidArgument (empty or over-long string),
 *          kOSKextReturnNoResources (a limit), kOSKextReturnNoMemory, kOSKextReturnDisabled (the system
 *          goes down)
 *
 * Does not wait for the daemon.
 * Return: 0; -EINVAL: a NULL string, unknown flags; another negative errno.
 * Since: 0.1
 */
int kextbridge_submit(struct kextbridge *kb, const char *identifier, const char *name,
		      const struct kextbridge_request_options *options, uint32_t *tag, OSReturn *result);

/**
 * kextbridge_result_wait - wait for a request of this handle to end
 * @tag: the request, or KEXTBRIDGE_ANY_TAG for whichever ends first
 * @timeout_ms: 0 does not wait, negative waits for ever
 *
 * The result stays until kextbridge_result_release().
 * Return: 0; -ENOENT: this handle has no such request; -EAGAIN: no result within the time;
 * -EINTR; another negative errno.
 * Since: 0.1
 */
int kextbridge_result_wait(struct kextbridge *kb, uint32_t tag, int timeout_ms, struct kextbridge_outcome *outcome);

/**
 * kextbridge_result_read - copy bytes of a result's payload
 * @offset: the first byte wanted
 * @buffer: room for @count bytes
 *
 * Return: the number of bytes, 0 at the end of the payload; -ENOENT, -EAGAIN (not finished yet);
 * another negative errno.
 * Since: 0.1
 */
int64_t kextbridge_result_read(struct kextbridge *kb, uint32_t tag, uint32_t offset, void *buffer, uint32_t count);

/**
 * kextbridge_result_release - drop a result that is no longer needed
 *
 * Return: 0; -ENOENT, -EAGAIN (not finished yet: cancel it); another negative errno.
 * Since: 0.1
 */
int kextbridge_result_release(struct kextbridge *kb, uint32_t tag);

/**
 * kextbridge_cancel - cancel a request made through /dev/kextbridge
 * @result: kOSReturnSuccess; kOSKextReturnNotFound: it is finished or never was;
 *          kOSKextReturnNotPrivileged: it is a driver's
 *
 * The request may be another program's, of the same user or with CAP_SYS_ADMIN. A cancelled request
 * still has a result, with KEXTBRIDGE_RESULT_CANCELLED.
 * Return: 0; -EPERM: another user's request; another negative errno.
 * Since: 0.1
 */
int kextbridge_cancel(struct kextbridge *kb, uint32_t tag, OSReturn *result);

/* ---- kexts: all need CAP_SYS_MODULE, else -EPERM ----------------------------------------------- */

/**
 * kextbridge_retain_kext - keep a kext loaded
 * @result: kOSReturnSuccess, kOSKextReturnNotFound, kOSKextReturnInvalidArgument,
 *          kOSKextReturnNoResources (too many)
 *
 * From now on the kext leaves by itself once every reference is released.
 * Since: 0.1
 */
int kextbridge_retain_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result);

/**
 * kextbridge_release_kext - give a reference of kextbridge_retain_kext() back
 * @result: kOSReturnSuccess, kOSKextReturnNotFound, kOSKextReturnInvalidArgument (nothing to release)
 *
 * Since: 0.1
 */
int kextbridge_release_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result);

/**
 * kextbridge_load_kext - load a kext by its bundle identifier
 * @flags: KEXTBRIDGE_LOAD_WAIT; KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD: the first scan for idle kexts that would
 *         unload it does not
 * @result: kOSReturnSuccess: it is started; kOSKextReturnDeferred (without WAIT): queued for the daemon;
 *          what the daemon found; kOSKextReturnDisabled: no daemon, or the system goes down
 *
 * Since: 0.1
 */
int kextbridge_load_kext(struct kextbridge *kb, const char *identifier, uint32_t flags, OSReturn *result);

/**
 * kextbridge_unload_kext - stop a kext and delete its module; waits until that is done or has failed
 * @flags: KEXTBRIDGE_UNLOAD_IF_IDLE; KEXTBRIDGE_UNLOAD_STOP_ONLY: kextbridge_stop_kext()
 * @result: kOSReturnSuccess, kOSKextReturnNotFound, kOSKextReturnInUse, kOSKextReturnStartStopError,
 *          kOSKextReturnDisabled (no daemon), kOSKextReturnNotPrivileged...
 *
 * Since: 0.1
 */
int kextbridge_unload_kext(struct kextbridge *kb, uint32_t load_tag, uint32_t flags, OSReturn *result);

/**
 * kextbridge_stop_kext - stop a kext that stays loaded, with its load tag
 * @result: as of kextbridge_unload_kext(); needs no daemon
 *
 * Its pending requests are called back first. kextbridge_start_kext() starts it again.
 * Since: 0.1
 */
int kextbridge_stop_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result);

/**
 * kextbridge_start_kext - start a kext that is loaded and not started
 * @result: kOSReturnSuccess: it is started, or was already; kOSKextReturnNotFound; kOSKextReturnStopping: it
 *          is just being stopped or unloaded; kOSKextReturnStartStopError: its start function failed;
 *          kOSKextReturnDeferred: it left meanwhile, and has been queued for the daemon
 *
 * Since: 0.1
 */
int kextbridge_start_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result);

/* ---- the daemon's side ------------------------------------------------------------------------ */

struct kextbridge_daemon;

/**
 * kextbridge_daemon_open - become the daemon
 * @path: the device node; NULL for KEXTBRIDGE_DAEMON_DEVICE
 *
 * The role belongs to the calling process: fork first, then open. Its threads share the handle.
 * Return: 0; -EBUSY: there is a daemon; -EPERM, -EACCES: no CAP_SYS_MODULE; -ENOENT: kextbridge.ko is not
 * loaded; -ESHUTDOWN: the system goes down, there is nothing more to serve; another negative errno.
 * Since: 0.1
 */
int kextbridge_daemon_open(const char *path, struct kextbridge_daemon **out);

/**
 * kextbridge_daemon_close - give the role back; NULL is allowed
 *
 * What was fetched and not answered goes back to the queue for the next daemon.
 * Since: 0.1
 */
void kextbridge_daemon_close(struct kextbridge_daemon *daemon);

/**
 * kextbridge_daemon_fd - the descriptor, for poll only
 *
 * POLLIN: there is something to fetch. POLLHUP: this process is the daemon no more.
 * Since: 0.1
 */
int kextbridge_daemon_fd(const struct kextbridge_daemon *daemon);

/* A buffer for fetched records. The first three fields are the caller's. */
struct kextbridge_batch {
	void *buffer;          /* aligned to 8 bytes */
	uint32_t size;         /* of buffer */
	uint32_t max_requests; /* 0: only hand in replies; at most KEXTD_EXCHANGE_MAX */
	uint32_t used;         /* out: bytes of buffer that hold records */
	uint32_t count;        /* out: records; with -ENOBUFS, `used` is the size that the first one needs */
};

/**
 * kextbridge_exchange - hand in replies and fetch requests, in one system call
 * @replies: @reply_count replies; the kernel writes a `status` into each
 * @replies_done: how many have a status now; may be NULL. Set on failure too.
 * @batch: NULL: only hand in replies
 * @flags: KEXTD_EXCHANGE_NOWAIT: do not sleep; KEXTD_EXCHANGE_NOTIFY: from now on this handle is given notices
 *         of loads, unloads and the system's going down, too
 *
 * The `data` and `fd` of a reply stay the caller's and may be freed after the call. Replies of one kext
 * should be handed in in the order of its requests.
 * Return: 0; -EAGAIN: nothing to fetch and no replies; -EINTR; -ENOBUFS: @batch->used is the room that the
 * first record needs; -EOWNERDEAD: not the daemon any more; another negative errno.
 * Since: 0.1
 */
int kextbridge_exchange(struct kextbridge_daemon *daemon, struct kextd_reply *replies, uint32_t reply_count,
			uint32_t *replies_done, struct kextbridge_batch *batch, uint32_t flags);

/* One fetched record. The strings point into the buffer. */
struct kextbridge_record {
	struct kextd_request header;
	const char *identifier; /* NUL-terminated; identifier_length bytes before that NUL */
	const char *name;
	uint32_t identifier_length;
	uint32_t name_length;
};

/**
 * kextbridge_record_next - walk the records of a buffer
 * @buffer: what kextbridge_exchange() filled
 * @used: how many bytes of it
 * @offset: the walk's position: 0 at first; the call advances it
 *
 * Every size is checked against the buffer before it is used, whatever the buffer holds.
 * Return: 1: *@record is valid; 0: the end; -EBADMSG: the buffer is malformed at *@offset, which is then
 * left as it is.
 * Since: 0.1
 */
int kextbridge_record_next(const void *buffer, size_t used, size_t *offset, struct kextbridge_record *record);

/* ---- requests as property lists --------------------------------------------------------------- */

/* What macOS's host port stands for: the nodes that the caller has open. Either may be NULL. */
struct kextbridge_host {
	struct kextbridge *client;
	struct kextbridge_daemon *daemon; /* for Get Kernel Requests and Send Resource */
};

/**
 * kext_request - one request of the daemon protocol, as a property list
 * @client_log_spec: which lines of the kernel's log are wanted; there are none here
 * @request: a dictionary in XML, with a NUL behind it; <kext_request_keys.h> has the words
 * @request_length: the NUL included
 * @response: what was asked for, in the same form, for free(3); NULL: nothing was
 * @log_data, @log_data_length: always NULL and 0; may be NULL
 * @op_result: what became of the operation
 *
 * Predicates, their arguments and what they give are in kext_request(3). All outputs are cleared first,
 * @op_result to KERN_FAILURE. It needs libplist, which nothing else of this library does.
 *
 * Return, the transport's result: KERN_SUCCESS once there is a request, whatever it says; KERN_FAILURE with
 * @op_result KERN_INVALID_ARGUMENT: it is empty; KERN_INVALID_ADDRESS: @request is NULL and not empty;
 * KERN_INVALID_ARGUMENT: @host, @response, @response_length or @op_result is NULL.
 * @op_result: kOSReturnSuccess; kOSKextReturnBadData: no NUL at the end; kOSKextReturnSerialization: no XML
 * property list, or no dictionary, or more than 131071 objects or 4096 dictionaries and arrays;
 * kOSKextReturnInvalidArgument: no predicate, an unknown one, or arguments are missing;
 * kOSKextReturnNotPrivileged: without the handle for it, or without the right; KERN_NOT_SUPPORTED: a kext
 * archive; what the operation itself gives.
 * Since: 0.1
 */
kern_return_t kext_request(const struct kextbridge_host *host, uint32_t client_log_spec, const void *request,
			   uint32_t request_length, void **response, uint32_t *response_length, void **log_data,
			   uint32_t *log_data_length, kern_return_t *op_result);

/**
 * kextd_ping - whether a ping would reach a daemon
 *
 * On macOS the kernel tells the daemon with it that there is something to fetch. Here the kernel needs no
 * message for that: the daemon sleeps in kextbridge_exchange(), or polls its descriptor for POLLIN, and no
 * ping is lost or sent twice. So nothing is sent, and nothing is waited for.
 * Return: kOSReturnSuccess: there is a daemon; kOSKextReturnDisabled: there is none; another OSReturn when the
 * kernel could not be asked.
 * Since: 0.1
 */
kern_return_t kextd_ping(struct kextbridge *kb);

/* ---- OSReturn --------------------------------------------------------------------------------- */

/**
 * kextbridge_return_name - "kOSKextReturnNotFound", or NULL for a value without a name
 * Since: 0.1
 */
const char *kextbridge_return_name(OSReturn result);

/**
 * kextbridge_return_text - a short phrase for people, never NULL
 * Since: 0.1
 */
const char *kextbridge_return_text(OSReturn result);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* _KEXTBRIDGE_H */
