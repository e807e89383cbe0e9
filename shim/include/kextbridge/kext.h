/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the init and exit functions that scripts/driver.mk generates and kextbridge.ko. A driver author
 * has no use for it.
 */
#ifndef _KEXTBRIDGE_KEXT_H
#define _KEXTBRIDGE_KEXT_H

#include <mach/kmod.h>

#ifdef __cplusplus
extern "C" {
#endif

struct module;

/*
 * rmmod works as for any module: nothing can refuse it, and pending requests are flushed from exit. Nor does a base
 * reference stop the daemon when it is about to delete the module and somebody removes and loads it again by hand.
 */
#define KEXTBRIDGE_KEXT_PLAIN_RMMOD 0x1u

/*
 * Registers the kext, gives it a load tag, runs its start function. 0; -EINVAL: identifier or version
 * malformed; -EEXIST: the identifier is loaded already; -ENOMEM; -ENOSPC: load tags used up; -EIO: the
 * start function failed (the log has its code).
 * CONTEXT: module init.
 */
int kextbridge_kext_init(kmod_info_t *ki, struct module *module, uint32_t flags);

/*
 * Stops the kext if nobody has yet, waits for its callbacks, forgets it.
 * CONTEXT: module exit.
 */
void kextbridge_kext_exit(kmod_info_t *ki);

#ifdef __cplusplus
}
#endif

#endif
