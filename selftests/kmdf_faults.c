// SPDX-License-Identifier: GPL-2.0-only
/*
 * KMDF: every allocation and every copy from or to user memory of every way into the module fails once, for the task
 * that comes in; and all that come after one that failed. That is on a kernel with fault injection; on others it is the
 * module's own allocations, which its test build fails (shim/test.c). And what else only that build can show: the
 * shutdown. selftests/run-program KERNEL kmdf_faults
 */
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "lib/inject.h"
#include "lib/km_fixture.h"
#include "lib/kmapi.h"

static struct kmtest_script completes = {
	.slot = R, .flags = KMTEST_QUIET, .ops = {AT(IO, FILL, .value = 8), AT(IO, COMPLETE_WITH, .value = 8)}};

static char buffer[65536];

/* The kernel has no fault injection. */
static bool only_modules;
static int fail_mine = -1; /* then what to tell the module */

static void arm(enum inject_kind kind, unsigned int point)
{
	if (only_modules)
		dprintf(fail_mine, "%u", point);
	else
		inject_arm(kind, point);
}

/* True: something has failed since arm(). */
static bool disarm(enum inject_kind kind)
{
	char left[16] = {};
	bool hit;

	if (!only_modules)
		return inject_disarm(kind);
	hit = pread(fail_mine, left, sizeof(left) - 1, 0) > 0 && atoi(left) == 0;
	dprintf(fail_mine, "0");
	return hit;
}

/* 0, or an errno; a status that is no success is an error of the call, too. */
static int as_errno(int32_t status)
{
	if (NT_SUCCESS(status))
		return 0;
	return status == STATUS_INSUFFICIENT_RESOURCES ? ENOMEM : status == (int32_t)KM_ERRNO(EFAULT) ? EFAULT : EIO;
}

static int of_call(struct km *km, int fd, uint32_t code, void *in, uint32_t in_length, uint32_t out_length)
{
	int32_t status = km_control(fd, code, in, in_length, buffer, out_length);

	(void)km;
	if ((status & 0xff000000) == 0x20000000)
		return status & 0xffffff;
	return as_errno(status);
}

static int a_control(struct km *km)
{
	return of_call(km, km->fd, KMTEST_REQUEST, &completes, sizeof(completes), 64);
}

/* More than kmalloc() has in one piece. */
static int a_long_control(struct km *km)
{
	return of_call(km, km->fd, KMTEST_REQUEST, &completes, sizeof(completes), sizeof(buffer));
}

static int a_read(struct km *km)
{
	return read(km->fd, buffer, 16) == 8 ? 0 : errno;
}

static int a_write(struct km *km)
{
	return write(km->fd, buffer, 16) == 8 ? 0 : errno;
}

static int an_open(struct km *km)
{
	int fd = km_open("kmtest");

	(void)km;
	if (fd < 0)
		return -fd;
	close(fd);
	return 0;
}

static int a_cancel(struct km *km)
{
	return km_cancel_what(km->fd, KMDF_CANCEL_FILE, 0).found == ~0u ? errno : 0;
}

static int a_list(struct km *km)
{
	struct kmdf_list list = {
		.size = sizeof(list),
		.buffer = (uintptr_t)buffer,
		.buffer_size = sizeof(buffer),
	};

	return ioctl(km->control, KMDF_IOC_LIST, &list) ? errno : 0;
}

static aio_context_t aio;

static int an_aio(struct km *km)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = km->fd,
		.aio_buf = (uintptr_t)buffer,
		.aio_nbytes = 16,
	};
	struct iocb *list = &iocb;
	struct timespec soon = {.tv_sec = 20};
	struct io_event event;

	if (syscall(SYS_io_submit, aio, 1, &list) != 1)
		return errno;
	if (syscall(SYS_io_getevents, aio, 1, 1, &event, &soon) != 1)
		return errno ?: ETIMEDOUT;
	return (int64_t)event.res < 0 ? -(int64_t)event.res : 0;
}

/* What a driver does in the thread of the client: objects of all kinds are made and deleted. */
static int objects(struct km *km)
{
	static const struct kmtest_op ops[] = {
		OP(OBJECT_CREATE, .slot = PARENT),
		OP(CONTEXT_ADD, .slot = PARENT, .only_if = KMTEST_IF_SUCCESS),
		OP(OBJECT_CREATE, .slot = CHILD, .other = PARENT, .only_if = KMTEST_IF_SUCCESS),
		OP(SPIN_CREATE, .slot = LOCK),
		OP(TIMER_CREATE, .slot = TIMER, .other = KMTEST_DEVICE),
		OP(WORK_CREATE, .slot = WORK, .other = KMTEST_DEVICE),
		OP(MEMORY_CREATE, .slot = MEMORY, .value = 100),
		OP(REQUEST_CREATE, .slot = R1),
		OP(TARGET_CREATE, .slot = 130, .other = KMTEST_DEVICE),
	};
	enum { COUNT_OF = sizeof(ops) / sizeof(ops[0]) };
	struct kmtest_run run = {.count = COUNT_OF};
	uint32_t size = offsetof(struct kmtest_run, ops) + sizeof(ops);
	int32_t status;
	int err;

	memcpy(run.ops, ops, sizeof(ops));
	for (int i = 0; i < COUNT_OF; i++)
		run.ops[i].status = KMTEST_SKIPPED;
	status = km_control(km->ctl, KMTEST_RUN, &run, size, &run, size);
	if (status)
		return (status & 0xff000000) == 0x20000000 ? status & 0xffffff : as_errno(status);
	err = 0;
	for (int i = 0; i < COUNT_OF; i++)
		err = err ?: run.ops[i].status == KMTEST_SKIPPED ? 0 : as_errno(run.ops[i].status);
	return err;
}

