// SPDX-License-Identifier: GPL-2.0-only
// A second C++ unit, with debug information.
// rows: 3
// says: 2 C\+\+ units, not one
// flags: -g
// keep: yes
extern "C" int second()
{
	return 2;
}
