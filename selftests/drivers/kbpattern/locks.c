// SPDX-License-Identifier: GPL-2.0-only
/* Locks, events, memory and strings, as a driver uses them. */
#include <IOKit/IOLib.h>
#include <libkern/OSAtomic.h>
#include <libkern/OSKextLib.h>
#include <libkern/libkern.h>
#include <libkern/version.h>
#include <sys/systm.h>

#include "glue.h"

#define EVENTS 16

static IOLock *lock;
static char events[EVENTS];
static UInt32 asleep[EVENTS]; /* under the lock: each of them is on its event when others can take it */
static UInt32 woken[EVENTS];

static void sleep_on(struct kbpattern_call *call)
{
	UInt32 number = call->argument & (EVENTS - 1);
	UInt32 how = (call->argument >> 8) & 3;
	UInt32 ms = (UInt32)(call->argument >> 16);
	AbsoluteTime deadline = 0, now;

	IOLockLock(lock);
	asleep[number]++;
	if (ms)
		clock_interval_to_deadline(ms, kMillisecondScale, &deadline);
	call->result = IOLockSleepDeadline(lock, &events[number], deadline, how);
	clock_get_uptime(&now);
	asleep[number]--;
	if (call->result == THREAD_AWAKENED)
		call->count = ++woken[number];
	/* How late it is. */
	call->length = deadline && now > deadline ? (UInt32)((now - deadline) / kMicrosecondScale) : 0;
	call->sum = deadline && now < deadline;
	IOLockUnlock(lock);
}

/* Each returns the line of the first thing that is not as it should be, or 0. */
#define CHECK(what)                      \
	do {                             \
		if (!(what))             \
			return __LINE__; \
	} while (0)

static int check_memory(void)
{
	static const vm_size_t sizes[] = {1, 7, 4096, 70105, 5 << 20};
	UInt8 *at;
	u_int i;
	vm_size_t byte, alignment;

	CHECK(!IOMalloc(0) && !IOMallocZero(0) && !IOMalloc(~(vm_size_t)0) && !IOMallocAligned(0, 16));
	CHECK(!IONew(UInt64, ~(vm_size_t)0 / 4) && !IOMallocAligned(16, 24));
	IOFree(NULL, 1);
	IOFreeAligned(NULL, 1);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		at = IOMallocZero(sizes[i]);
		CHECK(at);
		for (byte = 0; byte < sizes[i] && !at[byte]; byte++)
			at[byte] = 0xff;
		IOFree(at, sizes[i]);
		CHECK(byte == sizes[i]);
		for (alignment = 1; alignment <= 65536; alignment *= 4) {
			at = IOMallocAligned(sizes[i], alignment);
			CHECK(at && !((vm_size_t)at & (alignment - 1)));
			memset(at, 0xff, sizes[i]);
			IOFreeAligned(at, sizes[i]);
		}
	}
	return 0;
}

static int check_strings(void)
{
	char text[16];
	char *end;

	CHECK(strlcpy(text, "0123456789abcdef", sizeof(text)) == 16 && !strcmp(text, "0123456789abcde"));
	CHECK(strlcpy(text, "abc", sizeof(text)) == 3 && strlcat(text, "def", sizeof(text)) == 6);
	CHECK(!strcmp(text, "abcdef") && strlcpy(text, "x", 0) == 1 && text[0] == 'a');
	bcopy(text, text + 1, 4);
	CHECK(!strcmp(text, "aabcdf") && !bcmp(text, "aabcdf", 6) && strnlen(text, 3) == 3);
	bzero(text, sizeof(text));
	CHECK(!text[0] && !text[15]);
	CHECK(snprintf(text, sizeof(text), "%s %llu %#x", "a", (UInt64)5, 255u) == 8 && !strcmp(text, "a 5 0xff"));
	CHECK(strtol(" -12x", &end, 10) == -12 && *end == 'x' && strtoul("0x1f", NULL, 0) == 31);
	CHECK(strtoq("-077", NULL, 0) == -63 && strtouq("18446744073709551615", NULL, 10) == ~0ull);
	CHECK(!strcasecmp("AbC", "aBc") && strncasecmp("abX", "ABy", 2) == 0 && strstr("abc", "bc"));
	CHECK(version_major == 24 && !strcmp(osrelease, OSRELEASE));
	return 0;
}

