// SPDX-License-Identifier: GPL-2.0-only
// An exception.
// rows: 10
// says: undefined symbol __cxa_throw
// flags: -fexceptions -frtti
void fail(int error)
{
	throw error;
}
