// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile fuzzing of kmdf.ko: jobs that are clients of the test driver and tell it what to do, in any callback and with any
 * slot, and this parent, which kills some of them, suspends the device, and every now and then has the driver end all,
 * unloads it, and begins again. Rules are broken all the time: the verifier counts that, and nothing else may come of it.
 *
 * What a call is made with depends on the seed, but for the scheduler.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/km.h"

enum {
	JOBS = 3,
	CLIENTS = 8, /* of a job, at once */
	RUNNERS = 2,
	EPOCH_CALLS = 3000,
	LIVES = 30, /* of all jobs in an epoch: each has slots of its own, as what a dead one has asked for stays */
	DEATH_MS = 10000,
};

/* Slots that hold what may be forgotten: no client waits for it. */
enum { OWN_QUEUES = 100, SCRATCH = 30, SCRATCH_COUNT = 40, READS = 456, READS_COUNT = 48, REQUESTS = 200 };

struct shared {
	uint64_t calls, refused, accepted;
	uint32_t reads, stop;
};
static struct shared *shared;
static uint64_t state;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull >> 16;
}

static uint32_t below(uint32_t limit)
{
	return next_random() % limit;
}

static bool one_in(uint32_t count)
{
	return !below(count);
}

/* ---- what the driver is told */

static const uint8_t ats[] = {KMTEST_AT_IO,         KMTEST_AT_IO,      KMTEST_AT_IO,       KMTEST_AT_CANCEL,
			      KMTEST_AT_CANCEL,     KMTEST_AT_AGAIN,   KMTEST_AT_ON_QUEUE, KMTEST_AT_STOP,
			      KMTEST_AT_RESUME,     KMTEST_AT_CLEANUP, KMTEST_AT_DESTROY,  KMTEST_AT_OTHER_CANCEL,
			      KMTEST_AT_COMPLETION, KMTEST_AT_TIMER,   KMTEST_AT_WORK};

/* In any callback. Not those after which the driver does not know any more what it has to complete. */
static const uint16_t calls_anywhere[] = {KMTEST_MARK,
					  KMTEST_MARK,
					  KMTEST_MARK_EX,
					  KMTEST_MARK_EX,
					  KMTEST_UNMARK,
					  KMTEST_UNMARK,
					  KMTEST_IS_CANCELED,
					  KMTEST_COMPLETE,
					  KMTEST_COMPLETE,
					  KMTEST_COMPLETE_WITH,
					  KMTEST_COMPLETE_BOOST,
					  KMTEST_SET_INFORMATION,
					  KMTEST_GET_INFORMATION,
					  KMTEST_STOP_ACK,
					  KMTEST_PARAMETERS,
					  KMTEST_INPUT,
					  KMTEST_OUTPUT,
					  KMTEST_FILL,
					  KMTEST_IN_MEMORY,
					  KMTEST_OUT_MEMORY,
					  KMTEST_FILE,
					  KMTEST_REQUESTOR,
					  KMTEST_REQUEST_CREATE,
					  KMTEST_FORMAT,
					  KMTEST_SET_COMPLETION,
					  KMTEST_SEND,
					  KMTEST_CANCEL_SENT,
					  KMTEST_GET_STATUS,
					  KMTEST_REUSE,
					  KMTEST_TARGET_LOCAL,
					  KMTEST_TARGET_START,
					  KMTEST_TARGET_STATE,
					  KMTEST_QUEUE_START,
					  KMTEST_QUEUE_START,
					  KMTEST_QUEUE_STOP,
					  KMTEST_QUEUE_PURGE,
					  KMTEST_QUEUE_DRAIN,
					  KMTEST_QUEUE_STOP_AND_PURGE,
					  KMTEST_QUEUE_STATE,
					  KMTEST_RETRIEVE_NEXT,
					  KMTEST_RETRIEVE_BY_FILE,
					  KMTEST_FIND,
					  KMTEST_RETRIEVE_FOUND,
					  KMTEST_READY_NOTIFY,
					  KMTEST_TIMER_CREATE,
					  KMTEST_TIMER_START,
					  KMTEST_TIMER_STOP,
					  KMTEST_WORK_CREATE,
					  KMTEST_WORK_ENQUEUE,
					  KMTEST_WAIT_CREATE,
					  KMTEST_WAIT_RELEASE,
					  KMTEST_SPIN_CREATE,
					  KMTEST_OBJECT_CREATE,
					  KMTEST_DEREFERENCE,
					  KMTEST_MEMORY_CREATE,
					  KMTEST_MEMORY_READ,
					  KMTEST_MEMORY_WRITE,
					  KMTEST_MEMORY_SIZE,
					  KMTEST_RAISE,
					  KMTEST_RAISE,
					  KMTEST_LOWER,
					  KMTEST_STALL,
					  KMTEST_SLEEP,
					  KMTEST_SWAP,
					  KMTEST_LIST};
