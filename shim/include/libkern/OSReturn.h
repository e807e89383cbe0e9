/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * OSReturn and its values: the results that OSKext calls and callbacks give. Shared by drivers (C and
 * C++), the core and user space. All errors are negative; 0 is success.
 */
#ifndef _LIBKERN_OSRETURN_H
#define _LIBKERN_OSRETURN_H

#include <mach/kern_return.h>

typedef kern_return_t OSReturn;

#define KEXTBRIDGE_OSRETURN(x) ((OSReturn)(x))

#define kOSReturnSuccess KEXTBRIDGE_OSRETURN(0)
#define kOSReturnError KEXTBRIDGE_OSRETURN(0xdc000001)
#define kOSMetaClassHasInstances KEXTBRIDGE_OSRETURN(0xdc004002)

#define kOSKextReturnInternalError KEXTBRIDGE_OSRETURN(0xdc008001)
#define kOSKextReturnNoMemory KEXTBRIDGE_OSRETURN(0xdc008002)
#define kOSKextReturnNoResources KEXTBRIDGE_OSRETURN(0xdc008003)
#define kOSKextReturnNotPrivileged KEXTBRIDGE_OSRETURN(0xdc008004)
#define kOSKextReturnInvalidArgument KEXTBRIDGE_OSRETURN(0xdc008005)
#define kOSKextReturnNotFound KEXTBRIDGE_OSRETURN(0xdc008006)
#define kOSKextReturnBadData KEXTBRIDGE_OSRETURN(0xdc008007)
#define kOSKextReturnSerialization KEXTBRIDGE_OSRETURN(0xdc008008)
#define kOSKextReturnUnsupported KEXTBRIDGE_OSRETURN(0xdc008009)
#define kOSKextReturnDisabled KEXTBRIDGE_OSRETURN(0xdc00800a)
#define kOSKextReturnNotAKext KEXTBRIDGE_OSRETURN(0xdc00800b)
#define kOSKextReturnValidation KEXTBRIDGE_OSRETURN(0xdc00800c)
#define kOSKextReturnAuthentication KEXTBRIDGE_OSRETURN(0xdc00800d)
#define kOSKextReturnDependencies KEXTBRIDGE_OSRETURN(0xdc00800e)
#define kOSKextReturnArchNotFound KEXTBRIDGE_OSRETURN(0xdc00800f)
#define kOSKextReturnCache KEXTBRIDGE_OSRETURN(0xdc008010)
#define kOSKextReturnDeferred KEXTBRIDGE_OSRETURN(0xdc008011)
#define kOSKextReturnBootLevel KEXTBRIDGE_OSRETURN(0xdc008012)
#define kOSKextReturnNotLoadable KEXTBRIDGE_OSRETURN(0xdc008013)
#define kOSKextReturnLoadedVersionDiffers KEXTBRIDGE_OSRETURN(0xdc008014)
#define kOSKextReturnDependencyLoadError KEXTBRIDGE_OSRETURN(0xdc008015)
#define kOSKextReturnLinkError KEXTBRIDGE_OSRETURN(0xdc008016)
#define kOSKextReturnStartStopError KEXTBRIDGE_OSRETURN(0xdc008017)
#define kOSKextReturnInUse KEXTBRIDGE_OSRETURN(0xdc008018)
#define kOSKextReturnTimeout KEXTBRIDGE_OSRETURN(0xdc008019)
#define kOSKextReturnStopping KEXTBRIDGE_OSRETURN(0xdc00801a)
#define kOSKextReturnSystemPolicy KEXTBRIDGE_OSRETURN(0xdc00801b)
#define kOSKextReturnKCLoadFailure KEXTBRIDGE_OSRETURN(0xdc00801c)
#define kOSKextReturnKCLoadFailureSystemKC KEXTBRIDGE_OSRETURN(0xdc00801d)
#define kOSKextReturnKCLoadFailureAuxKC KEXTBRIDGE_OSRETURN(0xdc00801e)

#define kIOReturnNotReady KEXTBRIDGE_OSRETURN(0xe00002d8)
#define kIOReturnAborted KEXTBRIDGE_OSRETURN(0xe00002eb)

#endif /* _LIBKERN_OSRETURN_H */
