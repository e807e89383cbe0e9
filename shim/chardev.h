/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_CHARDEV_H
#define _SHIM_CHARDEV_H

int chardev_init(void);
void chardev_exit(void);

#endif
