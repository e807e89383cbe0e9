// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile fuzzing: jobs that play driver, client and daemon at once (fuzz-vm/), and this parent, which kills some of them,
 * looks after the books, and every now and then has all of them go, unloads everything, and begins again.
 *
 * What a call is made with depends on the seed; with one job, but for the scheduler, so does everything.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz-vm/fuzz.h"

#define EPOCH_CALLS 50000       /* then everything is unloaded once */
#define KILL_CALLS 6000         /* a job lives for about so many */
#define DEATH_NS 10000000000ull /* a killed process is gone by then */
#define STUCK_NS 4000000000ull  /* a call that waits for somebody else, killably */
#define ENOUGH_CALLS 200000     /* that every outcome must have been seen */

static unsigned int seconds = 600;
static unsigned int kills, stuck, epochs;

static void print_help(FILE *to)
{
	fprintf(to,
		"usage: fuzz [--calls N] [--jobs J] [--seed S] [--no-faults] [--seconds N]\n"
		"N calls in all (default 300000), by J processes (default 3), in at most N seconds (default 600)\n");
}

static void set_debugfs(const char *path, const char *value)
{
	char full[160];
	int fd;

	snprintf(full, sizeof(full), "/sys/kernel/debug/%s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		perror(full);
	if (fd >= 0)
		close(fd);
}

/* Without a word in the log, and all allocations. */
static void prepare_faults(void)
{
	if (access("/sys/kernel/debug/failslab", F_OK)) {
		printf("# this kernel injects no faults\n");
		shared->faults = false;
	}
	set_debugfs("failslab/ignore-gfp-wait", "N");
	set_debugfs("failslab/verbose", "0");
	set_debugfs("fail_page_alloc/ignore-gfp-wait", "N");
	set_debugfs("fail_page_alloc/ignore-gfp-highmem", "N");
	set_debugfs("fail_page_alloc/min-order", "0");
	set_debugfs("fail_page_alloc/verbose", "0");
	set_debugfs("fail_usercopy/verbose", "0");
}

/* ---- the jobs' processes */

static uint64_t seen_calls[MAX_JOBS], seen_ns[MAX_JOBS], kill_at[MAX_JOBS];

static void start_job(struct job *job)
{
	pid_t pid = fork();

	if (!pid)
		run_job(job);
	if (pid < 0)
		failed("fork: %s", strerror(errno));
	job->pid = pid > 0 ? pid : 0;
	seen_calls[job->number] = job->calls;
	seen_ns[job->number] = kb_now_ns();
	kill_at[job->number] = job->calls + KILL_CALLS / 2 + random_next() % KILL_CALLS;
}

static void print_file(pid_t pid, const char *name)
{
	char path[96], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		printf("# %s", line);
	if (file)
		fclose(file);
}

static void thread_stacks(pid_t pid)
{
	char path[32];

	for (pid_t tid = pid; tid < pid + 6; tid++) {
		snprintf(path, sizeof(path), "task/%d/stack", tid);
		print_file(pid, path);
	}
}

/* Waits for the end of a process that has no reason to stay. */
static void await_end(struct job *job, const char *why)
{
	uint64_t until = kb_now_ns() + DEATH_NS;

	while (waitpid(job->pid, NULL, WNOHANG) != job->pid) {
		if (kb_now_ns() > until) {
			failed("process %d does not end, %s", job->pid, why);
			thread_stacks(job->pid);
			return;
		}
		kb_sleep_ms(1);
	}
	job->pid = 0;
}

static void kill_job(struct job *job)
{
	kill(job->pid, SIGKILL);
	await_end(job, "killed");
}

/* A job that has gone by itself, or is to be killed, or waits for ever. */
static void look_after(struct job *job)
{
	uint64_t now = kb_now_ns();
	int status;

	if (waitpid(job->pid, &status, WNOHANG) == job->pid) {
		job->pid = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			failed("job %u: status %#x", job->number, status);
		return;
	}
	if (job->calls != seen_calls[job->number]) {
		seen_calls[job->number] = job->calls;
		seen_ns[job->number] = now;
	}
	if (now - seen_ns[job->number] > STUCK_NS)
		stuck++;
	else if (shared->jobs > 1 && job->calls >= kill_at[job->number])
		kills++;
	else
		return;
	kill_job(job);
	start_job(job);
}

/* Children of dead jobs: of those that wait for nobody, one exit status means something. Whether any is left. */
static bool reap(void)
{
	int status;
	pid_t pid;

	for (;;) {
		siginfo_t info = {};

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT))
			return false;
		if (!info.si_pid)
			return true;
		for (uint32_t i = 0; i < shared->jobs; i++)
			if (shared->job[i].pid == info.si_pid)
				return true;
		pid = waitpid(info.si_pid, &status, 0);
		if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == ORPHAN_FAILED)
			failed("a child of a dead daemon still is the daemon");
	}
}

