/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KMDF_STDDEF_H
#define _KMDF_STDDEF_H

#include "ntdef.h"

#endif
