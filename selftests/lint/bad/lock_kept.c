// SPDX-License-Identifier: GPL-2.0-only
// as: shim/bad.c
// step: sparse
// says: context imbalance in 'shim_bad'
#include <linux/xarray.h>

void shim_bad(struct xarray *xa);
void shim_bad(struct xarray *xa)
{
	xa_lock_bh(xa);
}
