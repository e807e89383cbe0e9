// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: clients that do not wait, libaio's and io_uring's: completion, cancellation, death. */
#include <libaio.h>
#include <liburing.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/km_fixture.h"

static int submit_read(io_context_t aio, struct iocb *iocb, int fd, void *buffer, size_t size)
{
	struct iocb *list[] = {iocb};

	io_prep_pread(iocb, fd, buffer, size, 0);
	return io_submit(aio, 1, list);
}

/* Its result; 1: there is none in time. */
static long result(io_context_t aio, unsigned int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
	struct io_event event;

	return io_getevents(aio, 1, 1, &event, &timeout) == 1 ? (long)event.res : 1;
}

FIXTURE(aio)
{
	struct km km;
	io_context_t aio;
	struct iocb iocb;
	unsigned char buffer[64];
};

FIXTURE_SETUP(aio)
{
	ASSERT_EQ(0, km_setup(&self->km, NULL));
	memset(self->buffer, 0xee, sizeof(self->buffer));
	ASSERT_EQ(0, io_setup(8, &self->aio));
}

FIXTURE_TEARDOWN(aio)
{
	DO(FINISH, R);
	io_destroy(self->aio);
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(aio, W_033_bytes_come_when_the_driver_completes)
{
	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, self->buffer, sizeof(self->buffer)));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	EXPECT_EQ(1, result(self->aio, KM_NEVER_MS));
	DO(FILL, R, .value = 40);
	DO(COMPLETE_WITH, R, .value = 40);
	EXPECT_EQ(40, result(self->aio, KM_SOON_MS));
	for (int i = 0; i < 40; i++)
		ASSERT_EQ(i, self->buffer[i]);
	EXPECT_EQ(0xee, self->buffer[40]);
}

TEST_F(aio, W_034_error_brings_nothing)
{
	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, FILL, .value = 40),
		     AT(IO, COMPLETE_WITH, .status = STATUS_UNSUCCESSFUL, .value = 40));
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, self->buffer, sizeof(self->buffer)));
	EXPECT_EQ(-EIO, result(self->aio, KM_SOON_MS));
	EXPECT_EQ(0xee, self->buffer[0]);
}

TEST_F(aio, W_002_io_cancel_of_what_is_marked)
{
	struct io_event event;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, self->buffer, sizeof(self->buffer)));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	/* Its result is an event, as of all. */
	EXPECT_EQ(-EINPROGRESS, io_cancel(self->aio, &self->iocb, &event));
	EXPECT_EQ(-ECANCELED, result(self->aio, KM_SOON_MS));
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

TEST_F(aio, W_047_io_cancel_of_what_is_queued)
{
	struct io_event event;

	USE_MANUAL();
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, self->buffer, sizeof(self->buffer)));
	EXPECT_EQ(1, KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)));
	EXPECT_EQ(-EINPROGRESS, io_cancel(self->aio, &self->iocb, &event));
	EXPECT_EQ(-ECANCELED, result(self->aio, KM_SOON_MS));
	EXPECT_EQ(0, KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)));
}

TEST_F(aio, W_041_late_success_after_io_cancel)
{
	struct io_event event;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, self->buffer, sizeof(self->buffer)));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	EXPECT_EQ(-EINPROGRESS, io_cancel(self->aio, &self->iocb, &event));
	EXPECT_EQ(1, result(self->aio, KM_NEVER_MS));
	EXPECT_EQ(1, VALUE(IS_CANCELED, R));
	DO(COMPLETE_WITH, R, .value = 7);
	EXPECT_EQ(7, result(self->aio, KM_SOON_MS));
}

TEST_F(aio, W_100_close_cancels_what_its_file_has_in_queues)
{
	unsigned char buffer[16];
	struct iocb theirs;
	int fd;

	USE_MANUAL();
	fd = km_open("kmtest_own");
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, fd, self->buffer, 16));
	ASSERT_EQ(1, submit_read(self->aio, &theirs, self->km.fd, buffer, 16));
	EXPECT_TRUE(km_queued(&self->km, 2));
	close(fd);
	EXPECT_EQ(-ECANCELED, result(self->aio, KM_SOON_MS));
	EXPECT_EQ(1, result(self->aio, KM_NEVER_MS));
	EXPECT_TRUE(km_queued(&self->km, 1));
	DO(QUEUE_PURGE, QUEUE, .flags = KMTEST_SYNC);
	EXPECT_EQ(-ECANCELED, result(self->aio, KM_SOON_MS));
}

