// SPDX-License-Identifier: GPL-2.0-only
// The C++ side of client.h, which includes it.
#pragma once

namespace kextbridge {

// A scope as an object: its end cancels.
class CancelScope final {
	kextbridge_scope scope_;

      public:
	CancelScope() { kextbridge_scope_init(&scope_); }
	~CancelScope() { (void)kextbridge_scope_cancel(&scope_, nullptr, nullptr); }
	CancelScope(const CancelScope &) = delete;
	CancelScope &operator=(const CancelScope &) = delete;

	uint32_t cancel(void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg) = nullptr,
			void *arg = nullptr)
	{
		return kextbridge_scope_cancel(&scope_, cancelled, arg);
	}
	bool is_cancelled() { return kextbridge_scope_is_cancelled(&scope_) != 0; }
	kextbridge_scope *get() { return &scope_; }
};

} // namespace kextbridge
