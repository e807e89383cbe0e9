// SPDX-License-Identifier: GPL-2.0-only
// Compiled with -pg and with endbr64 in front: nothing wrong with it.
// rows: none
// flags: -pg -mfentry -mrecord-mcount -fcf-protection=branch
// config: FTRACE_MCOUNT_RECORD
int one()
{
	return 1;
}
