// SPDX-License-Identifier: GPL-2.0-only
// Compiled without -mfunction-return=thunk-extern.
// rows: 21
// says: bare ret
// config: MITIGATION_RETHUNK
int one()
{
	return 1;
}
