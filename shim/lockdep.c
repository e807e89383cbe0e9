// SPDX-License-Identifier: GPL-2.0-only
#include <linux/lockdep.h>

#include "shim/shim.h"

void shim_lockdep_register_key(struct lock_class_key *key)
{
	lockdep_register_key(key);
}

void shim_lockdep_unregister_key(struct lock_class_key *key)
{
	lockdep_unregister_key(key);
}
