/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a program needs to find the device. */
#ifndef _KMECHO_PUBLIC_H
#define _KMECHO_PUBLIC_H

/* {6D5B1E4A-93C7-4F0A-A1E2-5C1F7B0D9E33} */
DEFINE_GUID(GUID_DEVINTERFACE_KMECHO, 0x6d5b1e4a, 0x93c7, 0x4f0a, 0xa1, 0xe2, 0x5c, 0x1f, 0x7b, 0x0d, 0x9e, 0x33);

#endif
