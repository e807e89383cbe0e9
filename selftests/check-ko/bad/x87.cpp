// SPDX-License-Identifier: GPL-2.0-only
// The 8087's registers.
// rows: 28
// says: floating point: fld
// flags: -m80387
void scale(long double *x)
{
	*x = *x * 3;
}
