/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The OSKext KPI for Linux drivers, in C and in C++. The text says what kextbridge.ko does; T-nnn are the
 * assertions in selftests/assertions.txt that prove it.
 *
 * CONTEXT: every call may sleep (never from interrupt context, under a spin lock or in an RCU section),
 * except the three OSKextGetCurrent* calls, which run anywhere, and those that say otherwise.
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
 *   kOSKextReturnDisabled         the system goes down (looked at before anything else);
 *   kOSKextReturnInvalidArgument  a NULL or over-long string (max_name), a callback that is not in the code
 *                                 of a loaded kext, a kext that is not started;
 *   kOSKextReturnStopping         the kext is being stopped;
 *   kOSKextReturnNoResources      max_pending reached, or no tag is free;
 *   kOSKextReturnNoMemory.
 */
OSReturn OSKextRequestResource(const char *kextIdentifier, const char *resourceName,
			       OSKextRequestResourceCallback callback, void *context, OSKextRequestTag *requestTagOut);

/* The function behind OSKextCancelRequest(); `caller` is the calling kext's own kmod_info. */
OSReturn kextbridge_cancel_request(const kmod_info_t *caller, OSKextRequestTag requestTag, void **contextOut);

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
 * Keeps the kext with this load tag from being unloaded, and makes it one that leaves by itself once it is
 * released: autounload_delay_ms after the last release, if it has no pending request and no instance
 * (kextbridge/instance.h), its stop function is called and, unless that refuses, the module is deleted.
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
 * failed. kOSKextReturnInvalidArgument: NULL, empty or over-long. kOSKextReturnDisabled: the system goes down.
 * kOSKextReturnNoResources, kOSKextReturnNoMemory. Does not retain the kext.
 */
OSReturn OSKextLoadKextWithIdentifier(const char *kextIdentifier);

/* The function behind OSKextUnloadKextWithLoadTag(). */
OSReturn kextbridge_unload_kext(const kmod_info_t *caller, OSKextLoadTag loadTag);

/*
 * Unloads another kext now: its pending requests are called back, its stop function is called, the daemon deletes its
 * module. kOSReturnSuccess: that is done. kOSKextReturnInUse: it is retained, in use by another module or an open file,
 * has instances, or is being started or unloaded already. kOSKextReturnStartStopError: its stop function refused.
 * kOSKextReturnDisabled: there is no daemon, or the system goes down. kOSKextReturnInvalidArgument:
 * kOSKextInvalidLoadTag, or the caller's own tag (a kext leaves by itself after a retain and a release).
 * kOSKextReturnNotFound. kOSKextReturnDeferred: it has begun and nobody waits for its end, since the call was made in a
 * callback or the calling thread was killed. Anything else: what the daemon found; the kext was started again.
 */
static inline OSReturn OSKextUnloadKextWithLoadTag(OSKextLoadTag loadTag)
{
	return kextbridge_unload_kext(&kmod_info, loadTag);
}

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

/* ---- other kexts, versions, weak symbols ---- */

/*
 * The load tag of the kext with this identifier: kOSKextInvalidLoadTag when it is not loaded or the string is NULL, 0 for
 * kOSKextKernelIdentifier. It may leave at any moment; OSKextRetainKextWithLoadTag() says whether it still is there.
 * CONTEXT: also under a driver's spin lock and in softirq, with interrupts on.
 */
OSKextLoadTag OSKextGetLoadTagForIdentifier(const char *kextIdentifier);

typedef unsigned char Boolean;

/*
 * The number of a version, so that of two versions the later one has the larger number (1.0d9 < 1.0a1 < 1.0b1 < 1.0f1 <
 * 1.0 < 1.0.1). Three numbers of at most four digits, of which the last one or two may be missing; then, before the
 * release, a stage (d, a, b, and f or fc, which are the same) with a level of at most three digits, 0 to 255, from f on
 * 1 to 255. White space or the NUL ends it. -1: NULL, empty, or anything else. Never 0.
 * CONTEXT: any.
 */
OSKextVersion OSKextParseVersionString(const char *versionString);

/*
 * The text of a version: the minor number always, the revision unless it is 0, fc as f; "(missing)" for 0 and
 * "(invalid)" for what OSKextParseVersionString() never gives. False, and nothing is written: the buffer is NULL or
 * has less than kOSKextVersionMaxLength bytes.
 * CONTEXT: any.
 */
Boolean OSKextVersionGetString(OSKextVersion aVersion, char *buffer, uint32_t bufferSize);

/*
 * Symbols that another kext may or may not have. Declare one with __attribute__((weak_import)), or with weak, which is
 * the same, and ask before each use of it:
 *
 *	void other_kext_call(void) __attribute__((weak_import));
 *
 *	if (OSKextSymbolIsResolved(other_kext_call))
 *		other_kext_call();
 *
 * It is resolved when the asking module is loaded, and never later: to the symbol if a module that exports it is there
 * then, which cannot go from then on until the asking one does; else to address 0, for good. A call of it is
 * then a crash.
 *  - It links without the exporter's Module.symvers (EXTRA_SYMVERS), but build with it: where the kernel compares the
 *    versions of symbols (CONFIG_MODVERSIONS), Debian's does not load a module that names none ("no symbol version")
 *    when the exporter is there, nor one that names another.
 *  - depmod takes a weak symbol for a dependency as any other: modprobe, and kextd with it, loads an exporter that is
 *    installed first. insmod does not.
 *  - An exporter that is being loaded or leaving just then is waited for or is an error of the load, not an unresolved
 *    symbol; so is a namespace (EXPORT_SYMBOL_NS) that is not imported.
 *  - Without the attribute the symbol is needed, and always resolved.
 */
#ifndef weak_import
#define weak_import weak
#endif
extern const void *gOSKextUnresolved; /* NULL */
#define OSKextSymbolIsResolved(weak_sym) ((const void *)&(weak_sym) != gOSKextUnresolved)

#ifdef __cplusplus
}
#endif

#endif
