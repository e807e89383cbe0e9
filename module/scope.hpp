// SPDX-License-Identifier: GPL-2.0-only
// What lies in a driver's struct kextbridge_scope (kextbridge/client.h): the requests that end together.
#pragma once

#include "base/list.hpp"
#include "core.hpp"
#include "kextbridge/client.h"

namespace kextbridge {

class Scope;

// Behind the strings of a request that was made under a scope.
struct ScopeLink {
	ListNode node KEXTBRIDGE_GUARDED_BY(core_lock());
	Request *request; // immutable, as is
	Scope *scope;     // SAFETY: compared after the request is Finished, never followed
};

// LOCKING: the table's guards every field.
// OWNERSHIP: the driver's memory, which it keeps until each call that was given it has returned and each of its requests
// is over.
class Scope final {
	static constexpr u32 kMagic = 0x6b627363;

	u32 magic_ = kMagic;

      public:
	u32 load_tag KEXTBRIDGE_GUARDED_BY(core_lock()) = kOSKextInvalidLoadTag;       // of the kext that uses it
	List<ScopeLink, &ScopeLink::node> requests KEXTBRIDGE_GUARDED_BY(core_lock()); // that are not Finished
	bool cancelled KEXTBRIDGE_GUARDED_BY(core_lock()) = false;

	Scope() { requests.init(); } // nobody else can see it yet

	// Null: not one that kextbridge_scope_init() has made.
	static Scope *from(kextbridge_scope *scope)
	{
		Scope *made = reinterpret_cast<Scope *>(scope);

		return made && made->magic_ == kMagic ? made : nullptr;
	}
};

static_assert(sizeof(Scope) <= sizeof(kextbridge_scope));

} // namespace kextbridge
