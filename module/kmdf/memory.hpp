// SPDX-License-Identifier: GPL-2.0-only
// A WDFMEMORY is a buffer of its own, of the driver's, or of a request.
#pragma once

#include "request.hpp"

namespace kmdf {

enum class Backing : u8 { Own, Driver, Request };

class Memory final : public Object {
      public:
	static constexpr Type kType = Type::Memory;

	explicit Memory(kmdf::Driver *driver) : Object(Type::Memory, driver) {}
	void release_parts() override;

	void *buffer = nullptr;
	size_t size = 0;
	Backing backing = Backing::Driver;
	bool writable = true;
	Ref<Request> request; // whose buffer it is, and keeps
};

} // namespace kmdf
