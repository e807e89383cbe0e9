/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's parts. One parent (../fuzz.c), several jobs: processes that make calls. What must outlive a job that is
 * killed is in `shared`: counters, its programs, the ids that everybody has seen.
 *
 * A call is a kind and a few operands. An operand is 32 bits from which one decision is made (value.c): the same operand
 * makes the same decision, so a program of calls can be kept, changed a little and run again.
 */
#ifndef _FUZZ_H
#define _FUZZ_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../lib/kb.h"

#define MAX_JOBS 8
#define MAX_CALLS 12 /* of a program */
#define OPERANDS 8
#define MAX_KINDS 56
#define KEPT 256 /* programs that a job keeps */

/* ---- calls and programs */

struct call {
	uint8_t kind;
	uint8_t faults; /* not 0: the so-and-so-manieth point of failure fails */
	bool nobody;    /* made without a capability, as another user */
	uint32_t op[OPERANDS];
};

struct program {
	uint32_t count;
	struct call calls[MAX_CALLS];
};

/* What came of a call: an errno, an OSReturn, or SKIPPED: it was not made. */
#define SKIPPED 1000000

struct kind {
	const char *name;
	uint32_t weight;
	int (*make)(const struct call *call);
	/* What must be seen at least once in a run of enough calls; 0-terminated, success is meant besides. */
	const int *expected;
	bool may_fail;  /* always */
	bool no_faults; /* nor signals: more than the one call is at stake */
	uint8_t rarely; /* takes as long as thousands of others: made once in so many times */
};

extern const struct kind kinds[];
extern const uint32_t kind_count;

/* ---- what the jobs share */

#define RING 64
struct ring {
	_Atomic uint32_t next;
	_Atomic uint64_t ids[RING];
};

#define OUTCOMES 256
struct job {
	pid_t pid; /* the parent's */
	uint32_t number;
	uint64_t random;
	_Atomic uint64_t calls;
	_Atomic uint64_t programs;
	_Atomic uint64_t injected;
	_Atomic uint32_t counts[MAX_KINDS][OUTCOMES];
	uint64_t took_ns[MAX_KINDS], timed[MAX_KINDS]; /* CPU time of some of them */
	uint32_t kept;
	struct program corpus[KEPT];
};

struct shared {
	uint64_t seed;
	bool faults;
	uint32_t jobs;
	uint64_t calls_wanted;
	_Atomic uint64_t calls;
	_Atomic bool stop;
	_Atomic bool failed;
	struct ring tags;      /* of programs' requests */
	struct ring kext_tags; /* of drivers' requests */
	struct ring wire_ids;
	struct ring load_tags;
	struct job job[MAX_JOBS];
};

extern struct shared *shared;
extern struct job *me; /* NULL in the parent */

