// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kb.h"

#define PATIENCE_MS 10000

static int trouble(int err, const char *what)
{
	fprintf(stderr, "# %s: %s\n", what, strerror(err));
	return err;
}

/* 0 or an errno; a signal is no error. */
static int call(int fd, unsigned long command, void *args)
{
	int err;

	do
		err = ioctl(fd, command, args) < 0 ? errno : 0;
	while (err == EINTR);
	return err;
}

/* ---- time */

uint64_t kb_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void kb_sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

/* One seed for the program, and each thread goes its own way from it. */
static uint64_t seed;
static unsigned int seeded_threads;

static void print_seed(void)
{
	const char *given = getenv("KEXTBRIDGE_SEED");

	seed = given ? strtoull(given, NULL, 0) : kb_now_ns();
	fprintf(stderr, "# KEXTBRIDGE_SEED=%#llx\n", (unsigned long long)seed);
}

uint32_t kb_random(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static __thread uint64_t state;

	if (!state) {
		pthread_once(&once, print_seed);
		state = (seed + 0x9e3779b97f4a7c15ull * __atomic_add_fetch(&seeded_threads, 1, __ATOMIC_RELAXED)) | 1;
	}
	state ^= state >> 12; /* xorshift64* */
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull >> 32;
}

uint32_t kb_rounds(uint32_t full)
{
	const char *rounds = getenv("KEXTBRIDGE_ROUNDS");
	double count = full * (rounds ? strtod(rounds, NULL) : 1.0);

	return count < 1 ? 1 : count;
}

uint32_t kb_rounds_from(uint32_t least, uint32_t full)
{
	uint32_t rounds = kb_rounds(full);

	return rounds < least ? least : rounds;
}

/* ---- modules and parameters */

static char program_dir[4096] = ".";

static void find_program_dir(void)
{
	ssize_t length = readlink("/proc/self/exe", program_dir, sizeof(program_dir) - 1);

	if (length > 0)
		*strrchr(program_dir, '/') = 0;
}

const char *kb_program_dir(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_program_dir);
	return program_dir;
}

int kb_insmod_with(const char *module, const char *parameters)
{
	static const char *const folders[] = {"", "drivers/"};
	const char *coverage = getenv("KEXTBRIDGE_COVERAGE");
	const char *more = strcmp(module, "kmdf") ? NULL : getenv("KEXTBRIDGE_KMDF");
	char path[4200], args[512];
	int fd = -1, err;

	for (int i = 0; i < 2 && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/%s%s.ko", kb_program_dir(), folders[i], module);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return trouble(errno, path);
	snprintf(args, sizeof(args), "%s %s", parameters, more ?: "");
	if (coverage && (!strcmp(module, "kextbridge") || !strcmp(module, "kmdf")))
		snprintf(args, sizeof(args), "%s %s coverage_file=%s.%s", parameters, more ?: "", coverage, module);
	err = syscall(SYS_finit_module, fd, args, 0) < 0 ? errno : 0;
	close(fd);
	return err;
}

int kb_insmod(const char *module)
{
	return kb_insmod_with(module, "");
}

int kb_rmmod(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) < 0 ? errno : 0;
}

static void *insmod(void *arg)
{
	struct kb_insmod *insmod = arg;

	insmod->err = kb_insmod(insmod->module);
	return NULL;
}

int kb_insmod_begin(struct kb_insmod *begun, const char *module)
{
	begun->module = module;
	return pthread_create(&begun->thread, NULL, insmod, begun);
}

int kb_insmod_end(struct kb_insmod *begun)
{
	pthread_join(begun->thread, NULL);
	return begun->err;
}

bool kb_is_loaded(const char *module)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/module/%s/initstate", module);
	return !access(path, F_OK);
}

static struct {
	char name[32];
	char value[32];
} saved[8];

static int write_param(const char *name, const char *value)
{
	char path[256];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return trouble(errno, path);
	if (write(fd, value, strlen(value)) < 0)
		err = trouble(errno, path);
	close(fd);
	return err;
}