/* Only where nobody waits for it: they wait themselves. */
static const uint16_t calls_at_once[] = {KMTEST_DELETE,       KMTEST_TARGET_CREATE, KMTEST_TARGET_OPEN,
					 KMTEST_TARGET_CLOSE, KMTEST_TARGET_STOP,   KMTEST_TARGET_PURGE,
					 KMTEST_WORK_FLUSH,   KMTEST_WAIT_ACQUIRE,  KMTEST_DO,
					 KMTEST_FORWARD,      KMTEST_REQUEUE};
static const int32_t statuses[] = {STATUS_SUCCESS,           STATUS_SUCCESS,  STATUS_CANCELLED,
				   STATUS_UNSUCCESSFUL,      STATUS_PENDING,  STATUS_BUFFER_OVERFLOW,
				   STATUS_INVALID_PARAMETER, STATUS_WDF_BUSY, STATUS_TIMEOUT};

#define PICK(array) ((array)[below(sizeof(array) / sizeof((array)[0]))])

static uint16_t scratch(void)
{
	return SCRATCH + below(SCRATCH_COUNT);
}

static uint16_t any_slot(void)
{
	switch (below(8)) {
	case 0:
		return KMTEST_DEVICE;
	case 1:
		return KMTEST_DEFAULT + below(4);
	case 2:
		return OWN_QUEUES + below(4);
	case 3:
	case 4:
		return scratch();
	default:
		return REQUESTS + below(LIVES * CLIENTS);
	}
}

static uint64_t some_value(void)
{
	static const uint64_t values[] = {0, 1, 2, 3, 8, 64, 100, 4096, 0xffffffff, ~0ull};

	return one_in(3) ? PICK(values) : below(40);
}

static bool makes_something(uint16_t code)
{
	switch (code) {
	case KMTEST_REQUEST_CREATE:
	case KMTEST_TARGET_CREATE:
	case KMTEST_TARGET_LOCAL:
	case KMTEST_TIMER_CREATE:
	case KMTEST_WORK_CREATE:
	case KMTEST_WAIT_CREATE:
	case KMTEST_SPIN_CREATE:
	case KMTEST_OBJECT_CREATE:
	case KMTEST_MEMORY_CREATE:
		return true;
	default:
		return false;
	}
}

static struct kmtest_op any_op(bool at_once)
{
	struct kmtest_op op = {
		.code = at_once && one_in(6) ? PICK(calls_at_once) : PICK(calls_anywhere),
		.only_if = one_in(4) ? below(7) : 0,
		.slot = at_once || one_in(3) ? any_slot() : 0,
		.other = any_slot(),
		.flags = below(64),
		.status = PICK(statuses),
		.value = some_value(),
	};

	/* What it makes goes where nothing is lost. */
	if (makes_something(op.code))
		op.slot = scratch();
	if (op.code == KMTEST_IN_MEMORY || op.code == KMTEST_OUT_MEMORY || op.code == KMTEST_FILE)
		op.other = scratch();
	if (op.code == KMTEST_FIND)
		op.value = scratch();
	if (op.code == KMTEST_MEMORY_CREATE || op.code == KMTEST_STALL)
		op.value = below(200);
	if (op.code == KMTEST_SLEEP || op.code == KMTEST_WAIT_ACQUIRE)
		op.value = below(4);
	if (op.code == KMTEST_TIMER_CREATE)
		op.value = one_in(2) ? 0 : 20 + below(100);
	if (op.code == KMTEST_TIMER_START)
		op.value = below(5000);
	if (op.code == KMTEST_WAIT_ACQUIRE)
		op.flags &= ~KMTEST_NO_TIMEOUT;
	/* A callback that waits for others may be what they wait for. */
	if (!at_once && op.code >= KMTEST_QUEUE_START && op.code <= KMTEST_QUEUE_STOP_AND_PURGE)
		op.flags &= ~KMTEST_SYNC;
	if (op.code == KMTEST_SEND) {
		op.flags &= at_once ? 0xf : 0xf & ~SEND_SYNCHRONOUS;
		op.value = 1 + below(50);
	}
	return op;
}

