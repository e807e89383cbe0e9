/* SPDX-License-Identifier: GPL-2.0-only */
/* What kext_sample offers to a driver that stands on it. */
#ifndef _SAMPLE_H
#define _SAMPLE_H

#include <libkern/OSKextLib.h>

OSKextLoadTag kext_sample_load_tag(void);

#endif