int kb_param(const char *name, const char *value)
{
	char path[256];
	unsigned int i;

	for (i = 0; i < 8 && saved[i].name[0] && strcmp(saved[i].name, name); i++)
		;
	if (i == 8)
		return ENOSPC;
	if (!saved[i].name[0]) {
		ssize_t length;
		int fd;

		snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return trouble(errno, path);
		length = read(fd, saved[i].value, sizeof(saved[i].value) - 1);
		close(fd);
		if (length < 0)
			return EIO;
		saved[i].value[length] = 0;
		snprintf(saved[i].name, sizeof(saved[i].name), "%s", name);
	}
	return write_param(name, value);
}

int kb_hook(const char *name, const char *value)
{
	return write_param(name, value);
}

int kb_param_ms(const char *name, unsigned int ms)
{
	char value[16];

	snprintf(value, sizeof(value), "%u", ms);
	return kb_param(name, value);
}

static int restore_params(void)
{
	int err = 0;

	for (unsigned int i = 0; i < 8 && saved[i].name[0]; i++) {
		err = write_param(saved[i].name, saved[i].value) ?: err;
		saved[i].name[0] = 0;
	}
	return err;
}

/* ---- the daemon's node */

int kb_open_daemon(void)
{
	int fd = open("/dev/kextd", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool kb_poll(int fd, short events, int timeout_ms)
{
	struct pollfd poller = {.fd = fd, .events = events};

	return poll(&poller, 1, timeout_ms) == 1 && (poller.revents & events);
}

int kb_exchange(int daemon, struct kextd_exchange *args)
{
	args->size = sizeof(*args);
	return call(daemon, KEXTD_IOC_EXCHANGE, args);
}

static bool take_string(char *to, size_t room, const char **at, const char *end, uint32_t size)
{
	if (!size || size > room || size > (size_t)(end - *at) || (*at)[size - 1])
		return false;
	memcpy(to, *at, size);
	*at += size;
	return strlen(to) + 1 == size;
}

static int fetch(int daemon, struct kb_record *record, int timeout_ms, uint32_t flags)
{
	static __thread uint64_t buffer[2048];
	struct kextd_exchange args = {
		.flags = KEXTD_EXCHANGE_NOWAIT | flags,
		.max_requests = 1,
		.requests = KB_STRING(buffer),
		.requests_size = sizeof(buffer),
	};
	uint64_t until = kb_now_ns() + timeout_ms * 1000000ull;
	const char *at = (const char *)buffer + sizeof(record->head);
	int err;

	/* Somebody else may have taken what poll() saw. */
	while ((err = kb_exchange(daemon, &args)) == EAGAIN) {
		uint64_t now = kb_now_ns();

		if (now >= until || !kb_poll(daemon, POLLIN | POLLHUP, (until - now) / 1000000 + 1))
			return EAGAIN;
	}
	if (err)
		return err;
	memcpy(&record->head, buffer, sizeof(record->head));
	if (args.request_count != 1 || record->head.size != args.requests_used || record->head.size % 8 ||
	    record->head.reserved ||
	    !take_string(record->identifier, sizeof(record->identifier), &at, (char *)buffer + record->head.size,
			 record->head.identifier_size) ||
	    !take_string(record->name, sizeof(record->name), &at, (char *)buffer + record->head.size,
			 record->head.name_size))
		return EBADMSG;
	return 0;
}

int kb_fetch(int daemon, struct kb_record *record, int timeout_ms)
{
	return fetch(daemon, record, timeout_ms, 0);
}

int kb_fetch_any(int daemon, struct kb_record *record, int timeout_ms)
{
	return fetch(daemon, record, timeout_ms, KEXTD_EXCHANGE_NOTIFY);
}

int kb_reply_raw(int daemon, struct kextd_reply *reply)
{
	struct kextd_exchange args = {.replies = KB_STRING(reply), .reply_count = 1};
	int err;

	reply->status = 1;
	err = kb_exchange(daemon, &args);
	return err ? err : args.reply_count == 1 ? reply->status : EBADMSG;
}

int kb_reply(int daemon, uint64_t id, OSReturn result)
{
	struct kextd_reply reply = {.id = id, .result = result, .flags = KEXTD_REPLY_RESULT};

	return kb_reply_raw(daemon, &reply);
}

int kb_reply_data(int daemon, uint64_t id, OSReturn result, const void *data, uint32_t length)
{
	struct kextd_reply reply = {
		.id = id,
		.result = result,
		.flags = KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA,
		.data = KB_STRING(data),
		.length = length,
	};

	return kb_reply_raw(daemon, &reply);
}

int kb_reply_fd(int daemon, uint64_t id, int fd)
{
	struct kextd_reply reply = {.id = id, .flags = KEXTD_REPLY_RESULT | KEXTD_REPLY_FD, .fd = fd};

	return kb_reply_raw(daemon, &reply);
}

static void serve_one(struct kb_server *server, const struct kb_record *record)
{
	int err;

	switch (record->head.kind) {
	case KEXTD_RESOURCE:
		server->resources++;
		kb_reply_data(server->daemon, record->head.id, server->resource_result, record->name,
			      strlen(record->name));
		break;
	case KEXTD_LOAD:
		server->loads++;
		kb_reply(server->daemon, record->head.id, kOSKextReturnNotFound);
		break;
	case KEXTD_UNLOAD:
		server->unloads++;
		err = server->unload_result ? 0 : kb_rmmod(record->name);
		kb_reply(server->daemon, record->head.id,
			 server->unload_result ? server->unload_result :
			 !err || err == ENOENT ? kOSReturnSuccess :
						 kOSKextReturnInUse);
		break;
	case KEXTD_CANCEL:
		server->cancels++;
		break;
	}
}

static void *serve(void *arg)
{
	struct kb_server *server = arg;
	static __thread struct kb_record record;
	struct pollfd pollers[2] = {{.fd = server->daemon, .events = POLLIN},
				    {.fd = server->wake[0], .events = POLLIN}};

	while (poll(pollers, 2, -1) > 0 && !pollers[1].revents)
		if (!kb_fetch(server->daemon, &record, 0))
			serve_one(server, &record);
	return NULL;
}

/* Signals are the other threads': one would end a poll() here. */
int kb_serve(struct kb_server *server, int daemon)
{
	sigset_t all, before;
	int err;

	server->daemon = daemon;
	if (pipe(server->wake))
		return errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&server->thread, NULL, serve, server);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

void kb_serve_end(struct kb_server *server)
{
	close(server->wake[1]);
	pthread_join(server->thread, NULL);
	close(server->wake[0]);
}

/* ---- /dev/kextbridge */

bool kb_status(struct kb *kb, struct kextbridge_status *status)
{
	memset(status, 0, sizeof(*status));
	status->size = sizeof(*status);
	return !call(kb->control, KEXTBRIDGE_IOC_STATUS, status);
}

static uint32_t list(int control, struct kextbridge_kext *kexts, uint32_t room)
{
	struct kextbridge_list args = {.size = sizeof(args), .kexts = KB_STRING(kexts), .count = room};

	return call(control, KEXTBRIDGE_IOC_LIST, &args) ? 0 : args.count;
}

bool kb_kext(struct kb *kb, const char *module, struct kextbridge_kext *kext)
{
	struct kextbridge_kext kexts[32];
	uint32_t count = list(kb->control, kexts, 32);

	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(kexts[i].module, module)) {
			*kext = kexts[i];
			return true;
		}
	return false;
}

uint32_t kb_tag(struct kb *kb, const char *module)
{
	struct kextbridge_kext kext;

	return kb_kext(kb, module, &kext) ? kext.load_tag : TAG_INVALID;
}

int kb_tag_call(int control, unsigned long command, uint32_t tag, uint32_t flags)
{
	struct kextbridge_tag args = {.size = sizeof(args), .flags = flags, .tag = tag, .result = 1};
	int err = call(control, command, &args);

	return err ? err : args.result;
}

int kb_retain(int control, uint32_t load_tag)
{
	return kb_tag_call(control, KEXTBRIDGE_IOC_RETAIN, load_tag, 0);
}

int kb_release(int control, uint32_t load_tag)
{
	return kb_tag_call(control, KEXTBRIDGE_IOC_RELEASE, load_tag, 0);
}

int kb_unload(int control, uint32_t load_tag, uint32_t flags)
{
	return kb_tag_call(control, KEXTBRIDGE_IOC_UNLOAD, load_tag, flags);
}

int kb_load(int control, const char *identifier, uint32_t flags)
{
	struct kextbridge_load args = {
		.size = sizeof(args),
		.flags = flags,
		.identifier = KB_STRING(identifier),
		.identifier_size = strlen(identifier),
		.result = 1,
	};
	int err = call(control, KEXTBRIDGE_IOC_LOAD, &args);

	return err ? err : args.result;
}

uint32_t kb_asked_loads(struct kb *kb)
{
	struct kextbridge_load_requests args = {.size = sizeof(args)};

	return call(kb->control, KEXTBRIDGE_IOC_LOAD_REQUESTS, &args) ? 0 : args.total;
}

int kb_unload_served(struct kb *kb, const char *module)
{
	struct kb_server server = {};
	int result = kb_serve(&server, kb->daemon);

	if (result)
		return result;
	result = kb_unload(kb->control, kb_tag(kb, module), 0);
	kb_serve_end(&server);
	return result;
}

static void *unload(void *arg)
{
	struct kb_unload *unload = arg;

	unload->result = kb_unload(unload->control, unload->tag, unload->flags);
	__atomic_store_n(&unload->done, true, __ATOMIC_RELEASE);
	return NULL;
}

int kb_unload_begin(struct kb_unload *unload_args, struct kb *kb, const char *module, uint32_t flags)
{
	*unload_args = (struct kb_unload){.control = kb->control, .tag = kb_tag(kb, module), .flags = flags};
	return pthread_create(&unload_args->thread, NULL, unload, unload_args);
}

int kb_unload_end(struct kb_unload *unload)
{
	pthread_join(unload->thread, NULL);
	return unload->result;
}

/* ---- the bench */

bool kb_event(struct kb *kb, uint32_t type, struct kbtest_event *event, unsigned int timeout_ms)
{
	uint64_t until = kb_now_ns() + timeout_ms * 1000000ull;

	for (;;) {
		uint64_t now = kb_now_ns();
		struct kbtest_wait wait = {.seq = kb->seen, .timeout_ms = now < until ? (until - now) / 1000000 : 0};
		int err = call(kb->bench, KBTEST_IOC_WAIT, &wait);

		if (err)
			return err == ETIME ? false : (trouble(err, "KBTEST_IOC_WAIT"), false);
		kb->seen++;
		if (!type || wait.event.type == type) {
			*event = wait.event;
			return true;
		}
	}
}

bool kb_callback(struct kb *kb, struct kbtest_event *event)
{
	return kb_event(kb, KBTEST_CALLBACK, event, PATIENCE_MS);
}

bool kb_quiet(struct kb *kb, uint32_t type, unsigned int ms)
{
	struct kbtest_event event;

	return !kb_event(kb, type, &event, ms);
}

int kb_request_with(struct kb *kb, struct kbtest_request *args)
{
	int err;

	if (!args->identifier)
		args->identifier = KB_STRING("com.example.kbtest");
	if (!args->name)
		args->name = KB_STRING("resource");
	err = call(kb->bench, KBTEST_IOC_REQUEST, args);
	return err ? err : args->result;
}

int kb_request(struct kb *kb, const char *kext, const char *name, uint64_t context, uint32_t *tag)
{
	struct kbtest_request args = {.name = KB_STRING(name), .context = context};
	int result;

	snprintf(args.kext, sizeof(args.kext), "%s", kext);
	result = kb_request_with(kb, &args);
	if (tag)
		*tag = args.tag;
	return result;
}

int kb_cancel_with(struct kb *kb, struct kbtest_cancel *args)
{
	int err = call(kb->bench, KBTEST_IOC_CANCEL, args);

	return err ? err : args->result;
}

int kb_cancel(struct kb *kb, const char *kext, uint32_t tag, uint64_t *context)
{
	struct kbtest_cancel args = {.tag = tag, .flags = context ? 0 : KBTEST_CANCEL_NO_OUT};
	int result;

	snprintf(args.kext, sizeof(args.kext), "%s", kext);
	if (context)
		args.context = *context;
	result = kb_cancel_with(kb, &args);
	if (context)
		*context = args.context;
	return result;
}

int kb_plan(struct kb *kb, struct kbtest_plan *plan)
{
	return call(kb->bench, KBTEST_IOC_PLAN, plan);
}

int kb_gates(struct kb *kb, uint32_t open)
{
	return ioctl(kb->bench, KBTEST_IOC_GATES, (unsigned long)open) < 0 ? errno : 0;
}

int kb_call(struct kb *kb, struct kbtest_call *args)
{
	int err = call(kb->bench, KBTEST_IOC_CALL, args);

	return err ? err : args->result;
}

int kb_kpi_load(struct kb *kb, const char *identifier)
{
	struct kbtest_call args = {.op = KBTEST_LOAD, .identifier = KB_STRING(identifier)};

	return kb_call(kb, &args);
}

int kb_kpi_retain(struct kb *kb, uint32_t load_tag)
{
	struct kbtest_call args = {.op = KBTEST_RETAIN, .load_tag = load_tag, .count = 1};

	return kb_call(kb, &args);
}

int kb_kpi_release(struct kb *kb, uint32_t load_tag)
{
	struct kbtest_call args = {.op = KBTEST_RELEASE, .load_tag = load_tag, .count = 1};

	return kb_call(kb, &args);
}

uint32_t kb_kpi_lookup(struct kb *kb, const char *identifier)
{
	struct kbtest_call args = {.op = KBTEST_LOOKUP, .identifier = KB_STRING(identifier)};

	return kb_call(kb, &args) ? 0xdeadbeef : args.first_tag;
}

int kb_version(struct kb *kb, struct kbtest_version *args)
{
	return call(kb->bench, KBTEST_IOC_VERSION, args);
}

int kb_memory(struct kb *kb, struct kbtest_memory *args)
{
	int err = call(kb->bench, KBTEST_IOC_MEMORY, args);

	return err ? -err : args->result;
}

uint32_t kb_crc32(const void *data, size_t length)
{
	static uint32_t table[256];
	const unsigned char *at = data;
	uint32_t crc = ~0u;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t value = i;

			for (int bit = 0; bit < 8; bit++)
				value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
			table[i] = value;
		}
	while (length--)
		crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
	return ~crc;
}