static int check_atomics(void)
{
	SInt32 word = 5;
	UInt32 bits = 0xf0;
	SInt64 wide = -1;
	UInt8 bytes[2] = {0, 0};
	void *pointer = NULL;

	CHECK(OSIncrementAtomic(&word) == 5 && OSDecrementAtomic(&word) == 6 && OSAddAtomic(-7, &word) == 5 &&
	      word == -2);
	CHECK(OSIncrementAtomic64(&wide) == -1 && OSAddAtomic64(1ll << 40, &wide) == 0 && wide == 1ll << 40);
	CHECK(OSBitOrAtomic(0x0f, &bits) == 0xf0 && OSBitAndAtomic(0x3c, &bits) == 0xff);
	CHECK(OSBitXorAtomic(0x30, &bits) == 0x3c && bits == 0x0c);
	CHECK(!OSCompareAndSwap(1, 2, &bits) && OSCompareAndSwap(0x0c, 2, &bits) && bits == 2);
	CHECK(OSCompareAndSwapPtr(NULL, &word, &pointer) && !OSCompareAndSwapPtr(NULL, NULL, &pointer));
	CHECK(pointer == &word && !OSTestAndSet(9, bytes) && OSTestAndSet(9, bytes) && bytes[1] == 0x40);
	CHECK(!OSTestAndClear(9, bytes) && OSTestAndClear(9, bytes) && !bytes[1]);
	OSMemoryBarrier();
	CHECK(OSReadBigInt16("\1\2\3\4", 1) == 0x0203 && OSReadLittleInt32("\1\2\3\4", 0) == 0x04030201);
	return 0;
}

static int check_locks(void)
{
	IORecursiveLock *recursive = IORecursiveLockAlloc();
	IORWLock *shared = IORWLockAlloc();
	IOSimpleLock *simple = IOSimpleLockAlloc();
	IOLock *other = IOLockAlloc();
	IOInterruptState state;

	CHECK(recursive && shared && simple && other);
	/* Two locks of one kind, one inside the other. */
	IOLockLock(lock);
	IOLockLock(other);
	CHECK(!IOLockTryLock(other));
	IOLockUnlock(other);
	IOLockUnlock(lock);
	CHECK(IOLockTryLock(other));
	IOLockUnlock(other);
	IORecursiveLockLock(recursive);
	IORecursiveLockLock(recursive);
	CHECK(IORecursiveLockHaveLock(recursive));
	CHECK(IORecursiveLockSleepDeadline(recursive, &simple, mach_absolute_time() + 1000, 0) == THREAD_TIMED_OUT);
	IORecursiveLockUnlock(recursive);
	CHECK(IORecursiveLockHaveLock(recursive));
	IORecursiveLockUnlock(recursive);
	CHECK(!IORecursiveLockHaveLock(recursive));
	IORWLockRead(shared);
	IORWLockUnlock(shared);
	IORWLockWrite(shared);
	IORWLockUnlock(shared);
	IOSimpleLockLock(simple);
	/* Wakes nobody, with a spin lock held. */
	IOLockWakeup(lock, &simple, false);
	IOSimpleLockUnlock(simple);
	state = IOSimpleLockLockDisableInterrupt(simple);
	CHECK(!IOSimpleLockTryLock(simple));
	IOLockWakeup(lock, &simple, true);
	IOSimpleLockUnlockEnableInterrupt(simple, state);
	CHECK(IOSimpleLockTryLock(simple));
	IOSimpleLockUnlock(simple);
	IOSimpleLockFree(simple);
	IORWLockFree(shared);
	IORecursiveLockFree(recursive);
	IOLockFree(other);
	return 0;
}

