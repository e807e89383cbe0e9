// SPDX-License-Identifier: GPL-2.0-only
// What each target gives to target.cpp, and the other way round.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fuzz {

// One input. What is wrong ends the program: by a sanitizer or by wrong().
void run(const uint8_t *data, size_t size);

// Inputs to start from: each ordinary use once, so that the fuzzer needs not find them.
std::vector<std::string> seeds();

// The input shows a bug: says so, and crashes for libFuzzer to keep it.
[[noreturn]] void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

} // namespace fuzz
