// SPDX-License-Identifier: GPL-2.0-only
// A global function that IBT would not let anybody call through a pointer.
// rows: 21
// says: no endbr64
// config: X86_KERNEL_IBT
int one()
{
	return 1;
}
