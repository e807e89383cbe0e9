// SPDX-License-Identifier: GPL-2.0-only
// Unwind tables alone.
// rows: 10
// says: section \.eh_frame
// flags: -fasynchronous-unwind-tables
int one()
{
	return 1;
}
