// SPDX-License-Identifier: GPL-2.0-only
// The state word of what several parties race for, and take(), which decides each race: whoever moves the state is the
// one who acts on it. There is no other way to change it, and no second flag beside it.
// LOCKING: the caller's.
#pragma once

namespace kextbridge {

template <typename State> class StateWord final {
	State state_;

      public:
	explicit constexpr StateWord(State initial) : state_(initial) {}

	State get() const { return state_; }
	bool is(State state) const { return state_ == state; }
	// True for exactly one of those who race to end `from`.
	[[nodiscard]] bool take(State from, State to)
	{
		if (state_ != from)
			return false;
		state_ = to;
		return true;
	}
};

} // namespace kextbridge
