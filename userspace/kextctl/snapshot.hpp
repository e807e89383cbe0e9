/* SPDX-License-Identifier: GPL-2.0-only */
/* All kexts at one time. */
#pragma once

#include <vector>

#include "context.hpp"

namespace kext::ctl {

/* In the order of load tags. */
std::vector<kextbridge_kext> all_kexts(kextbridge *kb);

struct kextbridge_status read_status(kextbridge *kb);

nlohmann::ordered_json json_of(const kextbridge_kext &kext);

} // namespace kext::ctl
