// SPDX-License-Identifier: GPL-2.0-only
// What a driver calls besides WDF: levels, spin locks, events, time, pool. Contracts: wdm.h.
#include "nt.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

// A KEVENT is the driver's memory, often a stack's: who wakes does not touch it after it is set.
struct Event {
	u32 signalled;
	u32 automatic; // wakes one: a synchronization event
};
static_assert(sizeof(Event) <= sizeof(KEVENT));

struct Bucket {
	SpinLock lock;
	WaitQueue waiters;
};

constexpr u32 kBuckets = 64;
static constinit Bucket buckets[kBuckets];
static constinit lock_class_key bucket_key = {};
static constinit lock_class_key waiter_key = {};

void init_events()
{
	for (Bucket &bucket : buckets) {
		bucket.lock.init("kmdf_event", &bucket_key);
		bucket.waiters.init("kmdf_event", &waiter_key);
	}
}

static Bucket &bucket_of(const void *event)
{
	return buckets[(reinterpret_cast<unsigned long>(event) >> 5) % kBuckets];
}

static LONG set_event(KEVENT *event, u32 signalled)
{
	Bucket &bucket = bucket_of(event);
	Event &state = *reinterpret_cast<Event *>(event);
	u32 before;
	{
		SpinGuard guard(bucket.lock);

		before = state.signalled;
		state.signalled = signalled;
	}
	if (signalled)
		bucket.waiters.wake_all();
	return static_cast<LONG>(before);
}

static void spin_until_mine(KSPIN_LOCK *lock)
{
	u32 tries = 0;

	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(lock, __ATOMIC_RELAXED))
			shim_spin_backoff(tries++);
	}
}

} // namespace kmdf

using namespace kmdf;

// ---- levels, and locks that raise them

extern "C" KIRQL KeGetCurrentIrql(void)
{
	return at_dispatch() ? DISPATCH_LEVEL : PASSIVE_LEVEL;
}

// DISPATCH_LEVEL is bottom halves off; there is nothing above it for a driver.
extern "C" KIRQL KfRaiseIrql(KIRQL NewIrql)
{
	KIRQL before = KeGetCurrentIrql();

	if (NewIrql >= DISPATCH_LEVEL && before < DISPATCH_LEVEL)
		shim_local_bh_disable();
	return before;
}

extern "C" VOID KeLowerIrql(KIRQL NewIrql)
{
	if (NewIrql < DISPATCH_LEVEL && shim_softirq_count())
		shim_local_bh_enable();
}

extern "C" KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
	KIRQL before = KfRaiseIrql(DISPATCH_LEVEL);

	spin_until_mine(SpinLock);
	return before;
}

extern "C" VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
	__atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
	KeLowerIrql(NewIrql);
}

extern "C" VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
	spin_until_mine(SpinLock);
}

extern "C" VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
	__atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
}

extern "C" BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
	return !__atomic_exchange_n(SpinLock, 1, __ATOMIC_ACQUIRE);
}

// ---- events

extern "C" VOID KeInitializeEvent(PKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
	kmdf::Event &state = *reinterpret_cast<kmdf::Event *>(Event);

	state.automatic = Type == SynchronizationEvent;
	state.signalled = State;
}

extern "C" LONG KeSetEvent(PKEVENT Event, KPRIORITY, BOOLEAN)
{
	return set_event(Event, 1);
}

extern "C" VOID KeClearEvent(PKEVENT Event)
{
	set_event(Event, 0);
}

extern "C" LONG KeResetEvent(PKEVENT Event)
{
	return set_event(Event, 0);
}

extern "C" LONG KeReadStateEvent(PKEVENT Event)
{
	SpinGuard guard(bucket_of(Event).lock);

	return static_cast<LONG>(reinterpret_cast<kmdf::Event *>(Event)->signalled);
}

