/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of kmdf.ko share: its modules, the test driver kmtest (lib/kmtest.h), clients that wait for a request, the
 * verifier's counters. Raw ioctls, no library.
 */
#ifndef _KM_H
#define _KM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uapi/kmdf.h>

#include "kb.h"
#include "kmtest.h"

/* ---- values that Windows has given; as a check, not those of shim/include/windows ------------------------------ */

#define STATUS_SUCCESS 0x00000000
#define STATUS_TIMEOUT 0x00000102
#define STATUS_PENDING 0x00000103
#define STATUS_OBJECT_NAME_EXISTS 0x40000000
#define STATUS_BUFFER_OVERFLOW ((int32_t)0x80000005)
#define STATUS_DEVICE_BUSY ((int32_t)0x80000011)
#define STATUS_NO_MORE_ENTRIES ((int32_t)0x8000001a)
#define STATUS_UNSUCCESSFUL ((int32_t)0xc0000001)
#define STATUS_INFO_LENGTH_MISMATCH ((int32_t)0xc0000004)
#define STATUS_ACCESS_VIOLATION ((int32_t)0xc0000005)
#define STATUS_INVALID_PARAMETER ((int32_t)0xc000000d)
#define STATUS_INVALID_DEVICE_REQUEST ((int32_t)0xc0000010)
#define STATUS_ACCESS_DENIED ((int32_t)0xc0000022)
#define STATUS_BUFFER_TOO_SMALL ((int32_t)0xc0000023)
#define STATUS_DELETE_PENDING ((int32_t)0xc0000056)
#define STATUS_INSUFFICIENT_RESOURCES ((int32_t)0xc000009a)
#define STATUS_IO_TIMEOUT ((int32_t)0xc00000b5)
#define STATUS_NOT_SUPPORTED ((int32_t)0xc00000bb)
#define STATUS_REQUEST_NOT_ACCEPTED ((int32_t)0xc00000d0)
#define STATUS_INVALID_PARAMETER_4 ((int32_t)0xc00000f2)
#define STATUS_CANCELLED ((int32_t)0xc0000120)
#define STATUS_INVALID_DEVICE_STATE ((int32_t)0xc0000184)
#define STATUS_INVALID_BUFFER_SIZE ((int32_t)0xc0000206)
#define STATUS_NOT_FOUND ((int32_t)0xc0000225)
#define STATUS_WDF_PAUSED ((int32_t)0xc0200203)
#define STATUS_WDF_BUSY ((int32_t)0xc0200204)
#define STATUS_WDF_IO_TIMEOUT_NOT_SENT ((int32_t)0xc0200205)
#define STATUS_WDF_DEVICE_REMOVED_NOT_SENT ((int32_t)0xc0200206)
#define STATUS_WDF_NO_CALLBACK ((int32_t)0xc020020b)
#define STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL ((int32_t)0xc020020c)
#define STATUS_WDF_PARENT_NOT_SPECIFIED ((int32_t)0xc0200212)

enum { SEQUENTIAL = 1, PARALLEL = 2, MANUAL = 3 };                       /* WDF_IO_QUEUE_DISPATCH_TYPE */
enum { LEVEL_PASSIVE = 2, LEVEL_DISPATCH = 3 };                          /* WDF_EXECUTION_LEVEL */
enum { SCOPE_DEVICE = 2, SCOPE_QUEUE = 3, SCOPE_NONE = 4 };              /* WDF_SYNCHRONIZATION_SCOPE */
enum { STOP_SUSPEND = 1, STOP_PURGE = 2, STOP_CANCELABLE = 0x10000000 }; /* WDF_REQUEST_STOP_ACTION_FLAGS */
enum {
	STATE_ACCEPTS = 1,
	STATE_DISPATCHES = 2,
	STATE_NO_REQUESTS = 4,
	STATE_DRIVER_NO_REQUESTS = 8,
	STATE_HELD = 0x10
};
enum { SEND_TIMEOUT = 1, SEND_SYNCHRONOUS = 2, SEND_IGNORE_TARGET_STATE = 4, SEND_AND_FORGET = 8 };
enum { SENT_IO_CANCEL = 1, SENT_IO_WAIT = 2, SENT_IO_LEAVE = 3 }; /* WDF_IO_TARGET_SENT_IO_ACTION */
enum { PURGE_IO_AND_WAIT = 1, PURGE_IO = 2 };                     /* WDF_IO_TARGET_PURGE_IO_ACTION */
enum { IRQL_PASSIVE = 0, IRQL_DISPATCH = 2 };

