// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's side of selftests/bench/run: loads the modules, plays the daemon, and prints one line per figure:
 *   KEY RUN VALUE
 * Usage: bench DIRECTORY (with kextbridge.ko, kbbench.ko, kbfill_000.ko and kbfloor.ko)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "uapi/kextbridge.h"

#include "floor/floor.h"
#include "kbbench/kbbench.h"

#define RUNS 3
#define KEXTS 200
#define TURNS 20000 /* of a loop in the driver */
#define MIB (1u << 20)
#define LARGEST (16 * MIB)
#define BATCH 64 /* requests that a daemon fetches at once */

/* What a daemon tells. */
struct report {
	volatile uint64_t exchanges;
	volatile uint64_t requests;
	volatile uint64_t refused; /* replies */
};

static struct report *report;
static unsigned char *payload;
static int floor_fd, bench_fd;
static int run;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "bench: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static void figure(const char *key, double value)
{
	printf("%s %d %.2f\n", key, run, value);
}

static void *must_map(size_t size, int flags)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap: %m");
	return p;
}

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		fail("%s: %m", path);
	return fd;
}

/* ---- modules */

struct image {
	char *bytes;
	size_t size;
};

static struct image read_image(const char *directory, const char *file)
{
	struct image image;
	struct stat stat;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = must_open(path, O_RDONLY);
	if (fstat(fd, &stat))
		fail("%s: %m", path);
	image.size = stat.st_size;
	image.bytes = malloc(image.size);
	if (!image.bytes || read(fd, image.bytes, image.size) != (ssize_t)image.size)
		fail("cannot read %s", path);
	close(fd);
	return image;
}

static void insert(const struct image *image, const char *name, const char *parameters)
{
	if (syscall(SYS_init_module, image->bytes, image->size, parameters))
		fail("cannot load %s: %m", name);
}

static void load(const char *directory, const char *file, const char *parameters)
{
	struct image image = read_image(directory, file);

	insert(&image, file, parameters);
	free(image.bytes);
}

/* A module is a kext of its own once its name, and with it the bundle's, has changed. */
static void load_fill(const struct image *original, int number)
{
	static const char from[] = "kbfill_000";
	struct image copy = {malloc(original->size), original->size};
	size_t length = strlen(from);
	char to[16], *at;

	snprintf(to, sizeof(to), "kbfill_%03d", number);
	if (!copy.bytes || strlen(to) != length)
		fail("%s: no memory, or of another length", to);
	memcpy(copy.bytes, original->bytes, copy.size);
	for (at = copy.bytes; (at = memmem(at, copy.bytes + copy.size - at, from, length)); at += length)
		memcpy(at, to, length);
	insert(&copy, to, "");
	free(copy.bytes);
}

/* ---- the daemons: children that answer until they are killed */

struct answer {
	uint32_t length;
	int fd; /* of the payload's file, or -1 */
};

static void __attribute__((noreturn)) floor_daemon(struct answer answer)
{
	static struct floor_answer answers[BATCH];
	static struct floor_request requests[BATCH];
	struct floor_exchange exchange = {
		.answers = (uintptr_t)answers, .requests = (uintptr_t)requests, .max_requests = BATCH};

	for (int i = 0; i < BATCH; i++)
		answers[i] = (struct floor_answer){.data = (uintptr_t)payload, .length = answer.length};
	while (!ioctl(floor_fd, FLOOR_IOC_EXCHANGE, &exchange)) {
		exchange.answer_count = exchange.request_count;
		for (uint32_t i = 0; i < exchange.request_count; i++)
			answers[i].id = requests[i].id;
		report->exchanges++;
		report->requests += exchange.request_count;
	}
	fail("the floor's daemon: %m");
}

