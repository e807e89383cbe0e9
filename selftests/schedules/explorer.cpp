// SPDX-License-Identifier: GPL-2.0-only
// Explores every schedule of a scenario, depth first, with at most `bound` preemptions (CHESS): switching away from a
// fiber that could go on costs one, switching away from one that is blocked or has ended is free, and so is each outcome
// of choose().
//
// Pruning. A state is all that the fibers can write: the program's .data and .bss (it is linked without the explorer's own
// data, which is mapped), the arenas, and of each stack what is in use, the saved registers included. A fiber has no other
// input than this memory and the explorer's choices, so what can still happen from a state depends on the state and on how
// many preemptions are left, and whatever happens with fewer can happen with more. A choice whose state was met before with
// at least as many left is therefore cut: all its continuations have been, or are being, explored. "Are being" is safe: the
// choices above it on the path are other states (else the program would loop, which is reported), so the first visit
// finishes its subtree before the search is over. States are told apart by 60 bits of a hash; with 30 million states the
// odds that two of them meet are about one to 2700. Who ran last is part of the state (fibers.cpp: current), because it
// decides what is free. --no-prune turns it off; the end states must then be the same ones (selftests/schedules/run).
// What nobody reads any more would make equal states look different, and many times as many of them: it is cleared, given
// back or not there in the first place (fibers.cpp: clear_dead_stack(), forget(), trim(); Makefile; host_forget_history()).
//
// Backtracking. The state is copied at each choice and put back for its next option: nothing runs twice. Under ASan,
// whose shadow memory is not copied, and with --replays, the schedule runs again from the start instead.
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "scenario.hpp"

using namespace schedules;

namespace {

constexpr u32 kMostDepth = 4096;
constexpr u32 kMostChosen = 256;

struct Decision {
	u32 number;
	u32 steps;
	u8 count;
	u8 next; // option to be taken next
	bool free;
	bool outcome;
	int budget;
	u8 options[kSlots];
	size_t saved; // in snapshots
};

struct Chosen {
	u32 number;
	u32 option;
};

// All that the explorer writes is in one mapping: see prepare_memory().
struct Explorer {
	const Scenario *scenario;
	int bound;
	bool prune;
	bool replays;
	Decision path[kMostDepth];
	u32 depth;
	char *snapshots;
	size_t snapshots_used;
	size_t snapshots_room;
	// states met: the hash, its low 4 bits replaced by how many preemptions were left, + 1
	u64 *visited;
	u64 visited_room; // a power of two
	u64 visited_count;
	// end states
	u64 *ends;
	u64 ends_room;
	u64 ends_count;
	u64 ends_sum;

	u64 schedules;
	u64 cut;
	u64 most;
	u64 deepest;
	double begun;

	Chosen given[kMostChosen];
	u32 given_count;
	u64 last_progress;
	int stuck;
};
Explorer *explorer;

template <typename T> T *map(u64 count)
{
	void *p = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED) {
		perror("schedules: mmap");
		_exit(2);
	}
	madvise(p, count * sizeof(T), MADV_HUGEPAGE); // the tables are read at random
	return static_cast<T *>(p);
}

