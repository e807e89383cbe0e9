// SPDX-License-Identifier: GPL-2.0-only
// Compiled without -pg.
// rows: 25
// says: _Z3onev: not in __mcount_loc
// config: FTRACE_MCOUNT_RECORD
int one()
{
	return 1;
}
