/* SPDX-License-Identifier: GPL-2.0-only */
/* The older place of constructors. */
/* rows: 4 */
/* says: section \.ctors */
	.section .ctors, "aw"
	.quad 0
