// SPDX-License-Identifier: GPL-2.0-only
// Compiled without -mindirect-branch=thunk-extern.
// rows: 21
// says: indirect branch past the retpoline
// config: MITIGATION_RETPOLINE
int indirect(int (*f)())
{
	return f() + 1;
}
