// SPDX-License-Identifier: GPL-2.0-only
// A vtable with a pure virtual function, in a module that does not define what it calls then.
// rows: 7
// says: undefined symbol __cxa_pure_virtual
// ko: --redefine-sym __cxa_pure_virtual=elsewhere
struct Sink {
	Sink();
	virtual void put(int) = 0;
};

Sink::Sink()
{
	asm volatile("" : : "r"(this) : "memory");
}
