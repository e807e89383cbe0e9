// SPDX-License-Identifier: GPL-2.0-only
// A retpoline that objtool has never seen.
// rows: 19
// says: retpolines that objtool has not listed
// flags: -mindirect-branch=thunk-extern -mindirect-branch-register
// config: RETPOLINE
int indirect(int (*f)())
{
	return f() + 1;
}
