// SPDX-License-Identifier: GPL-2.0-only
// as: selftests/bad.c
// step: warnings
// says: -Werror.*missing-field-initializers
struct pair {
	int first;
	int second;
};

extern const struct pair pair;
const struct pair pair = {1};