static void delete_objects(struct km *km)
{
	static const uint16_t slots[] = {PARENT, LOCK, TIMER, WORK, MEMORY, R1, 130};
	struct kmtest_look look = {.count = sizeof(slots) / sizeof(slots[0])};

	for (uint32_t i = 0; i < look.count; i++)
		look.slots[i].slot = slots[i];
	if (km_look(km, &look))
		return;
	for (uint32_t i = 0; i < look.count; i++) {
		struct kmtest_op op = OP(DELETE, .slot = slots[i]);

		if (look.slots[i].alive)
			km_op(km, &op);
	}
}

static int api = -1; /* /dev/kmdf/kmapi */

/* What kmapi makes, a device among it. */
static int one_of_each(struct km *km)
{
	(void)km;
	return of_call(km, api, KMAPI_CREATE, NULL, 0, 0);
}

static int a_queue(struct km *km)
{
	struct kmtest_queue queue = {OTHER_QUEUE, KMTEST_DEVICE, MANUAL};
	int32_t status = km_control(km->ctl, KMTEST_CREATE_QUEUE, &queue, sizeof(queue), &queue, sizeof(queue));

	if (status)
		return (status & 0xff000000) == 0x20000000 ? status & 0xffffff : as_errno(status);
	return as_errno(queue.status);
}

static void delete_queue(struct km *km)
{
	struct kmtest_look look = {.count = 1, .slots = {{.slot = OTHER_QUEUE}}};
	struct kmtest_op op = OP(DELETE, .slot = OTHER_QUEUE);

	if (!km_look(km, &look) && look.slots[0].alive)
		km_op(km, &op);
}

static int open_module(const char *name)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s.ko", kb_program_dir(), name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int module = -1;

static int a_driver(struct km *km)
{
	(void)km;
	return syscall(SYS_finit_module, module, "", 0) ? errno : 0;
}

static void unload_driver(struct km *km)
{
	(void)km;
	km_unload("kmecho_auto_fast", KM_SOON_MS);
}

static const struct {
	const char *name;
	int (*call)(struct km *km);
	void (*undo)(struct km *km);
	unsigned int least, least_of_module; /* points there are, of the kernel's and of the module's way */
} calls[] = {
	{"device control", a_control, NULL, 2, 3},
	{"long device control", a_long_control, NULL, 2, 3},
	{"read", a_read, NULL, 2, 3},
	{"write", a_write, NULL, 2, 3},
	{"open", an_open, NULL, 1, 5},
	{"cancel", a_cancel, NULL, 1, 0},
	{"list", a_list, NULL, 1, 1},
	{"aio", an_aio, NULL, 2, 5},
	{"objects", objects, delete_objects, 5, 15},
	{"one of each", one_of_each, NULL, 10, 25},
	{"queue", a_queue, delete_queue, 1, 5},
	{"driver", a_driver, unload_driver, 5, 10},
};

FIXTURE(faults)
{
	struct km km;
};

FIXTURE_SETUP(faults)
{
	int err = inject_begin();

	only_modules = err == ENOENT;
	ASSERT_TRUE(!err || only_modules) TH_LOG("%s", strerror(err));
	/* The program's own page faults would be points too. */
	memset(buffer, 1, sizeof(buffer));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	ASSERT_EQ(0, km_setup(&self->km, NULL));
	fail_mine = open("/sys/module/kmdf/parameters/fail_mine", O_RDWR | O_CLOEXEC);
	if (only_modules && fail_mine < 0)
		SKIP(exit(KSFT_SKIP), "neither the kernel nor this kmdf.ko can fail an allocation");
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &aio));
	module = open_module("kmecho_auto_fast");
	ASSERT_LE(0, module);
	ASSERT_EQ(0, kb_insmod("kmapi"));
	ASSERT_EQ(1, km_broken(&self->km, "DriverCreate")); /* on purpose */
	api = km_open("kmapi");
	ASSERT_LE(0, api);
	for (unsigned int queue = KMTEST_SEQUENTIAL; queue <= KMTEST_PARALLEL; queue++) {
		struct kmtest_script script = completes;

		script.slot = queue;
		script.first = R2 + queue;
		script.count = 1;
		script.ops[0] = script.ops[1];
		script.ops[1] = (struct kmtest_op){};
		ASSERT_EQ(0, km_script(&self->km, &script));
	}
}

