// SPDX-License-Identifier: GPL-2.0-only
// The test kext once more, as a driver in C++ writes it.
#include <kextbridge/instance.h>

#include "../../lib/constants.h"
#include "../kbtest/kbtest_kext.h"

// As kbtest_weak_cxx it takes what kbtest_base has, if that is there.
#ifdef KBTEST_WEAK
extern "C" uint32_t kbtest_base_load_tag() __attribute__((weak));

static void ask_base(kbtest_kext &kext)
{
	kext.asks_base = OSKextSymbolIsResolved(kbtest_base_load_tag);
	if (kext.asks_base)
		kext.base_load_tag = kbtest_base_load_tag();
}
#define NAME "kbtest_weak_cxx"
#define DECLARE(...) KMOD_EXPLICIT_DECL(com.example.kbtest_weak_cxx, __VA_ARGS__)
#else
static void ask_base(kbtest_kext &) {}
#define NAME "kbtest_cxx"
#define DECLARE(...) KMOD_EXPLICIT_DECL(com.example.kbtest_cxx, __VA_ARGS__)
#endif

namespace {

constinit kextbridge_class gadget_class = {"Gadget", 0, 0, nullptr};

class Gadget : kextbridge::Instance<gadget_class> {
      public:
	int number = 0;
};

static_assert(sizeof(Gadget) == sizeof(int));

// Objects without an allocator: where they may be.
constexpr int kMaxGadgets = 8;
alignas(Gadget) unsigned char gadgets[kMaxGadgets][sizeof(Gadget)];
int gadget_count;

struct Here {
	void *memory;
};

} // namespace

inline void *operator new(size_t, Here here) noexcept
{
	return here.memory;
}

namespace {

// One test at a time.
void instance(bool lives)
{
	if (lives && gadget_count < kMaxGadgets)
		new (Here{gadgets[gadget_count++]}) Gadget;
	else if (!lives && gadget_count)
		reinterpret_cast<Gadget *>(gadgets[--gadget_count])->~Gadget();
}

class Driver {
      public:
	kern_return_t start(kmod_info_t *ki)
	{
		kext_.identifier = OSKextGetCurrentIdentifier();
		kext_.version = OSKextGetCurrentVersionString();
		kext_.load_tag = kext_.atomic_load_tag = OSKextGetCurrentLoadTag();
		kext_.constants = kbtest_right_constants();
		ask_base(kext_);
		return kbtest_start(&kext_, ki);
	}

	kern_return_t stop() { return kbtest_stop(&kext_); }

      private:
	static void log(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context);
	static void count(OSKextRequestTag, OSReturn result, const void *, uint32_t, void *context)
	{
		kbtest_count(result, context);
	}

	kbtest_kext kext_ = {NAME, &kmod_info, log,     count,   nullptr,  nullptr, nullptr, 0,
			     0,    0,          nullptr, nullptr, instance, 0,       0,       0};
};

constinit Driver driver;

void Driver::log(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_log(&driver.kext_, tag, result, data, length, context);
}

kern_return_t start(kmod_info_t *ki, void *)
{
	return driver.start(ki);
}

kern_return_t stop(kmod_info_t *, void *)
{
	return driver.stop();
}

} // namespace

DECLARE("2.1.3", start, stop);
