// SPDX-License-Identifier: GPL-2.0-only
// dynamic_cast, with the type information that it needs.
// rows: 10
// says: undefined symbol __dynamic_cast
// flags: -frtti
struct Base {
	virtual void f() { asm volatile("" : : : "memory"); }
};

struct Derived : Base {
	void f() override { asm volatile("nop" : : : "memory"); }
};

Derived *down(Base *base)
{
	return dynamic_cast<Derived *>(base);
}
