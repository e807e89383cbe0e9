// SPDX-License-Identifier: GPL-2.0-only
/* The life of a job: programs of calls, one after the other, with failures of memory now and then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "fuzz.h"

#define NOBODY 65534
#define PASSED_ON (SKIPPED + 1) /* to the thread that may wait, which counts it */
#define INTERRUPT_US 20000      /* a call that waits although it should not */

struct shared *shared;
struct job *me;

/* ---- the kinds */

#define LIST(...) ((const int[]){__VA_ARGS__, 0})
#define USUAL EFAULT, EINVAL, E2BIG

const struct kind kinds[] = {
	{"open", 60, make_control_open, LIST(ENOMEM)},
	{"close", 30, make_control_close},
	{"daemon-open", 60, make_daemon_open, LIST(EBUSY, EACCES, ENOMEM)},
	{"daemon-close", 25, make_daemon_close},
	{"dup", 20, make_dup},
	{"poll", 60, make_poll},
	{"epoll", 40, make_epoll},
	{"flags", 20, make_flags},
	{"read-write", 20, make_plain, LIST(EINVAL, ESPIPE, ENODEV), true},
	{"odd-ioctl", 20, make_odd, LIST(ENOTTY), .may_fail = true},
	{"orphan", 20, make_orphan, .may_fail = true, .no_faults = true, .rarely = 50},
	{"fork", 20, make_fork, .no_faults = true, .rarely = 60},
	{"list", 80, make_list, LIST(USUAL)},
	{"load-requests", 40, make_load_requests, LIST(USUAL)},
	{"status", 60, make_status, LIST(USUAL)},
	{"request", 260, make_request,
	 LIST(USUAL, kOSKextReturnInvalidArgument, kOSKextReturnNoResources, kOSKextReturnNoMemory)},
	{"result", 220, make_result,
	 LIST(USUAL, EAGAIN, EINTR, kOSKextReturnNotFound, kOSKextReturnTimeout, kOSKextReturnNoResources)},
	{"cancel", 100, make_cancel, LIST(USUAL, EPERM, kOSKextReturnNotFound, kOSKextReturnNotPrivileged)},
	{"retain", 30, make_retain, LIST(USUAL, EPERM, kOSKextReturnNotFound)},
	{"release", 60, make_release, LIST(USUAL, EPERM, kOSKextReturnNotFound, kOSKextReturnInvalidArgument)},
	{"unload", 40, make_unload,
	 LIST(USUAL, EPERM, kOSKextReturnNotFound, kOSKextReturnInUse, kOSKextReturnDisabled)},
	{"load", 40, make_load,
	 LIST(USUAL, EPERM, kOSKextReturnInvalidArgument, kOSKextReturnDeferred, kOSKextReturnNotFound)},
	{"exchange", 700, make_exchange,
	 LIST(USUAL, EAGAIN, EINTR, ENOBUFS, EPERM, kOSKextReturnInvalidArgument, kOSKextReturnNotFound,
	      kOSKextReturnNoResources, kOSKextReturnBadData, kOSKextReturnNoMemory)},
	{"serve", 400, make_serve, LIST(EAGAIN), .no_faults = true},
	{"k-request", 220, make_driver_request,
	 LIST(kOSKextReturnInvalidArgument, kOSKextReturnNoResources, kOSKextReturnNoMemory, kOSKextReturnStopping,
	      kIOReturnAborted)},
	{"k-read", 60, make_driver_read,
	 LIST(kOSKextReturnInvalidArgument, kOSKextReturnNoResources, kOSKextReturnNotFound, kOSKextReturnTimeout,
	      kIOReturnAborted)},
	{"k-scope", 60, make_scope, LIST(EINVAL)},
	{"k-cancel", 150, make_driver_cancel, LIST(kOSKextReturnNotFound, kOSKextReturnInUse)},
	{"k-cancel-all", 4, make_driver_cancel_all},
	{"k-retain", 20, make_driver_retain, LIST(kOSKextReturnNotFound)},
	{"k-release", 40, make_driver_release, LIST(kOSKextReturnNotFound, kOSKextReturnInvalidArgument)},
	{"k-load", 20, make_driver_load,
	 LIST(kOSKextReturnInvalidArgument, kOSKextReturnDeferred, kOSKextReturnNoMemory)},
	{"k-ask", 20, make_driver_ask, LIST(EINVAL)},
	/* The numbers of KERN_INVALID_ADDRESS, NO_SPACE, INVALID_ARGUMENT, RESOURCE_SHORTAGE. */
	{"k-memory", 30, make_driver_memory, LIST(1, 3, 4, 6)},
	{"k-unload", 15, make_driver_unload, LIST(kOSKextReturnInvalidArgument, kOSKextReturnNotFound)},
	{"k-instances", 20, make_driver_instances, LIST(kOSKextReturnNotFound)},
	{"plan", 8, make_plan},
	{"bench", 15, make_bench},
	{"insmod", 40, make_insmod, LIST(EEXIST, EINVAL), .no_faults = true, .rarely = 2},
	{"rmmod", 2, make_rmmod, LIST(ENOENT, EAGAIN), .no_faults = true},
	{"param", 8, make_param, LIST(EINVAL)},
	{"stats", 6, make_stats},
	{"trace", 20, make_trace, .no_faults = true, .rarely = 200},
	{"shutdown", 1, make_shutdown, .no_faults = true},
};
const uint32_t kind_count = sizeof(kinds) / sizeof(kinds[0]);

