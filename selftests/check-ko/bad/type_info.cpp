// SPDX-License-Identifier: GPL-2.0-only
// Type information that nobody uses: a vtable refers to it.
// rows: 10
// says: undefined symbol _ZTVN10__cxxabiv1
// flags: -frtti
struct Base {
	Base();
	virtual void f();
};

Base::Base()
{
	asm volatile("" : : : "memory");
}

void Base::f()
{
	asm volatile("" : : : "memory");
}
