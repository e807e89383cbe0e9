// SPDX-License-Identifier: GPL-2.0-only
// IOKit/IOLib.h: memory, the log, delays; mach/mach_time.h; what libkern/libkern.h has beyond Linux.
#include "IOKit/IOLib.h"

#include "kextbridge/strings.h"
#include "mach/mach_time.h"
#include "base/annotate.hpp"
#include "core.hpp"
#include "shim/enforce.h"

// What a driver asks for too much of is its own matter: no warning.
static constexpr unsigned int kDriverGfp = SHIM_GFP_KERNEL | SHIM_GFP_NOWARN;

// ---- memory

extern "C" void *IOMalloc(vm_size_t size)
{
	return size ? shim_kvmalloc(size, kDriverGfp) : nullptr;
}

extern "C" void *IOMallocZero(vm_size_t size)
{
	return size ? shim_kvzalloc(size, kDriverGfp) : nullptr;
}

extern "C" void IOFree(void *address, vm_size_t)
{
	shim_kvfree(address);
}

// In front of what the driver gets is the address of the memory that it is in.
extern "C" void *IOMallocAligned(vm_size_t size, vm_size_t alignment)
{
	vm_size_t step = alignment < sizeof(void *) ? sizeof(void *) : alignment;
	vm_size_t room;

	if (!size || !alignment || (alignment & (alignment - 1)) ||
	    __builtin_add_overflow(size, step + sizeof(void *), &room))
		return nullptr;
	void *memory = shim_kvmalloc(room, kDriverGfp);

	if (!memory)
		return nullptr;
	vm_size_t first = reinterpret_cast<vm_size_t>(memory) + sizeof(void *);
	// SAFETY: at most step bytes behind first, so that size bytes from there on are in memory too.
	void **aligned = reinterpret_cast<void **>((first + step - 1) & ~(step - 1));

	aligned[-1] = memory;
	return static_cast<void *>(aligned);
}

extern "C" void IOFreeAligned(void *address, vm_size_t)
{
	// SAFETY: the contract: it is IOMallocAligned()'s, which has stored that.
	if (address)
		shim_kvfree(static_cast<void **>(address)[-1]);
}

extern "C" void *IOMallocPageable(vm_size_t size, vm_size_t alignment)
{
	return IOMallocAligned(size, alignment);
}

extern "C" void IOFreePageable(void *address, vm_size_t size)
{
	IOFreeAligned(address, size);
}

// ---- the log

extern "C" void IOLogv(const char *format, __builtin_va_list arguments)
{
	shim_vprintk_emit(SHIM_LOGLEVEL_INFO, format, arguments);
}

extern "C" void IOLog(const char *format, ...)
{
	__builtin_va_list arguments;

	__builtin_va_start(arguments, format);
	shim_vprintk_emit(SHIM_LOGLEVEL_INFO, format, arguments);
	__builtin_va_end(arguments);
}

// ---- delays

extern "C" void IOSleep(unsigned int milliseconds)
{
	u64 now = shim_ktime_get_ns();
	const u64 end = now + milliseconds * kextbridge::kNanosecondsPerMs;

	// Whoever wakes the thread for another reason does not end it.
	for (; now < end; now = shim_ktime_get_ns())
		shim_schedule_timeout_idle(end - now);
}

extern "C" void IODelay(unsigned int microseconds)
{
	constexpr unsigned int step = 1000;

	for (; microseconds > step; microseconds -= step)
		shim_udelay(step);
	shim_udelay(microseconds);
}

extern "C" void IOPause(unsigned int nanoseconds)
{
	IODelay(nanoseconds / 1000);
	shim_ndelay(nanoseconds % 1000);
}

extern "C" uint64_t mach_absolute_time(void)
{
	return shim_ktime_get_ns();
}

// ---- numbers

namespace kextbridge {
namespace {

struct Number {
	unsigned long magnitude = 0;
	bool negative = false;
	bool too_large = false;
};

// What is no digit is larger than each.
unsigned int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return static_cast<unsigned int>(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'z' ? static_cast<unsigned int>(c - 'a') + 10 : 99;
}

bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

Number parse(const char *text, char **end, int base_or_zero)
{
	const char *at = text;
	const char *behind = text; // the last digit
	unsigned int base = static_cast<unsigned int>(base_or_zero);
	Number number;

	while (is_space(*at))
		at++;
	if (*at == '-' || *at == '+')
		number.negative = *at++ == '-';
	if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | 0x20) == 'x' && digit_of(at[2]) < 16) {
		at += 2;
		base = 16;
	}
	if (base == 0)
		base = *at == '0' ? 8 : 10;
	for (; base >= 2 && base <= 36 && digit_of(*at) < base; behind = ++at)
		number.too_large |= __builtin_mul_overflow(number.magnitude, base, &number.magnitude) ||
				    __builtin_add_overflow(number.magnitude, digit_of(*at), &number.magnitude);
	if (end)
		*end = const_cast<char *>(behind);
	return number;
}

} // namespace
} // namespace kextbridge

extern "C" long kextbridge_strtol(const char *text, char **end, int base)
{
	constexpr unsigned long most = ~0ul >> 1;
	kextbridge::Number number = kextbridge::parse(text, end, base);
	unsigned long limit = most + number.negative;
	unsigned long magnitude = number.too_large || number.magnitude > limit ? limit : number.magnitude;

	return static_cast<long>(number.negative ? 0 - magnitude : magnitude);
}

extern "C" unsigned long kextbridge_strtoul(const char *text, char **end, int base)
{
	kextbridge::Number number = kextbridge::parse(text, end, base);

	if (number.too_large)
		return ~0ul;
	return number.negative ? 0 - number.magnitude : number.magnitude;
}