/* ---- setup and teardown */

static int open_node(const char *path, int *fd)
{
	*fd = open(path, O_RDWR | O_CLOEXEC);
	return *fd < 0 ? trouble(errno, path) : 0;
}

/* Answers what a test has left to the daemon. */
static void drain(int daemon)
{
	static struct kb_record record;

	while (!kb_fetch(daemon, &record, 0))
		kb_reply(daemon, record.head.id, kOSKextReturnNotFound);
}

/* Unloads the test kexts that are there, youngest first, all but the bench. False: some of them stayed. */
static bool unload_kexts(struct kb *kb)
{
	struct kextbridge_kext kexts[32];
	uint32_t count = list(kb->control, kexts, 32);
	bool all = true;

	while (count--) {
		int result;

		if (strncmp(kexts[count].module, "kbtest_", 7) && strncmp(kexts[count].module, "kbpattern_", 10))
			continue;
		while (kexts[count].retains--)
			kb_release(kb->control, kexts[count].load_tag);
		result = kb_unload(kb->control, kexts[count].load_tag, 0);
		all &= !result || result == kOSKextReturnNotFound;
	}
	return all;
}

/* An unload that a test has left half done makes it take more than one round. */
static int remove_kexts(struct kb *kb)
{
	struct kb_server server = {};
	int rounds = 100, err = 0;

	if (kb->daemon < 0)
		err = kb_daemon(kb);
	if (!err)
		err = kb_serve(&server, kb->daemon);
	if (err)
		return err;
	while (!unload_kexts(kb) && --rounds)
		kb_sleep_ms(50);
	kb_serve_end(&server);
	return rounds ? 0 : trouble(EBUSY, "kexts that cannot be unloaded");
}