/* A promise was broken: says so here and on the console, and ends the run. */
void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
void to_kmsg(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- value.c: operands */

/* Where the random numbers come from: a job's own, so that it goes on where a killed one was. */
extern uint64_t *random_state;
/* CONTEXT: the first thread of a process only. */
uint64_t random_next(void);
static inline bool one_in(uint32_t n)
{
	return random_next() % n == 0;
}

void ring_add(struct ring *ring, uint64_t id);
/* 0 to n - 1, from an operand's upper bits; `op & 0xff` is left for the class of the value. */
uint32_t pick(uint32_t op, uint32_t n);
/* True in so many of 256. */
static inline bool often(uint32_t op, uint32_t of_256)
{
	return (op & 0xff) < of_256;
}
uint32_t number(uint32_t op, uint32_t max); /* mostly small, else around max and the ends of the types */
uint32_t small(uint32_t op, uint32_t max);  /* 0 to max, now and then beyond */
uint32_t reserved(uint32_t op);             /* 0, now and then not */
uint32_t any_tag(uint32_t op, bool kexts);
uint64_t any_wire_id(uint32_t op);
uint32_t any_load_tag(uint32_t op);
uint32_t any_timeout(uint32_t op);
uint32_t any_length(uint32_t op);

/* ---- memory.c: user memory, good and bad */

#define ARGS_ROOM 8192
#define PAYLOAD_ROOM (1u << 20)
#define BUFFER_ROOM (64u << 10)
#define REPLIES_ROOM (64u << 10)

void memory_init(void);
/* The flipping of what is hot() needs a thread, which fork() does not copy. */
void memory_start_thread(void);

/* Arguments of an ioctl, where the kernel is told to look for them. */
struct args {
	uint64_t address;
	void *readable; /* what the kernel sees; NULL: it sees nothing */
	uint32_t size;
	bool writable, hot;
};
/* `size`: the structure's own first field, chosen by size_op, is put in; what lies beyond `known` is zero or not. */
struct args place(uint32_t place_op, uint32_t size_op, void *structure, uint32_t known);
/* Ends the flipping, copies back what the kernel has written. False: there is nothing to be looked at. */
bool fetch_args(const struct args *args, void *structure, uint32_t known);

uint64_t any_payload(uint32_t op); /* an address to read a payload from */
uint64_t any_nothing(uint32_t op); /* an address where nothing can be written */
bool is_payload(const uint8_t *bytes, size_t length);
/* An address to write to; *readable: the buffer there, prefilled with 0x5a for `room` bytes, or NULL. */
uint64_t any_output(uint32_t op, uint32_t room, uint8_t **readable);
struct kextd_reply *own_replies(void); /* room for REPLIES_ROOM bytes of them, each thread's own */
uint64_t any_string(uint32_t op, bool identifier, uint32_t *length);
bool is_poison32(uint32_t value);
bool is_poison64(uint64_t value);

/* ---- files.c: descriptors */

#define CONTROLS 6
#define DAEMONS 4

extern int controls[CONTROLS], daemons[DAEMONS], bench;

void files_init(void);
int control_of(uint32_t op);
int daemon_of(uint32_t op);
int any_file(uint32_t op); /* for a reply: mostly one that will do */
void files_disturb(void);  /* shrinks and grows */
int make_control_open(const struct call *call);
int make_control_close(const struct call *call);
int make_daemon_open(const struct call *call);
int make_daemon_close(const struct call *call);
int make_dup(const struct call *call);
int make_poll(const struct call *call);
int make_epoll(const struct call *call);
int make_flags(const struct call *call);
int make_plain(const struct call *call);
int make_odd(const struct call *call);
#define ORPHAN_FAILED 77 /* exit status of a process that nobody waits for but the parent of all */
int make_orphan(const struct call *call);

/* ---- control.c, daemon.c, driver.c */

int call_ioctl(int fd, unsigned long command, uint64_t arg); /* 0 or an errno */
unsigned long command_of(uint32_t op, unsigned long command);

int make_list(const struct call *call);
int make_load_requests(const struct call *call);
int make_status(const struct call *call);
int make_request(const struct call *call);
int make_result(const struct call *call);
int make_cancel(const struct call *call);
int make_retain(const struct call *call);
int make_release(const struct call *call);
int make_unload(const struct call *call);
int make_load(const struct call *call);

int make_exchange(const struct call *call);
int make_serve(const struct call *call);

int make_driver_request(const struct call *call);
int make_driver_cancel(const struct call *call);
int make_driver_cancel_all(const struct call *call);
int make_driver_retain(const struct call *call);
int make_driver_release(const struct call *call);
int make_driver_load(const struct call *call);
int make_driver_ask(const struct call *call);
int make_driver_memory(const struct call *call);
int make_driver_unload(const struct call *call);
int make_driver_read(const struct call *call);
int make_driver_instances(const struct call *call);
int make_scope(const struct call *call);
int make_plan(const struct call *call);
int make_bench(const struct call *call);
int make_insmod(const struct call *call);
int make_rmmod(const struct call *call);
int make_param(const struct call *call);
int make_stats(const struct call *call);
int make_trace(const struct call *call);
int make_shutdown(const struct call *call);
const char *fuzz_kext(uint32_t op); /* a module's name */
uint32_t kext_of_identifier(const char *identifier, const char **module);

/* ---- job.c: the life of a job */

void run_job(struct job *job); /* does not return */
void start_thread(void *(*function)(void *unused), pthread_t *thread);
/*
 * The threads that may wait: where a signal ends the wait; where only death does, for a daemon's mercy; where a driver's
 * thread reads, until its deadline at the latest.
 */
enum waiting { INTERRUPTIBLY, KILLABLY, READING, WAITERS };
/* Has the call made by such a thread. SKIPPED: busy. */
int make_elsewhere(int (*make)(const struct call *call), const struct call *call, enum waiting how);
bool may_wait(void); /* on the thread that may */
int make_fork(const struct call *call);
int outcome_index(int outcome);
const char *outcome_name(int index);

/* ---- program.c */

void program_new(struct program *program);
void program_change(struct program *program);
void program_keep(const struct program *program);
uint32_t reached_points(void);

/* ---- books.c: the parent's */

int books_begin(void); /* loads everything; 0 or an errno */
void books_check(void);
/* Nobody else is there any more: everything is unloaded and must add up. */
void books_settle(void);

#endif
