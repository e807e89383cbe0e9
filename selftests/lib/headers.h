/* SPDX-License-Identifier: GPL-2.0-only */
/* What drivers were compiled with elsewhere, of the headers besides OSKextLib.h: selftests/headers, in C and in C++. */
#ifndef _KBTEST_HEADERS_H
#define _KBTEST_HEADERS_H

#include <IOKit/IOLib.h>
#include <libkern/OSAtomic.h>
#include <libkern/OSByteOrder.h>
#include <libkern/version.h>
#include <sys/param.h>
#include <sys/systm.h>

#ifdef __cplusplus
#define KBTEST_ASSERT(what) static_assert(what, #what)
#define KBTEST_SAME(a, b) __is_same(a, b)
#else
#define KBTEST_ASSERT(what) _Static_assert(what, #what)
#define KBTEST_SAME(a, b) __builtin_types_compatible_p(a, b)
#endif

#define KBTEST_IORETURN(name, value) KBTEST_ASSERT(name == (IOReturn)0x##value)
KBTEST_IORETURN(kIOReturnSuccess, 0);
KBTEST_IORETURN(kIOReturnError, e00002bc);
KBTEST_IORETURN(kIOReturnNoMemory, e00002bd);
KBTEST_IORETURN(kIOReturnNoResources, e00002be);
KBTEST_IORETURN(kIOReturnIPCError, e00002bf);
KBTEST_IORETURN(kIOReturnNoDevice, e00002c0);
KBTEST_IORETURN(kIOReturnNotPrivileged, e00002c1);
KBTEST_IORETURN(kIOReturnBadArgument, e00002c2);
KBTEST_IORETURN(kIOReturnLockedRead, e00002c3);
KBTEST_IORETURN(kIOReturnLockedWrite, e00002c4);
KBTEST_IORETURN(kIOReturnExclusiveAccess, e00002c5);
KBTEST_IORETURN(kIOReturnBadMessageID, e00002c6);
KBTEST_IORETURN(kIOReturnUnsupported, e00002c7);
KBTEST_IORETURN(kIOReturnVMError, e00002c8);
KBTEST_IORETURN(kIOReturnInternalError, e00002c9);
KBTEST_IORETURN(kIOReturnIOError, e00002ca);
KBTEST_IORETURN(kIOReturnCannotLock, e00002cc);
KBTEST_IORETURN(kIOReturnNotOpen, e00002cd);
KBTEST_IORETURN(kIOReturnNotReadable, e00002ce);
KBTEST_IORETURN(kIOReturnNotWritable, e00002cf);
KBTEST_IORETURN(kIOReturnNotAligned, e00002d0);
KBTEST_IORETURN(kIOReturnBadMedia, e00002d1);
KBTEST_IORETURN(kIOReturnStillOpen, e00002d2);
KBTEST_IORETURN(kIOReturnRLDError, e00002d3);
KBTEST_IORETURN(kIOReturnDMAError, e00002d4);
KBTEST_IORETURN(kIOReturnBusy, e00002d5);
KBTEST_IORETURN(kIOReturnTimeout, e00002d6);
KBTEST_IORETURN(kIOReturnOffline, e00002d7);
KBTEST_IORETURN(kIOReturnNotReady, e00002d8);
KBTEST_IORETURN(kIOReturnNotAttached, e00002d9);
KBTEST_IORETURN(kIOReturnNoChannels, e00002da);
KBTEST_IORETURN(kIOReturnNoSpace, e00002db);
KBTEST_IORETURN(kIOReturnPortExists, e00002dd);
KBTEST_IORETURN(kIOReturnCannotWire, e00002de);
KBTEST_IORETURN(kIOReturnNoInterrupt, e00002df);
KBTEST_IORETURN(kIOReturnNoFrames, e00002e0);
KBTEST_IORETURN(kIOReturnMessageTooLarge, e00002e1);
KBTEST_IORETURN(kIOReturnNotPermitted, e00002e2);
KBTEST_IORETURN(kIOReturnNoPower, e00002e3);
KBTEST_IORETURN(kIOReturnNoMedia, e00002e4);
KBTEST_IORETURN(kIOReturnUnformattedMedia, e00002e5);
KBTEST_IORETURN(kIOReturnUnsupportedMode, e00002e6);
KBTEST_IORETURN(kIOReturnUnderrun, e00002e7);
KBTEST_IORETURN(kIOReturnOverrun, e00002e8);
KBTEST_IORETURN(kIOReturnDeviceError, e00002e9);
KBTEST_IORETURN(kIOReturnNoCompletion, e00002ea);
KBTEST_IORETURN(kIOReturnAborted, e00002eb);
KBTEST_IORETURN(kIOReturnNoBandwidth, e00002ec);
KBTEST_IORETURN(kIOReturnNotResponding, e00002ed);
KBTEST_IORETURN(kIOReturnIsoTooOld, e00002ee);
KBTEST_IORETURN(kIOReturnIsoTooNew, e00002ef);
KBTEST_IORETURN(kIOReturnNotFound, e00002f0);
KBTEST_IORETURN(kIOReturnInvalid, e0000001);
KBTEST_IORETURN(iokit_vendor_specific_err(1), e3ff8001);

KBTEST_ASSERT(THREAD_WAITING == -1 && THREAD_AWAKENED == 0 && THREAD_TIMED_OUT == 1 && THREAD_INTERRUPTED == 2);
KBTEST_ASSERT(THREAD_RESTART == 3 && THREAD_NOT_WAITING == 10);
KBTEST_ASSERT(THREAD_UNINT == 0 && THREAD_INTERRUPTIBLE == 1 && THREAD_ABORTSAFE == 2);