static struct kmtest_script any_script(uint16_t slot)
{
	struct kmtest_script script = {.slot = slot, .flags = KMTEST_QUIET};
	uint32_t count = below(KMTEST_SCRIPT_OPS);

	for (uint32_t i = 0; i < count; i++) {
		script.ops[i] = any_op(false);
		script.ops[i].when = PICK(ats);
		if (script.ops[i].when == KMTEST_AT_IO && one_in(4))
			script.ops[i].code = one_in(3) ? KMTEST_REQUEUE : KMTEST_FORWARD;
	}
	return script;
}

/* ---- a job */

struct job {
	struct km km;
	int own; /* the device that is not power-managed */
	uint32_t first_slot;
	struct km_client clients[CLIENTS];
	struct km_runner runners[RUNNERS];
	bool running[RUNNERS];
};

static void count(int32_t status)
{
	__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(status >= 0 ? &shared->accepted : &shared->refused, 1, __ATOMIC_RELAXED);
}

static void ask(struct job *job, uint32_t which)
{
	struct km_client *client = &job->clients[which];
	struct kmtest_script script;
	struct km km = job->km;

	if (client->begun) {
		if (!km_done(client))
			return;
		count(km_end(client));
	}
	memset(client, 0, sizeof(*client));
	if (one_in(2))
		km.fd = job->own;
	if (one_in(6) && __atomic_fetch_add(&shared->reads, 1, __ATOMIC_RELAXED) < READS_COUNT) {
		km.fd = job->km.fd;
		km_read(&km, client, below(300));
		return;
	}
	if (one_in(8)) {
		km_write(&km, client, below(300));
		return;
	}
	script = any_script(job->first_slot + which);
	km_request(&km, client, &script);
}

/* A structure with a few words that are anything. */
static void garbage(void *to, size_t size)
{
	uint32_t *words = to;

	for (uint32_t left = below(4); left; left--)
		words[below(size / 4)] = one_in(2) ? some_value() : next_random();
}

static void bad_control(struct job *job)
{
	static char in[8192], out[8192];
	struct kmdf_device_control args = {
		.size = sizeof(args),
		.code = 0x220000 + below(4) + (below(3) << 14) + (below(64) << 2),
		.in = (uintptr_t)in,
		.out = (uintptr_t)out,
		.in_length = below(sizeof(in)),
		.out_length = below(sizeof(out)),
		.tag = below(512),
	};

	/* The test driver takes it for a script. */
	if (args.code == KMTEST_REQUEST)
		args.code++;
	garbage(&args, sizeof(args));
	if (args.code == KMTEST_REQUEST)
		return;
	count(ioctl(one_in(2) ? job->own : job->km.fd, KMDF_IOC_DEVICE_CONTROL, &args));
}

static void other_ioctl(struct job *job)
{
	static const unsigned int commands[] = {KMDF_IOC_CANCEL, KMDF_IOC_LAST_STATUS, KMDF_IOC_LIST,
						KMDF_IOC_CANCEL_REQUEST};
	static uint64_t buffer[4096];
	unsigned int command = PICK(commands);
	union {
		uint32_t size;
		struct kmdf_cancel cancel;
		struct kmdf_list list;
		struct kmdf_cancel_request request;
		uint32_t words[1024];
	} args = {};

	switch (command) {
	case KMDF_IOC_CANCEL:
		args.cancel = (struct kmdf_cancel){.size = sizeof(args.cancel), .what = 1 + below(3)};
		args.cancel.tag = args.cancel.what == KMDF_CANCEL_THREAD ? (uint64_t)job->clients[below(CLIENTS)].tid :
									   job->first_slot + below(CLIENTS);
		break;
	case KMDF_IOC_LAST_STATUS:
		args.size = sizeof(struct kmdf_last_status);
		break;
	case KMDF_IOC_LIST:
		args.list = (struct kmdf_list){
			.size = sizeof(args.list), .buffer_size = below(sizeof(buffer)), .buffer = (uintptr_t)buffer};
		break;
	default:
		args.request = (struct kmdf_cancel_request){.size = sizeof(args.request), .id = below(4000)};
		break;
	}
	if (one_in(4))
		garbage(&args, 64);
	if (one_in(20))
		command = next_random();
	count(ioctl(one_in(2) ? job->km.control : one_in(2) ? job->own : job->km.fd, command, &args));
}

