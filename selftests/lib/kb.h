/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests share: modules, the bench, the daemon's and the programs' node. Raw ioctls, no library.
 *
 * Results: an OSReturn is 0 or negative; where a call returns one, a positive value is an errno of the call itself.
 */
#ifndef _KB_H
#define _KB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#include <libkern/OSReturn.h>
#include <uapi/kextbridge.h>

#include "kbtest.h"

#define ID_A "com.example.kbtest_a"
#define ID_B "com.example.kbtest_b"
#define TAG_INVALID 0xffffffffu

/* ---- everything at once: what a fixture holds */

struct kb {
	int bench;     /* /dev/kbtest */
	int control;   /* /dev/kextbridge */
	int daemon;    /* /dev/kextd, or -1 */
	uint64_t seen; /* events that kb_event() has returned */
};

/*
 * Loads kextbridge and the bench if they are not loaded, removes kexts that a dead test has left, resets all, and loads
 * the kexts named (up to a NULL). 0 or an errno, after a line on stderr.
 */
int kb_setup(struct kb *kb, ...);
/* Opens /dev/kextd in kb->daemon. */
int kb_daemon(struct kb *kb);
void kb_daemon_leave(struct kb *kb);
/* Unloads the bench: what is left is kextbridge, with the programs' node open. */
int kb_unload_bench(struct kb *kb);
/* After that: kextbridge is removed and loaded again, then as kb_setup() without kexts, and kb_daemon(). */
int kb_load_afresh(struct kb *kb, const char *parameters);
/* Everything back to how kb_setup() found it; 0 or an errno. Also after a failed kb_setup(). */
int kb_teardown(struct kb *kb);

/* ---- time */

uint64_t kb_now_ns(void);
void kb_sleep_ms(unsigned int ms);
/* A pseudo random number; the seed comes from $KEXTBRIDGE_SEED or the clock, and is printed at first use. */
uint32_t kb_random(void);
/* How often what is done very often is: so many times $KEXTBRIDGE_ROUNDS (default 1), at least once. */
uint32_t kb_rounds(uint32_t full);
/* At least so many, for what is expected to happen by chance. */
uint32_t kb_rounds_from(uint32_t least, uint32_t full);

/* ---- modules and parameters */

/*
 * From the program's folder, or drivers/ there; 0 or an errno. $KEXTBRIDGE_COVERAGE.MODULE: the coverage_file of
 * kextbridge, of kmdf; $KEXTBRIDGE_KMDF: more parameters of kmdf.
 */
int kb_insmod(const char *module);
int kb_insmod_with(const char *module, const char *parameters);
int kb_rmmod(const char *module); /* delete_module with O_NONBLOCK */
bool kb_is_loaded(const char *module);
/* Changed until kb_teardown(). */
int kb_param(const char *name, const char *value);
int kb_param_ms(const char *name, unsigned int ms);
/* A parameter of the test build that is not read back. */
int kb_hook(const char *name, const char *value);
const char *kb_program_dir(void);

/* insmod on a thread: for a start function that waits. */
struct kb_insmod {
	pthread_t thread;
	const char *module;
	int err;
};
int kb_insmod_begin(struct kb_insmod *insmod, const char *module);
int kb_insmod_end(struct kb_insmod *insmod);

/* ---- the daemon's node */

struct kb_record {
	struct kextd_request head;
	char identifier[4096];
	char name[4096];
};

int kb_open_daemon(void); /* a descriptor, or minus an errno */
/* One record. 0, EAGAIN: none came in time, or another errno. */
int kb_fetch(int daemon, struct kb_record *record, int timeout_ms);
/* As kb_fetch(), by a daemon that wants notices, too. */
int kb_fetch_any(int daemon, struct kb_record *record, int timeout_ms);
/* The status of the reply. */
int kb_reply(int daemon, uint64_t id, OSReturn result);
int kb_reply_data(int daemon, uint64_t id, OSReturn result, const void *data, uint32_t length);
int kb_reply_fd(int daemon, uint64_t id, int fd);
int kb_exchange(int daemon, struct kextd_exchange *args); /* 0 or an errno */
int kb_reply_raw(int daemon, struct kextd_reply *reply);
bool kb_poll(int fd, short events, int timeout_ms);

