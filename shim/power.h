/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_POWER_H
#define _SHIM_POWER_H

/* CONTEXT: module init and exit, with the core up. 0 or negative errno. */
int power_init(void);
void power_exit(void);

#endif