/* ---- outcomes */

enum { FIRST_RESULT = 150, ABORTED = 199, OTHER_RESULT = 200 };

int outcome_index(int outcome)
{
	if (outcome >= 0)
		return outcome < FIRST_RESULT ? outcome : OTHER_RESULT;
	if (outcome == (int)kIOReturnAborted)
		return ABORTED;
	return ((uint32_t)outcome & ~0x1fu) == 0xdc008000u ? FIRST_RESULT + (outcome & 0x1f) : OTHER_RESULT;
}

const char *outcome_name(int index)
{
	static const char *const results[] = {
		"",           "InternalError",  "NoMemory",       "NoResources",    "NotPrivileged", "InvalidArgument",
		"NotFound",   "BadData",        "Serialization",  "Unsupported",    "Disabled",      "NotAKext",
		"Validation", "Authentication", "Dependencies",   "ArchNotFound",   "Cache",         "Deferred",
		"BootLevel",  "NotLoadable",    "VersionDiffers", "DependencyLoad", "LinkError",     "StartStopError",
		"InUse",      "Timeout",        "Stopping",       "SystemPolicy",
	};

	if (!index)
		return "ok";
	if (index < FIRST_RESULT)
		return strerrorname_np(index) ?: "E?";
	if (index == ABORTED)
		return "Aborted";
	return index < FIRST_RESULT + 28 ? results[index - FIRST_RESULT] : "other result";
}

static void count(const struct call *call, int outcome, uint64_t took_ns)
{
	if (took_ns) {
		me->took_ns[call->kind] += took_ns;
		me->timed[call->kind]++;
	}
	me->counts[call->kind][outcome_index(outcome)]++;
	me->calls++;
	shared->calls++;
}

/* ---- failures */

void to_kmsg(const char *format, ...)
{
	char text[300] = "<4>fuzz: ";
	size_t at = strlen(text);
	va_list args;
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	va_start(args, format);
	vsnprintf(text + at, sizeof(text) - at, format, args);
	va_end(args);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "%s\n", text);
	if (fd >= 0)
		close(fd);
}

void failed(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# FAILED: %s (job %d, call %llu)\n", text, me ? (int)me->number : -1,
	       me ? (unsigned long long)me->calls : 0);
	fflush(stdout);
	to_kmsg("FAILED: %s", text);
	/* Last: whoever sees it ends, and with it threads that have something to say. */
	shared->failed = true;
}

