/* SPDX-License-Identifier: GPL-2.0-only */
/* The last include of each file in module/: what the subset does not have does not compile. */
#pragma GCC poison std throw typeid dynamic_cast thread_local malloc free printf
