/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locks, and sleeping on an event.
 *
 * A mistake that can be told (NULL, what the caller does not hold, freeing what is held) changes nothing, and is a
 * rate-limited line in the log that says where it was made.
 */
#ifndef _IOKIT_IOLOCKS_H
#define _IOKIT_IOLOCKS_H

#include <IOKit/IOTypes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sleeping on an event -------------------------------------------------------------------------------------- */

typedef int wait_result_t;
#define THREAD_WAITING -1
#define THREAD_AWAKENED 0    /* by a wake-up for this event */
#define THREAD_TIMED_OUT 1   /* the deadline passed before */
#define THREAD_INTERRUPTED 2 /* by a signal */
#define THREAD_RESTART 3     /* never */
#define THREAD_NOT_WAITING 10

typedef int wait_interrupt_t;
#define THREAD_UNINT 0         /* by no signal, not even SIGKILL */
#define THREAD_INTERRUPTIBLE 1 /* by any signal */
#define THREAD_ABORTSAFE 2     /* the same */

/*
 * An event is an address, of anything; nobody looks behind it. All events are in one space, whatever lock they are used
 * with. A wake-up wakes who sleeps on its event at that moment, and is lost if nobody does. Nobody who sleeps is woken
 * for another reason than those above: what the sleeper's stack holds is safe until somebody wakes it, when the sleep is
 * THREAD_UNINT and has no deadline.
 */

/* ---- IOLock: a mutex ------------------------------------------------------------------------------------------- */

typedef struct _IOLock IOLock;

/* Gives NULL without memory. OWNERSHIP: the caller's, until IOLockFree(). CONTEXT: may sleep. */
IOLock *IOLockAlloc(void);
/* Nobody holds it or waits for it. A lock that is held is not freed. CONTEXT: may sleep. */
void IOLockFree(IOLock *lock);
/*
 * Not recursive: taking what the thread holds already is a mistake.
 * CONTEXT: process; may sleep.
 */
void IOLockLock(IOLock *lock);
/* Whether it has been taken. CONTEXT: process; never sleeps. */
bool IOLockTryLock(IOLock *lock);
/* CONTEXT: the thread that has taken it; never sleeps. */
void IOLockUnlock(IOLock *lock);

/*
 * Sleeps on the event with the lock dropped, and takes it again before it returns. A wake-up by somebody who takes the
 * lock first cannot be missed: the caller is asleep on the event before the lock is free.
 *
 * interType: THREAD_UNINT, THREAD_INTERRUPTIBLE, THREAD_ABORTSAFE.
 * Returns THREAD_AWAKENED or THREAD_INTERRUPTED. Who was woken is THREAD_AWAKENED, whatever signal came too.
 * Without the lock, which is a mistake, it sleeps all the same: a return too early would be worse.
 * CONTEXT: process; sleeps.
 */
int IOLockSleep(IOLock *lock, void *event, UInt32 interType);
/* The same until `deadline` (mach_absolute_time() units), then THREAD_TIMED_OUT. 0: for ever. */
int IOLockSleepDeadline(IOLock *lock, void *event, AbsoluteTime deadline, UInt32 interType);
/*
 * Wakes who has slept on the event for the longest time, or all who do. `lock` is not looked at and need not be held.
 * CONTEXT: any; with PREEMPT_RT not a hard interrupt.
 */
void IOLockWakeup(IOLock *lock, void *event, bool oneThread);

/* ---- IORecursiveLock: the same, and its owner may take it again ------------------------------------------------ */

typedef struct _IORecursiveLock IORecursiveLock;

/* As those of IOLock. */
IORecursiveLock *IORecursiveLockAlloc(void);
void IORecursiveLockFree(IORecursiveLock *lock);
void IORecursiveLockLock(IORecursiveLock *lock);
bool IORecursiveLockTryLock(IORecursiveLock *lock);
/* Others can take it after as many of these as it was taken. */
void IORecursiveLockUnlock(IORecursiveLock *lock);
/* Whether the calling thread holds it. */
bool IORecursiveLockHaveLock(const IORecursiveLock *lock);
/* Drops it altogether, however often it was taken, and takes it as often again. */
int IORecursiveLockSleep(IORecursiveLock *lock, void *event, UInt32 interType);
int IORecursiveLockSleepDeadline(IORecursiveLock *lock, void *event, AbsoluteTime deadline, UInt32 interType);
void IORecursiveLockWakeup(IORecursiveLock *lock, void *event, bool oneThread);

/* ---- IORWLock: many readers or one writer ---------------------------------------------------------------------- */

typedef struct _IORWLock IORWLock;

/* As those of IOLock. Not recursive, neither way. */
IORWLock *IORWLockAlloc(void);
void IORWLockFree(IORWLock *lock);
void IORWLockRead(IORWLock *lock);
void IORWLockWrite(IORWLock *lock);
/* What the thread has taken, for reading or for writing. */
void IORWLockUnlock(IORWLock *lock);

/* ---- IOSimpleLock: a spin lock --------------------------------------------------------------------------------- */

typedef struct _IOSimpleLock IOSimpleLock;
typedef long IOInterruptState;

/* As those of IOLock. CONTEXT: may sleep. */
IOSimpleLock *IOSimpleLockAlloc(void);
void IOSimpleLockFree(IOSimpleLock *lock);
/* As IOSimpleLockAlloc() has made it: free. Nobody holds it. */
void IOSimpleLockInit(IOSimpleLock *lock);
/*
 * The caller must not sleep until it has dropped the lock.
 * CONTEXT: any, as long as no interrupt handler takes the same lock; with PREEMPT_RT not a hard interrupt.
 */
void IOSimpleLockLock(IOSimpleLock *lock);
bool IOSimpleLockTryLock(IOSimpleLock *lock);
void IOSimpleLockUnlock(IOSimpleLock *lock);
/*
 * The same with interrupts off on this CPU meanwhile (with PREEMPT_RT they stay on, and handlers are threads). Each
 * takes what the other has given. CONTEXT: any; with PREEMPT_RT not a hard interrupt.
 */
IOInterruptState IOSimpleLockLockDisableInterrupt(IOSimpleLock *lock);
void IOSimpleLockUnlockEnableInterrupt(IOSimpleLock *lock, IOInterruptState state);

#ifdef __cplusplus
}
#endif

#endif
