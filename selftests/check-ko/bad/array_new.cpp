// SPDX-License-Identifier: GPL-2.0-only
// The array form.
// rows: 8
// says: undefined symbol _Znam
int *make(unsigned long n)
{
	return new int[n];
}