TEST_F(aio, W_100_close_leaves_what_the_driver_has)
{
	int fd;

	USE_QUEUE(.type = PARALLEL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	fd = km_open("kmtest_own");
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, fd, self->buffer, 16));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	close(fd);
	EXPECT_TRUE(NEVER(CANCEL, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R));
	DO(COMPLETE_WITH, R, .value = 3);
	EXPECT_EQ(3, result(self->aio, KM_SOON_MS));
}

TEST_F(aio, W_101_cleanup_precedes_the_flush)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE | KMTEST_ON_QUEUE}},
	};
	int fd;

	ASSERT_EQ(0, km_use(&self->km, &device));
	QUEUE_SCRIPT(QUEUE, R, 1, AT(ON_QUEUE, COMPLETE, .status = STATUS_CANCELLED));
	fd = km_open("kmtest_own");
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, fd, self->buffer, 1));
	/* The driver has had it, so that it is told. */
	EXPECT_EQ(R, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R));
	close(fd);
	EXPECT_TRUE(SEEN(ON_QUEUE, R));
	EXPECT_EQ(-ECANCELED, result(self->aio, KM_SOON_MS));
	EXPECT_LT(FIRST(FILE_CLEANUP | KMTEST_END, KM_OWN_DEVICE).seq, FIRST(ON_QUEUE, R).seq);
	EXPECT_LT(FIRST(CLEANUP, R).seq, FIRST(FILE_CLOSE, KM_OWN_DEVICE).seq);
}

TEST_F(aio, W_037_address_that_is_bad)
{
	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, COMPLETE_WITH, .value = 7));
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, (void *)16, 64));
	EXPECT_EQ(-EFAULT, result(self->aio, KM_SOON_MS));
	EXPECT_EQ(0, COUNT(IO, R));
	/* What was there, and is not any more, when it is completed: its page is held. */
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	SCRIPT(R, AT(IO, NOTE));
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, self->km.fd, page, 4096));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	munmap(page, 4096);
	DO(FILL, R, .value = 64);
	DO(COMPLETE_WITH, R, .value = 64);
	EXPECT_EQ(64, result(self->aio, KM_SOON_MS));
}

FIXTURE(on_close)
{
	struct km km;
	io_context_t aio;
	struct iocb iocb;
	unsigned char buffer[16];
};

FIXTURE_SETUP(on_close)
{
	ASSERT_EQ(0, km_setup(&self->km, "cancel_on_close=1"));
	ASSERT_EQ(0, io_setup(8, &self->aio));
}

FIXTURE_TEARDOWN(on_close)
{
	io_destroy(self->aio);
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(on_close, W_100_close_cancels_what_the_driver_has)
{
	int fd;

	USE_QUEUE(.type = PARALLEL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	fd = km_open("kmtest_own");
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, submit_read(self->aio, &self->iocb, fd, self->buffer, sizeof(self->buffer)));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	close(fd);
	EXPECT_TRUE(SEEN(CANCEL, R));
	EXPECT_EQ(-ECANCELED, result(self->aio, KM_SOON_MS));
}

/* Each process that closes its descriptor cancels what it has asked for, and nothing of the others'. */
TEST_F(on_close, W_100_close_of_one_process_cancels_its_own)
{
	struct km_client ours, theirs;
	int ready[2], status;
	char byte;
	pid_t pid;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&ours, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		theirs = (struct km_client){
			.fd = self->km.fd,
			.kind = KM_CONTROL,
			.code = KMTEST_REQUEST,
			.script = {.slot = R2,
				   .ops = {AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED)}}};
		if (km_begin(&theirs) || read(ready[0], &byte, 1) != 1)
			_exit(1);
		/* Its thread keeps the file open, and waits for the request. */
		close(self->km.fd);
		_exit(km_end(&theirs) != STATUS_CANCELLED);
	}
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R2));
	ASSERT_EQ(1, write(ready[1], "", 1));
	EXPECT_TRUE(SEEN(CANCEL, R2));
	ASSERT_TRUE(km_reap(pid, &status, KM_SOON_MS));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, COUNT(CANCEL, R1));
	EXPECT_FALSE(km_done(&ours));
	CANCEL(R1);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&ours));
	close(ready[0]);
	close(ready[1]);
}

/* ---- clients that die: a child, which says when it has asked ---------------------------------------------------- */

enum how { BY_AIO, BY_URING };
enum then { STAY, CANCEL_IT, END_ALL };

/* The child's. */
static struct {
	io_context_t aio;
	struct iocb iocbs[256];
	struct io_uring ring;
	unsigned char buffers[256][64];
} asked;

