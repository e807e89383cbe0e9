// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextbridge: what any program may see and ask. Each open file owns the requests made through it.
#pragma once

#include "core.hpp"

namespace kextbridge {

// LOCKING: the table's guards all but the immutable fields.
// OWNERSHIP: the open file holds the first reference, each request one more.
class ControlFile final : public Owner {
	void dispose() override;
	void answered_locked() override KEXTBRIDGE_REQUIRES(core_lock()) { finished.wake_all(); }
	Kext *kext() override { return nullptr; }
	u32 load_tag() const override { return 0; }

      public:
	explicit ControlFile(u32 opener);

	const u32 uid;      // of the opener, in the initial user namespace
	WaitQueue finished; // something may be in answered or results
	// Taken by KEXTBRIDGE_IOC_RESULT or ended by a cancel; still in the table until they are released.
	List<Request, &Request::queue_node> results KEXTBRIDGE_GUARDED_BY(core_lock());
	u32 result_count KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u64 seen_generation KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
};

} // namespace kextbridge
