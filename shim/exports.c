// SPDX-License-Identifier: GPL-2.0-only
/* What drivers may link to. The functions are C++: module/. */
#include <linux/cache.h>
#include <linux/export.h>

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
