// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kref.h>

#include "shim/shim.h"
#include "test.h"

void shim_kref_get(struct kref *kref)
{
	kref_get(kref);
}

bool shim_kref_get_unless_zero(struct kref *kref)
{
	return kref_get_unless_zero(kref);
}

void shim_kref_init(struct kref *kref)
{
	kref_init(kref);
}

bool shim_kref_put(struct kref *kref, void (*release)(struct kref *kref))
{
	kextbridge_test_point(TEST_PUT);
	return kref_put(kref, release);
}