#define NT_SUCCESS(status) ((int32_t)(status) >= 0)

/* What a call of ours returns as a status when it has not come to one. */
#define KM_ERRNO(err) (0x20000000 | (err))
#define KM_STUCK 0x2f000000 /* it has not returned in time */

#define KM_SOON_MS 15000 /* what must come comes within this */
#define KM_GONE_MS 5000  /* a killed client has left by then, whatever its driver does */
#define KM_NEVER_MS 120  /* what must not come is waited for so long */

/* ---- everything at once: what a fixture holds ------------------------------------------------------------------ */

#define KM_RULES 64

struct km_rule {
	char name[32];
	uint64_t count;
};

struct km {
	int ctl;       /* /dev/kmdf/kmtest_ctl */
	int fd;        /* the device that requests go to: /dev/kmdf/kmtest, unless km_use() was called */
	int control;   /* /dev/kmdf/control */
	bool own_kmdf; /* kmdf.ko has parameters of this test's */
	struct km_rule rules[KM_RULES]; /* as far as they are accounted for */
};

/*
 * Loads kmdf, with these parameters if there are any, and kmtest, afresh: no state is left of the test before. 0 or an
 * errno, after a line on stderr.
 */
int km_setup(struct km *km, const char *parameters);
/*
 * Completes what the test has left, unloads kmtest, and, if it had parameters, kmdf. 0 or an errno; not 0 also if the
 * verifier has counted something that the test did not ask for, or if kmdf still has something of the driver's.
 */
int km_teardown(struct km *km);
/* Only kmdf, if it is not loaded. */
int km_load_kmdf(const char *parameters);
int km_unload(const char *module, unsigned int patience_ms);

/* A line's value of /sys/kernel/debug/kmdf/verifier; how far it has grown since it was asked for last. */
uint64_t km_broken(struct km *km, const char *rule);
/* Of all rules. */
uint64_t km_broken_any(struct km *km);
int km_rules(struct km_rule rules[KM_RULES]);

/* "NAME suspend" into /sys/kernel/debug/kmdf/power; 0 or an errno. */
int km_power(const char *name, const char *what);
/* On a thread: it waits for the driver. */
struct km_powerer {
	pthread_t thread;
	const char *name, *what;
	int err, done;
};
int km_power_begin(struct km_powerer *powerer, const char *name, const char *what);
int km_power_end(struct km_powerer *powerer); /* 0 or an errno: ETIMEDOUT, it has not returned */
bool km_power_done(struct km_powerer *powerer);

/* ---- the driver ------------------------------------------------------------------------------------------------ */

/* An ioctl of a device; the NTSTATUS, or KM_ERRNO(). */
int32_t km_control(int fd, uint32_t code, void *in, uint32_t in_length, void *out, uint32_t out_length);

/* Calls at once, one after the other; 0 or an errno. `slot` is what ops without one are about. */
int km_run(struct km *km, uint32_t slot, struct kmtest_op *ops, uint32_t count);
/* One; what it returned. */
int32_t km_op(struct km *km, struct kmtest_op *op);
/* Its value; all ones if its slot is not fit for it. */
uint64_t km_op_value(struct km *km, struct kmtest_op *op);

/* On a thread, for what waits. */
struct km_runner {
	pthread_t thread;
	struct km *km;
	uint32_t slot, count;
	struct kmtest_op ops[KMTEST_RUN_OPS];
	int err, done;
};
int km_run_begin(struct km *km, struct km_runner *runner, uint32_t slot, const struct kmtest_op *ops, uint32_t count);
/* 0 or an errno: ETIMEDOUT, it has not returned. */
int km_run_end(struct km_runner *runner);
bool km_run_done(struct km_runner *runner);

/* Of a slot that gets none with a request. */
int km_script(struct km *km, const struct kmtest_script *script);

/* The first event of this kind from `from` on. False: it has not come in time. */
bool km_event(struct km *km, uint64_t from, uint32_t type, uint32_t slot, uint32_t op, unsigned int timeout_ms,
	      struct kmtest_event *event);
/* The first one ever, waited for; .seq is 0 if there is none. */
struct kmtest_event km_first(struct km *km, uint32_t type, uint32_t slot);
struct kmtest_event km_next(struct km *km, const struct kmtest_event *after, uint32_t type, uint32_t slot);
/* An op of this slot. */
struct kmtest_event km_first_op(struct km *km, uint32_t slot, uint32_t op);
/* There was none, and none comes for a while. */
bool km_never(struct km *km, uint32_t type, uint32_t slot);
uint64_t km_last_seq(struct km *km);

