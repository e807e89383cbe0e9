// SPDX-License-Identifier: GPL-2.0-only
// An object that is constructed when the module is loaded, or so its author thinks.
// rows: 4
// says: section \.init_array
struct Clock {
	Clock();
	int ticks;
};

Clock clock;

__attribute__((noinline)) Clock::Clock()
{
	asm volatile("" : "=r"(ticks));
}