static void __attribute__((noreturn)) kextd_daemon(struct answer answer, int ready)
{
	static struct kextd_reply replies[BATCH];
	static uint64_t records[BATCH * 64];
	int fd = must_open("/dev/kextd", O_RDWR);
	struct kextd_exchange exchange = {.size = sizeof(exchange),
					  .replies = (uintptr_t)replies,
					  .requests = (uintptr_t)records,
					  .requests_size = sizeof(records),
					  .max_requests = BATCH};

	for (int i = 0; i < BATCH; i++) {
		replies[i] = (struct kextd_reply){.flags = KEXTD_REPLY_RESULT};
		if (answer.fd >= 0) {
			replies[i].flags |= KEXTD_REPLY_FD;
			replies[i].fd = answer.fd;
		} else if (answer.length) {
			replies[i].flags |= KEXTD_REPLY_DATA;
			replies[i].data = (uintptr_t)payload;
			replies[i].length = answer.length;
		}
	}
	if (write(ready, "", 1) != 1)
		fail("the daemon's pipe: %m");
	while (!ioctl(fd, KEXTD_IOC_EXCHANGE, &exchange)) {
		const char *at = (const char *)records;

		for (uint32_t i = 0; i < exchange.reply_count; i++)
			if (replies[i].status)
				report->refused++;
		exchange.reply_count = exchange.request_count;
		for (uint32_t i = 0; i < exchange.request_count; i++) {
			const struct kextd_request *request = (const void *)at;

			replies[i].id = request->id;
			at += request->size;
		}
		report->exchanges++;
		report->requests += exchange.request_count;
	}
	fail("the daemon: %m");
}

static pid_t start_daemon(bool floor, struct answer answer)
{
	int ready[2];
	char byte;
	pid_t pid;

	memset((void *)report, 0, sizeof(*report));
	pid = pipe2(ready, O_CLOEXEC) ? -1 : fork();
	if (pid < 0)
		fail("cannot start a daemon: %m");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		__fpurge(stdout);
		close(ready[0]);
		if (floor)
			floor_daemon(answer);
		kextd_daemon(answer, ready[1]);
	}
	close(ready[1]);
	if (!floor && read(ready[0], &byte, 1) != 1)
		fail("the daemon did not start");
	close(ready[0]);
	return pid;
}

static void stop_daemon(pid_t pid)
{
	int status;

	if (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid)
		fail("kill: %m");
	if (!WIFSIGNALED(status) || report->refused)
		fail("the daemon ended by itself, or had %llu replies refused", (unsigned long long)report->refused);
}

/* ---- the figures */

static void measure_floor(const char *key, uint32_t form, uint32_t depth, uint32_t total, uint32_t length)
{
	pid_t daemon = start_daemon(true, (struct answer){length, -1});

	for (int warm = 1; warm >= 0; warm--) {
		struct floor_run args = {.form = form, .depth = depth, .length = length};

		args.total = warm ? 2 * depth : total;
		if (ioctl(floor_fd, FLOOR_IOC_RUN, &args))
			fail("%s: %m", key);
		if (args.bad)
			fail("%s: %u answers are wrong", key, args.bad);
		if (!warm)
			figure(key, (double)args.ns / total);
	}
	stop_daemon(daemon);
}

/*
 * What was freed after RCU grace periods is free, and what runs later has run: the next figure does not pay for it.
 * The clock of --icount skips the time in which nobody runs.
 */
static void settle(void)
{
	sleep(1);
}

static void bench(unsigned long request, const char *key, struct kbbench *args)
{
	settle();
	if (ioctl(bench_fd, request, args))
		fail("%s: %m", key);
	if (args->bad)
		fail("%s: %u results are wrong", key, args->bad);
}

static void measure_flight(const char *key, uint32_t depth, uint32_t total, struct answer answer)
{
	pid_t daemon = start_daemon(false, answer);
	uint64_t exchanges, requests;
	char name[64];

	for (int warm = 1; warm >= 0; warm--) {
		struct kbbench args = {.depth = depth, .length = answer.length};

		args.count = !warm ? total : depth ? 2 * depth : 2;
		exchanges = report->exchanges;
		requests = report->requests;
		bench(KBBENCH_FLIGHT, key, &args);
		if (!warm)
			figure(key, (double)args.ns / total);
	}
	snprintf(name, sizeof(name), "%s.batch", key);
	figure(name, (double)(report->requests - requests) / (report->exchanges - exchanges));
	stop_daemon(daemon);
}