int kb_daemon(struct kb *kb)
{
	/* The one before may not be quite gone. */
	for (int i = 0; i < 200; i++) {
		kb->daemon = kb_open_daemon();
		if (kb->daemon != -EBUSY)
			break;
		kb_sleep_ms(10);
	}
	return kb->daemon < 0 ? trouble(-kb->daemon, "/dev/kextd") : 0;
}

void kb_daemon_leave(struct kb *kb)
{
	close(kb->daemon);
	kb->daemon = -1;
}

int kb_setup(struct kb *kb, ...)
{
	const char *module;
	va_list modules;
	int err = 0;

	*kb = (struct kb){.bench = -1, .control = -1, .daemon = -1};
	if (!kb_is_loaded("kextbridge") && system("modprobe -q kextbridge 2>/dev/null"))
		err = kb_insmod("kextbridge");
	if (!err && !kb_is_loaded("kbtest"))
		err = kb_insmod("kbtest");
	if (err)
		return trouble(err, "insmod");
	err = open_node("/dev/kbtest", &kb->bench) ?: open_node("/dev/kextbridge", &kb->control);
	if (err)
		return err;
	kb_gates(kb, ~0u);
	err = remove_kexts(kb);
	if (kb->daemon >= 0)
		kb_daemon_leave(kb);
	if (!err && ioctl(kb->bench, KBTEST_IOC_RESET))
		err = errno;
	va_start(modules, kb);
	while (!err && (module = va_arg(modules, const char *))) {
		struct kbtest_event event;

		err = kb_insmod(module);
		if (err)
			trouble(err, module);
		else
			kb_event(kb, KBTEST_STARTED, &event, PATIENCE_MS);
	}
	va_end(modules);
	return err;
}

