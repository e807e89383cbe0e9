// SPDX-License-Identifier: GPL-2.0-only
// What KASAN adds is allowed where the kernel has it: calls, and a constructor of its own.
// rows: none
// flags: -fsanitize=kernel-address --param asan-globals=1 --param asan-instrumentation-with-call-threshold=0
// config: KASAN CONSTRUCTORS
extern "C" {
int table[3] = {1, 2, 3};
}

int at(int i)
{
	return table[i];
}