static void fill(uint32_t count, uint32_t strings, const char *key)
{
	struct kbbench args = {.count = count, .length = strings};

	bench(KBBENCH_FILL, "fill", &args);
	if (key)
		figure(key, (double)args.ns / count);
}

static void drain(const char *key)
{
	struct kbbench args = {};

	bench(KBBENCH_DRAIN, "drain", &args);
	if (key)
		figure(key, (double)args.ns / args.count);
	settle();
}

static void churn(uint32_t depth, uint32_t order, const char *order_name)
{
	struct kbbench args = {.count = TURNS, .order = order};
	char key[64];
	double later;

	bench(KBBENCH_CHURN, order_name, &args);
	later = ((double)args.later_ns - args.empty_later_ns) / args.count;
	snprintf(key, sizeof(key), "cancel_%u%s", depth, order_name);
	figure(key, (double)(args.cancel_ns - args.empty_ns) / args.count + later);
	snprintf(key, sizeof(key), "cancel_%u%s.later", depth, order_name);
	figure(key, later);
	snprintf(key, sizeof(key), "submit_%u%s", depth, order_name);
	figure(key, (double)(args.submit_ns - args.empty_ns) / args.count);
}

static double slab_bytes(void)
{
	char line[256];
	double kib = -1;
	FILE *meminfo = fopen("/proc/meminfo", "re");

	while (meminfo && fgets(line, sizeof(line), meminfo))
		if (!strncmp(line, "Slab:", 5))
			kib = strtod(line + 5, NULL);
	if (kib < 0)
		fail("no Slab in /proc/meminfo: %m");
	fclose(meminfo);
	return kib * 1024;
}

/* Nobody is there to fetch them. */
static void measure_pending(void)
{
	static const uint32_t strings[] = {32, 64, 96};
	char key[64];

	fill(1, 32, NULL);
	churn(1, KBBENCH_RANDOM, "");
	drain(NULL);
	fill(1000, 32, NULL);
	churn(1000, KBBENCH_RANDOM, "_random");
	drain(NULL);
	fill(1000, 32, NULL);
	churn(1000, KBBENCH_NEWEST, "_newest");
	churn(1000, KBBENCH_OLDEST, "_oldest");
	drain(NULL);
	for (int i = 0; i < 3; i++) {
		double before = slab_bytes();

		fill(KBBENCH_MAX, strings[i], i ? NULL : "fill");
		snprintf(key, sizeof(key), "memory_%u", strings[i]);
		figure(key, (slab_bytes() - before) / KBBENCH_MAX - strings[i]);
		if (!i) {
			churn(KBBENCH_MAX, KBBENCH_NEWEST, "_newest");
			churn(KBBENCH_MAX, KBBENCH_OLDEST, "_oldest");
			churn(KBBENCH_MAX, KBBENCH_RANDOM, "_random");
		}
		drain(i ? NULL : "drain");
	}
}

static void measure_kexts(int kexts)
{
	struct kbbench args = {.count = TURNS};
	char key[64];

	snprintf(key, sizeof(key), "pair_%d", kexts);
	bench(KBBENCH_PAIRS, key, &args);
	figure(key, (double)args.ns / args.count);
	snprintf(key, sizeof(key), "retain_%d", kexts);
	bench(KBBENCH_RETAIN, key, &args);
	figure(key, (double)args.ns / args.count);
}

