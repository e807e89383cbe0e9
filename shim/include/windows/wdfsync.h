/* SPDX-License-Identifier: GPL-2.0-only */
/* Locks. */
#ifndef _KMDF_WDFSYNC_H
#define _KMDF_WDFSYNC_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The lock of a device or queue: the one its callbacks are called under, also there if the scope is none. It
 * raises to DISPATCH_LEVEL, or with a passive execution level is a mutex, for PASSIVE_LEVEL. Not recursive. At most
 * DISPATCH_LEVEL.
 */
VOID WdfObjectAcquireLock(WDFOBJECT Object);
VOID WdfObjectReleaseLock(WDFOBJECT Object);

/*
 * A mutex; its parent is the driver unless given. The caller owns it. STATUS_INSUFFICIENT_RESOURCES. At most
 * DISPATCH_LEVEL.
 */
NTSTATUS WdfWaitLockCreate(PWDF_OBJECT_ATTRIBUTES LockAttributes, WDFWAITLOCK *Lock);

/*
 * STATUS_SUCCESS: acquired. STATUS_TIMEOUT, which is NT_SUCCESS too: not. Timeout: NULL waits for ever, negative is
 * relative in 100 ns, 0 tries. PASSIVE_LEVEL; to try, at most DISPATCH_LEVEL.
 */
NTSTATUS WdfWaitLockAcquire(WDFWAITLOCK Lock, PLONGLONG Timeout);

/* At most DISPATCH_LEVEL. */
VOID WdfWaitLockRelease(WDFWAITLOCK Lock);

/*
 * A spin lock; its parent is the driver unless given. The caller owns it. STATUS_INSUFFICIENT_RESOURCES. At most
 * DISPATCH_LEVEL.
 */
NTSTATUS WdfSpinLockCreate(PWDF_OBJECT_ATTRIBUTES SpinLockAttributes, WDFSPINLOCK *SpinLock);

/* Raises to DISPATCH_LEVEL until released, by the same thread. A recursive one is reported. At most DISPATCH_LEVEL. */
VOID WdfSpinLockAcquire(WDFSPINLOCK SpinLock);
VOID WdfSpinLockRelease(WDFSPINLOCK SpinLock);

#ifdef __cplusplus
}
#endif

#endif
