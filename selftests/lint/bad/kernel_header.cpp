// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: layers
// says: module/bad.cpp:6: .*include
#include "core.hpp"
#include <linux/slab.h>
#include "shim/enforce.h"
