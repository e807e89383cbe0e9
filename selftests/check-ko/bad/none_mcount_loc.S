/* SPDX-License-Identifier: GPL-2.0-only */
/* What ld leaves of an entry whose function it discarded, as one of two of a name. */
/* rows: 3 */
/* says: R_X86_64_NONE in __mcount_loc */
	.section __mcount_loc, "a"
	.reloc ., R_X86_64_NONE, discarded
	.quad 0
