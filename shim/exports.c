// SPDX-License-Identifier: GPL-2.0-only
/* What drivers may link to. The functions are C++ (module/oskext.cpp, module/kext.cpp). */
#include <linux/export.h>

#include "kextbridge/kext.h"
#include "libkern/OSKextLib.h"

EXPORT_SYMBOL_GPL(OSKextRequestResource);
EXPORT_SYMBOL_GPL(OSKextRetainKextWithLoadTag);
EXPORT_SYMBOL_GPL(OSKextReleaseKextWithLoadTag);
EXPORT_SYMBOL_GPL(OSKextLoadKextWithIdentifier);
EXPORT_SYMBOL_GPL(kextbridge_request_resource);
EXPORT_SYMBOL_GPL(kextbridge_cancel_request);
EXPORT_SYMBOL_GPL(kextbridge_cancel_request_nowait);
EXPORT_SYMBOL_GPL(kextbridge_cancel_requests);
EXPORT_SYMBOL_GPL(kextbridge_kext_init);
EXPORT_SYMBOL_GPL(kextbridge_kext_exit);
