/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_KMDF_DEVICE_H
#define _SHIM_KMDF_DEVICE_H

int kmdf_device_init(void);
void kmdf_device_exit(void);

#endif
