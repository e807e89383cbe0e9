/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Linux drivers get beyond macOS's OSKext calls, in C and in C++: requests with limits of their own, a read that
 * waits, cancels that do not wait, and scopes, whose requests are cancelled together. README.md has each in a snippet.
 *
 * CONTEXT: every call may sleep (never from interrupt context, under a spin lock or in an RCU section), except where
 * it says so.
 */
#ifndef _KEXTBRIDGE_CLIENT_H
#define _KEXTBRIDGE_CLIENT_H

#include <libkern/OSKextLib.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kextbridge_scope;

/* All zero gives the defaults, as no options at all. */
struct kextbridge_resource_options {
	uint32_t timeout_ms; /* 0: the module parameter request_timeout_ms */
	/* The longest payload in bytes; a longer one ends in kOSKextReturnNoResources. 0: max_reply_bytes. */
	uint32_t max_length;
	struct kextbridge_scope *scope; /* or none */
};

/*
 * As OSKextRequestResource(), with options. Returns what that returns, and kIOReturnAborted: the scope is cancelled;
 * kOSKextReturnInvalidArgument also for a scope that kextbridge_scope_init() has not made, or that another kext uses.
 */
OSReturn kextbridge_request_resource(const char *kextIdentifier, const char *resourceName,
				     OSKextRequestResourceCallback callback, void *context,
				     OSKextRequestTag *requestTagOut,
				     const struct kextbridge_resource_options *options);

/* The functions behind the calls below; `caller` is the calling kext's own kmod_info. */
OSReturn kextbridge_cancel_request_nowait(const kmod_info_t *caller, OSKextRequestTag requestTag, void **contextOut);
uint32_t kextbridge_cancel_requests(const kmod_info_t *caller,
				    void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg),
				    void *arg);
OSReturn kextbridge_read(const kmod_info_t *caller, const char *kextIdentifier, const char *resourceName,
			 const struct kextbridge_resource_options *options, void **dataOut, uint32_t *lengthOut);

/*
 * Asks for a resource and waits for it: one line instead of a callback.
 *
 * Unlike a callback it does not wait for the kext's start function: it may be used in it, and in a callback. While it
 * waits, a request of the kext is pending; an unload ends it with Timeout, and the thread then has to leave the kext's
 * code before the stop function returns, as any thread of a driver has. A start function that fails must end the reads of
 * its other threads (kextbridge_cancel_all(), a scope) and wait for these threads before it returns.
 *
 * OWNERSHIP: *dataOut is the caller's, who gives it back with kextbridge_free_resource(); NULL for an empty resource and
 *   on any failure.
 * *lengthOut: its bytes. It is not NUL-terminated.
 * Returns kOSReturnSuccess; what a callback would have been given as its result (NotFound, Timeout...); what
 *   OSKextRequestResource() returns; kIOReturnAborted: its scope or all of the kext's requests were cancelled, or the
 *   calling thread was killed. It always ends by its deadline, unless the parameter request_timeout_ms is 0.
 */
static inline OSReturn kextbridge_read_resource(const char *kextIdentifier, const char *resourceName,
						const struct kextbridge_resource_options *options, void **dataOut,
						uint32_t *lengthOut)
{
	return kextbridge_read(&kmod_info, kextIdentifier, resourceName, options, dataOut, lengthOut);
}

/* NULL is allowed. */
void kextbridge_free_resource(void *data);

/*
 * OSKextCancelRequest() without the wait: kOSKextReturnInUse says that the callback is running right now and that the
 * context must not be freed yet. CONTEXT: also under a driver's spin lock and in softirq, with interrupts on.
 */
static inline OSReturn kextbridge_cancel_nowait(OSKextRequestTag requestTag, void **contextOut)
{
	return kextbridge_cancel_request_nowait(&kmod_info, requestTag, contextOut);
}

/*
 * Cancels all requests of the calling kext. cancelled (may be NULL) is called for each that would have called back, on
 * the caller's stack, no lock held; a read returns kIOReturnAborted. Afterwards no callback of the kext is running (unless
 * called from one). What other threads request meanwhile may or may not be included. Returns how many were cancelled.
 */
static inline uint32_t kextbridge_cancel_all(void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg),
					     void *arg)
{
	return kextbridge_cancel_requests(&kmod_info, cancelled, arg);
}

/* ---- scopes -------------------------------------------------------------------------------------------------- */

/*
 * Requests that end together: those made with it in their options, of one kext. Cancelled once and for good: whatever
 * was requested under it before is cancelled (or its callback has returned), and nothing can be afterwards. As
 * std::stop_source or a CancellationTokenSource, but with the barrier of OSKextCancelRequest().
 *
 * OWNERSHIP: the driver's memory, part of its own structure or on a stack. It must stay until each call that was given it
 *   has returned and each of its requests is over: after a cancel, none is left. Nothing has to be freed.
 */
struct kextbridge_scope {
	uint64_t reserved[6];
};

/* Makes it, or makes it anew after a cancel has returned. CONTEXT: any. */
void kextbridge_scope_init(struct kextbridge_scope *scope);

/*
 * Cancels the scope. cancelled (may be NULL) is called for each request that would have called back, on the caller's
 * stack, no lock held: the context is the driver's again; a read returns kIOReturnAborted. When it returns no callback of
 * a request of the scope is running, and none will (from inside a callback it does not wait for that one). Several threads
 * may cancel at once: each request is handed to one of them; none returns before the last callback has, and the scope must
 * outlast all of them.
 * Returns how many requests this call has cancelled; 0 also for a scope that is none.
 */
uint32_t kextbridge_scope_cancel(struct kextbridge_scope *scope,
				 void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg), void *arg);

/* 1: it has been cancelled, or is none. CONTEXT: also under a driver's spin lock and in softirq, with interrupts on. */
uint32_t kextbridge_scope_is_cancelled(struct kextbridge_scope *scope);

#ifdef __cplusplus
}

#include <kextbridge/client.hpp>
#endif

#endif
