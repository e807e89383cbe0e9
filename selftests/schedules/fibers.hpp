// SPDX-License-Identifier: GPL-2.0-only
// One thread, many fibers: who runs next is the explorer's choice at each step(). All that a fiber can write is in
// memory that the explorer can copy, put back and compare (explorer.hpp).
#pragma once

#include "fake_inside.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define SCHEDULES_ASAN 1
#define SCHEDULES_RAW __attribute__((no_sanitize("address", "undefined"), noinline))
#else
#define SCHEDULES_ASAN 0
#define SCHEDULES_RAW
#endif

namespace schedules {

inline constexpr int kFirstWorker = 10; // slots below: the scenario's own, 0 is the one that sets up and clears away
inline constexpr int kSlots = 16;
inline constexpr size_t kStackBytes = SCHEDULES_ASAN ? 256 << 10 : 64 << 10;
inline constexpr size_t kArenaBytes = 32 << 10;

using Ready = bool (*)(const void *);

struct Fiber {
	char *sp; // while it does not run
	const char *name;
	void (*body)(int slot);
	bool live;
	bool background; // need not end: a daemon that waits for more
	// What it is about to do, and what that waits for (null: nothing).
	const char *op;
	const char *object;
	Ready ready;
	const void *ready_arg;

	fake::Task task;
	u8 locks;
	u8 irqs_off;
	u8 rcu;      // sections that it is in
	u16 softirq; // as preempt_count has it
	bool copies_may_fail;
	const void *sleeps_on; // a wait queue's head
	u8 in_text;            // runs code of a kext, by slot + 1
	u8 quiet_points;       // how often it has left such code, or slept
};

extern Fiber fibers[kSlots];
int running_slot();
Fiber &running();

// A scheduling point: what comes next may be anybody's move, this fiber's when ready(arg) says so.
void step(const char *op, const char *object = "", Ready ready = nullptr, const void *arg = nullptr);
// Before a call into the core: what earlier ones have left on the stack would make equal states look different.
[[gnu::noinline]] void clear_dead_stack();
// An outcome that the scenario leaves open: 0 .. count - 1.
unsigned int choose(unsigned int count, const char *what);

Fiber &spawn(int slot, const char *name, void (*body)(int slot), bool background = false);
void forget(Fiber &fiber); // it has ended, or never began
// The scenario's, in the lowest free slot.
Fiber &spawn(const char *name, void (*body)(int slot), bool background = false);
// From here on the order is explored, until nobody can go on. Then all but the background fibers must have ended.
void run_all();

// A line of the trace, when a schedule is replayed.
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
bool tracing();

// ---- for the explorer

struct Region {
	char *start;
	char *end;
};

// Quiet: nobody can go on; fiber 0 is about to clear away.
enum class Stop { Choice, Quiet, Ended, Failed };

// What the fibers and the explorer tell each other; in the explorer's memory, so it is neither copied nor compared.
struct Exchange {
	Stop stop;
	char message[512];
	// at a choice
	bool outcome; // of choose()
	bool free;    // switching away costs nothing: whoever ran cannot go on
	int count;
	u8 options[kSlots]; // slots, or outcomes
	unsigned int outcome_taken;
	// counted; the explorer puts them back with the rest
	u32 choices;
	u32 steps;
	int budget;
	bool trace;
	bool all_choices; // ask also where only one of the options can be afforded
	bool started;
	u64 progress;
	u64 end_state; // when run_all() was over
	void *stack;   // the explorer's own
	size_t stack_size;
};
extern Exchange *exchange;

void start(void (*scenario)()); // fresh memory, fiber 0 about to run
void resume(int slot);          // until the next choice or the end
void prepare_memory();
// Zeros at the same address in each run of the program: a state looks the same in each, and so does a schedule.
char *map_at(int place, size_t size);
SCHEDULES_RAW u64 hash_state();
size_t state_bytes();
size_t save_state(char *to); // bytes written
void restore_state(const char *from);

} // namespace schedules