static void run_ops(struct job *job)
{
	struct kmtest_op ops[6];
	uint32_t number = 1 + below(5), which = below(RUNNERS);

	for (uint32_t i = 0; i < number; i++) {
		ops[i] = any_op(true);
		/* Locks in pairs: a thread that returns with one is no mistake that can be refused. */
		if (i + 1 < number && one_in(10)) {
			ops[i].code = one_in(2) ? KMTEST_LOCK : KMTEST_SPIN_ACQUIRE;
			ops[i].only_if = 0;
			ops[i + 1] = ops[i];
			ops[i + 1].code = ops[i].code == KMTEST_LOCK ? KMTEST_UNLOCK : KMTEST_SPIN_RELEASE;
			i++;
		} else if (i + 1 < number && one_in(10)) {
			ops[i].code = KMTEST_REFERENCE;
			ops[i].only_if = 0;
			ops[i + 1] = ops[i];
			ops[++i].code = KMTEST_DEREFERENCE;
		}
	}
	if (job->running[which]) {
		if (!km_run_done(&job->runners[which]))
			return;
		count(-km_run_end(&job->runners[which]));
	}
	job->running[which] = !km_run_begin(&job->km, &job->runners[which], any_slot(), ops, number);
}

static void __attribute__((noreturn)) run_job(uint32_t slots, uint64_t seed)
{
	static struct job job;
	struct kmtest_script script;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	state = seed;
	job.first_slot = slots;
	job.km.ctl = km_open("kmtest_ctl");
	job.km.fd = km_open("kmtest");
	job.km.control = km_open("control");
	job.own = km_open("kmtest_own");
	while (!shared->stop) {
		switch (below(12)) {
		case 0:
		case 1:
		case 2:
		case 3:
			ask(&job, below(CLIENTS));
			break;
		case 4:
			bad_control(&job);
			break;
		case 5:
		case 6:
			other_ioctl(&job);
			break;
		case 7:
			script = any_script(scratch());
			km_script(&job.km, &script);
			count(0);
			break;
		case 8:
			if (one_in(8) && job.own >= 0) {
				close(job.own);
				job.own = km_open("kmtest_own");
			}
			sched_yield();
			break;
		default:
			run_ops(&job);
			break;
		}
	}
	_exit(0);
}

/* ---- the parent */

static pid_t jobs[JOBS];
static uint32_t life, kills;

static void start_job(uint32_t number)
{
	uint64_t seed = next_random() | 1;
	uint32_t slots = REQUESTS + life++ * CLIENTS;
	pid_t pid = fork();

	if (!pid)
		run_job(slots, seed);
	jobs[number] = pid > 0 ? pid : 0;
}

/* Those that wait for the driver stay until it has ended what it has. */
static bool reap(unsigned int timeout_ms)
{
	bool all = true;

	for (uint32_t i = 0; i < JOBS; i++) {
		int status;

		if (jobs[i] && !km_reap(jobs[i], &status, timeout_ms))
			all = false;
		else
			jobs[i] = 0;
	}
	return all;
}

static int make_device(struct km *km)
{
	struct kmtest_device device = {.name = "kmtest_own", .slot = KM_OWN_DEVICE + 20, .count = 4};

	device.flags = one_in(2) ? KMTEST_FILES : 0;
	device.level = below(2) ? LEVEL_PASSIVE : 0;
	for (uint32_t i = 0; i < device.count; i++) {
		struct kmtest_queue *queue = &device.queues[i];

		queue->slot = OWN_QUEUES + i;
		queue->type = i == 3 ? MANUAL : 1 + below(2);
		queue->handlers = queue->type == MANUAL ? 0 :
							  KMTEST_HANDLE_READ | KMTEST_HANDLE_WRITE |
								  KMTEST_HANDLE_CONTROL | KMTEST_HANDLE_INTERNAL;
		queue->flags = (i ? 0 : KMTEST_DEFAULT_QUEUE) | (one_in(2) ? KMTEST_ON_QUEUE : 0);
		queue->scope = one_in(3) ? SCOPE_QUEUE : one_in(3) ? SCOPE_DEVICE : 0;
		queue->limit = queue->type == PARALLEL && one_in(2) ? 1 + below(3) : 0;
	}
	return km_device(km, &device);
}

