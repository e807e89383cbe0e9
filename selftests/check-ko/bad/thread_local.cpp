// SPDX-License-Identifier: GPL-2.0-only
// A variable per thread, initialised.
// rows: 5
// says: section \.tdata
// flags: -ftls-model=local-exec
extern "C" {
thread_local int depth = 1;
}
