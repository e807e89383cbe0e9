/* SPDX-License-Identifier: GPL-2.0-only */
/* There is no loader: drivers link to kmdf.ko. */
#ifndef _KMDF_WDFLDR_H
#define _KMDF_WDFLDR_H

#include "wdftypes.h"

#endif
