// SPDX-License-Identifier: GPL-2.0-only
// A second C++ unit of which nothing but mangled names is left.
// rows: 3
// says: _ZN6second5valueE does not come from the one C\+\+ unit
// alone: yes
namespace second {
extern const int value;
const int value = 2;
} // namespace second
