/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The OSKext KPI for Linux drivers, in C and in C++. The text says what kextbridge.ko does; T-nnn are the
 * assertions in selftests/assertions.txt that prove it.
 *
 * CONTEXT: every call may sleep (never from interrupt context, under a spin lock or in an RCU section),
 * except the three OSKextGetCurrent* calls, which run anywhere.
 */
#ifndef _LIBKERN_OSKEXTLIB_H
#define _LIBKERN_OSKEXTLIB_H

#include <kextbridge/types.h>
#include <libkern/OSReturn.h>
#include <mach/kmod.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t OSKextLoadTag;
typedef uint32_t OSKextRequestTag;

#define kOSKextInvalidLoadTag ((OSKextLoadTag)-1)
#define kOSKextRequestTagInvalid ((OSKextRequestTag)-1)
#define kOSKextKernelIdentifier "__kernel__"

typedef uint8_t OSKextExcludeLevel;
#define kOSKextExcludeLevelNone 0
#define kOSKextExcludeLevelKext 1
#define kOSKextExcludeLevelAll 2

typedef uint32_t OSKextLogSpec;

/* 0: undefined, negative: invalid. */
typedef int64_t OSKextVersion;
#define kOSKextVersionMaxLength 20

/*
 * The completion routine of a request.
 *
 * It runs exactly once for each accepted request, except when
 *  - OSKextCancelRequest() returned Success for it: never;
 *  - it was requested by a start function that then failed: never (the driver frees its context itself).
 *
 * CONTEXT: a worker thread, no lock held; may sleep, allocate and call anything of this file. One at a time
 *   per kext, in the order of the answers; never before the kext's start function has returned, never
 *   during or after its stop function, never on the stack of OSKextRequestResource(). A routine that sleeps
 *   delays its own kext only.
 * requestTag: as OSKextRequestResource() gave it; already unknown to OSKextCancelRequest().
 * result: kOSReturnSuccess; kOSKextReturnNotFound (no such bundle or resource);
 *   kOSKextReturnInvalidArgument, Validation, Authentication (the daemon refuses the name or the bundle);
 *   kOSKextReturnTimeout (the deadline passed, or the kext is being unloaded);
 *   kOSKextReturnStopping (unloaded, with unload_result=stopping); kOSKextReturnInternalError (three
 *   daemons died over it); or whatever else the daemon says.
 * resourceData, resourceDataLength: the payload in bytes, not NUL-terminated; NULL and 0 when there is none
 *   (an error, or an empty resource).
 * OWNERSHIP: the payload belongs to kextbridge and is freed when the routine returns. context is the
 *   driver's again.
 */
typedef void (*OSKextRequestResourceCallback)(OSKextRequestTag requestTag, OSReturn result, const void *resourceData,
					      uint32_t resourceDataLength, void *context);

/*
 * Asks user space for the resource resourceName of the bundle kextIdentifier (the calling kext's own or
 * any other's). The request belongs to the kext whose code contains callback. It waits for a daemon if there
 * is none; its deadline (module parameter request_timeout_ms) runs from now all the same.
 *
 * OWNERSHIP: both strings are copied. context is not touched; it is the request's until the callback runs
 *   or a cancel returns it.
 * requestTagOut: may be NULL; set to kOSKextRequestTagInvalid first, to the tag before callback can run. Another thread
 *   may look (READ_ONCE) meanwhile.
 * Returns kOSReturnSuccess; on anything else callback never runs:
 *   kOSKextReturnInvalidArgument  a NULL or over-long string (max_name), a callback that is not in the code
 *                                 of a loaded kext, a kext that is not started;
 *   kOSKextReturnStopping         the kext is being stopped;
 *   kOSKextReturnNoResources      max_pending reached, or no tag is free;
 *   kOSKextReturnNoMemory.
 */
OSReturn OSKextRequestResource(const char *kextIdentifier, const char *resourceName,
			       OSKextRequestResourceCallback callback, void *context, OSKextRequestTag *requestTagOut);

/*
 * The same with limits of its own.
 * timeout_ms: 0 = the default. max_length: the longest payload in bytes, 0 = max_reply_bytes; a longer
 * resource ends in kOSKextReturnNoResources.
 */
OSReturn kextbridge_request_resource(const char *kextIdentifier, const char *resourceName,
				     OSKextRequestResourceCallback callback, void *context,
				     OSKextRequestTag *requestTagOut, uint32_t timeout_ms, uint32_t max_length);

