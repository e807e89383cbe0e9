/* SPDX-License-Identifier: GPL-2.0-only */
/* T-176: the values that drivers were compiled with elsewhere. Included by drivers in C and C++ and by programs. */
#ifndef _KBTEST_CONSTANTS_H
#define _KBTEST_CONSTANTS_H

#include <libkern/OSKextLib.h>

#define KBTEST_CONSTANTS(X)                                     \
	X(kOSReturnSuccess, 0)                                  \
	X(kOSReturnError, -603979775)                           \
	X(kOSMetaClassHasInstances, (int)0xdc004002)            \
	X(kOSKextReturnInternalError, -603947007)               \
	X(kOSKextReturnNoMemory, -603947006)                    \
	X(kOSKextReturnNoResources, -603947005)                 \
	X(kOSKextReturnNotPrivileged, -603947004)               \
	X(kOSKextReturnInvalidArgument, -603947003)             \
	X(kOSKextReturnNotFound, -603947002)                    \
	X(kOSKextReturnBadData, -603947001)                     \
	X(kOSKextReturnSerialization, -603947000)               \
	X(kOSKextReturnUnsupported, -603946999)                 \
	X(kOSKextReturnDisabled, -603946998)                    \
	X(kOSKextReturnNotAKext, -603946997)                    \
	X(kOSKextReturnValidation, -603946996)                  \
	X(kOSKextReturnAuthentication, -603946995)              \
	X(kOSKextReturnDependencies, -603946994)                \
	X(kOSKextReturnArchNotFound, -603946993)                \
	X(kOSKextReturnCache, -603946992)                       \
	X(kOSKextReturnDeferred, -603946991)                    \
	X(kOSKextReturnBootLevel, -603946990)                   \
	X(kOSKextReturnNotLoadable, -603946989)                 \
	X(kOSKextReturnLoadedVersionDiffers, -603946988)        \
	X(kOSKextReturnDependencyLoadError, -603946987)         \
	X(kOSKextReturnLinkError, -603946986)                   \
	X(kOSKextReturnStartStopError, -603946985)              \
	X(kOSKextReturnInUse, -603946984)                       \
	X(kOSKextReturnTimeout, -603946983)                     \
	X(kOSKextReturnStopping, -603946982)                    \
	X(kOSKextReturnSystemPolicy, -603946981)                \
	X(kOSKextReturnKCLoadFailure, (int)0xdc00801c)          \
	X(kOSKextReturnKCLoadFailureSystemKC, (int)0xdc00801d)  \
	X(kOSKextReturnKCLoadFailureAuxKC, (int)0xdc00801e)     \
	X(kIOReturnNotReady, (int)0xe00002d8)                   \
	X(kOSKextInvalidLoadTag, 0xffffffffu)                   \
	X(kOSKextRequestTagInvalid, 0xffffffffu)                \
	X(kOSKextVersionMaxLength, 20)                          \
	X(KERN_SUCCESS, 0)                                      \
	X(KERN_INVALID_ADDRESS, 1)                              \
	X(KERN_NO_SPACE, 3)                                     \
	X(KERN_INVALID_ARGUMENT, 4)                             \
	X(KERN_FAILURE, 5)                                      \
	X(KERN_RESOURCE_SHORTAGE, 6)                            \
	X(KERN_NOT_SUPPORTED, 46)                               \
	X(KMOD_RETURN_SUCCESS, 0)                               \
	X(KMOD_RETURN_FAILURE, 5)                               \
	X(KMOD_MAX_NAME, 64)                                    \
	X(KMOD_INFO_VERSION, 1)                                 \
	X(sizeof(kern_return_t), 4)                             \
	X(sizeof(OSReturn), 4)                                  \
	X(sizeof(OSKextLoadTag), 4)                             \
	X(sizeof(OSKextRequestTag), 4)                          \
	X(sizeof(OSKextVersion), 8)                             \
	X(sizeof(Boolean), 1)                                   \
	X(sizeof(boolean_t), 4)                                 \
	X(sizeof(kmod_info_t), sizeof(void *) == 8 ? 196 : 168) \
	X(sizeof(vm_size_t), sizeof(void *))                    \
	X(sizeof(kOSKextKernelIdentifier), 11)

#ifdef __cplusplus
#define KBTEST_ASSERT(name, value) static_assert(name == (value), #name);
#else
#define KBTEST_ASSERT(name, value) _Static_assert(name == (value), #name);
#endif
KBTEST_CONSTANTS(KBTEST_ASSERT)

#define KBTEST_ONE(name, value) +1
#define KBTEST_CONSTANT_COUNT (0 KBTEST_CONSTANTS(KBTEST_ONE))

/* How many of them are right when asked at run time. */
#define KBTEST_RIGHT(name, value) +(name == (value))
static inline unsigned int kbtest_right_constants(void)
{
	return 0 KBTEST_CONSTANTS(KBTEST_RIGHT);
}

#endif
