// SPDX-License-Identifier: GPL-2.0-only
// A home-made part of the C++ run-time library.
// rows: 7
// says: __cxa_guard_acquire is defined
extern "C" int __cxa_guard_acquire(long *)
{
	return 1;
}
