// SPDX-License-Identifier: GPL-2.0-only
// With shim.h first, it would not say which of its functions may sleep.
// as: module/bad.cpp
// step: threads
// says: 'SHIM_SLEEPS' macro redefined
#include "shim/shim.h"
#include "core.hpp"
#include "shim/enforce.h"