static void set_scripts(struct km *km)
{
	struct kmtest_script reads = any_script(KMTEST_SEQUENTIAL);

	reads.first = READS;
	reads.count = READS_COUNT;
	km_script(km, &reads);
}

static bool epoch(uint64_t until_calls, uint64_t until_ns)
{
	struct km km;
	struct km_powerer powerer;
	bool moves = false, asleep = false, good = true;
	int fd;

	if (km_setup(&km, one_in(4) ? "stuck_ms=50 forgotten_ms=50 kill_grace_ms=2" :
			  one_in(3) ? "cancel_on_close=1" :
				      NULL))
		return false;
	fd = make_device(&km);
	if (fd < 0) {
		printf("# kmtest_own: %s\n", strerror(-fd));
		good = false;
	}
	set_scripts(&km);
	shared->stop = shared->reads = 0;
	life = 0;
	for (uint32_t i = 0; i < JOBS; i++)
		start_job(i);
	while (shared->calls < until_calls && kb_now_ns() < until_ns) {
		uint64_t before = shared->calls;

		kb_sleep_ms(5 + below(40));
		if (one_in(12) && life < LIVES) {
			uint32_t which = below(JOBS);
			int status;

			/* One that waits for the driver is a zombie's thread until the driver has done it. */
			kill(jobs[which], SIGKILL);
			kills++;
			if (km_reap(jobs[which], &status, 200))
				start_job(which);
		}
		if (moves && km_power_done(&powerer)) {
			km_power_end(&powerer);
			moves = false;
			asleep = !asleep;
		}
		if (!moves && one_in(20))
			moves = !km_power_begin(&powerer, "kmtest", asleep ? "resume" : "suspend");
		/* Nobody gets any further: all wait for the driver. */
		if (shared->calls == before && one_in(60))
			break;
	}
	shared->stop = 1;
	for (uint32_t i = 0; i < JOBS; i++)
		if (jobs[i])
			kill(jobs[i], SIGKILL);
	if (fd >= 0)
		close(fd);
	km_broken_any(&km);
	if (km_teardown(&km))
		good = false;
	if (moves)
		km_power_end(&powerer);
	if (!reap(DEATH_MS)) {
		printf("# a job stays when its driver is gone\n");
		good = false;
	}
	return good;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"calls", required_argument, NULL, 'c'},
						{"seed", required_argument, NULL, 's'},
						{"seconds", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{}};
	uint64_t calls = 20000, seed = time(NULL), seconds = 600, begin = kb_now_ns(), until;
	uint32_t epochs = 0;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'c')
			calls = strtoull(optarg, NULL, 0);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 't')
			seconds = strtoull(optarg, NULL, 0);
		else {
			fprintf(option == 'h' ? stdout : stderr,
				"usage: kmdf_fuzz [--calls N] [--seed S] [--seconds N]\n"
				"N calls in all (default 20000), in at most N seconds (default 600)\n");
			return option == 'h' ? 0 : 2;
		}
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	printf("# seed: KEXTBRIDGE_SEED=%#llx\n", (unsigned long long)seed);
	state = seed * 0x9e3779b97f4a7c15ull | 1;
	until = begin + seconds * 1000000000ull;
	while (good && shared->calls < calls && kb_now_ns() < until) {
		uint64_t end = shared->calls + EPOCH_CALLS;

		good = epoch(end < calls ? end : calls, until);
		epochs++;
	}
	if (shared->calls < calls) {
		printf("# %s: %llu of %llu calls\n", good ? "too slow" : "ended", (unsigned long long)shared->calls,
		       (unsigned long long)calls);
		good = false;
	}
	printf("# %llu calls accepted, %llu refused, %u epochs, %u kills\n", (unsigned long long)shared->accepted,
	       (unsigned long long)shared->refused, epochs, kills);
	printf("%s 1 kmdf_fuzz: seed %#llx, %llu calls in %llu s\n", good ? "ok" : "not ok", (unsigned long long)seed,
	       (unsigned long long)shared->calls, (unsigned long long)((kb_now_ns() - begin) / 1000000000));
	printf("kmdf_fuzz: %d passed, %d failed\n", good, !good);
	return !good;
}
