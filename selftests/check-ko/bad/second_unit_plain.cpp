// SPDX-License-Identifier: GPL-2.0-only
// A second C++ unit without debug information: its name stays in the symbol table.
// rows: 3
// says: more than one C\+\+ source
// keep: yes
extern "C" int second()
{
	return 2;
}
