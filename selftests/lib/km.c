// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "km.h"

#define DEBUGFS "/sys/kernel/debug"
#define PATIENCE_MS 10000

static int trouble(int err, const char *what)
{
	fprintf(stderr, "# %s: %s\n", what, strerror(err));
	return err;
}

static bool after(uint64_t ns)
{
	return kb_now_ns() >= ns;
}

/* 0 or ETIMEDOUT. */
static int join_soon(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += KM_SOON_MS / 1000;
	return pthread_timedjoin_np(thread, NULL, &until);
}

/* ---- the verifier, and power */

static int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return errno;
	while ((got = read(fd, text + used, size - 1 - used)) > 0)
		used += got;
	if (got < 0)
		err = errno;
	text[used] = 0;
	close(fd);
	return err;
}

static void need_debugfs(void)
{
	if (access(DEBUGFS "/kmdf", F_OK))
		mount("none", DEBUGFS, "debugfs", 0, NULL);
}

int km_rules(struct km_rule rules[KM_RULES])
{
	char text[8192], *at = text;
	int err, used = 0;

	memset(rules, 0, KM_RULES * sizeof(*rules));
	need_debugfs();
	err = read_file(DEBUGFS "/kmdf/verifier", text, sizeof(text));
	if (err)
		return trouble(err, DEBUGFS "/kmdf/verifier");
	for (int count = 0; count < KM_RULES; count++, at += used) {
		unsigned long long value;

		if (sscanf(at, "%31s %llu\n%n", rules[count].name, &value, &used) != 2)
			break;
		rules[count].count = value;
	}
	return rules[0].name[0] ? 0 : trouble(EBADMSG, "the verifier's counters");
}

static uint64_t grown(struct km *km, const char *rule, bool tell)
{
	struct km_rule now[KM_RULES];
	uint64_t sum = 0;

	if (km_rules(now))
		return ~0ull;
	for (int i = 0; i < KM_RULES && now[i].name[0]; i++) {
		if (rule && strcmp(rule, now[i].name))
			continue;
		if (tell && now[i].count != km->rules[i].count)
			fprintf(stderr, "# the verifier says %s, %llu times\n", now[i].name,
				(unsigned long long)(now[i].count - km->rules[i].count));
		sum += now[i].count - km->rules[i].count;
		km->rules[i] = now[i];
		rule = rule ? "" : NULL;
	}
	if (rule && *rule) {
		fprintf(stderr, "# there is no rule %s\n", rule);
		return ~0ull;
	}
	return sum;
}

uint64_t km_broken(struct km *km, const char *rule)
{
	return grown(km, rule, false);
}

uint64_t km_broken_any(struct km *km)
{
	return grown(km, NULL, false);
}

