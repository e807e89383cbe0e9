// SPDX-License-Identifier: GPL-2.0-only
/*
 * KMDF: the echo drivers of drivers/kmecho, as the program that comes with Windows' samples of this kind uses them, and
 * clients that are cancelled and killed. Their timers tick every millisecond here, so that they race with all of that.
 */
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define INTERFACE "6d5b1e4a-93c7-4f0a-a1e2-5c1f7b0d9e33" /* drivers/kmecho/public.h */
#define MOST 40960

struct echo {
	struct km km;
	const char *module;
	char name[64];
	int fd;
};

static int echo_begin(struct echo *echo, const char *module)
{
	int err;

	*echo = (struct echo){.module = module, .fd = -1};
	echo->km.control = -1;
	err = km_unload("kmtest", 0)                ?:
		      km_unload(module, KM_SOON_MS) ?:
		      km_load_kmdf(NULL)            ?:
		      km_rules(echo->km.rules)      ?:
						      kb_insmod(module);
	if (err)
		return err;
	echo->km.control = km_open("control");
	if (!km_find_interface(INTERFACE, echo->name, sizeof(echo->name)))
		return ENODEV;
	echo->fd = km_open(echo->name);
	return echo->fd < 0 ? -echo->fd : 0;
}

/* Nothing is left of it. */
static int echo_end(struct echo *echo)
{
	struct kmdf_device device;
	int err;

	close(echo->fd);
	err = km_broken_any(&echo->km) ? EBADE : 0;
	err = km_unload(echo->module, KM_SOON_MS) ?: err;
	if (km_find_device(&echo->km, echo->name, &device))
		err = EBUSY;
	close(echo->km.control);
	return err ?: km_unload("kmdf", KM_SOON_MS);
}

FIXTURE(automatic)
{
	struct echo echo;
};

FIXTURE_SETUP(automatic)
{
	ASSERT_EQ(0, echo_begin(&self->echo, "kmecho_auto_fast"));
}

FIXTURE_TEARDOWN(automatic)
{
	EXPECT_EQ(0, echo_end(&self->echo));
}

FIXTURE(own)
{
	struct echo echo;
};

FIXTURE_SETUP(own)
{
	ASSERT_EQ(0, echo_begin(&self->echo, "kmecho_own_fast"));
}

FIXTURE_TEARDOWN(own)
{
	EXPECT_EQ(0, echo_end(&self->echo));
}

/* ---- what it does */

static void fill(uint8_t *data, unsigned int length, unsigned int from)
{
	for (unsigned int i = 0; i < length; i++)
		data[i] = from + i;
}

static void two_sizes(struct __test_metadata *_metadata, struct echo *echo)
{
	static const unsigned int sizes[] = {512, 30720};
	static uint8_t out[MOST], in[MOST];

	for (int i = 0; i < 2; i++) {
		fill(out, sizes[i], 0);
		memset(in, 0xee, sizeof(in));
		ASSERT_EQ(sizes[i], write(echo->fd, out, sizes[i]));
		ASSERT_EQ(sizes[i], read(echo->fd, in, sizes[i]));
		EXPECT_EQ(0, memcmp(in, out, sizes[i]));
		/* As often as one likes, and no more than there is. */
		ASSERT_EQ(sizes[i], read(echo->fd, in, sizeof(in)));
		EXPECT_EQ(0, memcmp(in, out, sizes[i]));
		ASSERT_EQ(10, read(echo->fd, in, 10));
	}
}

static void limits(struct __test_metadata *_metadata, struct echo *echo)
{
	static uint8_t data[MOST + 1];

	EXPECT_EQ(0, read(echo->fd, data, 100));
	EXPECT_EQ(MOST, write(echo->fd, data, MOST));
	EXPECT_EQ(-1, write(echo->fd, data, MOST + 1));
	EXPECT_EQ(EOVERFLOW, errno);
	EXPECT_EQ(MOST, read(echo->fd, data, sizeof(data)));
	EXPECT_EQ(0, write(echo->fd, data, 0));
	EXPECT_EQ(0, read(echo->fd, data, 0));
}

/* ---- two clients with a hundred requests each under way, each with a file of its own */

enum { UNDER_WAY = 100 };

struct stream {
	pthread_t thread;
	const char *name;
	bool writes;
	uint32_t rounds, completed, wrong;
};