static int ask_by_uring(int fd, unsigned int count)
{
	if (io_uring_queue_init(256, &asked.ring, 0))
		return 1;
	for (unsigned int i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&asked.ring);

		io_uring_prep_read(sqe, fd, asked.buffers[i], sizeof(asked.buffers[i]), 0);
		sqe->user_data = i + 1;
	}
	return io_uring_submit(&asked.ring) != (int)count;
}

static int ask_by_aio(int fd, unsigned int count)
{
	if (io_setup(count, &asked.aio))
		return 1;
	for (unsigned int i = 0; i < count; i++) {
		if (submit_read(asked.aio, &asked.iocbs[i], fd, asked.buffers[i], sizeof(asked.buffers[i])) != 1)
			return 1;
	}
	return 0;
}

static void give_up(enum how how, enum then then)
{
	struct io_uring_sqe *sqe;
	struct io_event event;

	if (how == BY_AIO && then == CANCEL_IT) {
		io_cancel(asked.aio, &asked.iocbs[0], &event);
	} else if (how == BY_AIO) {
		io_destroy(asked.aio);
	} else if (then == CANCEL_IT) {
		sqe = io_uring_get_sqe(&asked.ring);
		io_uring_prep_cancel64(sqe, 1, 0);
		sqe->user_data = 0;
		io_uring_submit(&asked.ring);
	} else {
		io_uring_queue_exit(&asked.ring);
	}
}

/* What is to follow, follows on SIGUSR1. */
static pid_t ask_and(enum how how, unsigned int count, enum then then)
{
	int said[2];
	char ok = 0;
	sigset_t told;
	int number;

	if (pipe(said))
		return -1;
	pid_t pid = fork();

	if (!pid) {
		sigemptyset(&told);
		sigaddset(&told, SIGUSR1);
		sigprocmask(SIG_BLOCK, &told, NULL);
		int fd = km_open("kmtest_own");

		ok = fd >= 0 && !(how == BY_AIO ? ask_by_aio(fd, count) : ask_by_uring(fd, count));
		if (write(said[1], &ok, 1) != 1)
			_exit(1);
		if (then != STAY && !sigwait(&told, &number))
			give_up(how, then);
		for (;;)
			pause();
	}
	close(said[1]);
	if (read(said[0], &ok, 1) != 1 || !ok)
		pid = -1;
	close(said[0]);
	return pid;
}

static pid_t ask(enum how how, unsigned int count)
{
	return ask_and(how, count, STAY);
}

FIXTURE(dying)
{
	struct km km;
};

FIXTURE_VARIANT(dying)
{
	enum how how;
};

FIXTURE_VARIANT_ADD(dying, aio){
	.how = BY_AIO,
};

FIXTURE_VARIANT_ADD(dying, uring){
	.how = BY_URING,
};

FIXTURE_SETUP(dying)
{
	ASSERT_EQ(0, km_setup(&self->km, NULL));
}

FIXTURE_TEARDOWN(dying)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(dying, W_030_killed_while_its_request_is_marked)
{
	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	pid_t pid = ask(variant->how, 1);

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	int took = km_kill(pid);

	EXPECT_LE(0, took);
	EXPECT_GT(KM_GONE_MS, took);
	EXPECT_TRUE(SEEN(CANCEL, R));
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

TEST_F(dying, W_106_killed_while_the_driver_has_its_request)
{
	struct kmdf_device device;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	pid_t pid = ask(variant->how, 1);

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	int took = km_kill(pid);

	EXPECT_LE(0, took);
	EXPECT_GT(KM_GONE_MS, took);
	/* It is still there, and the driver's. */
	EXPECT_EQ(1, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	while (!VALUE(IS_CANCELED, R))
		sched_yield();
	DO(FILL, R, .value = 64);
	DO(COMPLETE_WITH, R, .value = 64);
	EXPECT_EQ(0, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	ASSERT_TRUE(km_find_device(&self->km, "kmtest_own", &device));
	EXPECT_EQ(0, device.requests);
}

TEST_F(dying, W_105_killed_with_a_hundred_in_the_queue)
{
	USE_QUEUE(.type = SEQUENTIAL);
	enum { FIRST_OF_MANY = 200 };

	QUEUE_SCRIPT(QUEUE, FIRST_OF_MANY, 200, AT(IO, MARK_EX),
		     AT(IO, COMPLETE, .status = STATUS_CANCELLED, .only_if = KMTEST_IF_CANCELLED),
		     AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	/* io_uring has as many threads as processes may have. */
	unsigned int count = variant->how == BY_AIO ? 101 : 21;
	pid_t pid = ask(variant->how, count);

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, FIRST_OF_MANY));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != count - 1)
		sched_yield();
	int took = km_kill(pid);

	EXPECT_LE(0, took);
	EXPECT_GT(KM_GONE_MS, took);
	EXPECT_TRUE(SEEN(CANCEL, FIRST_OF_MANY));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) + KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)))
		sched_yield();
	EXPECT_EQ(1, COUNT(CANCEL, FIRST_OF_MANY));
	/* One whose turn came before it was cancelled is the driver's, and told of once at most. */
	for (unsigned int i = 1; i < count; i++)
		EXPECT_GE(COUNT(IO, FIRST_OF_MANY + i), COUNT(CANCEL, FIRST_OF_MANY + i));
}

