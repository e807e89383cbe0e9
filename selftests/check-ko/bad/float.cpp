// SPDX-License-Identifier: GPL-2.0-only
// SSE.
// rows: 28
// says: floating point: .*%xmm
// flags: -msse2
double scale(double x)
{
	return x * 3;
}
