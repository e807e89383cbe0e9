// SPDX-License-Identifier: GPL-2.0-only
/* The hooks of kmdf.ko's test build: it has its own counts and its own coverage. */
#include "../test.c"

#include "../coverage.c"
