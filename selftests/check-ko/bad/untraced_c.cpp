// SPDX-License-Identifier: GPL-2.0-only
// The same under a C name.
// rows: 25
// says: c_name: not in __mcount_loc
// config: FTRACE_MCOUNT_RECORD
extern "C" int c_name()
{
	return 1;
}