KBTEST_ASSERT(sizeof(UInt8) == 1 && sizeof(UInt16) == 2 && sizeof(UInt32) == 4 && sizeof(UInt64) == 8);
KBTEST_ASSERT(sizeof(SInt8) == 1 && sizeof(SInt16) == 2 && sizeof(SInt32) == 4 && sizeof(SInt64) == 8);
KBTEST_ASSERT((UInt32)-1 > 0 && (SInt32)-1 < 0 && (UInt64)-1 > 0 && (SInt64)-1 < 0);
KBTEST_ASSERT(KBTEST_SAME(UInt64, unsigned long long) && KBTEST_SAME(uint64_t, unsigned long long));
KBTEST_ASSERT(KBTEST_SAME(SInt64, long long) && KBTEST_SAME(int64_t, long long));
KBTEST_ASSERT(sizeof(Boolean) == 1 && sizeof(boolean_t) == 4 && sizeof(OSStatus) == 4 && TRUE == 1 && FALSE == 0);
KBTEST_ASSERT(sizeof(IOByteCount) == 8 && sizeof(IOVirtualAddress) == 8 && sizeof(IOPhysicalAddress) == 8);
KBTEST_ASSERT(sizeof(IOOptionBits) == 4 && sizeof(IOItemCount) == 4 && sizeof(AbsoluteTime) == 8);
KBTEST_ASSERT(sizeof(IOInterruptState) == 8 && sizeof(IOVirtualRange) == 16 && sizeof(IOPhysicalRange) == 16);
KBTEST_ASSERT(sizeof(u_char) == 1 && sizeof(u_short) == 2 && sizeof(u_int) == 4 && sizeof(u_long) == 8);
KBTEST_ASSERT(sizeof(vm_offset_t) == 8 && sizeof(mach_vm_address_t) == 8 && sizeof(natural_t) == 4);
KBTEST_ASSERT(kSecondScale == 1000000000 && kMillisecondScale == 1000000 && kMicrosecondScale == 1000);
KBTEST_ASSERT(NSEC_PER_SEC == 1000000000 && NSEC_PER_MSEC == 1000000 && NSEC_PER_USEC == 1000);
KBTEST_ASSERT(VERSION_MAJOR == 24 && sizeof(OSRELEASE) == sizeof("24.4.0"));

KBTEST_ASSERT(OSSwapConstInt16(0x0102) == 0x0201 && OSSwapInt32(0x01020304) == 0x04030201);
KBTEST_ASSERT(OSSwapConstInt64(0x0102030405060708) == 0x0807060504030201);
KBTEST_ASSERT(OSSwapHostToLittleInt32(0x01020304) == 0x01020304 && OSSwapBigToHostConstInt16(0x0102) == 0x0201);
KBTEST_ASSERT(OSLittleEndian == 1 && OSBigEndian == 2);

/* Each call as a driver writes it; never called. */
static inline int kbtest_use_headers(void *p __unused, const char *text, va_list list)
{
	u_int unsigned_counter = 0;
	int counter = 0;
	SInt64 wide = 0;
	u_long native = 0;
	void *pointer = NULL;
	char buffer[64];
	int *array = IONewZero(int, 10);
	IORecursiveLock *recursive = IOMallocType(UInt64) ? IORecursiveLockAlloc() : NULL;
	IOSimpleLock *simple = IOSimpleLockAlloc();
	AbsoluteTime deadline;

	OSIncrementAtomic(&counter);
	OSDecrementAtomic(&unsigned_counter);
	OSAddAtomic(-4, &counter);
	OSAddAtomic64(5, &wide);
	OSIncrementAtomic64(&wide);
	OSAddAtomicLong(5, &native);
	OSBitOrAtomic(1, &unsigned_counter);
	OSBitAndAtomic(1, &unsigned_counter);
	OSBitXorAtomic(1, &unsigned_counter);
	if (OSCompareAndSwap(0, 1, &unsigned_counter) || OSCompareAndSwapPtr(NULL, p, &pointer))
		OSSynchronizeIO();
	OSMemoryBarrier();
	bzero(buffer, sizeof(buffer));
	bcopy(text, buffer, min(unsigned_counter, 3u));
	counter += bcmp(text, buffer, 1) + memcmp(text, buffer, 1) + imax(1, 2) + MIN(1, 2);
	strlcpy(buffer, text, sizeof(buffer));
	strlcat(buffer, text, sizeof(buffer));
	snprintf(buffer, sizeof(buffer), "%llu %lld %u %zu %p", (UInt64)1, wide, counter, sizeof(buffer), pointer);
	vsnprintf(buffer, sizeof(buffer), text, list);
	counter += strcmp(text, buffer) + strncmp(text, buffer, 3) + strcasecmp(text, buffer) +
		   strncasecmp(text, buffer, 3);
	if (strchr(text, 'a') || strrchr(text, 'a') || strstr(text, "b") || strnlen(text, 3) || strnstr(text, "b", 3))
		counter += strtol(text, NULL, 10) + strtoul(text, NULL, 16) + strtoq(text, NULL, 0) +
			   strtouq(text, NULL, 0);
	IOLog("%d %s\n", counter, osrelease);
	IOLogv(text, list);
	printf("%d\n", version_major);
	IORecursiveLockLock(recursive);
	clock_interval_to_deadline(10, kMillisecondScale, &deadline);
	counter += IORecursiveLockSleepDeadline(recursive, &counter, deadline, THREAD_ABORTSAFE);
	IORecursiveLockUnlock(recursive);
	IOSimpleLockUnlockEnableInterrupt(simple, IOSimpleLockLockDisableInterrupt(simple));
	OSWriteBigInt32(buffer, 3, OSReadLittleInt32(buffer, 1));
	IOSafeDeleteNULL(array, int, 10);
	IOFreeType(p, UInt64);
	return counter + PATH_MAX;
}

#endif
