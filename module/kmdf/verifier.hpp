// SPDX-License-Identifier: GPL-2.0-only
// What a driver did that it must not: one line that names it, a counter per rule, and the driver goes on.
// The rules are those of Microsoft's static checks that can be found at run time, and the cases of its bug check 0x10D.
#pragma once

#include "common.hpp"

namespace kmdf {

enum class Rule : u8 {
	CompleteCanceledReq,
	DeferredRequestCompleted,
	DriverCreate,
	EvtIoStopCancel,
	EvtIoStopCompleteOrStopAck,
	InvalidReqAccess,
	KmdfIrql,
	MarkCancOnCancReq,
	ReqIsCancOnCancReq,
	ReqMarkCancelableSend,
	ReqNotCanceled,
	UnmarkNotCancelable,
	StopAckOutsideStop,
	IgnoredCancel,
	PowerTimeout,       // bug check 1
	RecursiveLock,      // 2
	MemoryReferenced,   // 3
	NullParameter,      // 4
	InvalidHandle,      // 5
	DoubleCompletion,   // 6/2
	AlreadySent,        // 6/3
	InformationTooLong, // 6/4
	NotInQueue,         // 6/5
	ObjectMisuse,       // 7
	StateCallback,      // 0xA
	LockOwner,          // 0xB
	CallbackIrql,       // 0xE
	WaitOnSelf,
	StatusPending,
	Rules,
};

bool verifying();

// One line, rate-limited; the handle and, of a request, its age and where it was marked are added. object may be null.
// CONTEXT: any, no lock of ours held.
__attribute__((format(printf, 3, 4))) void report(Rule rule, const Object *object, const char *format, ...)
	KEXTBRIDGE_EXCLUDES(core_lock());

// At PASSIVE_LEVEL; else reported.
bool at_passive(const char *call, const void *caller) KEXTBRIDGE_EXCLUDES(core_lock());

size_t verifier_counters(char *page, size_t size);

} // namespace kmdf