FIXTURE_TEARDOWN(faults)
{
	syscall(SYS_io_destroy, aio);
	close(api);
	EXPECT_EQ(0, km_unload("kmapi", KM_SOON_MS));
	EXPECT_EQ(0, km_teardown(&self->km));
}

/* Nothing of the call is left, whatever came of it. */
static bool is_idle(struct km *km)
{
	uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull;
	struct kmdf_device device;

	do {
		if (!km_find_device(km, "kmtest", &device))
			return false;
		if (!device.requests && device.opens == 1)
			return true;
		kb_sleep_ms(1);
	} while (kb_now_ns() < until);
	return false;
}

static bool may_be(int err)
{
	return !err || err == ENOMEM || err == EFAULT || err == EAGAIN || err == ENFILE || err == EMFILE;
}

TEST_F_TIMEOUT(faults, W_108_each_allocation_fails_once, 900)
{
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned int points[INJECT_KINDS] = {};

		for (enum inject_kind kind = 0; kind < (only_modules ? INJECT_REST : INJECT_KINDS); kind++) {
			/* A cache that was filled up makes a point disappear now and then. */
			for (unsigned int point = 1, misses = 0; misses < 3; point++) {
				bool hit;
				int err;

				arm(kind, point);
				err = calls[i].call(&self->km);
				hit = disarm(kind);
				if (hit) {
					ASSERT_TRUE(may_be(err))
					TH_LOG("%s, point %u: %s", calls[i].name, point, strerror(err));
				} else {
					ASSERT_EQ(0, err) TH_LOG("%s: %s", calls[i].name, strerror(err));
				}
				if (calls[i].undo)
					calls[i].undo(&self->km);
				ASSERT_TRUE(is_idle(&self->km)) TH_LOG("%s, point %u", calls[i].name, point);
				ASSERT_EQ(0, km_broken_any(&self->km)) TH_LOG("%s, point %u", calls[i].name, point);
				points[kind] += hit;
				misses = hit ? 0 : misses + 1;
			}
		}
		TH_LOG("%s: %u points, %u where the rest fails too", calls[i].name, points[INJECT_ONE],
		       points[INJECT_REST]);
		EXPECT_LE(only_modules ? calls[i].least_of_module : calls[i].least, points[INJECT_ONE])
		TH_LOG("%s: too few points", calls[i].name);
	}
}

/* ---- kmdf.ko itself, where the kernel can fail its allocations; a tenth of them with $KEXTBRIDGE_ROUNDS=0.1 */

FIXTURE(unloaded)
{
	int file;
};

FIXTURE_SETUP(unloaded)
{
	int err = inject_begin();

	if (err == ENOENT)
		SKIP(exit(KSFT_SKIP), "what fails is the kernel's own, which this one cannot make fail");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, km_unload("kmtest", KM_SOON_MS));
	ASSERT_EQ(0, km_unload("kmdf", KM_SOON_MS));
	self->file = open_module("kmdf");
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
}

FIXTURE_TEARDOWN(unloaded)
{
	close(self->file);
	EXPECT_EQ(0, km_load_kmdf(NULL));
}

TEST_F_TIMEOUT(unloaded, W_108_module_that_cannot_be_loaded, 900)
{
	unsigned int step = kb_rounds(1000) < 1000 ? 1000 / kb_rounds(1000) : 1, failed = 0, misses = 0;

	for (unsigned int point = 1; misses < 3; point += step) {
		bool hit;
		int err;

		inject_arm(INJECT_ONE, point);
		err = syscall(SYS_finit_module, self->file, "", 0) ? errno : 0;
		hit = inject_disarm(INJECT_ONE);
		ASSERT_TRUE(may_be(err)) TH_LOG("point %u: %s", point, strerror(err));
		ASSERT_EQ(!err, kb_is_loaded("kmdf")) TH_LOG("point %u", point);
		failed += err != 0;
		misses = hit ? 0 : misses + 1;
		ASSERT_EQ(0, err ? 0 : km_unload("kmdf", KM_SOON_MS));
	}
	TH_LOG("not loaded %u times; every allocation in %u", failed, step);
	EXPECT_LE(20 / step + 1, failed);
}

/* ---- the system goes down */

TEST(control_device_is_told_of_the_shutdown)
{
	struct km km = {.ctl = -1, .fd = -1, .control = -1};
	int hook;

	ASSERT_EQ(0, km_unload("kmtest", 0));
	ASSERT_EQ(0, km_load_kmdf(NULL));
	ASSERT_EQ(0, km_rules(km.rules));
	ASSERT_EQ(0, kb_insmod("kmapi"));
	ASSERT_EQ(1, km_broken(&km, "DriverCreate"));
	hook = open("/sys/module/kmdf/parameters/shutdown", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, hook);
	EXPECT_EQ(1, write(hook, "1", 1));
	close(hook);
	/* Its one device that asked to be told; it breaks that rule. */
	EXPECT_EQ(1, km_broken(&km, "NullParameter"));
	EXPECT_EQ(0, km_unload("kmapi", KM_SOON_MS));
	EXPECT_EQ(0, km_broken_any(&km));
}

TEST_HARNESS_MAIN
