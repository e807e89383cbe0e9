// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include "common.hpp"

namespace kmdf {

// What KEVENTs wait on. CONTEXT: module init.
void init_events();

} // namespace kmdf