/* The kernel has had it cancelled already: it tells nobody that the child is killed. */
FIXTURE(giving_up)
{
	struct km km;
};

FIXTURE_VARIANT(giving_up)
{
	enum how how;
	enum then then;
};

FIXTURE_VARIANT_ADD(giving_up, io_cancel){
	.how = BY_AIO,
	.then = CANCEL_IT,
};

FIXTURE_VARIANT_ADD(giving_up, io_destroy){
	.how = BY_AIO,
	.then = END_ALL,
};

FIXTURE_VARIANT_ADD(giving_up, uring_cancel){
	.how = BY_URING,
	.then = CANCEL_IT,
};

FIXTURE_VARIANT_ADD(giving_up, uring_exit){
	.how = BY_URING,
	.then = END_ALL,
};

FIXTURE_SETUP(giving_up)
{
	ASSERT_EQ(0, km_setup(&self->km, NULL));
}

FIXTURE_TEARDOWN(giving_up)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(giving_up, W_106_killed_after_its_cancel)
{
	struct kmdf_device device;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	pid_t pid = ask_and(variant->how, 1, variant->then);

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ASSERT_EQ(0, kill(pid, SIGUSR1));
	while (!VALUE(IS_CANCELED, R))
		sched_yield();
	EXPECT_FALSE(km_reap(pid, NULL, KM_NEVER_MS));
	int took = km_kill(pid);

	EXPECT_LE(0, took);
	EXPECT_GT(KM_GONE_MS, took);
	EXPECT_EQ(1, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	DO(FILL, R, .value = 64);
	DO(COMPLETE_WITH, R, .value = 64);
	EXPECT_EQ(0, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	ASSERT_TRUE(km_find_device(&self->km, "kmtest_own", &device));
	EXPECT_EQ(0, device.requests);
}

/* ---- io_uring --------------------------------------------------------------------------------------------------- */

static int wait_for(struct io_uring *ring, __u64 data, int *res)
{
	struct __kernel_timespec timeout = {.tv_sec = KM_SOON_MS / 1000};
	struct io_uring_cqe *cqe;

	for (;;) {
		int err = io_uring_wait_cqe_timeout(ring, &cqe, &timeout);

		if (err)
			return err;
		bool found = cqe->user_data == data;

		*res = cqe->res;
		io_uring_cqe_seen(ring, cqe);
		if (found)
			return 0;
	}
}

TEST_F(driver, W_033_io_uring_reads)
{
	unsigned char buffer[64] = {};
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	int res;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, FILL, .value = 40), AT(IO, COMPLETE_WITH, .value = 40));
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, self->km.fd, buffer, sizeof(buffer), 0);
	sqe->user_data = 1;
	ASSERT_EQ(1, io_uring_submit(&ring));
	ASSERT_EQ(0, wait_for(&ring, 1, &res));
	EXPECT_EQ(40, res);
	EXPECT_EQ(39, buffer[39]);
	io_uring_queue_exit(&ring);
}

TEST_F(driver, W_002_io_uring_cancels)
{
	unsigned char buffer[64] = {};
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	int res;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED));
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, self->km.fd, buffer, sizeof(buffer), 0);
	sqe->user_data = 1;
	ASSERT_EQ(1, io_uring_submit(&ring));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_cancel64(sqe, 1, 0);
	sqe->user_data = 2;
	ASSERT_EQ(1, io_uring_submit(&ring));
	ASSERT_EQ(0, wait_for(&ring, 1, &res));
	EXPECT_EQ(-ECANCELED, res);
	EXPECT_EQ(1, COUNT(CANCEL, R));
	io_uring_queue_exit(&ring);
}

TEST_HARNESS_MAIN
