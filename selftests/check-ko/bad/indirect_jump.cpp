// SPDX-License-Identifier: GPL-2.0-only
// A jump table.
// rows: 21
// says: indirect branch past the retpoline.*: jmp
// flags: -fjump-tables
// config: RETPOLINE
int g(int);

__attribute__((noinline)) int g(int x)
{
	asm volatile("" : "+r"(x));
	return x;
}

int choose(int x)
{
	switch (x) {
	case 0:
		return g(7);
	case 1:
		return g(5) + 1;
	case 2:
		return g(11) * 3;
	case 3:
		return g(2) - 4;
	case 4:
		return g(9) << 2;
	case 5:
		return g(1) ^ 6;
	case 6:
		return g(3) | 8;
	}
	return 0;
}
