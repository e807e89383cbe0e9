/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of the Windows kernel interface that KMDF drivers use: levels, locks, events, time, pool, messages.
 * What is not inline is in kmdf.ko. There is nothing here for IRPs, device stacks or hardware.
 *
 * LEVEL (IRQL), as kmdf.ko has it: PASSIVE_LEVEL may sleep; DISPATCH_LEVEL is under a spin lock or in a callback
 * that says so, and may not. "any" includes both.
 */
#ifndef _KMDF_WDM_H
#define _KMDF_WDM_H

#include "ntdef.h"
#include "ntstatus.h"
#include "devioctl.h"
#include "kmdf_interlocked.h"
#include "kmdf_rtl.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define HIGH_LEVEL 15

typedef enum _MODE { KernelMode, UserMode, MaximumMode } MODE;

typedef struct _DEVICE_OBJECT *PDEVICE_OBJECT;
typedef struct _FILE_OBJECT *PFILE_OBJECT;
typedef struct _IRP IRP, *PIRP;
typedef struct _MDL MDL, *PMDL;
typedef struct _IO_STACK_LOCATION IO_STACK_LOCATION, *PIO_STACK_LOCATION;
typedef struct _IO_SECURITY_CONTEXT *PIO_SECURITY_CONTEXT;
typedef struct _KTHREAD *PKTHREAD, *PETHREAD;
typedef struct _EPROCESS *PEPROCESS;

typedef struct _IO_STATUS_BLOCK {
	union {
		NTSTATUS Status;
		PVOID Pointer;
	};
	ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

struct _DRIVER_OBJECT;
typedef VOID DRIVER_UNLOAD(struct _DRIVER_OBJECT *DriverObject);
typedef DRIVER_UNLOAD *PDRIVER_UNLOAD;

/* What DriverEntry is given. It is kmdf.ko's and lives as long as the driver's module. */
typedef struct _DRIVER_OBJECT {
	CSHORT Type;
	CSHORT Size;
	PDEVICE_OBJECT DeviceObject;
	ULONG Flags;
	UNICODE_STRING DriverName;
	PDRIVER_UNLOAD DriverUnload;
	PVOID KmdfGlue; /* struct kmdf_driver_glue of the module */
} DRIVER_OBJECT, *PDRIVER_OBJECT;

/*
 * DriverEntry. It runs once, in the insmod of the driver, at PASSIVE_LEVEL. If its status is not NT_SUCCESS, the
 * module is not loaded, and what it created is deleted. RegistryPath is valid until it returns.
 */
typedef NTSTATUS DRIVER_INITIALIZE(struct _DRIVER_OBJECT *DriverObject, struct _UNICODE_STRING *RegistryPath);
typedef DRIVER_INITIALIZE *PDRIVER_INITIALIZE;

/* The level of the caller. any. */
KIRQL KeGetCurrentIrql(void);

/*
 * Raises to NewIrql, which is not below the current level, and returns what it was. KeLowerIrql() goes back, in
 * reverse order.
 */
KIRQL KfRaiseIrql(KIRQL NewIrql);
VOID KeLowerIrql(KIRQL NewIrql);
#define KeRaiseIrql(new_irql, old_irql) (*(old_irql) = KfRaiseIrql(new_irql))
#define KeRaiseIrqlToDpcLevel() KfRaiseIrql(DISPATCH_LEVEL)

/* Spin locks: at most DISPATCH_LEVEL, which they raise to. Not recursive. */
typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;

FORCEINLINE VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
	*SpinLock = 0;
}

/* Returns the level to give to KeReleaseSpinLock(). */
KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);
VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
#define KeAcquireSpinLock(lock, old_irql) (*(old_irql) = KeAcquireSpinLockRaiseToDpc(lock))

/* At DISPATCH_LEVEL already: the level stays. */
VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);

/* FALSE if somebody has it. */
BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);

FORCEINLINE PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
	KIRQL irql = KeAcquireSpinLockRaiseToDpc(Lock);
	PLIST_ENTRY last = IsListEmpty(ListHead) ? (PLIST_ENTRY)NULL : ListHead->Blink;

	InsertTailList(ListHead, ListEntry);
	KeReleaseSpinLock(Lock, irql);
	return last;
}

