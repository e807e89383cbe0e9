// SPDX-License-Identifier: GPL-2.0-only
// A variable per thread, zero.
// rows: 5
// says: section \.tbss
// flags: -ftls-model=local-exec
extern "C" {
thread_local int depth;
}
