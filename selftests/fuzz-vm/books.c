// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parent's view: the books that must balance whatever the jobs do, and the end of all things, at which nothing may be
 * left: no request, no allocation, no reference.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

#define MOST_LOADS 1024u /* that the core lets wait */
#define PATIENCE_NS 10000000000ull
#define RMMOD_NS 2000000000ull

static struct kb kb;
static long baseline = -1; /* allocations that live as long as the module */

static long live_now(void)
{
	char text[32] = "";
	int fd = open("/sys/module/kextbridge/parameters/live_allocations", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return length > 0 ? strtol(text, NULL, 10) : -1;
}

static void set_param(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		failed("%s = %s: %s", path, value, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void check_status(bool at_rest)
{
	struct kextbridge_status status;
	uint64_t over, left;
	uint32_t here;

	if (!kb_status(&kb, &status)) {
		failed("status: %s", strerror(errno));
		return;
	}
	over = status.callbacks + status.cancelled + status.discarded;
	left = status.submitted - over;
	here = status.pending + status.fetched + status.answered;
	/* Loads and unloads are counted as being here, but not as submitted. */
	if (over > status.submitted || left > here || here - left > (at_rest ? 0 : MOST_LOADS + status.kexts) ||
	    (at_rest && here))
		failed("books: submitted %llu, callbacks %llu + cancelled %llu + discarded %llu = %llu; pending %u + "
		       "fetched %u + answered %u = %u",
		       (unsigned long long)status.submitted, (unsigned long long)status.callbacks,
		       (unsigned long long)status.cancelled, (unsigned long long)status.discarded,
		       (unsigned long long)over, status.pending, status.fetched, status.answered, here);
}

void books_check(void)
{
	check_status(false);
	set_param("shutdown", "0");
	/* Whoever waits at a gate waits no longer than until now. */
	kb_gates(&kb, ~0u);
}

/* The bench is a kext itself: it leaves as any other, and by itself when a scan comes first. */
static void unload_bench(void)
{
	uint64_t until = kb_now_ns() + PATIENCE_NS;
	struct kb_server server = {};
	struct kextbridge_kext kext;
	int result;

	close(kb.bench);
	kb.bench = -1;
	if (!kb_kext(&kb, "kbtest", &kext)) {
		failed("the bench is not there");
		return;
	}
	while (kext.retains--)
		kb_release(kb.control, kext.load_tag);
	if (kb_daemon(&kb) || kb_serve(&server, kb.daemon)) {
		failed("nobody can be the daemon");
		return;
	}
	do
		result = kb_unload(kb.control, kext.load_tag, 0);
	while (result == (int)kOSKextReturnInUse && kb_now_ns() < until);
	kb_serve_end(&server);
	kb_daemon_leave(&kb);
	if (result && result != (int)kOSKextReturnNotFound)
		failed("the bench cannot be unloaded: %#x", result);
}

static void check_allocations(void)
{
	uint64_t until = kb_now_ns() + PATIENCE_NS;
	long live;

	/* What was asked for is remembered as long as the module is there. */
	do
		live = live_now() - kb_asked_loads(&kb);
	while (live != baseline && baseline >= 0 && kb_now_ns() < until);
	if (baseline < 0)
		baseline = live;
	if (live < 0 || live != baseline)
		failed("%ld allocations are left, not %ld", live, baseline);
}

static void remove_module(void)
{
	uint64_t began = kb_now_ns(), took;
	int err;

	close(kb.control);
	kb.control = -1;
	do {
		err = kb_rmmod("kextbridge");
		took = kb_now_ns() - began;
	} while (err == EAGAIN && took < RMMOD_NS);
	if (err || took >= RMMOD_NS)
		failed("rmmod kextbridge: %s after %.1f s", strerror(err), took / 1e9);
}

int books_begin(void)
{
	int err = kb_setup(&kb, baseline < 0 ? NULL : "kbtest_a", NULL);

	if (err || baseline >= 0)
		return err;
	unload_bench();
	check_allocations();
	remove_module();
	return shared->failed ? EIO : kb_setup(&kb, "kbtest_a", NULL);
}

/* A kext that has any stays. */
static void destroy_instances(void)
{
	static const char *const kexts[] = {"kbtest_a", "kbtest_b", "kbtest_plain", "kbtest_twin"};
	struct kextbridge_kext kext;

	for (int i = 0; i < 4; i++) {
		if (!kb_kext(&kb, kexts[i], &kext) || !kext.instances)
			continue;
		struct kbtest_call call = {.op = KBTEST_DESTROY, .load_tag = kext.load_tag, .count = kext.instances};

		kb_call(&kb, &call);
	}
}

void books_settle(void)
{
	static const char *const params[][2] = {{"shutdown", "0"},
						{"chaos_permille", "0"},
						{"request_timeout_ms", "2000"},
						{"autounload_delay_ms", "60000"},
						{"max_pending", "1000"},
						{"max_pending_per_file", "1000"},
						{"max_name", "1000"}};
	int control = kb.control;
	int err;

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		set_param(params[i][0], params[i][1]);
	destroy_instances();
	/* Unloads what is there as a good daemon, and closes all but this. */
	kb.control = fcntl(control, F_DUPFD_CLOEXEC, 10);
	err = kb_teardown(&kb);
	kb.control = control;
	if (err)
		failed("teardown: %s", strerror(err));
	if (shared->failed)
		return;
	check_status(true);
	unload_bench();
	check_allocations();
	remove_module();
}
