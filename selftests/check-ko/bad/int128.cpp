// SPDX-License-Identifier: GPL-2.0-only
// A division that libgcc would do.
// rows: 28
// says: undefined symbol __udivti3
unsigned __int128 divide(unsigned __int128 a, unsigned __int128 b)
{
	return a / b;
}
