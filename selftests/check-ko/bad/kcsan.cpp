// SPDX-License-Identifier: GPL-2.0-only
// What KCSAN adds is allowed where the kernel has it.
// rows: none
// flags: -fsanitize=thread
// config: KCSAN
int at(int *table, int i)
{
	return table[i];
}