/* The functions behind the cancel calls below; `caller` is the calling kext's own kmod_info. */
OSReturn kextbridge_cancel_request(const kmod_info_t *caller, OSKextRequestTag requestTag, void **contextOut);
OSReturn kextbridge_cancel_request_nowait(const kmod_info_t *caller, OSKextRequestTag requestTag, void **contextOut);
uint32_t kextbridge_cancel_requests(const kmod_info_t *caller,
				    void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg),
				    void *arg);

/*
 * Takes a request back.
 *
 * kOSReturnSuccess: the callback never runs, and *contextOut (if contextOut is not NULL) is the context.
 *   A request whose answer has arrived but whose callback has not begun can still be cancelled.
 * kOSKextReturnNotFound: no such request any more: called back, cancelled, never issued. *contextOut is left
 *   alone. If its callback was running on another thread it has returned by now, so that after either
 *   result the context may be freed.
 *
 * CONTEXT: as above; from inside a callback it never waits: there NotFound does not say that a callback of
 *   another kext has returned. It waits for nothing but a running callback.
 * With the module parameter strict_cancel a request of another kext is NotFound.
 */
static inline OSReturn OSKextCancelRequest(OSKextRequestTag requestTag, void **contextOut)
{
	return kextbridge_cancel_request(&kmod_info, requestTag, contextOut);
}

/*
 * The same without the wait: kOSKextReturnInUse says that the callback is running right now and that the
 * context must not be freed yet. CONTEXT: also under a driver's spin lock and in softirq, with interrupts on.
 */
static inline OSReturn kextbridge_cancel_nowait(OSKextRequestTag requestTag, void **contextOut)
{
	return kextbridge_cancel_request_nowait(&kmod_info, requestTag, contextOut);
}

/*
 * Cancels all requests of the calling kext. cancelled (may be NULL) is called for each, on the caller's
 * stack, no lock held. Afterwards no callback of the kext is running (unless called from one). What other
 * threads request meanwhile may or may not be included. Returns how many were cancelled.
 */
static inline uint32_t kextbridge_cancel_all(void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg),
					     void *arg)
{
	return kextbridge_cancel_requests(&kmod_info, cancelled, arg);
}

/*
 * Keeps the kext with this load tag from being unloaded, and makes it one that leaves by itself once it is
 * released: autounload_delay_ms after the last release, if it has no pending request, its stop function is
 * called and, unless that refuses, the module is deleted.
 * Returns kOSReturnSuccess; kOSKextReturnInvalidArgument: kOSKextInvalidLoadTag; kOSKextReturnNotFound: no
 * such kext, or it is being stopped; kOSKextReturnNoResources: the count is at its limit.
 */
OSReturn OSKextRetainKextWithLoadTag(OSKextLoadTag loadTag);

/*
 * Undoes one retain. The kext's stop function may run before the releasing function has returned.
 * Returns kOSReturnSuccess; kOSKextReturnInvalidArgument: kOSKextInvalidLoadTag, or more releases than
 * retains (nothing changes); kOSKextReturnNotFound.
 */
OSReturn OSKextReleaseKextWithLoadTag(OSKextLoadTag loadTag);

/*
 * Makes sure that the kext is loaded and started. kOSReturnSuccess: it is. kOSKextReturnDeferred: the daemon
 * was asked to load the module with the alias kext:<identifier> (it does so when there is one); nobody is
 * told what came of it. kOSKextReturnStartStopError: it was loaded but not started, and its start function
 * failed. kOSKextReturnInvalidArgument: NULL, empty or over-long. kOSKextReturnNoResources,
 * kOSKextReturnNoMemory. Does not retain the kext.
 */
OSReturn OSKextLoadKextWithIdentifier(const char *kextIdentifier);

/* The calling kext's own; the load tag is kOSKextInvalidLoadTag before the module is loaded. Never NULL. */
static inline OSKextLoadTag OSKextGetCurrentLoadTag(void)
{
	return kmod_info.id;
}

static inline const char *OSKextGetCurrentIdentifier(void)
{
	return kmod_info.name;
}

static inline const char *OSKextGetCurrentVersionString(void)
{
	return kmod_info.version;
}

#ifdef __cplusplus
}
#endif

#endif
