/* SPDX-License-Identifier: GPL-2.0-only */
/* EXPORT_SYMBOL_GPL of a mangled name: what it leaves behind. */
/* rows: 16 */
/* says: exports the mangled name _ZN10kextbridge3apiEv */
	.section __ksymtab_gpl, "a"
__ksymtab__ZN10kextbridge3apiEv:
	.long 0, 0, 0
