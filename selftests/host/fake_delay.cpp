// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's delays, and lock classes, which are only looked at by an extension.
#include "fake_inside.hpp"

extern "C" void shim_udelay(unsigned long usecs)
{
	if (usecs > 20000)
		fake::bug("udelay(%lu): mdelay is for that", usecs);
}

extern "C" void shim_ndelay(unsigned long nsecs)
{
	if (nsecs > 20000)
		fake::bug("ndelay(%lu): udelay is for that", nsecs);
}

extern "C" void shim_lockdep_register_key(struct lock_class_key *key)
{
	if (fake::extension)
		fake::extension->lock_key(key, true);
}

extern "C" void shim_lockdep_unregister_key(struct lock_class_key *key)
{
	if (fake::extension)
		fake::extension->lock_key(key, false);
}
