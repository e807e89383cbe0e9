// SPDX-License-Identifier: GPL-2.0-only
#include "fibers.hpp"
#include "host_core.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#if SCHEDULES_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// The program is linked at a fixed address, without the explorer's own data: all of .data and .bss is state.
extern "C" char __data_start[], _end[];

namespace schedules {

Fiber fibers[kSlots];
Exchange *exchange;

namespace {

constexpr u32 kMostSteps = 20000;      // of one schedule: more is a loop without end
constexpr size_t kClearedBytes = 2048; // below a stack pointer: more than the core uses between two steps
constexpr u64 kBlockLive = 0xb10cb10c;
constexpr u64 kBlockFreed = 0xf4eef4ee;
constexpr int kFreedByte = 0x6b;
constexpr int kAsk = -1; // whose turn it is: the explorer's

int current = -1; // slot; -1: the explorer, or nobody that could go on
bool exploring;
bool joining; // fiber 0 waits for the others
void (*the_scenario)();
size_t arena_used[kSlots];
size_t arena_high[kSlots]; // what was ever used

// Never written after prepare_memory().
char *stacks;
char *arenas;
void **explorer_sp;

struct alignas(16) Block {
	u64 state;
	u64 size;
};

char *stack_top(int slot)
{
	return stacks + (slot + 1) * kStackBytes;
}

bool enabled(const Fiber &fiber)
{
	return fiber.live && (!fiber.ready || fiber.ready(fiber.ready_arg));
}

} // namespace

// ---- switching: the callee-saved registers go onto the stack, the stack pointer is all that is kept. But for the frame
// pointer there are none (Makefile): what is dead in one would tell equal states apart.

#if SCHEDULES_ASAN
#define SAVE "	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n	pushq %r14\n	pushq %r15\n"
#define LOAD "	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbx\n	popq %rbp\n"
constexpr int kSaved = 6;
#else
#define SAVE "	pushq %rbp\n"
#define LOAD "	popq %rbp\n"
constexpr int kSaved = 1;
#endif
extern "C" void schedules_switch(void **save, void *load);
asm(".text\n.globl schedules_switch\n.type schedules_switch, @function\nschedules_switch:\n" SAVE
    "	movq %rsp, (%rdi)\n	movq %rsi, %rsp\n" LOAD "	ret\n"
    ".size schedules_switch, . - schedules_switch\n");

static void schedule(int self);

static void arrive()
{
#if SCHEDULES_ASAN
	__sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

// Half of the search's time goes here: faster than memset() for sizes of this kind.
[[maybe_unused]] static void clear(char *from, size_t size)
{
	using Words [[gnu::vector_size(16), gnu::may_alias, gnu::aligned(1)]] = long long;

	for (Words *at = reinterpret_cast<Words *>(from); size; at += 4, size -= 64) {
		at[0] = at[1] = at[2] = at[3] = Words{};
		asm("" : : : "memory"); // or the compiler makes a memset() of it
	}
}

// SAFETY: target's stack below its pointer is dead. It is cleared, so that what earlier calls left there does not make
// equal states look different.
static void *enter(int slot)
{
	Fiber &target = fibers[slot];

	current = slot;
#if SCHEDULES_ASAN
	__sanitizer_start_switch_fiber(nullptr, stack_top(slot) - kStackBytes, kStackBytes);
#else
	clear(target.sp - kClearedBytes, kClearedBytes);
#endif
	return target.sp;
}

static void *enter_explorer()
{
#if SCHEDULES_ASAN
	__sanitizer_start_switch_fiber(nullptr, exchange->stack, exchange->stack_size);
#endif
	return *explorer_sp;
}

// From one place only: where a fiber will return to does not tell who decided that it was another's turn.
[[gnu::noinline]] static void leave(void **save, int next)
{
	void *to = next == kAsk ? enter_explorer() : enter(next);

	asm("" : "+r"(to));
	schedules_switch(save, to);
	arrive();
}

static void to_explorer(void **save)
{
	leave(save, kAsk);
}

void clear_dead_stack()
{
#if !SCHEDULES_ASAN
	[[gnu::uninitialized]] char dead[kClearedBytes];

	clear(dead, sizeof(dead));
#endif
}

// Nothing of an ended fiber is left that would tell states apart.
void forget(Fiber &fiber)
{
	if (&fiber >= fibers + kFirstWorker) {
		fiber.name = nullptr;
		fiber.body = nullptr;
	}
	fiber.live = false;
	fiber.sp = nullptr;
	fiber.op = fiber.object = nullptr;
	fiber.ready = nullptr;
	fiber.ready_arg = nullptr;
	fiber.quiet_points = 0;
	fiber.task.process = nullptr;
	fiber.task.signal = fiber.task.fatal = fiber.task.sleeping = false;
	fiber.task.refused = 0;
}

static void begin()
{
	arrive();
	int slot = current;
	Fiber &fiber = fibers[slot];

	fiber.body(slot);
	if (fiber.locks)
		fake::bug("%s ended with a lock held", fiber.name);
	forget(fiber);
	if (slot == 0) {
		exchange->stop = Stop::Ended;
		void *nowhere;

		to_explorer(&nowhere);
	}
	schedule(slot);
	abort(); // an ended fiber is never chosen
}

// ---- who is next

static void deadlock()
{
	char text[sizeof(exchange->message)];
	int at = snprintf(text, sizeof(text), "deadlock:");

	for (const Fiber &fiber : fibers)
		if (fiber.live && !fiber.background && (&fiber != fibers || !joining))
			at += snprintf(text + at, at < 400 ? sizeof(text) - static_cast<size_t>(at) : 0, " %s: %s %s;",
				       fiber.name, fiber.op, fiber.object);
	fake::bug("%s", text);
}

// Whose turn it is. Not part of schedule(): its registers would be saved with the state.
[[gnu::noinline]] static int next_slot(int self)
{
	u8 *options = exchange->options; // not on this stack: it would be part of the state
	int count = 0;
	bool goes_on = enabled(fibers[self]) && !(self == 0 && joining);

	exchange->progress++;
	if (++exchange->steps > kMostSteps)
		fake::bug("no end after %u steps; %s: %s %s", kMostSteps, fibers[self].name, fibers[self].op,
			  fibers[self].object);
	if (goes_on)
		options[count++] = static_cast<u8>(self);
	for (int slot = joining ? 1 : 0; slot < kSlots; slot++)
		if (slot != self && enabled(fibers[slot]))
			options[count++] = static_cast<u8>(slot);
	if (!count) {
		if (!joining)
			deadlock();
		for (int slot = 1; slot < kSlots; slot++)
			if (fibers[slot].live && !fibers[slot].background)
				deadlock();
		exploring = joining = false;
		options[count++] = 0;
	}
	if (count > 1 && exploring) {
		exchange->choices++;
		if (!goes_on || exchange->budget > 0 || exchange->all_choices) {
			exchange->stop = Stop::Choice;
			exchange->outcome = false;
			exchange->free = !goes_on;
			exchange->count = count;
			current = goes_on ? self : -1;
			return kAsk;
		}
	}
	return options[0];
}

static void schedule(int self)
{
	int next = next_slot(self);

	if (next == self) {
		clear_dead_stack(); // of next_slot()
		return;
	}
	void *nowhere;

	leave(fibers[self].live ? reinterpret_cast<void **>(&fibers[self].sp) : &nowhere, next);
}

int running_slot()
{
	return current;
}

Fiber &running()
{
	return fibers[current];
}

void step(const char *op, const char *object, Ready ready, const void *arg)
{
	Fiber &fiber = running();

	fiber.op = op;
	fiber.object = object;
	fiber.ready = ready;
	fiber.ready_arg = arg;
	schedule(current);
	fiber.ready = nullptr;
	if (exchange->trace)
		say("%s %s", op, object);
}

unsigned int choose(unsigned int count, const char *what)
{
	if (!exploring)
		return 0;
	exchange->choices++;
	exchange->stop = Stop::Choice;
	exchange->outcome = true;
	exchange->free = true;
	exchange->count = static_cast<int>(count);
	for (unsigned int i = 0; i < count; i++)
		exchange->options[i] = static_cast<u8>(i);
	running().op = "chooses";
	running().object = what;
	to_explorer(reinterpret_cast<void **>(&running().sp));
	if (exchange->trace)
		say("%s: %u", what, exchange->outcome_taken);
	return exchange->outcome_taken;
}

Fiber &spawn(int slot, const char *name, void (*body)(int slot), bool background)
{
	Fiber &fiber = fibers[slot];
	void **top = reinterpret_cast<void **>(stack_top(slot));

	if (fiber.live)
		fake::bug("%s: its slot is taken by %s", name, fiber.name);
#if SCHEDULES_ASAN
	__asan_unpoison_memory_region(stack_top(slot) - kStackBytes, kStackBytes); // of one that ended, or never began
#endif
	fiber.name = name;
	fiber.body = body;
	fiber.live = true;
	fiber.background = background;
	fiber.op = "begins";
	fiber.object = "";
	fiber.ready = nullptr;
	fiber.ready_arg = nullptr;
	fiber.locks = fiber.irqs_off = fiber.rcu = 0;
	fiber.softirq = 0;
	fiber.copies_may_fail = false;
	fiber.sleeps_on = nullptr;
	fiber.in_text = 0;
	*--top = nullptr; // begin()'s return address: it never does
	*--top = reinterpret_cast<void *>(&begin);
	for (int i = 0; i < kSaved; i++)
		*--top = nullptr;
	fiber.sp = reinterpret_cast<char *>(top);
	return fiber;
}

Fiber &spawn(const char *name, void (*body)(int slot), bool background)
{
	int slot = 1;

	while (slot < kFirstWorker && fibers[slot].body)
		slot++;
	if (slot == kFirstWorker)
		fake::bug("too many fibers");
	return spawn(slot, name, body, background);
}

void run_all()
{
	exploring = joining = true;
	step("joins");
	exchange->end_state = hash_state();
	exchange->stop = Stop::Quiet;
	to_explorer(reinterpret_cast<void **>(&running().sp));
}

bool tracing()
{
	return exchange->trace;
}

void say(const char *format, ...)
{
	va_list arguments;

	if (!exchange->trace)
		return;
	char text[400];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	// Nothing that names stdout: its address would be part of the state, and is another one each time.
	printf("%5u  %-12s %s\n", exchange->choices, current >= 0 ? running().name : "-", text);
}

// ---- memory: an arena for each fiber, so that an address does not depend on what others have allocated. What is given
// back is filled, and used again only when nothing behind it is in use: how often a fiber has allocated and freed does
// not tell states apart. Under ASan nothing is used twice.

static void *arena_obtain(size_t size)
{
	int slot = current < 0 ? 0 : current;
	size_t bytes = (size + 15) & ~size_t{15};
	size_t at = arena_used[slot];

	if (at + sizeof(Block) + bytes + 16 > kArenaBytes)
		fake::bug("the arena of %s is full", fibers[slot].name);
	Block *block = reinterpret_cast<Block *>(arenas + slot * kArenaBytes + at);

#if SCHEDULES_ASAN
	__asan_unpoison_memory_region(block, sizeof(*block) + size);
#endif
	block->state = kBlockLive;
	block->size = bytes;
	memset(static_cast<void *>(block + 1), 0, size);
	arena_used[slot] = at + sizeof(Block) + bytes + (SCHEDULES_ASAN ? 16 : 0);
	if (arena_used[slot] > arena_high[slot])
		arena_high[slot] = arena_used[slot];
	return block + 1;
}

#if !SCHEDULES_ASAN
// Nothing of the freed blocks at an arena's end is left.
static void trim(int slot)
{
	char *arena = arenas + slot * kArenaBytes;
	size_t used = 0;

	for (size_t at = 0; at < arena_used[slot];) {
		const Block *block = reinterpret_cast<const Block *>(arena + at);

		at += sizeof(Block) + block->size;
		if (block->state == kBlockLive)
			used = at;
	}
	memset(arena + used, kFreedByte, arena_used[slot] - used);
	arena_used[slot] = used;
}
#endif

static void arena_give_back(void *p)
{
	Block *block = static_cast<Block *>(p) - 1;

	if (block->state != kBlockLive)
		fake::bug("memory is given back that nobody has");
	block->state = kBlockFreed;
#if SCHEDULES_ASAN
	__asan_unpoison_memory_region(p, block->size); // it is longer than what was asked for
#endif
	memset(p, kFreedByte, block->size);
#if SCHEDULES_ASAN
	__asan_poison_memory_region(p, block->size);
#else
	trim(static_cast<int>((static_cast<char *>(p) - arenas) / static_cast<ptrdiff_t>(kArenaBytes)));
#endif
}

static void check_freed_memory()
{
	if (SCHEDULES_ASAN)
		return; // which sees it when it happens
	for (int slot = 0; slot < kSlots; slot++) {
		char *arena = arenas + slot * kArenaBytes;

		for (size_t at = 0; at < arena_used[slot];) {
			const Block *block = reinterpret_cast<const Block *>(arena + at);
			const char *bytes = reinterpret_cast<const char *>(block + 1);

			if (block->state != kBlockLive && block->state != kBlockFreed)
				fake::bug("a block of memory was written beyond its end");
			for (size_t i = 0; block->state == kBlockFreed && i < block->size; i++)
				if (bytes[i] != kFreedByte)
					fake::bug("freed memory was written to");
			at += sizeof(Block) + block->size;
		}
		for (size_t at = arena_used[slot]; at < arena_high[slot]; at++)
			if (arena[at] != kFreedByte)
				fake::bug("freed memory was written to");
	}
}

// ---- the state: all that a fiber can write

static void first_fiber(int)
{
	the_scenario();
	check_freed_memory();
}

static char *pristine; // .data and .bss as they were before the first start

char *map_at(int place, size_t size)
{
	void *p = mmap(reinterpret_cast<void *>(static_cast<size_t>(place) << 28), size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (SCHEDULES_ASAN ? 0 : MAP_FIXED_NOREPLACE), -1, 0);

	if (p == MAP_FAILED) {
		perror("schedules: mmap");
		exit(2);
	}
	return static_cast<char *>(p);
}

void prepare_memory()
{
	stacks = map_at(1024, kSlots * kStackBytes);
	arenas = map_at(1025, kSlots * kArenaBytes);
	exchange = reinterpret_cast<Exchange *>(map_at(1026, sizeof(Exchange) + sizeof(void *)));
	pristine = map_at(1028, static_cast<size_t>(_end - __data_start));
	explorer_sp = reinterpret_cast<void **>(exchange + 1);
	pthread_attr_t attributes;
	void *stack;

	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &stack, &exchange->stack_size);
	exchange->stack = stack;
	pthread_attr_destroy(&attributes);
}

static SCHEDULES_RAW void copy_raw(char *to, const char *from, size_t size)
{
#if SCHEDULES_ASAN
	for (size_t i = 0; i < size; i++)
		static_cast<volatile char *>(to)[i] = from[i]; // no memcpy(): it checks the red zones
#else
	memcpy(to, from, size);
#endif
}

void start(void (*scenario)())
{
	size_t size = static_cast<size_t>(_end - __data_start);

	if (!exchange->started) {
		exchange->started = true;
		copy_raw(pristine, __data_start, size);
	}
	copy_raw(__data_start, pristine, size);
#if SCHEDULES_ASAN
	__asan_unpoison_memory_region(stacks, kSlots * kStackBytes);
	__asan_poison_memory_region(arenas, kSlots * kArenaBytes);
#endif
	the_scenario = scenario;
	exchange->choices = exchange->steps = 0;
	spawn(0, "main", first_fiber);
	current = 0;
}

void resume(int slot)
{
	leave(explorer_sp, slot);
}

static SCHEDULES_RAW u64 mix(u64 a, u64 b)
{
	unsigned __int128 product = static_cast<unsigned __int128>(a) * b;

	return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

static SCHEDULES_RAW u64 hash_bytes(const char *from, const char *to, u64 seed)
{
	u64 a = seed ^ 0xa0761d6478bd642full;
	u64 b = seed ^ 0xe7037ed1a0b428dbull;
	u64 c = seed ^ 0x2d358dccaa6c78a5ull;
	u64 d = seed ^ 0x8bb84b93962eacc9ull;

	// All regions begin at multiples of 8 and are as long. Four at once, as each multiplication waits for the one before.
	for (; to - from >= 64; from += 64) {
		const u64 *words = reinterpret_cast<const u64 *>(from);

		a = mix(words[0] ^ 0x8ebc6af09c88c6e3ull, words[1] ^ a);
		b = mix(words[2] ^ 0x589965cc75374cc3ull, words[3] ^ b);
		c = mix(words[4] ^ 0x4b33a62ed433d4a3ull, words[5] ^ c);
		d = mix(words[6] ^ 0x4d5a2da51de1aa47ull, words[7] ^ d);
	}
	for (; to - from >= 8; from += 8)
		a = mix(*reinterpret_cast<const u64 *>(from) ^ 0x1d8e4e27c47d124full, a);
	return mix(mix(a ^ 0xeb44accab455d165ull, b), mix(c ^ 0x9a4f6b3d1c2e8705ull, d));
}

static size_t data_bytes()
{
	return static_cast<size_t>(_end - __data_start) & ~size_t{7};
}

SCHEDULES_RAW u64 hash_state()
{
	// Statistics, which nobody reads here.
	fake::counters.made = 0;
	fake::reset_log();
	host_forget_history();
	size_t high[kSlots];

	memcpy(high, arena_high, sizeof(high));
	memset(arena_high, 0, sizeof(high));
	u64 hash = hash_bytes(__data_start, __data_start + data_bytes(), 1);
	memcpy(arena_high, high, sizeof(high));

	for (int slot = 0; slot < kSlots; slot++) {
		char *arena = arenas + slot * kArenaBytes;

		if (arena_used[slot])
			hash = hash_bytes(arena, arena + arena_used[slot], hash);
		if (fibers[slot].live)
			hash = hash_bytes(fibers[slot].sp, stack_top(slot), hash);
	}
	return hash;
}

size_t state_bytes()
{
	return data_bytes() + kSlots * (kStackBytes + kArenaBytes);
}

size_t save_state(char *to)
{
	char *at = to;
	auto save = [&](const char *from, size_t size) {
		memcpy(at, from, size);
		at += size;
	};

	save(__data_start, data_bytes());
	for (int slot = 0; slot < kSlots; slot++) {
		if (arena_used[slot])
			save(arenas + slot * kArenaBytes, arena_used[slot]);
		if (fibers[slot].live)
			save(fibers[slot].sp, static_cast<size_t>(stack_top(slot) - fibers[slot].sp));
	}
	return static_cast<size_t>(at - to);
}

// SAFETY: called on the explorer's own stack; .data and .bss come first, and with them where the rest belongs.
void restore_state(const char *from)
{
	auto restore = [&](char *to, size_t size) {
		memcpy(to, from, size);
		from += size;
	};

	restore(__data_start, data_bytes());
	for (int slot = 0; slot < kSlots; slot++) {
		if (arena_used[slot])
			restore(arenas + slot * kArenaBytes, arena_used[slot]);
		if (arena_high[slot] > arena_used[slot])
			memset(arenas + slot * kArenaBytes + arena_used[slot], kFreedByte,
			       arena_high[slot] - arena_used[slot]);
		if (fibers[slot].live)
			restore(fibers[slot].sp, static_cast<size_t>(stack_top(slot) - fibers[slot].sp));
	}
}

} // namespace schedules

using namespace schedules;

// ---- the two forms' own part of the fake kernel, as far as it is about fibers and memory

namespace fake {

void bug(const char *format, ...)
{
	va_list arguments;
	char *message = exchange->message;
	int at = snprintf(message, sizeof(exchange->message), "%s: ", running_slot() >= 0 ? running().name : "nobody");

	va_start(arguments, format);
	vsnprintf(message + at, sizeof(exchange->message) - static_cast<size_t>(at), format, arguments);
	va_end(arguments);
	exchange->stop = Stop::Failed;
	void *nowhere;

	to_explorer(&nowhere);
	abort(); // a run that has failed is not gone on with
}

Task &current()
{
	return running().task;
}

int atomic_depth()
{
	return running().locks;
}

void may_sleep(const char *where)
{
	if (running().locks)
		bug("sleeping function called from invalid context: %s with %d locks held", where, running().locks);
}

void *obtain(size_t size)
{
	return arena_obtain(size);
}

void give_back(void *p, size_t)
{
	arena_give_back(p);
}

} // namespace fake

// The shared parts' and the scenarios' own C++ objects are state too.
void *operator new(size_t size)
{
	return arenas ? arena_obtain(size) : malloc(size);
}

void operator delete(void *p) noexcept
{
	if (p && static_cast<char *>(p) >= arenas && static_cast<char *>(p) < arenas + kSlots * kArenaBytes)
		arena_give_back(p);
}

void operator delete(void *p, size_t) noexcept
{
	operator delete(p);
}