static void *stream(void *arg)
{
	struct stream *stream = arg;
	struct iocb iocbs[UNDER_WAY] = {}, *list[UNDER_WAY];
	int fd = km_open(stream->name);
	uint8_t *data = calloc(UNDER_WAY, MOST);
	uint32_t submitted = 0;
	aio_context_t aio = 0;

	stream->wrong = fd < 0 || !data || syscall(SYS_io_setup, UNDER_WAY, &aio);
	for (int i = 0; i < UNDER_WAY && !stream->wrong; i++) {
		iocbs[i] = (struct iocb){
			.aio_lio_opcode = stream->writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			.aio_fildes = fd,
			.aio_buf = (uintptr_t)data + (size_t)i * MOST,
			.aio_nbytes = MOST,
			.aio_data = i,
		};
		list[i] = &iocbs[i];
	}
	if (!stream->wrong)
		submitted = syscall(SYS_io_submit, aio, UNDER_WAY, list);
	stream->wrong |= submitted != UNDER_WAY;
	while (!stream->wrong && stream->completed < submitted) {
		struct timespec soon = {.tv_sec = 20};
		struct iocb *again;
		struct io_event event;

		if (syscall(SYS_io_getevents, aio, 1, 1, &event, &soon) != 1) {
			stream->wrong++;
			break;
		}
		/* Before the first write, there is nothing to read. */
		stream->wrong += event.res != MOST && (stream->writes || event.res != 0);
		again = &iocbs[event.data];
		if (++stream->completed + UNDER_WAY <= stream->rounds)
			submitted += syscall(SYS_io_submit, aio, 1, &again) == 1;
	}
	syscall(SYS_io_destroy, aio);
	close(fd);
	free(data);
	return NULL;
}

static void hundred_under_way(struct __test_metadata *_metadata, struct echo *echo)
{
	struct stream streams[2];

	for (int i = 0; i < 2; i++) {
		streams[i] = (struct stream){.name = echo->name, .writes = i, .rounds = kb_rounds_from(200, 1000)};
		ASSERT_EQ(0, pthread_create(&streams[i].thread, NULL, stream, &streams[i]));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(streams[i].thread, NULL);
		EXPECT_EQ(0, streams[i].wrong);
		EXPECT_EQ(streams[i].rounds, streams[i].completed);
	}
}

/* ---- cancelled and killed */

struct worker {
	pthread_t thread;
	int fd, quit;
	bool writes;
	uint32_t completed, cancelled, wrong;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	static __thread uint8_t data[4096];

	while (!__atomic_load_n(&worker->quit, __ATOMIC_RELAXED)) {
		ssize_t done = worker->writes ? write(worker->fd, data, sizeof(data)) :
						read(worker->fd, data, sizeof(data));

		if (done >= 0)
			worker->completed++;
		else if (errno == ECANCELED)
			worker->cancelled++;
		else
			worker->wrong++;
	}
	return NULL;
}

/* In a child: until it is killed. */
static void *ask_for_ever(void *arg)
{
	static __thread uint8_t data[4096];
	int fd = *(int *)arg;

	for (;;) {
		write(fd, data, sizeof(data));
		read(fd, data, sizeof(data));
	}
	return NULL;
}

static pid_t child(const char *name)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = km_open(name);
	for (int i = 0; i < 2 && fd >= 0; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, ask_for_ever, &fd);
	}
	ask_for_ever(&fd);
	_exit(1);
}

static void cancelled_and_killed(struct __test_metadata *_metadata, struct echo *echo)
{
	const uint32_t cycles = kb_rounds_from(200, 10000);
	struct kmdf_device device = {};
	struct worker workers[3] = {};
	uint32_t kills = 0, cancels = 0, found = 0, notified = 0;
	uint64_t until;
	pid_t pid = 0;

	for (int i = 0; i < 3; i++) {
		workers[i].fd = km_open(echo->name);
		workers[i].writes = i & 1;
		ASSERT_LE(0, workers[i].fd);
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (uint32_t cycle = 0; cycle < cycles; cycle++) {
		if (cycle % 5) {
			struct kmdf_cancel cancel;

			usleep(kb_random() % 1500);
			cancel = km_cancel_what(workers[kb_random() % 3].fd, KMDF_CANCEL_FILE, 0);
			cancels++;
			found += cancel.found;
			notified += cancel.notified;
			continue;
		}
		if (pid) {
			ASSERT_LE(0, km_kill(pid)) TH_LOG("cycle %u", cycle);
		}
		kills += pid != 0;
		pid = child(echo->name);
		ASSERT_LT(0, pid);
	}
	ASSERT_LE(0, km_kill(pid));
	for (int i = 0; i < 3; i++) {
		__atomic_store_n(&workers[i].quit, 1, __ATOMIC_RELAXED);
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].wrong);
		close(workers[i].fd);
	}
	TH_LOG("%u kills, %u cancels found %u requests, %u of them with the driver; of others %u were completed, %u cancelled",
	       kills + 1, cancels, found, notified, workers[0].completed + workers[1].completed + workers[2].completed,
	       workers[0].cancelled + workers[1].cancelled + workers[2].cancelled);
	EXPECT_LT(0, notified);
	/* The driver is done with what the killed ones have left within a few ticks. */
	until = kb_now_ns() + KM_SOON_MS * 1000000ull;
	do {
		ASSERT_TRUE(km_find_device(&echo->km, echo->name, &device));
	} while ((device.requests || device.opens != 1) && kb_now_ns() < until);
	EXPECT_EQ(0, device.requests);
	EXPECT_EQ(1, device.opens);
}

