// SPDX-License-Identifier: GPL-2.0-only
// What the library of user space makes of a daemon's buffer.
#pragma once

#include <cstddef>
#include <string>

namespace fuzz {

struct LibraryRecord {
	unsigned long long id;
	std::string identifier;
	std::string name;
};

// The record at *offset, which moves on behind it. False: there is none.
bool library_reads(const void *buffer, size_t used, size_t *offset, LibraryRecord *record);

} // namespace fuzz
