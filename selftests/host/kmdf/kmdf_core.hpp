// SPDX-License-Identifier: GPL-2.0-only
// The looks inside that core_under_test.cpp gives. Handles are WDF's.
#pragma once

#include "shim/types.h"

namespace kmdf_test {

enum State { gone = -1, queued = 1, owned, cancelable, cancelled, called, done };

} // namespace kmdf_test

extern "C" {
void host_kmdf_reset();
int host_kmdf_request_state(void *handle);
u64 host_kmdf_request_id(void *handle);
bool host_kmdf_request_canceled(void *handle);
u32 host_kmdf_queue_inside(void *handle);
u64 host_kmdf_broken(const char *rule);
const char *host_kmdf_rule(int i);
const char *host_kmdf_check_invariants(bool quiet);
u32 host_kmdf_objects();
u32 host_kmdf_drivers();
}
