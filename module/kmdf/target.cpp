// SPDX-License-Identifier: GPL-2.0-only
#include "target.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

void cancel_below(Request &) {}

} // namespace kmdf
