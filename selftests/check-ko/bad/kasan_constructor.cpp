// SPDX-License-Identifier: GPL-2.0-only
// But no constructor of ours.
// rows: 4
// says: static constructor _GLOBAL__sub_I_
// flags: -fsanitize=kernel-address --param asan-globals=1 --param asan-instrumentation-with-call-threshold=0
// config: KASAN CONSTRUCTORS
struct Clock {
	Clock();
	int ticks;
};

Clock clock;

__attribute__((noinline)) Clock::Clock()
{
	asm volatile("" : "=r"(ticks));
}
