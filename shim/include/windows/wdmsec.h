/* SPDX-License-Identifier: GPL-2.0-only */
/* Security descriptors for WdfControlDeviceInitAllocate(), which does not look at them: the mode of the node in /dev decides. */
#ifndef _KMDF_WDMSEC_H
#define _KMDF_WDMSEC_H

#include "ntddk.h"

#define KMDF_SDDL(name, text) DECLARE_GLOBAL_CONST_UNICODE_STRING(SDDL_DEVOBJ_##name, text)
KMDF_SDDL(KERNEL_ONLY, L"D:P");
KMDF_SDDL(SYS_ALL, L"D:P(A;;GA;;;SY)");
KMDF_SDDL(SYS_ALL_ADM_ALL, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
KMDF_SDDL(SYS_ALL_ADM_RX, L"D:P(A;;GA;;;SY)(A;;GRGX;;;BA)");
KMDF_SDDL(SYS_ALL_ADM_RWX_WORLD_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)");
KMDF_SDDL(SYS_ALL_ADM_RWX_WORLD_R_RES_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)(A;;GR;;;RC)");
KMDF_SDDL(SYS_ALL_ADM_RWX_WORLD_RW_RES_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGW;;;WD)(A;;GR;;;RC)");
KMDF_SDDL(SYS_ALL_ADM_RWX_WORLD_RWX_RES_RWX, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGWGX;;;WD)(A;;GRGWGX;;;RC)");

#endif