/* None of them may do harm. */
static int check_mistakes(void)
{
	IOLock *other = IOLockAlloc();
	IORWLock *shared = IORWLockAlloc();
	IOSimpleLock *simple = IOSimpleLockAlloc();
	IORecursiveLock *recursive = IORecursiveLockAlloc();

	CHECK(other && shared && simple && recursive);
	IOLockUnlock(other);
	IOLockLock(other);
	IOLockLock(other);
	IOLockFree(other);
	CHECK(!IOLockTryLock(other));
	IOLockUnlock(other);
	IOLockUnlock(other);
	CHECK(IOLockTryLock(other));
	IOLockUnlock(other);
	CHECK(IOLockSleepDeadline(other, &other, mach_absolute_time() + 1000, 0) == THREAD_TIMED_OUT);
	CHECK(IOLockTryLock(other));
	IOLockUnlock(other);
	IORWLockUnlock(shared);
	IORWLockWrite(shared);
	IORWLockWrite(shared);
	IORWLockRead(shared);
	IORWLockFree(shared);
	IORWLockUnlock(shared);
	IORWLockUnlock(shared);
	IOSimpleLockUnlock(simple);
	IORecursiveLockUnlock(recursive);
	IOLockLock(NULL);
	IOLockUnlock(NULL);
	IOLockFree(NULL);
	IORWLockRead(NULL);
	IOSimpleLockLock(NULL);
	IOSimpleLockUnlock(NULL);
	IOLockWakeup(NULL, NULL, false);
	IOLockFree(other);
	IORWLockFree(shared);
	IOSimpleLockFree(simple);
	IORecursiveLockFree(recursive);
	return 0;
}

static int check_delays(void)
{
	UInt64 began = mach_absolute_time();

	IOSleep(20);
	CHECK(mach_absolute_time() - began >= 20 * NSEC_PER_MSEC);
	/* How long they take is the kernel's calibration, which is far off under emulation. */
	IODelay(3000);
	IOPause(50000);
	IOLog("kbpattern_locks: %s\n", version);
	printf("kbpattern_locks: %d\n", version_minor);
	return 0;
}

static bool run(struct kbpattern_call *call)
{
	UInt32 number = call->argument & (EVENTS - 1);

	if (kbpattern_is(call, "sleep")) {
		sleep_on(call);
	} else if (kbpattern_is(call, "wakeup")) {
		IOLockWakeup(lock, &events[number], call->argument & KBPATTERN_ONE);
	} else if (kbpattern_is(call, "asleep")) {
		IOLockLock(lock);
		call->count = asleep[number];
		IOLockUnlock(lock);
	} else if (kbpattern_is(call, "memory")) {
		call->result = check_memory();
	} else if (kbpattern_is(call, "strings")) {
		call->result = check_strings();
	} else if (kbpattern_is(call, "atomics")) {
		call->result = check_atomics();
	} else if (kbpattern_is(call, "locks")) {
		call->result = check_locks();
	} else if (kbpattern_is(call, "mistakes")) {
		call->result = check_mistakes();
	} else if (kbpattern_is(call, "delays")) {
		call->result = check_delays();
	} else {
		return false;
	}
	return true;
}

static kern_return_t start(kmod_info_t *ki __unused, void *data __unused)
{
	lock = IOLockAlloc();
	if (!lock)
		return KERN_RESOURCE_SHORTAGE;
	if (kbpattern_glue_open(run))
		return KERN_SUCCESS;
	IOLockFree(lock);
	return KERN_FAILURE;
}

static kern_return_t stop(kmod_info_t *ki __unused, void *data __unused)
{
	kbpattern_glue_close();
	IOLockFree(lock);
	return KERN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.kbpattern_locks, "1.0", start, stop);
