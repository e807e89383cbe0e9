// SPDX-License-Identifier: GPL-2.0-only
// What every file of kmdf.ko sees.
//
// LOCKING: core.lock guards all queues, requests, files and the tree of objects. No callback of a driver runs
// under it, and the last reference to an object is not dropped under it. Taken inside it: the locks of wait queues and
// workqueues. A presentation lock (sync.hpp) is taken before it, never inside it.
#pragma once

#include "base/list.hpp"
#include "base/new.hpp"
#include "base/once.hpp"
#include "base/ref.hpp"
#include "base/spinlock.hpp"
#include "base/state.hpp"
#include "base/text.hpp"
#include "base/wait.hpp"
#include "base/work.hpp"
#include "shim/kmdf.h"
#include "uapi/kmdf.h"
#include "wdf.h"

namespace kmdf {

using kextbridge::core_lock;
using kextbridge::List;
using kextbridge::ListNode;
using kextbridge::Placement;
using kextbridge::read_once;
using kextbridge::Ref;
using kextbridge::SpinGuard;
using kextbridge::SpinLock;
using kextbridge::StateWord;
using kextbridge::text_equal;
using kextbridge::WaitQueue;
using kextbridge::Work;

class Device;
class Driver;
class File;
class Object;
class Queue;
class Request;

inline constexpr u64 kNanosecondsPerMs = 1000000;
inline constexpr s64 kNanosecondsPerTick = 100; // of an NT time

inline constexpr NTSTATUS status(unsigned int code)
{
	return static_cast<NTSTATUS>(code);
}

// SAFETY: what a driver has put into an enumeration may be none of its values, and is a number until that is known.
template <typename E> u32 number_of(const E &value)
{
	u32 number;

	static_assert(sizeof(value) == sizeof(number));
	__builtin_memcpy(&number, &value, sizeof(number));
	return number;
}

// DISPATCH_LEVEL, as it is here: bottom halves are off, or worse.
inline bool at_dispatch()
{
	return shim_softirq_count() || shim_irqs_disabled();
}

// From an NT time, relative (negative) or of the system's clock, in ticks of 100 ns.
inline u64 relative_ns(s64 due)
{
	// The system's clock counts from 1601.
	constexpr s64 kEpochTicks = 116444736000000000;
	constexpr s64 kLongest = SHIM_KTIME_MAX / kNanosecondsPerTick;
	s64 ticks = due < 0 ? -(due + (due == -__LONG_LONG_MAX__ - 1)) :
			      due - kEpochTicks - static_cast<s64>(shim_ktime_get_real_ns()) / kNanosecondsPerTick;

	if (ticks < 0)
		return 0;
	return static_cast<u64>(ticks < kLongest ? ticks : kLongest) * kNanosecondsPerTick;
}

inline unsigned int gfp_here()
{
	return at_dispatch() ? SHIM_GFP_ATOMIC | SHIM_GFP_NOWARN : SHIM_GFP_KERNEL;
}

} // namespace kmdf