int km_look(struct km *km, struct kmtest_look *look);
/* How often. */
uint32_t km_count(struct km *km, uint32_t slot, uint32_t at);

/* A control device with these queues; its node open, or minus an errno. */
int km_device(struct km *km, struct kmtest_device *device);
/* km->fd becomes that. */
int km_use(struct km *km, struct kmtest_device *device);
/* With one queue, in slot KM_QUEUE, which gets all; with handlers for all, if it is not manual and none are given. */
int km_use_queue(struct km *km, const char *name, const struct kmtest_queue *queue);
int32_t km_queue(struct km *km, struct kmtest_queue *queue);
int km_open(const char *name);

/* So many requests are, or get to be, in the queue in slot KM_QUEUE, and not with the driver. */
bool km_queued(struct km *km, uint32_t count);

#define KM_QUEUE 100
#define KM_OWN_DEVICE 101

/* ---- clients --------------------------------------------------------------------------------------------------- */

enum km_kind { KM_CONTROL, KM_READ, KM_WRITE };

/* A thread that waits for a request. */
struct km_client {
	pthread_t thread;
	int fd;
	enum km_kind kind;
	bool begun;
	int done; /* atomic */
	int tid;  /* atomic; 0: not begun */
	struct kmtest_script script;
	uint32_t code;
	uint64_t tag;
	uint8_t *data; /* to read to, to write, or what comes out; its own if none was given */
	uint32_t length;
	bool own_data;
	/* Results. */
	int err; /* of the system call */
	ssize_t returned;
	int32_t status;
	uint64_t information;
	uint64_t time_ns; /* when it returned */
};

/* Device control KMTEST_REQUEST on km->fd; its tag is the script's slot, and 64 bytes can come out. 0 or an errno. */
int km_request(struct km *km, struct km_client *client, const struct kmtest_script *script);
/* client->fd, kind, length are set. */
int km_begin(struct km_client *client);
int km_read(struct km *km, struct km_client *client, uint32_t length);
int km_write(struct km *km, struct km_client *client, uint32_t length);
/* Waits until it has returned: its status, KM_ERRNO(), KM_STUCK. Of read() and write(): 0 or KM_ERRNO(). */
int32_t km_end(struct km_client *client);
bool km_done(struct km_client *client);
/* It has not, and does not for a while. */
bool km_waits(struct km_client *client);

/* A process with one request, on a file of its own; its id. */
pid_t km_fork(const char *name, const struct kmtest_script *script);
pid_t km_fork_many(const char *name, const struct kmtest_script *scripts, unsigned int count);
/* SIGKILL; how many ms it has taken it to go, or -1 if it has not in time. */
int km_kill(pid_t pid);
bool km_reap(pid_t pid, int *status, unsigned int timeout_ms);

/* ---- cancellation ---------------------------------------------------------------------------------------------- */

/* KMDF_IOC_CANCEL; found is ~0 if the call failed. */
struct kmdf_cancel km_cancel_what(int fd, uint32_t what, uint64_t tag);
/* The request with that tag of km->fd. */
struct kmdf_cancel km_cancel(struct km *km, uint64_t tag);
/* On a thread: EvtRequestCancel may run on it. */
struct km_canceller {
	pthread_t thread;
	int fd, done;
	uint64_t tag;
	struct kmdf_cancel result;
};
int km_cancel_begin(struct km *km, struct km_canceller *canceller, uint64_t tag);
int km_cancel_end(struct km_canceller *canceller); /* 0 or ETIMEDOUT */
int km_last_status(int fd, struct kmdf_last_status *last);

/* ---- /dev/kmdf/control ----------------------------------------------------------------------------------------- */

/* All records, in the caller's hands; NULL: errno says why. */
void *km_list(int control, uint32_t *bytes);
/* The state, KMDF_REQUEST_*, of the request with this tag, and its record; 0: there is none. */
uint32_t km_state(struct km *km, uint64_t tag, struct kmdf_request *request);
/* Of a device's record. */
bool km_find_device(struct km *km, const char *name, struct kmdf_device *device);
/* The device of a driver with this interface; into name. */
bool km_find_interface(const char *guid, char *name, size_t size);

#endif
