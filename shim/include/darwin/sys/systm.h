/* SPDX-License-Identifier: GPL-2.0-only */
/* Of the BSD kernel's <sys/systm.h>: the strings and memory of <libkern/libkern.h>, and printf. */
#ifndef _SYS_SYSTM_H
#define _SYS_SYSTM_H

#include <IOKit/IOLib.h>
#include <libkern/libkern.h>

/* As IOLog(); no result. */
#define printf(...) IOLog(__VA_ARGS__)

#endif
