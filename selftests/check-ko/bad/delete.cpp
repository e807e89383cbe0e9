// SPDX-License-Identifier: GPL-2.0-only
// The global operator delete.
// rows: 6
// says: undefined symbol _ZdlPvm
void drop(int *p)
{
	delete p;
}