int km_power(const char *name, const char *what)
{
	int fd, err = 0;

	need_debugfs();
	fd = open(DEBUGFS "/kmdf/power", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (dprintf(fd, "%s %s", name, what) < 0)
		err = errno;
	close(fd);
	return err;
}

static void *powerer_thread(void *arg)
{
	struct km_powerer *powerer = arg;

	powerer->err = km_power(powerer->name, powerer->what);
	__atomic_store_n(&powerer->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

int km_power_begin(struct km_powerer *powerer, const char *name, const char *what)
{
	*powerer = (struct km_powerer){.name = name, .what = what};
	return pthread_create(&powerer->thread, NULL, powerer_thread, powerer);
}

int km_power_end(struct km_powerer *powerer)
{
	return join_soon(powerer->thread) ?: powerer->err;
}

bool km_power_done(struct km_powerer *powerer)
{
	return __atomic_load_n(&powerer->done, __ATOMIC_ACQUIRE);
}

/* ---- modules */

int km_load_kmdf(const char *parameters)
{
	int err = kb_is_loaded("kmdf") ? 0 : kb_insmod_with("kmdf", parameters ?: "");

	return err ? trouble(err, "insmod kmdf") : 0;
}

int km_unload(const char *module, unsigned int patience_ms)
{
	uint64_t until = kb_now_ns() + patience_ms * 1000000ull;
	int err;

	while ((err = kb_rmmod(module)) && err != ENOENT && !after(until))
		kb_sleep_ms(5);
	return err == ENOENT ? 0 : err;
}

int km_open(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/dev/kmdf/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What a test has left with the driver is completed, until the driver can be unloaded. */
static int finish(int ctl)
{
	struct kmtest_run run = {.count = 1, .ops = {{.code = KMTEST_FINISH}}};
	uint32_t size = offsetof(struct kmtest_run, ops) + sizeof(run.ops[0]);
	int32_t status = km_control(ctl, KMTEST_RUN, &run, size, &run, size);

	return status ? trouble(EIO, "KMTEST_FINISH") : 0;
}

static int unload_driver(void)
{
	uint64_t until = kb_now_ns() + PATIENCE_MS * 1000000ull;
	int err = 0;

	while (kb_is_loaded("kmtest") && !after(until)) {
		int ctl = km_open("kmtest_ctl");

		/* A suspended device keeps what it has. */
		km_power("kmtest", "resume");
		if (ctl >= 0) {
			finish(ctl);
			close(ctl);
		}
		err = km_unload("kmtest", 50);
	}
	return err ? trouble(err, "rmmod kmtest") : 0;
}

int km_setup(struct km *km, const char *parameters)
{
	int err;

	*km = (struct km){.ctl = -1, .fd = -1, .control = -1};
	err = unload_driver();
	if (!err && parameters) {
		km->own_kmdf = true;
		err = km_unload("kmdf", PATIENCE_MS);
	}
	err = err ?: km_load_kmdf(parameters) ?: km_rules(km->rules);
	if (err)
		return err;
	err = kb_insmod("kmtest");
	if (err)
		return trouble(err, "insmod kmtest");
	km->ctl = km_open("kmtest_ctl");
	km->fd = km_open("kmtest");
	km->control = km_open("control");
	if (km->ctl < 0 || km->fd < 0 || km->control < 0)
		return trouble(ENODEV, "/dev/kmdf/");
	return 0;
}

/* Of the test build that is told to delay ($KEXTBRIDGE_KMDF): a run without any proves nothing. */
static int say_delays(void)
{
	char text[256];

	if (!getenv("KEXTBRIDGE_KMDF") || read_file("/sys/module/kmdf/parameters/chaos_delays", text, sizeof(text)))
		return 0;
	printf("# delays so far: %s", text);
	return strpbrk(text, "123456789") ? 0 : trouble(EBADE, "no delays");
}

int km_teardown(struct km *km)
{
	struct kmdf_device device;
	int err;

	if (km->control < 0)
		return EBADF;
	err = say_delays();
	if (grown(km, NULL, true))
		err = EBADE;
	finish(km->ctl);
	close(km->fd);
	close(km->ctl);
	err = unload_driver() ?: err;
	if (km_find_device(km, "kmtest", &device) || km_find_device(km, "kmtest_ctl", &device))
		err = trouble(EBUSY, "a device of the driver that was unloaded");
	close(km->control);
	if (km->own_kmdf) {
		int kmdf = km_unload("kmdf", PATIENCE_MS);

		err = kmdf ? trouble(kmdf, "rmmod kmdf") : err;
	}
	return err;
}

/* ---- the driver */

int32_t km_control(int fd, uint32_t code, void *in, uint32_t in_length, void *out, uint32_t out_length)
{
	struct kmdf_device_control args = {
		.size = sizeof(args),
		.code = code,
		.in = (uintptr_t)in,
		.out = (uintptr_t)out,
		.in_length = in_length,
		.out_length = out_length,
	};

	return ioctl(fd, KMDF_IOC_DEVICE_CONTROL, &args) ? KM_ERRNO(errno) : args.status;
}

static int command(struct km *km, uint32_t code, void *args, uint32_t size)
{
	int32_t status = km_control(km->ctl, code, args, size, args, size);

	if (!status)
		return 0;
	fprintf(stderr, "# kmtest: code %#x: %#x\n", code, status);
	return EIO;
}

int km_run(struct km *km, uint32_t slot, struct kmtest_op *ops, uint32_t count)
{
	struct kmtest_run run = {.slot = slot, .count = count};
	int err;

	memcpy(run.ops, ops, count * sizeof(*ops));
	err = command(km, KMTEST_RUN, &run, offsetof(struct kmtest_run, ops) + count * sizeof(*ops));
	memcpy(ops, run.ops, count * sizeof(*ops));
	return err;
}

int32_t km_op(struct km *km, struct kmtest_op *op)
{
	int err = km_run(km, op->slot, op, 1);

	return err ? KM_ERRNO(err) : op->status;
}

uint64_t km_op_value(struct km *km, struct kmtest_op *op)
{
	int err = km_run(km, op->slot, op, 1);

	return err || op->status == KMTEST_NO_SLOT ? ~0ull : op->value;
}

static void *runner_thread(void *arg)
{
	struct km_runner *runner = arg;

	runner->err = km_run(runner->km, runner->slot, runner->ops, runner->count);
	__atomic_store_n(&runner->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

int km_run_begin(struct km *km, struct km_runner *runner, uint32_t slot, const struct kmtest_op *ops, uint32_t count)
{
	*runner = (struct km_runner){.km = km, .slot = slot, .count = count};
	memcpy(runner->ops, ops, count * sizeof(*ops));
	return pthread_create(&runner->thread, NULL, runner_thread, runner);
}

int km_run_end(struct km_runner *runner)
{
	return join_soon(runner->thread) ?: runner->err;
}

bool km_run_done(struct km_runner *runner)
{
	return __atomic_load_n(&runner->done, __ATOMIC_ACQUIRE);
}

int km_script(struct km *km, const struct kmtest_script *script)
{
	struct kmtest_script args = *script;

	return command(km, KMTEST_SCRIPT, &args, sizeof(args));
}

bool km_event(struct km *km, uint64_t from, uint32_t type, uint32_t slot, uint32_t op, unsigned int timeout_ms,
	      struct kmtest_event *event)
{
	struct kmtest_wait args = {.from = from, .type = type, .slot = slot, .op = op, .timeout_ms = timeout_ms};

	*event = (struct kmtest_event){};
	if (command(km, KMTEST_WAIT_EVENT, &args, sizeof(args)) || !args.found)
		return false;
	*event = args.event;
	return true;
}

struct kmtest_event km_first(struct km *km, uint32_t type, uint32_t slot)
{
	struct kmtest_event event;

	km_event(km, 1, type, slot, 0, KM_SOON_MS, &event);
	return event;
}

struct kmtest_event km_next(struct km *km, const struct kmtest_event *before, uint32_t type, uint32_t slot)
{
	struct kmtest_event event;

	km_event(km, before->seq + 1, type, slot, 0, KM_SOON_MS, &event);
	return event;
}

struct kmtest_event km_first_op(struct km *km, uint32_t slot, uint32_t op)
{
	struct kmtest_event event;

	km_event(km, 1, KMTEST_OP, slot, op, KM_SOON_MS, &event);
	return event;
}

bool km_never(struct km *km, uint32_t type, uint32_t slot)
{
	struct kmtest_event event;

	return !km_event(km, 1, type, slot, 0, KM_NEVER_MS, &event);
}

int km_look(struct km *km, struct kmtest_look *look)
{
	return command(km, KMTEST_LOOK, look,
		       offsetof(struct kmtest_look, slots) + look->count * sizeof(look->slots[0]));
}

uint64_t km_last_seq(struct km *km)
{
	struct kmtest_look look = {};

	return km_look(km, &look) ? 0 : look.seq;
}

uint32_t km_count(struct km *km, uint32_t slot, uint32_t at)
{
	struct kmtest_look look = {.count = 1, .slots = {{.slot = slot}}};

	return km_look(km, &look) ? ~0u : look.slots[0].counts[at];
}

int km_device(struct km *km, struct kmtest_device *device)
{
	int err = command(km, KMTEST_CREATE_DEVICE, device, sizeof(*device));

	if (!err && device->status) {
		fprintf(stderr, "# device %s: %#x\n", device->name, device->status);
		err = EIO;
	}
	return err ? -err : km_open(device->name);
}

int km_use(struct km *km, struct kmtest_device *device)
{
	int fd = km_device(km, device);

	if (fd < 0)
		return trouble(-fd, device->name);
	close(km->fd);
	km->fd = fd;
	return 0;
}

int km_use_queue(struct km *km, const char *name, const struct kmtest_queue *queue)
{
	struct kmtest_device device = {.slot = KM_OWN_DEVICE, .count = 1, .queues = {*queue}};

	snprintf(device.name, sizeof(device.name), "%s", name);
	device.queues[0].slot = queue->slot ?: KM_QUEUE;
	device.queues[0].flags |= KMTEST_DEFAULT_QUEUE;
	if (queue->type != MANUAL && !queue->handlers)
		device.queues[0].handlers = KMTEST_HANDLE_READ | KMTEST_HANDLE_WRITE | KMTEST_HANDLE_CONTROL;
	return km_use(km, &device);
}

int32_t km_queue(struct km *km, struct kmtest_queue *queue)
{
	int err = command(km, KMTEST_CREATE_QUEUE, queue, sizeof(*queue));

	return err ? KM_ERRNO(err) : queue->status;
}

/* ---- clients */

static void run_client(struct km_client *client)
{
	struct kmdf_device_control args = {
		.size = sizeof(args),
		.code = client->code,
		.in = (uintptr_t)&client->script,
		.in_length = sizeof(client->script),
		.out = (uintptr_t)client->data,
		.out_length = client->length,
		.tag = client->tag,
	};

	switch (client->kind) {
	case KM_CONTROL:
		client->returned = ioctl(client->fd, KMDF_IOC_DEVICE_CONTROL, &args);
		break;
	case KM_READ:
		client->returned = read(client->fd, client->data, client->length);
		break;
	case KM_WRITE:
		client->returned = write(client->fd, client->data, client->length);
		break;
	}
	client->err = client->returned < 0 ? errno : 0;
	client->status = args.status;
	client->information = args.information;
	client->time_ns = kb_now_ns();
}

static void *client_thread(void *arg)
{
	struct km_client *client = arg;

	__atomic_store_n(&client->tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	run_client(client);
	__atomic_store_n(&client->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

int km_begin(struct km_client *client)
{
	int err;

	client->own_data = !client->data && client->length;
	if (client->own_data)
		client->data = calloc(1, client->length);
	client->done = client->tid = 0;
	err = pthread_create(&client->thread, NULL, client_thread, client);
	client->begun = !err;
	while (!err && !__atomic_load_n(&client->tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return err;
}

int km_request(struct km *km, struct km_client *client, const struct kmtest_script *script)
{
	*client = (struct km_client){
		.fd = km->fd,
		.kind = KM_CONTROL,
		.script = *script,
		.code = KMTEST_REQUEST,
		.tag = script->slot,
		.length = 64,
	};
	return km_begin(client);
}

int km_read(struct km *km, struct km_client *client, uint32_t length)
{
	*client = (struct km_client){.fd = km->fd, .kind = KM_READ, .length = length};
	return km_begin(client);
}

int km_write(struct km *km, struct km_client *client, uint32_t length)
{
	*client = (struct km_client){.fd = km->fd, .kind = KM_WRITE, .length = length};
	return km_begin(client);
}

bool km_done(struct km_client *client)
{
	return __atomic_load_n(&client->done, __ATOMIC_ACQUIRE);
}

bool km_waits(struct km_client *client)
{
	kb_sleep_ms(KM_NEVER_MS);
	return !km_done(client);
}

int32_t km_end(struct km_client *client)
{
	if (!client->begun || join_soon(client->thread))
		return KM_STUCK;
	client->begun = false;
	if (client->err)
		return KM_ERRNO(client->err);
	return client->kind == KM_CONTROL ? client->status : 0;
}

pid_t km_fork_many(const char *name, const struct kmtest_script *scripts, unsigned int count)
{
	struct km km = {};
	pid_t pid = fork();

	if (pid)
		return pid;
	km.fd = km_open(name);
	for (unsigned int i = 0; i < count && km.fd >= 0; i++) {
		struct km_client *client = calloc(1, sizeof(*client));

		if (!client || km_request(&km, client, &scripts[i]))
			_exit(1);
		if (i == count - 1)
			pthread_join(client->thread, NULL);
	}
	_exit(km.fd < 0);
}

pid_t km_fork(const char *name, const struct kmtest_script *script)
{
	return km_fork_many(name, script, 1);
}

bool km_reap(pid_t pid, int *status, unsigned int timeout_ms)
{
	uint64_t until = kb_now_ns() + timeout_ms * 1000000ull;

	for (;;) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		if (after(until))
			return false;
		usleep(200);
	}
}

int km_kill(pid_t pid)
{
	uint64_t began = kb_now_ns();

	if (kill(pid, SIGKILL) || !km_reap(pid, NULL, KM_SOON_MS))
		return -1;
	return (kb_now_ns() - began) / 1000000;
}

/* ---- cancellation */

struct kmdf_cancel km_cancel_what(int fd, uint32_t what, uint64_t tag)
{
	struct kmdf_cancel args = {.size = sizeof(args), .what = what, .tag = tag};

	if (ioctl(fd, KMDF_IOC_CANCEL, &args))
		args.found = ~0u;
	return args;
}

struct kmdf_cancel km_cancel(struct km *km, uint64_t tag)
{
	return km_cancel_what(km->fd, KMDF_CANCEL_TAG, tag);
}

static void *canceller_thread(void *arg)
{
	struct km_canceller *canceller = arg;

	canceller->result = km_cancel_what(canceller->fd, KMDF_CANCEL_TAG, canceller->tag);
	__atomic_store_n(&canceller->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

int km_cancel_begin(struct km *km, struct km_canceller *canceller, uint64_t tag)
{
	*canceller = (struct km_canceller){.fd = km->fd, .tag = tag};
	return pthread_create(&canceller->thread, NULL, canceller_thread, canceller);
}

int km_cancel_end(struct km_canceller *canceller)
{
	return join_soon(canceller->thread);
}

int km_last_status(int fd, struct kmdf_last_status *last)
{
	*last = (struct kmdf_last_status){.size = sizeof(*last)};
	return ioctl(fd, KMDF_IOC_LAST_STATUS, last) ? errno : 0;
}

/* ---- /dev/kmdf/control */

void *km_list(int control, uint32_t *bytes)
{
	struct kmdf_list args = {.size = sizeof(args), .buffer_size = 4096};
	void *buffer = NULL;

	for (;;) {
		free(buffer);
		buffer = calloc(1, args.buffer_size);
		if (!buffer)
			return NULL;
		args.buffer = (uintptr_t)buffer;
		if (!ioctl(control, KMDF_IOC_LIST, &args))
			break;
		if (errno != ENOBUFS) {
			int err = errno;

			free(buffer);
			errno = err;
			return NULL;
		}
		/* More may come in the meantime. */
		args.buffer_size = args.used + 4096;
	}
	*bytes = args.used;
	return buffer;
}

static bool find_record(int control, uint32_t kind, bool (*is)(const void *record, const void *key), const void *key,
			void *found, size_t size)
{
	uint32_t bytes = 0;
	char *buffer = km_list(control, &bytes);
	bool there = false;

	if (!buffer)
		return false;
	for (uint32_t at = 0; at + sizeof(struct kmdf_record) <= bytes && !there;) {
		const struct kmdf_record *record = (const void *)(buffer + at);

		if (record->size < sizeof(*record) || record->size > bytes - at)
			break;
		if (record->kind == kind && record->size >= size && is(record, key)) {
			memcpy(found, record, size);
			there = true;
		}
		at += record->size;
	}
	free(buffer);
	return there;
}

static bool has_tag(const void *record, const void *key)
{
	return ((const struct kmdf_request *)record)->tag == *(const uint64_t *)key;
}

static bool has_name(const void *record, const void *key)
{
	return !strcmp(((const struct kmdf_device *)record)->name, key);
}

uint32_t km_state(struct km *km, uint64_t tag, struct kmdf_request *request)
{
	struct kmdf_request found;

	if (!find_record(km->control, KMDF_RECORD_REQUEST, has_tag, &tag, &found, sizeof(found)))
		return 0;
	if (request)
		*request = found;
	return found.state;
}

bool km_find_device(struct km *km, const char *name, struct kmdf_device *device)
{
	return find_record(km->control, KMDF_RECORD_DEVICE, has_name, name, device, sizeof(*device));
}

bool km_find_interface(const char *guid, char *name, size_t size)
{
	DIR *folder = opendir("/sys/class/kmdf");
	struct dirent *entry;
	bool there = false;

	while (folder && !there && (entry = readdir(folder))) {
		char path[512], text[4096];

		snprintf(path, sizeof(path), "/sys/class/kmdf/%s/interfaces", entry->d_name);
		if (entry->d_name[0] == '.' || read_file(path, text, sizeof(text)) || !strcasestr(text, guid))
			continue;
		snprintf(name, size, "%s", entry->d_name);
		there = true;
	}
	if (folder)
		closedir(folder);
	return there;
}

bool km_queued(struct km *km, uint32_t count)
{
	uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull;

	while (kb_now_ns() < until) {
		struct kmtest_op op = {.code = KMTEST_QUEUE_STATE, .slot = KM_QUEUE};

		if (KMTEST_QUEUED(km_op_value(km, &op)) == count)
			return true;
		sched_yield();
	}
	return false;
}