/* ---- reports */

static void say_where(void)
{
	char text[200];
	size_t at = snprintf(text, sizeof(text), "seed %#llx, calls", (unsigned long long)shared->seed);

	for (uint32_t i = 0; i < shared->jobs; i++)
		at += snprintf(text + at, sizeof(text) - at, " %llu", (unsigned long long)shared->job[i].calls);
	to_kmsg("%s", text);
}

static uint64_t total_of(uint32_t kind, int outcome)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < shared->jobs; i++)
		total += shared->job[i].counts[kind][outcome];
	return total;
}

static void print_kind(uint32_t kind)
{
	uint64_t calls = 0, took_ns = 0, timed = 0;

	for (uint32_t i = 0; i < shared->jobs; i++) {
		took_ns += shared->job[i].took_ns[kind];
		timed += shared->job[i].timed[kind];
	}
	for (int i = 0; i < OUTCOMES; i++)
		calls += total_of(kind, i);
	printf("# %s: %llu calls of %llu us", kinds[kind].name, (unsigned long long)calls,
	       (unsigned long long)(timed ? took_ns / timed / 1000 : 0));
	for (int i = 0; i < OUTCOMES; i++)
		if (total_of(kind, i))
			printf(", %s %llu", outcome_name(i), (unsigned long long)total_of(kind, i));
	printf("\n");
}

/* A fuzzer that does not get so far proves nothing. */
static unsigned int unseen(uint32_t kind)
{
	unsigned int count = 0;

	if (!kinds[kind].may_fail && !total_of(kind, 0)) {
		printf("# not seen: %s: ok\n", kinds[kind].name);
		count++;
	}
	for (const int *expected = kinds[kind].expected; expected && *expected; expected++)
		if (!total_of(kind, outcome_index(*expected)) &&
		    (shared->faults || (*expected != ENOMEM && *expected != kOSKextReturnNoMemory))) {
			printf("# not seen: %s: %s\n", kinds[kind].name, outcome_name(outcome_index(*expected)));
			count++;
		}
	return count;
}

static int report(double took, uint32_t points)
{
	uint64_t programs = 0, injected = 0;
	unsigned int missing = 0, bad = shared->failed;
	struct rusage used;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < kind_count; i++)
		print_kind(i);
	for (uint32_t i = 0; i < shared->jobs; i++) {
		programs += shared->job[i].programs;
		injected += shared->job[i].injected;
		kept += shared->job[i].kept;
	}
	for (uint32_t i = 0; i < kind_count && shared->calls >= ENOUGH_CALLS; i++)
		missing += unseen(i);
	if (missing)
		bad |= 2;
	if (shared->calls < shared->calls_wanted && !shared->failed) {
		printf("# too slow: %llu of %llu calls in %u s\n", (unsigned long long)shared->calls,
		       (unsigned long long)shared->calls_wanted, seconds);
		bad |= 4;
	}
	printf("# %llu programs, %u kept, %llu faults injected, %u kills, %u waited too long, %u epochs, %u points reached\n",
	       (unsigned long long)programs, kept, (unsigned long long)injected, kills, stuck, epochs, points);
	getrusage(RUSAGE_CHILDREN, &used);
	printf("# CPU time of the jobs: %ld s user, %ld s system\n", used.ru_utime.tv_sec, used.ru_stime.tv_sec);
	printf("%s 1 fuzz: seed %#llx, %llu calls in %.0f s, %.0f calls/s\n", bad ? "not ok" : "ok",
	       (unsigned long long)shared->seed, (unsigned long long)shared->calls, took, shared->calls / took);
	printf("fuzz: %d passed, %d failed\n", !bad, !!bad);
	fflush(stdout);
	return bad ? 1 : 0;
}

