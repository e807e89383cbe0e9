// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one symbol of the C++ ABI that the compiler may ask for: the slot of a pure virtual function. No
 * constructor or destructor of module/ calls a virtual function, so nothing reaches it. Nothing else may
 * be added here: any other __cxa_* means that the code has left the subset (scripts/check-ko).
 */
#include <linux/bug.h>
#include <linux/linkage.h>

void __cxa_pure_virtual(void);
void __cxa_pure_virtual(void)
{
	BUG();
}
