/* SPDX-License-Identifier: GPL-2.0-only */
#include "snapshot.hpp"

namespace kext::ctl {

std::vector<kextbridge_kext> all_kexts(kextbridge *kb)
{
	constexpr uint32_t page = 64;
	std::vector<kextbridge_kext> kexts;
	uint32_t from = 0;
	for (;;) {
		const size_t before = kexts.size();
		kexts.resize(before + page);
		const int count = kextbridge_list_kexts(kb, from, kexts.data() + before, page, nullptr);
		check_call(count, "list");
		kexts.resize(before + static_cast<size_t>(count));
		if (count == 0)
			return kexts;
		const uint32_t last = kexts.back().load_tag;
		if (last < from || last == UINT32_MAX)
			return kexts;
		from = last + 1;
	}
}

struct kextbridge_status read_status(kextbridge *kb)
{
	struct kextbridge_status status;
	check_call(kextbridge_get_status(kb, &status), "status");
	return status;
}

nlohmann::ordered_json json_of(const kextbridge_kext &kext)
{
	return {{"load_tag", kext.load_tag},
		{"identifier", kext.identifier},
		{"version", kext.version},
		{"module", kext.module},
		{"state", state_name(kext.state)},
		{"retains", kext.retains},
		{"module_refcount", kext.module_refcount},
		{"pending", kext.pending},
		{"instances", kext.instances},
		{"refused", kext.refused},
		{"autounload", (kext.flags & KEXT_FLAG_AUTOUNLOAD) != 0},
		{"plain_rmmod", (kext.flags & KEXT_FLAG_PLAIN_RMMOD) != 0},
		{"in_callback", (kext.flags & KEXT_FLAG_IN_CALLBACK) != 0},
		{"delayed", (kext.flags & KEXT_FLAG_DELAYED) != 0}};
}

} // namespace kext::ctl
