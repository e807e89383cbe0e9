// SPDX-License-Identifier: GPL-2.0-only
// as: selftests/new/bad.cpp
// step: warnings
// says: is in no part that scripts/lint knows
int answer();
int answer()
{
	return 42;
}
