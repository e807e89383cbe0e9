/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of the kernel's own making: an allocation or a copy from or to user memory that fails. Both ways hit what the
 * calling thread does in the kernel and nothing else, but for inject_workers().
 *
 *  INJECT_ONE    the n-th one fails, and only that (/proc/thread-self/fail-nth)
 *  INJECT_REST   all slab allocations fail once n * 64 bytes have been allocated (failslab's space): what is tried a
 *                second time, in another way, fails as well
 */
#ifndef _INJECT_H
#define _INJECT_H

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum inject_kind { INJECT_ONE, INJECT_REST, INJECT_KINDS };

static const struct {
	const char *file, *value;
} inject_settings[] = {
	{"failslab/probability", "0"},
	{"failslab/interval", "1"},
	{"failslab/times", "-1"},
	{"failslab/space", "0"},
	{"failslab/verbose", "0"},
	{"failslab/task-filter", "Y"},
	{"failslab/ignore-gfp-wait", "N"},
	{"fail_page_alloc/probability", "0"},
	{"fail_page_alloc/interval", "1"},
	{"fail_page_alloc/times", "-1"},
	{"fail_page_alloc/space", "0"},
	{"fail_page_alloc/verbose", "0"},
	{"fail_page_alloc/task-filter", "Y"},
	{"fail_page_alloc/ignore-gfp-wait", "N"},
	{"fail_page_alloc/ignore-gfp-highmem", "N"},
	{"fail_page_alloc/min-order", "0"},
	{"fail_usercopy/probability", "0"},
	{"fail_usercopy/verbose", "0"},
};

#define INJECT_ENOUGH "1000000" /* more often than anything fails */

static int inject_nth = -1, inject_mark = -1, inject_probability = -1, inject_space = -1, inject_times = -1;

/* The write may be what fails: then there is nothing left to fail, and the next one works. */
static void inject_write(int fd, const char *value)
{
	for (int tries = 0; write(fd, value, strlen(value)) < 0; tries++)
		if (errno != EFAULT || tries == 2) {
			fprintf(stderr, "# fault injection cannot be told \"%s\": %s\n", value, strerror(errno));
			abort();
		}
}

static int inject_open(const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s%s", *name == '/' ? "" : "/sys/kernel/debug/", name);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* A file of debugfs is read once. */
static int inject_reopen(int fd, const char *name)
{
	close(fd);
	return inject_open(name);
}

/* For the calling thread; another one, or a child, calls it again. 0, or an errno: this kernel cannot do it. */
static int inject_begin(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inject_settings); i++) {
		int fd = inject_open(inject_settings[i].file);

		if (fd < 0)
			return errno;
		inject_write(fd, inject_settings[i].value);
		close(fd);
	}
	inject_nth = inject_open("/proc/thread-self/fail-nth");
	inject_mark = inject_open("/proc/thread-self/make-it-fail");
	inject_probability = inject_open("failslab/probability");
	inject_space = inject_open("failslab/space");
	inject_times = inject_open("failslab/times");
	return inject_nth < 0 || inject_mark < 0 || inject_probability < 0 || inject_space < 0 || inject_times < 0 ?
		       errno :
		       0;
}

/* A child has its own files of these, and shares the rest. */
static inline void inject_begin_child(void)
{
	inject_nth = inject_open("/proc/thread-self/fail-nth");
}

static void inject_arm(enum inject_kind kind, unsigned int n)
{
	char value[16];

	if (kind == INJECT_ONE) {
		snprintf(value, sizeof(value), "%u", n);
		inject_write(inject_nth, value);
		return;
	}
	/* A space of 0 is none; one that does not hold the first allocation fails it. */
	snprintf(value, sizeof(value), "%u", (n - 1) * 64);
	inject_write(inject_space, value);
	inject_write(inject_times, INJECT_ENOUGH);
	inject_write(inject_mark, "1");
	inject_write(inject_probability, "100");
}

static long inject_number(const char *text, ssize_t length)
{
	return length > 0 ? strtol(text, NULL, 10) : -1;
}

/* True: something has failed since inject_arm(). */
static bool inject_disarm(enum inject_kind kind)
{
	char text[32] = {};
	bool hit;

	if (kind == INJECT_ONE) {
		/* When reading it fails, that was the n-th. */
		hit = inject_number(text, pread(inject_nth, text, sizeof(text) - 1, 0)) == 0;
		inject_write(inject_nth, "0");
		return hit;
	}
	inject_write(inject_probability, "0");
	inject_write(inject_mark, "0");
	inject_times = inject_reopen(inject_times, "failslab/times");
	hit = inject_number(text, read(inject_times, text, sizeof(text) - 1)) < atol(INJECT_ENOUGH);
	inject_write(inject_times, "-1");
	return hit;
}

/* From now on every allocation that a kernel worker makes fails, or none. */
static inline void inject_workers(bool fail)
{
	static const char *const files[] = {"failslab/times", "failslab/space", "failslab/probability",
					    "fail_page_alloc/probability"};
	const char *const values[] = {"-1", "0", fail ? "100" : "0", fail ? "100" : "0"};
	DIR *processes = opendir("/proc");
	struct dirent *process;

	while (processes && (process = readdir(processes))) {
		char path[300], name[32] = {};
		int fd;

		if (!isdigit(process->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", process->d_name);
		fd = inject_open(path);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof(name) - 1) < 0)
			name[0] = 0;
		close(fd);
		if (strncmp(name, "kworker/", 8))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/make-it-fail", process->d_name);
		fd = inject_open(path);
		if (fd >= 0) {
			inject_write(fd, fail ? "1" : "0");
			close(fd);
		}
	}
	if (processes)
		closedir(processes);
	for (int i = 0; i < 4; i++) {
		int fd = inject_open(files[i]);

		inject_write(fd, values[i]);
		close(fd);
	}
}

#endif