extern "C" NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON, KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Timeout)
{
	kmdf::Event &state = *static_cast<kmdf::Event *>(Object);
	Bucket &bucket = bucket_of(Object);
	auto signalled = [&] {
		SpinGuard guard(bucket.lock);

		if (!state.signalled)
			return false;
		if (state.automatic)
			state.signalled = 0;
		return true;
	};

	if (Timeout && !Timeout->QuadPart)
		return signalled() ? STATUS_SUCCESS : STATUS_TIMEOUT;
	if (at_dispatch()) {
		report(Rule::KmdfIrql, nullptr, "KeWaitForSingleObject waits above PASSIVE_LEVEL, at %pS",
		       __builtin_return_address(0));
		return STATUS_TIMEOUT;
	}
	if (!Timeout) {
		bucket.waiters.wait(signalled);
		return STATUS_SUCCESS;
	}
	return bucket.waiters.wait_hrtimeout(signalled, static_cast<s64>(relative_ns(Timeout->QuadPart)),
					     SHIM_TASK_UNINTERRUPTIBLE) ?
		       STATUS_TIMEOUT :
		       STATUS_SUCCESS;
}

extern "C" NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Interval)
{
	if (at_dispatch())
		report(Rule::KmdfIrql, nullptr, "KeDelayExecutionThread above PASSIVE_LEVEL, at %pS",
		       __builtin_return_address(0));
	else
		buckets[0].waiters.wait_hrtimeout([] { return false; },
						  static_cast<s64>(relative_ns(Interval->QuadPart)),
						  SHIM_TASK_UNINTERRUPTIBLE);
	return STATUS_SUCCESS;
}

// ---- time

extern "C" VOID KeStallExecutionProcessor(ULONG MicroSeconds)
{
	shim_udelay(MicroSeconds);
}

extern "C" VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
	// Ticks from 1601 to 1970.
	CurrentTime->QuadPart = 116444736000000000 + static_cast<s64>(shim_ktime_get_real_ns()) / kNanosecondsPerTick;
}

extern "C" ULONGLONG KeQueryInterruptTime(void)
{
	return shim_ktime_get_ns() / kNanosecondsPerTick;
}

extern "C" ULONGLONG kmdf_performance_counter(ULONGLONG *frequency)
{
	*frequency = 1000000000;
	return shim_ktime_get_ns();
}

// ---- pool

extern "C" PVOID ExAllocatePool2(POOL_FLAGS, SIZE_T NumberOfBytes, ULONG)
{
	// Zeroed always: nobody is to find what was there before.
	return NumberOfBytes ? shim_kzalloc(NumberOfBytes, gfp_here()) : nullptr;
}

extern "C" VOID ExFreePool(PVOID P)
{
	if (P)
		shim_kfree(P);
}

// ---- who

extern "C" HANDLE PsGetCurrentProcessId(void)
{
	return reinterpret_cast<HANDLE>(static_cast<long>(shim_current_tgid()));
}

extern "C" HANDLE PsGetCurrentThreadId(void)
{
	return reinterpret_cast<HANDLE>(static_cast<long>(shim_current_tid()));
}

extern "C" PKTHREAD KeGetCurrentThread(void)
{
	return reinterpret_cast<PKTHREAD>(shim_current());
}

// ---- the end of a driver's patience

extern "C" VOID DbgBreakPoint(void)
{
	shim_pr_warn_ratelimited("DbgBreakPoint at %pS", __builtin_return_address(0));
}

extern "C" VOID WdfVerifierDbgBreakPoint(void)
{
	shim_pr_warn_ratelimited("WdfVerifierDbgBreakPoint at %pS", __builtin_return_address(0));
}

extern "C" VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
	shim_pr_warn("KeBugCheckEx(%08x, %lx, %lx, %lx, %lx) at %pS", BugCheckCode, P1, P2, P3, P4,
		     __builtin_return_address(0));
	if (read_once(kmdf_params.verifier) == KMDF_VERIFIER_PANIC)
		shim_panic("kmdf: KeBugCheckEx(%08x)", BugCheckCode);
}

extern "C" VOID WdfVerifierKeBugCheck(ULONG BugCheckCode, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
	KeBugCheckEx(BugCheckCode, P1, P2, P3, P4);
}
