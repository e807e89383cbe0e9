// SPDX-License-Identifier: GPL-2.0-only
// The looks inside that core_under_test.cpp gives.
#pragma once

#include "shim/types.h"

namespace host {

enum State { absent = -1, pending, fetched, answered, finished };
enum KextState { gone_for_good = -1, starting, started, flushing, stopping, stopped, loaded, failed, gone };

} // namespace host

extern "C" {
void host_core_reset();
int host_request_state(u32 tag);
int host_kext_state(u32 load_tag);
void host_set_next_tag(u32 next);
void host_set_next_load_tag(u32 next);
void host_set_retains(u32 load_tag, u32 retains);
unsigned long host_request_bytes();
const char *host_check_invariants();
void host_forget_history();
}
