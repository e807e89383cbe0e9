// SPDX-License-Identifier: GPL-2.0-only
// A tentative definition.
// rows: 3
// says: COMMON symbol bad_common
// flags: -fcommon
int bad_common;