FORCEINLINE PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
	KIRQL irql = KeAcquireSpinLockRaiseToDpc(Lock);
	PLIST_ENTRY first = IsListEmpty(ListHead) ? (PLIST_ENTRY)NULL : ListHead->Flink;

	InsertHeadList(ListHead, ListEntry);
	KeReleaseSpinLock(Lock, irql);
	return first;
}

/* NULL if the list is empty. */
FORCEINLINE PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
	KIRQL irql = KeAcquireSpinLockRaiseToDpc(Lock);
	PLIST_ENTRY entry = IsListEmpty(ListHead) ? (PLIST_ENTRY)NULL : RemoveHeadList(ListHead);

	KeReleaseSpinLock(Lock, irql);
	return entry;
}

/* Events. Nothing has to be freed; but nobody may wait for an event when its memory goes. */
typedef enum _EVENT_TYPE { NotificationEvent, SynchronizationEvent } EVENT_TYPE;
typedef enum _KWAIT_REASON {
	Executive,
	FreePage,
	PageIn,
	PoolAllocation,
	DelayExecution,
	Suspended,
	UserRequest
} KWAIT_REASON;
typedef enum _WAIT_TYPE { WaitAll, WaitAny } WAIT_TYPE;

typedef struct _KEVENT {
	ULONG_PTR Opaque[4];
} KEVENT, *PKEVENT, *PRKEVENT;

VOID KeInitializeEvent(PKEVENT Event, EVENT_TYPE Type, BOOLEAN State);

/*
 * Signals it: a notification event wakes all that wait and stays signalled, a synchronization event wakes one,
 * or the next to wait. Returns what it was before (0: not signalled). At most DISPATCH_LEVEL. Wait and Increment
 * are ignored.
 */
LONG KeSetEvent(PKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
VOID KeClearEvent(PKEVENT Event);

/* As KeClearEvent(), and returns what it was before. */
LONG KeResetEvent(PKEVENT Event);
LONG KeReadStateEvent(PKEVENT Event);

/*
 * Waits for an event, the only object that can be waited for here. Timeout: NULL waits for ever, 0 asks, negative
 * is relative in 100 ns, positive is system time. PASSIVE_LEVEL; with a timeout of 0 at most DISPATCH_LEVEL.
 * STATUS_SUCCESS: signalled; STATUS_TIMEOUT, which is NT_SUCCESS too. No signal ends it, Alertable or not.
 */
NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
			       PLARGE_INTEGER Timeout);

/* Sleeps: Interval as the timeout of KeWaitForSingleObject(). STATUS_SUCCESS. PASSIVE_LEVEL. */
NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval);

/* Spins. any. */
VOID KeStallExecutionProcessor(ULONG MicroSeconds);

/* Mutexes that are not recursive: PASSIVE_LEVEL, and it stays. */
typedef struct _FAST_MUTEX {
	LONG Count;
	PVOID Owner;
	ULONG Contention;
	KEVENT Event;
} FAST_MUTEX, *PFAST_MUTEX;

FORCEINLINE VOID ExInitializeFastMutex(PFAST_MUTEX FastMutex)
{
	FastMutex->Count = 1;
	FastMutex->Owner = NULL;
	FastMutex->Contention = 0;
	KeInitializeEvent(&FastMutex->Event, SynchronizationEvent, FALSE);
}

FORCEINLINE VOID ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
	if (InterlockedDecrement(&FastMutex->Count) != 0)
		KeWaitForSingleObject(&FastMutex->Event, Executive, KernelMode, FALSE, NULL);
}

FORCEINLINE BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
	return InterlockedCompareExchange(&FastMutex->Count, 0, 1) == 1;
}

FORCEINLINE VOID ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
	if (InterlockedIncrement(&FastMutex->Count) != 1)
		KeSetEvent(&FastMutex->Event, 0, FALSE);
}
#define ExAcquireFastMutexUnsafe ExAcquireFastMutex
#define ExReleaseFastMutexUnsafe ExReleaseFastMutex
#define KeEnterCriticalRegion() ((void)0)
#define KeLeaveCriticalRegion() ((void)0)

/* Time in 100 ns. any. System time counts from 1601 and follows the clock; interrupt time counts from boot. */
VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime);
#define KeQuerySystemTimePrecise KeQuerySystemTime
ULONGLONG KeQueryInterruptTime(void);
#define KeQueryUnbiasedInterruptTime KeQueryInterruptTime

