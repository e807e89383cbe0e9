/* SPDX-License-Identifier: GPL-2.0-only */
/* The same, when the symbols of exports are stripped: the string must stay. */
/* rows: 16 */
/* says: exports the mangled name _ZN10kextbridge3apiEv */
	.section __ksymtab_strings, "aMS", @progbits, 1
	.asciz "_ZN10kextbridge3apiEv"