/* ---- the run */

static void begin_epoch(void)
{
	int err = books_begin();

	if (err) {
		failed("setup: %s", strerror(err));
		return;
	}
	/* Another user's calls must get as far as they can. */
	chmod("/dev/kextbridge", 0666);
	shared->stop = false;
	for (uint32_t i = 0; i < shared->jobs; i++)
		start_job(&shared->job[i]);
}

static void end_epoch(void)
{
	shared->stop = true;
	for (uint32_t i = 0; i < shared->jobs; i++) {
		struct job *job = &shared->job[i];
		uint64_t until = kb_now_ns() + STUCK_NS;

		while (job->pid && waitpid(job->pid, NULL, WNOHANG) != job->pid && kb_now_ns() < until)
			kb_sleep_ms(1);
		if (job->pid && kb_now_ns() >= until)
			kill_job(job);
		job->pid = 0;
	}
	/* They have files of the modules. */
	for (uint64_t until = kb_now_ns() + DEATH_NS; reap(); kb_sleep_ms(1)) {
		if (kb_now_ns() > until) {
			failed("a child of a dead job does not end");
			break;
		}
	}
	epochs++;
	if (!shared->failed)
		books_settle();
}

static uint32_t run(void)
{
	uint64_t began = kb_now_ns(), until = began + seconds * 1000000000ull, said = 0;
	uint32_t points = 0;

	while (shared->calls < shared->calls_wanted && !shared->failed && kb_now_ns() < until) {
		uint64_t epoch_end = shared->calls + EPOCH_CALLS;

		begin_epoch();
		while (shared->calls < epoch_end && shared->calls < shared->calls_wanted && !shared->failed &&
		       kb_now_ns() < until) {
			kb_sleep_ms(20);
			books_check();
			for (uint32_t i = 0; i < shared->jobs; i++) {
				if (shared->job[i].pid)
					look_after(&shared->job[i]);
				else if (!shared->failed && shared->calls < shared->calls_wanted)
					start_job(&shared->job[i]);
			}
			reap();
			if (kb_now_ns() - said > 2000000000ull) {
				say_where();
				said = kb_now_ns();
			}
		}
		points = reached_points();
		end_epoch();
	}
	return points;
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*end || !*text) {
		print_help(stderr);
		exit(2);
	}
	return value;
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {{"calls", 1, NULL, 'c'},
					      {"jobs", 1, NULL, 'j'},
					      {"seed", 1, NULL, 's'},
					      {"no-faults", 0, NULL, 'n'},
					      {"seconds", 1, NULL, 't'},
					      {"help", 0, NULL, 'h'},
					      {}};
	const char *given = getenv("KEXTBRIDGE_SEED");
	int option;

	shared->calls_wanted = 300000;
	shared->jobs = 3;
	shared->faults = true;
	shared->seed = given ? number_of(given) : kb_now_ns();
	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			shared->calls_wanted = number_of(optarg);
			break;
		case 'j':
			shared->jobs = number_of(optarg);
			break;
		case 's':
			shared->seed = number_of(optarg);
			break;
		case 'n':
			shared->faults = false;
			break;
		case 't':
			seconds = number_of(optarg);
			break;
		default:
			print_help(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
	if (!shared->jobs || shared->jobs > MAX_JOBS || optind != argc) {
		print_help(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	uint64_t began = kb_now_ns();
	uint32_t points;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	options(argc, argv);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	printf("# KEXTBRIDGE_SEED=%#llx\n", (unsigned long long)shared->seed);
	fflush(stdout);
	*random_state = ~shared->seed;
	for (uint32_t i = 0; i < shared->jobs; i++)
		shared->job[i] = (struct job){.number = i, .random = shared->seed + i * 0x1234567ull};
	prepare_faults();
	say_where();
	points = run();
	return report((kb_now_ns() - began) / 1e9, points);
}
