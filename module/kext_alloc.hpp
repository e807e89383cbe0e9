// SPDX-License-Identifier: GPL-2.0-only
// Page ranges of drivers. Contracts: shim/include/kern/kext_alloc.h.
#pragma once

namespace kextbridge {

// CONTEXT: module exit, no driver is left. Frees what they have not, with a line in the log.
void free_forgotten_ranges();

} // namespace kextbridge