/* All runs find the caches filled, a kext that has been retained before, and tags of four steps of the XArray. */
static void warm_up(void)
{
	struct kbbench args = {.count = 1};

	bench(KBBENCH_RETAIN, "warm-up", &args);
	for (uint32_t tags = 0; tags <= 1u << 18; tags += KBBENCH_MAX) {
		fill(KBBENCH_MAX, 32, NULL);
		drain(NULL);
	}
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void measure_pipe(void)
{
	const int turns = 2000;
	int there[2], back[2];
	char byte = 0;
	double start = 0;
	pid_t pid;

	pid = pipe(there) || pipe(back) ? -1 : fork();
	if (pid < 0)
		fail("pipe: %m");
	if (!pid) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	for (int i = -100; i < turns; i++) {
		if (!i)
			start = now_ns();
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("pipe: %m");
	}
	figure("pipe", (now_ns() - start) / turns);
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	waitpid(pid, NULL, 0);
}

static int payload_file(uint32_t length)
{
	static const char path[] = "/tmp/payload";
	int fd = must_open(path, O_WRONLY | O_CREAT | O_TRUNC);

	if (write(fd, payload, length) != (ssize_t)length)
		fail("%s: %m", path);
	close(fd);
	fd = must_open(path, O_RDONLY);
	unlink(path);
	return fd;
}

static void measure_all(void)
{
	const struct answer none = {0, -1};
	const struct answer kib = {1024, -1};
	const struct answer mib = {MIB, -1};
	const struct answer mib16 = {LARGEST, -1};
	struct answer file = {MIB, payload_file(MIB)};
	struct answer file16 = {LARGEST, payload_file(LARGEST)};

	measure_pipe();
	measure_floor("floor_block_1", FLOOR_BLOCK, 1, 4000, 0);
	measure_floor("floor_block_32", FLOOR_BLOCK, 32, 32000, 0);
	measure_floor("floor_callback_1", FLOOR_CALLBACK, 1, 8000, 0);
	measure_floor("floor_callback_32", FLOOR_CALLBACK, 32, 32000, 0);
	measure_floor("floor_worker_1", FLOOR_WORKER, 1, 4000, 0);
	measure_floor("floor_worker_32", FLOOR_WORKER, 32, 32000, 0);
	measure_floor("floor_worker_1_1k", FLOOR_WORKER, 1, 4000, 1024);
	measure_floor("floor_worker_32_1k", FLOOR_WORKER, 32, 32000, 1024);
	measure_floor("floor_worker_1m", FLOOR_WORKER, 1, 40, MIB);
	measure_floor("floor_worker_16m", FLOOR_WORKER, 1, 4, LARGEST);
	measure_flight("block_1", 0, 4000, none);
	measure_flight("callback_1", 1, 4000, none);
	measure_flight("callback_32", 32, 32000, none);
	measure_flight("callback_1_1k", 1, 4000, kib);
	measure_flight("callback_32_1k", 32, 32000, kib);
	measure_flight("callback_1m", 1, 80, mib);
	measure_flight("callback_1m_fd", 1, 80, file);
	measure_flight("callback_16m", 1, 12, mib16);
	measure_flight("callback_16m_fd", 1, 12, file16);
	measure_pending();
	close(file.fd);
	close(file16.fd);
}

int main(int argc, char **argv)
{
	struct image kext;

	if (argc != 2)
		fail("usage: bench DIRECTORY");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOFBF, 65536); /* the serial line is silent while we measure */
	load(argv[1], "kextbridge.ko", "max_pending=1000000 autounload_delay_ms=3600000");
	load(argv[1], "kbfloor.ko", "");
	load(argv[1], "kbbench.ko", "");
	kext = read_image(argv[1], "kbfill_000.ko");
	floor_fd = must_open("/dev/kbfloor", O_RDWR);
	bench_fd = must_open("/dev/kbbench", O_RDWR);
	report = must_map(sizeof(*report), MAP_SHARED);
	payload = must_map(LARGEST, MAP_PRIVATE);
	madvise(payload, LARGEST, MADV_NOHUGEPAGE);
	memset(payload, 0x5a, LARGEST);
	sleep(5); /* the kernel's own threads have come to rest */
	warm_up();
	for (run = 1; run <= RUNS; run++) {
		measure_all();
		measure_kexts(1);
	}
	for (int i = 0; i < KEXTS - 1; i++)
		load_fill(&kext, i);
	for (run = 1; run <= RUNS; run++)
		measure_kexts(KEXTS);
	return 0;
}
