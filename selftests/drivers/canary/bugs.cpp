// SPDX-License-Identifier: GPL-2.0-only
// Bugs in C++, compiled as kextbridge.ko's C++ is: a detector that sees none of it would go unnoticed otherwise.
#include "bugs.h"

namespace {

// What the compiler must not see through.
volatile unsigned int seven = 7;
volatile unsigned int sixty = 60;
int table[4];
unsigned int counter;

struct Node {
	Node *next;
	unsigned char bytes[24];
};

void takes_a_pointer(void *) {}

} // namespace

extern "C" void cxx_use_after_free()
{
	auto *node = static_cast<Node *>(canary_alloc(sizeof(Node)));

	canary_free(node);
	node->bytes[seven] = 1;
}

extern "C" void cxx_heap_out_of_bounds()
{
	auto *bytes = static_cast<unsigned char *>(canary_alloc(32));

	bytes[25 + seven] = 1;
	canary_free(bytes);
}

extern "C" void cxx_stack_out_of_bounds()
{
	volatile unsigned char bytes[16];
	volatile unsigned char *volatile at = bytes;

	at[9 + seven] = 1;
}

extern "C" void cxx_bounds()
{
	table[seven] = 1;
}

extern "C" void cxx_shift()
{
	table[0] = 1 << (sixty + 1);
}

extern "C" void cxx_bool()
{
	volatile unsigned char byte = 2;

	table[1] = *reinterpret_cast<volatile bool *>(&byte);
}

extern "C" void cxx_bad_call()
{
	auto address = reinterpret_cast<unsigned long>(takes_a_pointer);
	auto *volatile wrong = reinterpret_cast<int (*)(int)>(address);

	table[2] = wrong(1);
}

extern "C" void cxx_count(unsigned int times)
{
	for (; times; times--) {
		counter++;
		asm volatile("" ::: "memory");
	}
}
