/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KMDF_NTDDK_H
#define _KMDF_NTDDK_H

#include "wdm.h"

#endif
