// SPDX-License-Identifier: GPL-2.0-only
// The C++ side of instance.h, which includes it.
#pragma once

namespace kextbridge {

// Base of a class whose objects count, in an anonymous namespace: `constinit kextbridge_class stream_class = {"Stream", 0,
// 0, nullptr}; class Stream : kextbridge::Instance<stream_class> { ... };`. Takes no room in the object.
template <kextbridge_class &Class> class Instance {
      protected:
	Instance() { kextbridge_instance_created(&Class); }
	Instance(const Instance &) { kextbridge_instance_created(&Class); }
	Instance &operator=(const Instance &) = default;
	~Instance() { kextbridge_instance_destroyed(&Class); }
};

} // namespace kextbridge
