// SPDX-License-Identifier: GPL-2.0-only
// A local one whose address is in data.
// rows: 21
// says: _ZL3onev: no endbr64
// config: X86_KERNEL_IBT
static int one()
{
	return 1;
}

extern "C" {
extern int (*const table[])();
int (*const table[])() = {one};
}
