// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one symbol of the C++ ABI that the compiler may ask for: the slot of a pure virtual function. No
 * constructor or destructor of module/ calls a virtual function, so nothing reaches it. Nothing else may
 * be added here: any other __cxa_* means that the code has left the subset (scripts/check-ko). KCSAN asks for one more.
 */
#include <linux/bug.h>
#include <linux/linkage.h>

void __cxa_pure_virtual(void);
void __cxa_pure_virtual(void)
{
	BUG();
}

#ifdef CONFIG_KCSAN
/* What the compiler calls when a constructor sets the object's table of virtual functions; it does the store itself. */
void __tsan_write8(void *at);
void __tsan_vptr_update(void *table, void *value);
void __tsan_vptr_update(void *table, void *value)
{
	__tsan_write8(table);
}
#endif
