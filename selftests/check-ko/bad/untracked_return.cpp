// SPDX-License-Identifier: GPL-2.0-only
// A return through the thunk that objtool has never seen.
// rows: 19
// says: returns that objtool has not listed
// flags: -mfunction-return=thunk-extern
// config: RETHUNK
int one()
{
	return 1;
}