int kb_unload_bench(struct kb *kb)
{
	int err = kb_daemon(kb);

	if (err)
		return err;
	close(kb->bench);
	kb->bench = -1;
	err = kb_unload_served(kb, "kbtest");
	kb_daemon_leave(kb);
	return err;
}

/* The tests' kexts are gone with the bench: nothing but the nodes keeps kextbridge. */
int kb_load_afresh(struct kb *kb, const char *parameters)
{
	int err;

	close(kb->control);
	kb->control = -1;
	err = kb_rmmod("kextbridge");
	return err ?: kb_insmod_with("kextbridge", parameters) ?: kb_setup(kb, NULL) ?: kb_daemon(kb);
}

int kb_teardown(struct kb *kb)
{
	struct kextbridge_status status = {};
	int err;

	if (kb->bench < 0 || kb->control < 0)
		return EBADF;
	/* What start and stop do is not asked for any more. */
	ioctl(kb->bench, KBTEST_IOC_RESET);
	kb_gates(kb, ~0u);
	err = remove_kexts(kb);
	if (kb->daemon >= 0) {
		drain(kb->daemon);
		kb_daemon_leave(kb);
	}
	err = restore_params() ?: err;
	if (!kb_status(kb, &status) || status.pending || status.fetched || status.answered) {
		fprintf(stderr, "# left over: %u pending, %u fetched, %u answered\n", status.pending, status.fetched,
			status.answered);
		err = err ?: EBUSY;
	}
	close(kb->control);
	close(kb->bench);
	return err;
}