/* ---- the threads that may wait */

struct waiter {
	pthread_t thread;
	sem_t go;
	_Atomic bool there, busy;
	struct call call;
	int (*make)(const struct call *call);
};

static struct waiter waiters[WAITERS];
static __thread bool waits;

bool may_wait(void)
{
	return waits;
}

static void wait_for_calls(struct waiter *waiter)
{
	waits = true;
	for (;;) {
		int outcome;

		while (sem_wait(&waiter->go))
			;
		outcome = waiter->make(&waiter->call);
		if (outcome != SKIPPED)
			count(&waiter->call, outcome, 0);
		waiter->busy = false;
	}
}

static void *wait_interruptibly(void *unused)
{
	wait_for_calls(&waiters[INTERRUPTIBLY]);
	return unused;
}

static void *wait_killably(void *unused)
{
	wait_for_calls(&waiters[KILLABLY]);
	return unused;
}

static void *wait_reading(void *unused)
{
	wait_for_calls(&waiters[READING]);
	return unused;
}

int make_elsewhere(int (*make)(const struct call *call), const struct call *call, enum waiting how)
{
	struct waiter *waiter = &waiters[how];

	if (!waiter->there || waiter->busy)
		return SKIPPED;
	waiter->busy = true;
	waiter->make = make;
	waiter->call = *call;
	sem_post(&waiter->go);
	return PASSED_ON;
}

/* ---- one call */

static sigset_t alarm_set;
static int fail_nth = -1; /* /proc/thread-self/fail-nth of the first thread */

static void write_fail_nth(uint32_t n)
{
	char text[12];
	int length = snprintf(text, sizeof(text), "%u", n);

	/* The write itself may be what fails. */
	for (int i = 0; i < 100 && pwrite(fail_nth, text, length, 0) < 0; i++)
		;
}

/* Raw calls change this thread only, and no other user may see the change. */
static void become(uint32_t uid)
{
	if (syscall(SYS_setresuid, uid, uid, 0))
		abort();
}

/* A signal whose frame cannot be written kills: none comes while something is to fail. */
static void arm_faults(uint32_t nth)
{
	pthread_sigmask(SIG_BLOCK, &alarm_set, NULL);
	write_fail_nth(nth);
}

static void disarm_faults(void)
{
	char left[12] = "";

	if (pread(fail_nth, left, sizeof(left) - 1, 0) <= 0 || left[0] == '0')
		me->injected++;
	write_fail_nth(0);
}

static int make_call(const struct call *call)
{
	bool faults = call->faults && fail_nth >= 0, blocked = faults || kinds[call->kind].no_faults;
	int outcome;

	if (call->nobody)
		become(NOBODY);
	if (faults)
		arm_faults(call->faults);
	else if (blocked)
		pthread_sigmask(SIG_BLOCK, &alarm_set, NULL);
	outcome = kinds[call->kind].make(call);
	/* A child made by the call has no such file any more, and nothing to fail. */
	if (faults && fail_nth >= 0)
		disarm_faults();
	if (blocked)
		pthread_sigmask(SIG_UNBLOCK, &alarm_set, NULL);
	if (call->nobody)
		become(0);
	return outcome;
}

static uint64_t cpu_time_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return used.tv_sec * 1000000000ull + used.tv_nsec;
}

static void run_program(struct program *program)
{
	for (uint32_t i = 0; i < program->count && !shared->stop && !shared->failed; i++) {
		struct call *call = &program->calls[i];
		uint64_t began;
		bool timed;
		int outcome;

		if (kinds[call->kind].rarely && !one_in(kinds[call->kind].rarely))
			continue;
		if (shared->faults && !kinds[call->kind].no_faults && one_in(16))
			call->faults = 1 + random_next() % (one_in(4) ? 40 : 8);
		/* To look at the clock is a call, too. */
		timed = one_in(16);
		began = timed ? cpu_time_ns() : 0;
		outcome = make_call(call);
		call->faults = 0;
		if (outcome != SKIPPED && outcome != PASSED_ON)
			count(call, outcome, timed ? cpu_time_ns() - began : 0);
	}
}

