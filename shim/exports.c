// SPDX-License-Identifier: GPL-2.0-only
/* What drivers may link to. The functions are C++: module/. */
#include <linux/cache.h>
#include <linux/export.h>

#include "IOKit/IOLib.h"
#include "kern/kext_alloc.h"
#include "kextbridge/client.h"
#include "kextbridge/instance.h"
#include "kextbridge/kext.h"
#include "libkern/OSKextLib.h"

EXPORT_SYMBOL_GPL(OSKextRequestResource);
EXPORT_SYMBOL_GPL(OSKextRetainKextWithLoadTag);
EXPORT_SYMBOL_GPL(OSKextReleaseKextWithLoadTag);
EXPORT_SYMBOL_GPL(OSKextLoadKextWithIdentifier);
EXPORT_SYMBOL_GPL(OSKextGetLoadTagForIdentifier);
EXPORT_SYMBOL_GPL(OSKextParseVersionString);
EXPORT_SYMBOL_GPL(OSKextVersionGetString);
EXPORT_SYMBOL_GPL(kext_alloc_init);
EXPORT_SYMBOL_GPL(kext_alloc);
EXPORT_SYMBOL_GPL(kext_free);
EXPORT_SYMBOL_GPL(kextbridge_cancel_request);
EXPORT_SYMBOL_GPL(kextbridge_unload_kext);
EXPORT_SYMBOL_GPL(kextbridge_request_resource);
EXPORT_SYMBOL_GPL(kextbridge_cancel_request_nowait);
EXPORT_SYMBOL_GPL(kextbridge_cancel_requests);
EXPORT_SYMBOL_GPL(kextbridge_read);
EXPORT_SYMBOL_GPL(kextbridge_free_resource);
EXPORT_SYMBOL_GPL(kextbridge_scope_init);
EXPORT_SYMBOL_GPL(kextbridge_scope_cancel);
EXPORT_SYMBOL_GPL(kextbridge_scope_is_cancelled);
EXPORT_SYMBOL_GPL(kextbridge_class_register);
EXPORT_SYMBOL_GPL(kextbridge_kext_init);
EXPORT_SYMBOL_GPL(kextbridge_kext_exit);

/* Where the kernel's module loader leaves a weak symbol that nobody has. */
const void *gOSKextUnresolved __ro_after_init;
EXPORT_SYMBOL_GPL(gOSKextUnresolved);
EXPORT_SYMBOL_GPL(IOMalloc);
EXPORT_SYMBOL_GPL(IOMallocZero);
EXPORT_SYMBOL_GPL(IOFree);
EXPORT_SYMBOL_GPL(IOMallocAligned);
EXPORT_SYMBOL_GPL(IOFreeAligned);
EXPORT_SYMBOL_GPL(IOMallocPageable);
EXPORT_SYMBOL_GPL(IOFreePageable);
EXPORT_SYMBOL_GPL(IOLog);
EXPORT_SYMBOL_GPL(IOLogv);
EXPORT_SYMBOL_GPL(IOSleep);
EXPORT_SYMBOL_GPL(IODelay);
EXPORT_SYMBOL_GPL(IOPause);
EXPORT_SYMBOL_GPL(mach_absolute_time);
EXPORT_SYMBOL_GPL(kextbridge_strtol);
EXPORT_SYMBOL_GPL(kextbridge_strtoul);

EXPORT_SYMBOL_GPL(IOLockAlloc);
EXPORT_SYMBOL_GPL(IOLockFree);
EXPORT_SYMBOL_GPL(IOLockLock);
EXPORT_SYMBOL_GPL(IOLockTryLock);
EXPORT_SYMBOL_GPL(IOLockUnlock);
EXPORT_SYMBOL_GPL(IOLockSleep);
EXPORT_SYMBOL_GPL(IOLockSleepDeadline);
EXPORT_SYMBOL_GPL(IOLockWakeup);

EXPORT_SYMBOL_GPL(IORecursiveLockAlloc);
EXPORT_SYMBOL_GPL(IORecursiveLockFree);
EXPORT_SYMBOL_GPL(IORecursiveLockLock);
EXPORT_SYMBOL_GPL(IORecursiveLockTryLock);
EXPORT_SYMBOL_GPL(IORecursiveLockUnlock);
EXPORT_SYMBOL_GPL(IORecursiveLockHaveLock);
EXPORT_SYMBOL_GPL(IORecursiveLockSleep);
EXPORT_SYMBOL_GPL(IORecursiveLockSleepDeadline);
EXPORT_SYMBOL_GPL(IORecursiveLockWakeup);

EXPORT_SYMBOL_GPL(IORWLockAlloc);
EXPORT_SYMBOL_GPL(IORWLockFree);
EXPORT_SYMBOL_GPL(IORWLockRead);
EXPORT_SYMBOL_GPL(IORWLockWrite);
EXPORT_SYMBOL_GPL(IORWLockUnlock);

EXPORT_SYMBOL_GPL(IOSimpleLockAlloc);
EXPORT_SYMBOL_GPL(IOSimpleLockFree);
EXPORT_SYMBOL_GPL(IOSimpleLockInit);
EXPORT_SYMBOL_GPL(IOSimpleLockLock);
EXPORT_SYMBOL_GPL(IOSimpleLockTryLock);
EXPORT_SYMBOL_GPL(IOSimpleLockUnlock);
EXPORT_SYMBOL_GPL(IOSimpleLockLockDisableInterrupt);
EXPORT_SYMBOL_GPL(IOSimpleLockUnlockEnableInterrupt);
