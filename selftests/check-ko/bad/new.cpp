// SPDX-License-Identifier: GPL-2.0-only
// The global operator new.
// rows: 8
// says: undefined symbol _Znwm
int *make()
{
	return new int(3);
}