double cpu_seconds()
{
	timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// ---- states that were met

u64 *slot_for(u64 *table, u64 room, u64 key)
{
	for (u64 at = (key >> 4) & (room - 1);; at = (at + 1) & (room - 1))
		if (!table[at] || table[at] >> 4 == key >> 4)
			return &table[at];
}

void grow(u64 *&table, u64 &room)
{
	u64 *old = table;
	u64 old_room = room;

	room = old_room * 4;
	table = map<u64>(room);
	for (u64 i = 0; i < old_room; i++)
		if (old[i])
			*slot_for(table, room, old[i]) = old[i];
	munmap(old, old_room * sizeof(u64));
}

// This state with this many preemptions left adds nothing.
bool met_before(u64 hash, int budget)
{
	Explorer &e = *explorer;
	u64 key = (hash & ~15ull) | static_cast<u64>(budget + 1);

	if (key >> 4 == 0)
		key |= 16;
	u64 *slot = slot_for(e.visited, e.visited_room, key);

	if (*slot && (*slot & 15) >= (key & 15))
		return true;
	if (!*slot && ++e.visited_count * 2 > e.visited_room) {
		grow(e.visited, e.visited_room);
		slot = slot_for(e.visited, e.visited_room, key);
	}
	*slot = key;
	return false;
}

// False: it is known.
bool note_end(u64 hash)
{
	Explorer &e = *explorer;
	u64 key = hash | 15;
	u64 *slot = slot_for(e.ends, e.ends_room, key);

	if (*slot)
		return false;
	*slot = key;
	e.ends_sum += key >> 4;
	if (++e.ends_count * 2 > e.ends_room)
		grow(e.ends, e.ends_room);
	return true;
}

// ---- reports

int print_schedule(char *to, size_t size)
{
	Explorer &e = *explorer;
	int at = snprintf(to, size, "%s", e.scenario->name);

	for (u32 i = 0; i < e.depth && at < static_cast<int>(size) - 24; i++)
		if (e.path[i].next > 1)
			at += snprintf(to + at, size - static_cast<size_t>(at), " %u:%u", e.path[i].number,
				       e.path[i].next - 1);
	for (u32 i = 0; i < e.given_count && at < static_cast<int>(size) - 24; i++)
		at += snprintf(to + at, size - static_cast<size_t>(at), " %u:%u", e.given[i].number, e.given[i].option);
	return at;
}

void report_failure(const char *message)
{
	constexpr size_t size = 1 << 16;
	char *line = map<char>(size);

	print_schedule(line, size);
	printf("%s: FAILED after %llu schedules, %.1f s: %s\n", explorer->scenario->name, explorer->schedules + 1,
	       cpu_seconds() - explorer->begun, message);
	printf("  selftests/schedules/run --replay '%s'\n", line);
	fflush(nullptr);
}

void on_fault(int signal)
{
	bool memory = signal == SIGSEGV || signal == SIGBUS;

	// run sets abort_on_error, so that a sanitizer comes here after its report.
	report_failure(memory            ? "it crashed: memory that nobody has" :
		       signal != SIGABRT ? "it crashed" :
		       SCHEDULES_ASAN    ? "a sanitizer's report, above" :
					   "it ended by itself");
	_exit(1);
}

// A loop without a scheduling point.
void on_tick(int)
{
	Explorer &e = *explorer;

	if (e.last_progress != exchange->progress) {
		e.last_progress = exchange->progress;
		e.stuck = 0;
	} else if (++e.stuck == 3) {
		report_failure("a loop without end");
		_exit(1);
	}
}

void watch()
{
	constexpr size_t size = 64 << 10;
	stack_t stack = {};
	struct sigaction action = {};
	itimerval timer = {{5, 0}, {5, 0}};

	stack.ss_sp = map<char>(size);
	stack.ss_size = size;
	sigaltstack(&stack, nullptr);
	action.sa_flags = SA_ONSTACK;
	action.sa_handler = on_fault;
	for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
		if (!SCHEDULES_ASAN || signal == SIGABRT)
			sigaction(signal, &action, nullptr);
	action.sa_handler = on_tick;
	sigaction(SIGVTALRM, &action, nullptr);
	setitimer(ITIMER_VIRTUAL, &timer, nullptr);
}

// ---- the search

int cost(const Decision &decision, int option)
{
	return !decision.free && option > 0;
}

void take(const Decision &decision, int option)
{
	exchange->budget = decision.budget - cost(decision, option);
	if (decision.outcome) {
		exchange->outcome_taken = decision.options[option];
		resume(running_slot());
	} else {
		resume(decision.options[option]);
	}
}

// At a choice: the next level of the path. False: it was cut.
bool descend()
{
	Explorer &e = *explorer;

	if (e.prune && met_before(hash_state(), exchange->budget)) {
		e.cut++;
		return false;
	}
	if (e.depth == kMostDepth) {
		report_failure("more choices than the explorer has room for");
		_exit(2);
	}
	Decision &decision = e.path[e.depth++];

	decision.number = exchange->choices;
	decision.steps = exchange->steps;
	decision.count = static_cast<u8>(exchange->count);
	decision.next = 0;
	decision.free = exchange->free;
	decision.outcome = exchange->outcome;
	decision.budget = exchange->budget;
	__builtin_memcpy(decision.options, exchange->options, sizeof(decision.options));
	decision.saved = e.snapshots_used;
	if (!e.replays) {
		if (e.snapshots_used + state_bytes() > e.snapshots_room) {
			report_failure("more states on the path than the explorer has room for");
			_exit(2);
		}
		e.snapshots_used += save_state(e.snapshots + e.snapshots_used);
	}
	e.deepest = e.depth > e.deepest ? e.depth : e.deepest;
	return true;
}

void run_again_to(u32 level)
{
	Explorer &e = *explorer;

	start(e.scenario->run);
	exchange->budget = e.bound;
	resume(0);
	for (u32 i = 0; i < level; i++) {
		if (exchange->stop != Stop::Choice || exchange->choices != e.path[i].number) {
			report_failure("the same choices led somewhere else: the scenario is not deterministic");
			_exit(2);
		}
		take(e.path[i], e.path[i].next - 1);
	}
}

// The next option of the deepest choice that has one left. False: there is none.
bool backtrack()
{
	Explorer &e = *explorer;

	while (e.depth) {
		Decision &decision = e.path[e.depth - 1];

		if (decision.next < decision.count && decision.budget >= cost(decision, decision.next)) {
			if (e.replays) {
				run_again_to(e.depth - 1);
			} else {
				restore_state(e.snapshots + decision.saved);
				exchange->choices = decision.number;
				exchange->steps = decision.steps;
			}
			take(decision, decision.next++);
			return true;
		}
		e.snapshots_used = decision.saved;
		e.depth--;
	}
	return false;
}

// 0: complete, nothing found; 1: a failure was found; 2: it takes too long.
int explore(double limit, u64 most)
{
	Explorer &e = *explorer;

	start(e.scenario->run);
	exchange->budget = e.bound;
	resume(0);
	for (;;) {
		switch (exchange->stop) {
		case Stop::Choice:
			if (descend()) {
				Decision &decision = e.path[e.depth - 1];

				take(decision, decision.next++);
				continue;
			}
			break;
		case Stop::Quiet:
			if (!note_end(exchange->end_state) && e.prune)
				break;
			resume(0);
			continue;
		case Stop::Ended:
			break;
		case Stop::Failed:
			report_failure(exchange->message);
			return 1;
		}
		e.schedules++;
		if ((most && e.schedules >= most) ||
		    (limit > 0 && !(e.schedules & 1023) && cpu_seconds() - e.begun > limit))
			return 2;
		if (!backtrack())
			return 0;
	}
}

// One schedule, given as the choices that are not the first option.
int replay(bool trace)
{
	Explorer &e = *explorer;
	u32 next = 0;

	exchange->trace = trace;
	exchange->all_choices = true;
	start(e.scenario->run);
	exchange->budget = 99;
	resume(0);
	while (exchange->stop == Stop::Choice || exchange->stop == Stop::Quiet) {
		u32 option = 0;

		if (exchange->stop == Stop::Quiet) {
			resume(0);
			continue;
		}
		if (next < e.given_count && e.given[next].number == exchange->choices)
			option = e.given[next++].option;
		if (option >= static_cast<u32>(exchange->count)) {
			printf("%s: choice %u has no option %u\n", e.scenario->name, exchange->choices, option);
			return 2;
		}
		exchange->outcome_taken = exchange->options[option];
		resume(exchange->outcome ? running_slot() : exchange->options[option]);
	}
	if (exchange->stop == Stop::Failed) {
		report_failure(exchange->message);
		return 1;
	}
	if (next < e.given_count)
		printf("%s: ended before choice %u\n", e.scenario->name, e.given[next].number);
	printf("%s: replayed, nothing wrong\n", e.scenario->name);
	return 0;
}

const Scenario *find(const char *name, size_t length)
{
	for (const Scenario *scenario = scenarios; scenario->name; scenario++)
		if (strlen(scenario->name) == length && !strncmp(scenario->name, name, length))
			return scenario;
	return nullptr;
}

// "NAME 17:2 31:0"
bool parse_schedule(const char *text)
{
	Explorer &e = *explorer;
	size_t length = strcspn(text, " ");

	e.scenario = find(text, length);
	if (!e.scenario)
		return false;
	text += length;
	while (e.given_count < kMostChosen) {
		Chosen chosen;
		int used;

		if (sscanf(text, " %u:%u%n", &chosen.number, &chosen.option, &used) < 2)
			break;
		e.given[e.given_count++] = chosen;
		text += used;
	}
	return strspn(text, " ") == strlen(text);
}

int usage()
{
	puts("usage: schedules --list | --explore NAME BOUND [--no-prune] [--replays] [--limit SECONDS] [--most SCHEDULES]\n"
	     "       | --replay 'NAME CHOICE:OPTION...' [--quiet]");
	return 2;
}

} // namespace