/* Its queue and timer are stopped while the device sleeps. */
static void sleeps_and_wakes(struct __test_metadata *_metadata, struct echo *echo)
{
	uint8_t out[64], in[64];
	struct worker worker = {.fd = echo->fd, .writes = true};

	ASSERT_EQ(0, pthread_create(&worker.thread, NULL, work, &worker));
	for (uint32_t i = 0; i < kb_rounds_from(5, 50); i++) {
		ASSERT_EQ(0, km_power(echo->name, "suspend"));
		usleep(kb_random() % 3000);
		ASSERT_EQ(0, km_power(echo->name, "resume"));
		usleep(kb_random() % 3000);
	}
	__atomic_store_n(&worker.quit, 1, __ATOMIC_RELAXED);
	pthread_join(worker.thread, NULL);
	EXPECT_EQ(0, worker.wrong);
	EXPECT_LT(0, worker.completed);
	fill(out, sizeof(out), 5);
	EXPECT_EQ(64, write(echo->fd, out, sizeof(out)));
	EXPECT_EQ(64, read(echo->fd, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
}

TEST_F(automatic, W_103_two_sizes)
{
	two_sizes(_metadata, &self->echo);
}

TEST_F(automatic, W_103_limits)
{
	limits(_metadata, &self->echo);
}

TEST_F_TIMEOUT(automatic, W_103_hundred_under_way, 120)
{
	hundred_under_way(_metadata, &self->echo);
}

TEST_F_TIMEOUT(automatic, W_103_cancelled_and_killed, 400)
{
	cancelled_and_killed(_metadata, &self->echo);
}

TEST_F_TIMEOUT(automatic, W_103_sleeps_and_wakes, 60)
{
	sleeps_and_wakes(_metadata, &self->echo);
}

TEST_F(own, W_104_two_sizes)
{
	two_sizes(_metadata, &self->echo);
}

TEST_F(own, W_104_limits)
{
	limits(_metadata, &self->echo);
}

TEST_F_TIMEOUT(own, W_104_hundred_under_way, 120)
{
	hundred_under_way(_metadata, &self->echo);
}

TEST_F_TIMEOUT(own, W_104_cancelled_and_killed, 400)
{
	cancelled_and_killed(_metadata, &self->echo);
}

TEST_F_TIMEOUT(own, W_104_sleeps_and_wakes, 60)
{
	sleeps_and_wakes(_metadata, &self->echo);
}

/* As they are, a client waits for the next tick of their timers. */
FIXTURE(slow)
{
	struct echo echo;
};

FIXTURE_VARIANT(slow)
{
	const char *module;
};

FIXTURE_VARIANT_ADD(slow, automatic){
	.module = "kmecho_auto",
};

FIXTURE_VARIANT_ADD(slow, own){
	.module = "kmecho_own",
};

FIXTURE_SETUP(slow)
{
	ASSERT_EQ(0, echo_begin(&self->echo, variant->module));
}

FIXTURE_TEARDOWN(slow)
{
	EXPECT_EQ(0, echo_end(&self->echo));
}

TEST_F(slow, W_104_a_tick_of_two_seconds)
{
	uint64_t began = kb_now_ns();
	char byte = 1;

	EXPECT_EQ(1, write(self->echo.fd, &byte, 1));
	EXPECT_EQ(1, read(self->echo.fd, &byte, 1));
	/* A tick that comes late has the next one sooner after it. */
	EXPECT_LE(1000000000ull, kb_now_ns() - began);
}

TEST_HARNESS_MAIN
