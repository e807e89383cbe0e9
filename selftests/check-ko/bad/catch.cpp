// SPDX-License-Identifier: GPL-2.0-only
// A handler: a table of its own, and a personality.
// rows: 10
// says: section \.gcc_except_table
// flags: -fexceptions -frtti
void call();

void (*callee)();

int guarded()
{
	try {
		callee();
	} catch (...) {
		return 1;
	}
	return 0;
}