/*
 * A daemon on a thread: answers resources with `answer` and the bytes of their name, deletes modules, and has no module
 * to load. It serves until it is stopped.
 */
struct kb_server {
	pthread_t thread;
	int daemon;
	int wake[2];
	OSReturn resource_result;
	OSReturn unload_result;                          /* not 0: refuses to delete */
	unsigned int resources, loads, unloads, cancels; /* how many it has seen */
};
int kb_serve(struct kb_server *server, int daemon);
void kb_serve_end(struct kb_server *server);

/* ---- /dev/kextbridge */

bool kb_status(struct kb *kb, struct kextbridge_status *status);
/* The kext of a module; false: it is not there. */
bool kb_kext(struct kb *kb, const char *module, struct kextbridge_kext *kext);
uint32_t kb_tag(struct kb *kb, const char *module); /* TAG_INVALID: not there */
int kb_retain(int control, uint32_t load_tag);
int kb_release(int control, uint32_t load_tag);
int kb_unload(int control, uint32_t load_tag, uint32_t flags);
int kb_tag_call(int control, unsigned long call, uint32_t tag, uint32_t flags);
int kb_load(int control, const char *identifier, uint32_t flags);
/* How many identifiers the core remembers as asked for: each an allocation that lives as long as the module. */
uint32_t kb_asked_loads(struct kb *kb);
/* A whole unload, with a daemon of its own on kb->daemon. */
int kb_unload_served(struct kb *kb, const char *module);

/* An unload on a thread, for a test that is the daemon itself. */
struct kb_unload {
	pthread_t thread;
	int control;
	uint32_t tag, flags;
	int result;
	bool done;
};
int kb_unload_begin(struct kb_unload *unload, struct kb *kb, const char *module, uint32_t flags);
int kb_unload_end(struct kb_unload *unload);

/* ---- the bench */

/* The next event of this type, or of any (0); false: none came in time. */
bool kb_event(struct kb *kb, uint32_t type, struct kbtest_event *event, unsigned int timeout_ms);
/* The next callback, waited for with patience; false: none. */
bool kb_callback(struct kb *kb, struct kbtest_event *event);
/* No event of this type comes for so long. */
bool kb_quiet(struct kb *kb, uint32_t type, unsigned int ms);
int kb_request(struct kb *kb, const char *kext, const char *name, uint64_t context, uint32_t *tag);
int kb_request_with(struct kb *kb, struct kbtest_request *args);
int kb_cancel(struct kb *kb, const char *kext, uint32_t tag, uint64_t *context);
int kb_cancel_with(struct kb *kb, struct kbtest_cancel *args);
int kb_plan(struct kb *kb, struct kbtest_plan *plan);
int kb_gates(struct kb *kb, uint32_t open);
int kb_call(struct kb *kb, struct kbtest_call *args);
int kb_kpi_load(struct kb *kb, const char *identifier);
int kb_kpi_retain(struct kb *kb, uint32_t load_tag);
int kb_kpi_release(struct kb *kb, uint32_t load_tag);
uint32_t kb_kpi_lookup(struct kb *kb, const char *identifier);
int kb_version(struct kb *kb, struct kbtest_version *args);
int kb_memory(struct kb *kb, struct kbtest_memory *args); /* a kern_return_t, or minus an errno */

/* All fields but `kext` and those of the result are the caller's. The OSReturn. */
int kb_read(struct kb *kb, const char *kext, const char *name, struct kbtest_read *args);
/* On a thread. */
struct kb_reader {
	pthread_t thread;
	int bench;
	const char *name;
	struct kbtest_read args;
	int result;
};
int kb_read_begin(struct kb_reader *reader, struct kb *kb, const char *kext, const char *name);
int kb_read_end(struct kb_reader *reader);
/* KBTEST_SCOPE_*; what it counts. */
uint32_t kb_scope(struct kb *kb, uint32_t op, uint32_t number, struct kbtest_scope *args);

uint32_t kb_crc32(const void *data, size_t length);

#define KB_STRING(text) ((uint64_t)(uintptr_t)(text))

#endif
