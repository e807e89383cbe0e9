// SPDX-License-Identifier: GPL-2.0-only
// A function-local static that needs a guard variable.
// rows: 5
// says: undefined symbol __cxa_guard_acquire
int compute();

int compute()
{
	int value;

	asm volatile("" : "=r"(value));
	return value;
}

int once()
{
	static int value = compute();

	return value;
}
