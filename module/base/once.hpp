// SPDX-License-Identifier: GPL-2.0-only
#pragma once

namespace kextbridge {

// READ_ONCE, for what others may change at any moment: module parameters.
template <typename T> T read_once(const T &value)
{
	return *static_cast<const volatile T *>(&value);
}

// WRITE_ONCE, for what others may look at meanwhile: a driver's variables.
template <typename T> void write_once(T &to, T value)
{
	*static_cast<volatile T *>(&to) = value;
}

// A variable that threads look at while another one writes it.
// ORDER: none; each looks for a value that only it can have stored.
template <typename T> class Racy final {
	T value_ = {};

      public:
	T load() const { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }
	void store(T value) { __atomic_store_n(&value_, value, __ATOMIC_RELAXED); }
};

} // namespace kextbridge
