// SPDX-License-Identifier: GPL-2.0-only
// A static of an inline function: one per process, says the linker's extension.
// rows: 18
// says: STB_GNU_UNIQUE symbol
// flags: -fgnu-unique
inline int *counter()
{
	static int n;

	return &n;
}

int count()
{
	return ++*counter();
}
