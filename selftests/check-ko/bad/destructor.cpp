// SPDX-License-Identifier: GPL-2.0-only
// A function that is to run when the module goes.
// rows: 4
// says: section \.fini_array
extern "C" __attribute__((destructor)) void goodbye()
{
	asm volatile("" : : : "memory");
}
