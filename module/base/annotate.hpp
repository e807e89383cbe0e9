// SPDX-License-Identifier: GPL-2.0-only
// clang's thread-safety attributes (scripts/lint checks them); nothing for g++.
#pragma once

#ifdef __clang__
#define KEXTBRIDGE_CAPABILITY(name) __attribute__((capability(name)))
#define KEXTBRIDGE_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define KEXTBRIDGE_GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define KEXTBRIDGE_REQUIRES(lock) __attribute__((requires_capability(lock)))
#define KEXTBRIDGE_EXCLUDES(lock) __attribute__((locks_excluded(lock)))
#define KEXTBRIDGE_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define KEXTBRIDGE_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define KEXTBRIDGE_RETURN_CAPABILITY(lock) __attribute__((lock_returned(lock)))
#define KEXTBRIDGE_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define KEXTBRIDGE_CAPABILITY(name)
#define KEXTBRIDGE_SCOPED_CAPABILITY
#define KEXTBRIDGE_GUARDED_BY(lock)
#define KEXTBRIDGE_REQUIRES(lock)
#define KEXTBRIDGE_EXCLUDES(lock)
#define KEXTBRIDGE_ACQUIRE(...)
#define KEXTBRIDGE_RELEASE(...)
#define KEXTBRIDGE_RETURN_CAPABILITY(lock)
#define KEXTBRIDGE_UNCHECKED
#endif