/* A counter that only grows, and in *PerformanceFrequency, if that is given, its ticks a second. any. */
ULONGLONG kmdf_performance_counter(ULONGLONG *frequency);
FORCEINLINE LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)
{
	ULONGLONG frequency;
	LARGE_INTEGER now;

	now.QuadPart = (LONGLONG)kmdf_performance_counter(&frequency);
	if (PerformanceFrequency)
		PerformanceFrequency->QuadPart = (LONGLONG)frequency;
	return now;
}

/* A tick has KeQueryTimeIncrement() units of 100 ns. */
#define KeQueryTimeIncrement() 156250u

FORCEINLINE VOID KeQueryTickCount(PLARGE_INTEGER CurrentCount)
{
	CurrentCount->QuadPart = (LONGLONG)(KeQueryInterruptTime() / KeQueryTimeIncrement());
}

/* Pool. At most DISPATCH_LEVEL, whatever the kind. */
typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_USE_QUOTA 0x1ULL
#define POOL_FLAG_UNINITIALIZED 0x2ULL
#define POOL_FLAG_SESSION 0x4ULL
#define POOL_FLAG_CACHE_ALIGNED 0x8ULL
#define POOL_FLAG_RAISE_ON_FAILURE 0x20ULL
#define POOL_FLAG_NON_PAGED 0x40ULL
#define POOL_FLAG_NON_PAGED_EXECUTE 0x80ULL
#define POOL_FLAG_PAGED 0x100ULL

typedef enum _POOL_TYPE {
	NonPagedPool = 0,
	NonPagedPoolExecute = NonPagedPool,
	PagedPool = 1,
	NonPagedPoolMustSucceed = 2,
	NonPagedPoolCacheAligned = 4,
	PagedPoolCacheAligned = 5,
	NonPagedPoolNx = 512,
	NonPagedPoolNxCacheAligned = NonPagedPoolNx + 4
} POOL_TYPE;
#define POOL_NX_OPTIN 1
#define ExInitializeDriverRuntime(flags) ((void)(flags))
#define DrvRtPoolNxOptIn 1

/*
 * Memory, zeroed unless POOL_FLAG_UNINITIALIZED; NULL if there is none, with POOL_FLAG_RAISE_ON_FAILURE too. The
 * caller frees it with ExFreePool(). Tag is for debugging.
 */
PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);
VOID ExFreePool(PVOID P);

FORCEINLINE VOID ExFreePoolWithTag(PVOID P, ULONG Tag)
{
	(void)Tag;
	ExFreePool(P);
}

FORCEINLINE POOL_FLAGS kmdf_pool_flags(POOL_TYPE type)
{
	return type & PagedPool ? POOL_FLAG_PAGED : POOL_FLAG_NON_PAGED;
}

/* Not zeroed. */
FORCEINLINE PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
	return ExAllocatePool2(kmdf_pool_flags(PoolType) | POOL_FLAG_UNINITIALIZED, NumberOfBytes, Tag);
}

FORCEINLINE PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
	return ExAllocatePool2(kmdf_pool_flags(PoolType), NumberOfBytes, Tag);
}
#define ExAllocatePoolUninitialized ExAllocatePoolWithTag
#define ExAllocatePool(type, size) ExAllocatePoolWithTag(type, size, 0)

/*
 * A message in the kernel log. Formats are those of Windows: %I64, %Iu, %wZ, %Z, %ws, %S and the usual ones. any.
 * Returns STATUS_SUCCESS.
 */
ULONG DbgPrint(PCSTR Format, ...);
ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);
ULONG vDbgPrintEx(ULONG ComponentId, ULONG Level, PCCH Format, __builtin_va_list arglist);

/* A report with a stack trace: there is no debugger to break into. any. */
VOID DbgBreakPoint(void);

/* As module/kmdf's own bug checks: by default a report, and the driver goes on. */
VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4);
#define KeBugCheck(code) KeBugCheckEx(code, 0, 0, 0, 0)

#define DPFLTR_SYSTEM_ID 0
#define DPFLTR_IHVDRIVER_ID 77
#define DPFLTR_IHVVIDEO_ID 78
#define DPFLTR_IHVAUDIO_ID 79
#define DPFLTR_IHVNETWORK_ID 80
#define DPFLTR_IHVSTREAMING_ID 81
#define DPFLTR_IHVBUS_ID 82
#define DPFLTR_DEFAULT_ID 101
#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3
#define DPFLTR_MASK 0x80000000