int main(int argc, char **argv)
{
	explorer = reinterpret_cast<Explorer *>(map_at(1027, sizeof(Explorer)));
	Explorer &e = *explorer;
	double limit = 0;
	u64 most = 0;
	bool trace = true;

	prepare_memory();
	e.begun = cpu_seconds();
	e.prune = true;
	e.replays = SCHEDULES_ASAN;
	if (argc < 2)
		return usage();
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--no-prune"))
			e.prune = false;
		else if (!strcmp(argv[i], "--replays"))
			e.replays = true;
		else if (!strcmp(argv[i], "--quiet"))
			trace = false;
		else if (!strcmp(argv[i], "--limit") && i + 1 < argc)
			limit = atof(argv[++i]);
		else if (!strcmp(argv[i], "--most") && i + 1 < argc)
			most = strtoull(argv[++i], nullptr, 0);
	}
	if (!strcmp(argv[1], "--list")) {
		for (const Scenario *s = scenarios; s->name; s++)
			printf("%s %d %d %d %s\n", s->name, s->quick, s->deep, s->asan, s->what);
		return 0;
	}
	if (!strcmp(argv[1], "--replay") && argc > 2) {
		if (!parse_schedule(argv[2])) {
			printf("not a schedule: %s\n", argv[2]);
			return 2;
		}
		watch();
		return replay(trace);
	}
	if (strcmp(argv[1], "--explore") || argc < 4)
		return usage();
	e.scenario = find(argv[2], strlen(argv[2]));
	e.bound = atoi(argv[3]);
	if (!e.scenario || e.bound < 0 || e.bound > 14)
		return usage();
	e.visited_room = e.ends_room = 1 << 16;
	e.visited = map<u64>(e.visited_room);
	e.ends = map<u64>(e.ends_room);
	e.snapshots_room = 1ull << 30;
	e.snapshots = map<char>(e.snapshots_room);
	watch();
	int status = explore(limit, most);
	double seconds = cpu_seconds() - e.begun;

	if (status != 1)
		printf("%s: bound %d, %llu schedules (%llu of them cut), %llu states, depth %llu, %llu ends %016llx, %.1f s, %s\n",
		       e.scenario->name, e.bound, e.schedules, e.cut, e.visited_count, e.deepest, e.ends_count,
		       e.ends_sum, seconds, status ? "NOT COMPLETE" : "complete");
	fflush(nullptr);
	return status;
}