/* A call that waits although it should not sees a signal soon. */
static void start_interrupts(void)
{
	struct itimerval interrupt = {{0, INTERRUPT_US}, {0, INTERRUPT_US}};

	pthread_sigmask(SIG_UNBLOCK, &alarm_set, NULL);
	setitimer(ITIMER_REAL, &interrupt, NULL);
}

/* A child with all that its parent has open, which makes a few calls and goes. */
int make_fork(const struct call *call)
{
	int status = 0;
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		return errno;
	if (child) {
		while (waitpid(child, &status, 0) < 0)
			if (errno != EINTR)
				return errno;
		return 0;
	}
	static uint64_t state;
	struct program program;

	/* It has its parent's files, the bench among them: it neither outlives it nor waits where it would not. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	start_interrupts();
	state = call->op[0];
	random_state = &state;
	for (int i = 0; i < WAITERS; i++)
		waiters[i].there = false;
	if (fail_nth >= 0)
		close(fail_nth);
	fail_nth = -1;
	program_change(&program);
	for (uint32_t i = 0; i < program.count; i++)
		if (!kinds[program.calls[i].kind].rarely)
			make_call(&program.calls[i]);
	_exit(0);
}

/* ---- the job */

static void crashed(int signal, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	void *ip = (void *)(uintptr_t)at->uc_mcontext.gregs[REG_RIP], *frames[24];
	Dl_info where = {};

	dladdr(ip, &where);
	/* Before failed(), after which the process may end. */
	fflush(stdout);
	backtrace_symbols_fd(frames, backtrace(frames, 24), STDOUT_FILENO);
	failed("signal %d, code %d, at %s %s+%#lx, address %p", signal, info->si_code, where.dli_fname ?: "?",
	       where.dli_sname ?: "", (long)ip - (long)(where.dli_saddr ?: where.dli_fbase), info->si_addr);
	_exit(1);
}

static void nothing(int signal)
{
	(void)signal;
}

void start_thread(void *(*function)(void *unused), pthread_t *thread)
{
	pthread_attr_t small;

	if (pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 256 << 10) ||
	    pthread_create(thread, &small, function, NULL))
		abort();
}

static void start_threads(void)
{
	static void *(*const functions[WAITERS])(void *) = {wait_interruptibly, wait_killably, wait_reading};
	struct sigaction action = {.sa_handler = nothing};
	struct sigaction crash = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO};

	/* Calls are to see signals, so they are not restarted. */
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGSEGV, &crash, NULL);
	sigaction(SIGBUS, &crash, NULL);
	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_set, NULL);
	memory_start_thread();
	for (int i = 0; i < WAITERS; i++) {
		sem_init(&waiters[i].go, 0, 0);
		start_thread(functions[i], &waiters[i].thread);
		waiters[i].there = true;
	}
	start_interrupts();
}

void run_job(struct job *job)
{
	struct program program;
	uint32_t reached;

	me = job;
	random_state = &job->random;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory_init();
	files_init();
	start_threads();
	if (shared->faults)
		fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	for (uint32_t i = 0; i < CONTROLS / 2; i++)
		make_control_open(&(struct call){.op = {i, i}});
	reached = reached_points();
	while (!shared->stop && !shared->failed && shared->calls < shared->calls_wanted) {
		uint32_t now;

		if (one_in(3))
			program_new(&program);
		else
			program_change(&program);
		run_program(&program);
		job->programs++;
		now = reached_points();
		if (now > reached)
			program_keep(&program);
		reached = now;
		if (waiters[INTERRUPTIBLY].busy && one_in(32))
			pthread_kill(waiters[INTERRUPTIBLY].thread, SIGUSR1);
	}
	_exit(0);
}