static int read_by(int bench, const char *name, struct kbtest_read *args)
{
	if (!args->identifier)
		args->identifier = KB_STRING("com.example.resources");
	args->name = KB_STRING(name);
	args->result = 1;
	return ioctl(bench, KBTEST_IOC_READ, args) ? errno : args->result;
}

int kb_read(struct kb *kb, const char *kext, const char *name, struct kbtest_read *args)
{
	snprintf(args->kext, sizeof(args->kext), "%s", kext);
	return read_by(kb->bench, name, args);
}

static void *read_thread(void *arg)
{
	struct kb_reader *reader = arg;

	reader->result = read_by(reader->bench, reader->name, &reader->args);
	return NULL;
}

int kb_read_begin(struct kb_reader *reader, struct kb *kb, const char *kext, const char *name)
{
	reader->bench = kb->bench;
	reader->name = name;
	snprintf(reader->args.kext, sizeof(reader->args.kext), "%s", kext);
	return pthread_create(&reader->thread, NULL, read_thread, reader);
}

int kb_read_end(struct kb_reader *reader)
{
	return pthread_join(reader->thread, NULL) ?: reader->result;
}

uint32_t kb_scope(struct kb *kb, uint32_t op, uint32_t number, struct kbtest_scope *args)
{
	struct kbtest_scope own;

	args = args ?: &own;
	args->op = op;
	args->number = number;
	args->count = 0xffffffff;
	return ioctl(kb->bench, KBTEST_IOC_SCOPE, args) ? 0xffffffff : args->count;
}
