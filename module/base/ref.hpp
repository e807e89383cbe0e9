// SPDX-License-Identifier: GPL-2.0-only
// Lifetimes on the kernel's kref.
//
// RefCounted<T>: base of T; the last put calls T::destroy(T *), which frees it.
// Ref<T>: owns one reference, or none. adopt() takes over the reference that already exists (a new
//   object's first), retain() adds one, release() hands it to a raw pointer (say OWNERSHIP there).
// CONTEXT: the last put may come in softirq and under the core lock, as far as T::destroy allows it.
#pragma once

#include "base/annotate.hpp"
#include "shim/shim.h"

namespace kextbridge {

template <typename T> class RefCounted {
	// T alone may be one, and is not copied.
	friend T;
	RefCounted() { shim_kref_init(&refs_); }
	RefCounted(const RefCounted &) = delete;
	RefCounted &operator=(const RefCounted &) = delete;

	kref refs_;

	static void last_put(kref *refs)
	{
		// SAFETY: refs_ is the only member of this base, so they share their address.
		T::destroy(static_cast<T *>(reinterpret_cast<RefCounted *>(refs)));
	}

      protected:
	~RefCounted() = default;

      public:
	void get() { shim_kref_get(&refs_); }
	void put() { shim_kref_put(&refs_, last_put); }
};

template <typename T> class Ref final {
	T *p_ = nullptr;

	explicit Ref(T *p) : p_(p) {}

      public:
	Ref() = default;
	Ref(Ref &&other) : p_(other.release()) {}
	Ref(const Ref &) = delete;
	Ref &operator=(const Ref &) = delete;
	Ref &operator=(Ref &&other)
	{
		T *old = p_;

		p_ = other.release();
		if (old)
			old->put();
		return *this;
	}
	~Ref()
	{
		if (p_)
			p_->put();
	}

	static Ref adopt(T *p) { return Ref(p); }
	static Ref retain(T *p)
	{
		if (p)
			p->get();
		return Ref(p);
	}

	T *release()
	{
		T *p = p_;

		p_ = nullptr;
		return p;
	}

	T *get() const { return p_; }
	T *operator->() const { return p_; }
	T &operator*() const { return *p_; }
	explicit operator bool() const { return p_ != nullptr; }
};

} // namespace kextbridge
