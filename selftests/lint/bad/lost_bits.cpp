// SPDX-License-Identifier: GPL-2.0-only
// as: userspace/kextd/bad.cpp
// step: warnings
// says: -Werror.*conversion
#include <cstdint>

uint8_t low(uint64_t value);
uint8_t low(uint64_t value)
{
	return value;
}
