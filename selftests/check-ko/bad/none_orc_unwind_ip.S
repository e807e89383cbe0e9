/* SPDX-License-Identifier: GPL-2.0-only */
/* What ld leaves of an entry whose function it discarded, as one of two of a name. */
/* rows: 3 */
/* says: R_X86_64_NONE in \.orc_unwind_ip */
	.section .orc_unwind_ip, "a"
	.reloc ., R_X86_64_NONE, discarded
	.quad 0