#if DBG
#define KdPrint(arguments) DbgPrint arguments
#define KdPrintEx(arguments) DbgPrintEx arguments
#define KdBreakPoint() DbgBreakPoint()
#define NT_ASSERT(e) \
	((e) ? TRUE : (DbgPrint("Assertion failed: %s, %s:%d\n", #e, __FILE__, __LINE__), DbgBreakPoint(), FALSE))
#define ASSERT(e) ((void)NT_ASSERT(e))
#define ASSERTMSG(message, e) ((void)NT_ASSERT((e) && (message)))
#define PAGED_CODE() ((void)NT_ASSERT(KeGetCurrentIrql() <= APC_LEVEL))
#else
#define KdPrint(arguments) ((void)0)
#define KdPrintEx(arguments) ((void)0)
#define KdBreakPoint() ((void)0)
#define NT_ASSERT(e) ((void)0)
#define ASSERT(e) ((void)0)
#define ASSERTMSG(message, e) ((void)0)
#define PAGED_CODE() ((void)0)
#endif
#define NT_ASSERTMSG(message, e) NT_ASSERT(e)
#define NT_VERIFY(e) ((e) ? TRUE : FALSE)
#define NT_FRE_ASSERT(e) ((e) ? TRUE : (DbgBreakPoint(), FALSE))
#define PAGED_CODE_LOCKED() ((void)0)
#define PAGED_ASSERT(e) ASSERT(e)
#define KdBreakPointEx() KdBreakPoint()

/* Who runs: ids are those of Linux. any. */
HANDLE PsGetCurrentProcessId(void);
HANDLE PsGetCurrentThreadId(void);
PKTHREAD KeGetCurrentThread(void);
#define PsGetCurrentThread() KeGetCurrentThread()

#define IO_NO_INCREMENT 0
#define IO_CD_ROM_INCREMENT 1
#define IO_DISK_INCREMENT 1
#define IO_KEYBOARD_INCREMENT 6
#define IO_MAILSLOT_INCREMENT 2
#define IO_MOUSE_INCREMENT 6
#define IO_NAMED_PIPE_INCREMENT 2
#define IO_NETWORK_INCREMENT 2
#define IO_PARALLEL_INCREMENT 1
#define IO_SERIAL_INCREMENT 2
#define IO_SOUND_INCREMENT 8
#define IO_VIDEO_INCREMENT 1
#define EVENT_INCREMENT 1

#define DELETE 0x00010000
#define READ_CONTROL 0x00020000
#define SYNCHRONIZE 0x00100000
#define GENERIC_READ 0x80000000u
#define GENERIC_WRITE 0x40000000
#define GENERIC_EXECUTE 0x20000000
#define GENERIC_ALL 0x10000000
#define STANDARD_RIGHTS_ALL 0x001f0000
#define FILE_READ_DATA 0x1
#define FILE_WRITE_DATA 0x2
#define FILE_APPEND_DATA 0x4
#define FILE_SHARE_READ 1
#define FILE_SHARE_WRITE 2
#define FILE_SHARE_DELETE 4
#define FILE_ATTRIBUTE_READONLY 0x1
#define FILE_ATTRIBUTE_NORMAL 0x80
#define FILE_SUPERSEDE 0
#define FILE_OPEN 1
#define FILE_CREATE 2
#define FILE_OPEN_IF 3
#define FILE_OVERWRITE 4
#define FILE_OVERWRITE_IF 5
#define FILE_SYNCHRONOUS_IO_ALERT 0x10
#define FILE_SYNCHRONOUS_IO_NONALERT 0x20
#define FILE_NON_DIRECTORY_FILE 0x40
#define FILE_DEVICE_SECURE_OPEN 0x100
#define FILE_AUTOGENERATED_DEVICE_NAME 0x80
#define FO_CLEANUP_COMPLETE 0x4000

typedef enum _DEVICE_RELATION_TYPE {
	BusRelations,
	EjectionRelations,
	PowerRelations,
	RemovalRelations,
	TargetDeviceRelation,
	SingleBusRelations,
	TransportRelations
} DEVICE_RELATION_TYPE;

#ifdef __cplusplus
}
#endif

#endif
