// SPDX-License-Identifier: GPL-2.0-only
// clang's thread-safety attributes (scripts/lint checks them); nothing for g++.
#pragma once

namespace kextbridge {

class Table;
class SpinLock;

// The lock of the core for annotations in what core.hpp includes: core.requests, and in kmdf.ko core.lock. Never called,
// so it has no body; core.hpp (kmdf/core.hpp) tells the analysis which lock it means.
#ifdef KMDF_CORE
SpinLock &core_lock();
#else
Table &core_lock();
#endif

} // namespace kextbridge

#ifdef __clang__
#define KEXTBRIDGE_CAPABILITY(name) __attribute__((capability(name)))
#define KEXTBRIDGE_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define KEXTBRIDGE_GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define KEXTBRIDGE_REQUIRES(lock) __attribute__((requires_capability(lock)))
#define KEXTBRIDGE_EXCLUDES(lock) __attribute__((locks_excluded(lock)))
#define KEXTBRIDGE_ACQUIRED_AFTER(lock) __attribute__((acquired_after(lock)))
#define KEXTBRIDGE_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define KEXTBRIDGE_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define KEXTBRIDGE_RETURN_CAPABILITY(lock) __attribute__((lock_returned(lock)))
#define KEXTBRIDGE_UNCHECKED __attribute__((no_thread_safety_analysis))
// What shim/shim.h says of the functions that may sleep: the core's lock is a spin lock.
#define SHIM_SLEEPS KEXTBRIDGE_EXCLUDES(kextbridge::core_lock())
#else
#define KEXTBRIDGE_CAPABILITY(name)
#define KEXTBRIDGE_SCOPED_CAPABILITY
#define KEXTBRIDGE_GUARDED_BY(lock)
#define KEXTBRIDGE_REQUIRES(lock)
#define KEXTBRIDGE_EXCLUDES(lock)
#define KEXTBRIDGE_ACQUIRED_AFTER(lock)
#define KEXTBRIDGE_ACQUIRE(...)
#define KEXTBRIDGE_RELEASE(...)
#define KEXTBRIDGE_RETURN_CAPABILITY(lock)
#define KEXTBRIDGE_UNCHECKED
#endif
