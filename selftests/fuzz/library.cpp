// SPDX-License-Identifier: GPL-2.0-only
// The library's reading of records: some of its names are the core's, too.
#include "../../userspace/lib/kextbridge.h"

#include "library.hpp"

namespace fuzz {

bool library_reads(const void *buffer, size_t used, size_t *offset, LibraryRecord *record)
{
	kextbridge_record read;

	if (kextbridge_record_next(buffer, used, offset, &read) != 1)
		return false;
	*record = {read.header.id, read.identifier, read.name};
	return true;
}

} // namespace fuzz
