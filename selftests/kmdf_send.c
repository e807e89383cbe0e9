// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: requests that a driver sends on, and cancels. The races are in kmdf_race.c. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

/* The device below, its queue, and the target that stands for it. What comes to it gets slots from L on. */
enum { LOWER = 130, LOWER_QUEUE = 131, TARGET = 132, L = 40 };

static int make_lower(struct km *km)
{
	struct kmtest_device device = {
		.name = "kmtest_lower",
		.slot = LOWER,
		.count = 1,
		.queues = {{LOWER_QUEUE, .type = PARALLEL, .flags = KMTEST_DEFAULT_QUEUE,
			    .handlers = KMTEST_HANDLE_READ | KMTEST_HANDLE_WRITE | KMTEST_HANDLE_CONTROL |
					KMTEST_HANDLE_INTERNAL}},
	};
	struct kmtest_op ops[] = {OP(TARGET_CREATE, .slot = TARGET, .other = KMTEST_DEVICE),
				  OP(TARGET_OPEN, .slot = TARGET, .other = LOWER)};
	int fd = km_device(km, &device), err;

	if (fd < 0)
		return -fd;
	close(fd);
	err = km_run(km, 0, ops, 2);
	return err ?: ops[0].status || ops[1].status ? EIO : 0;
}

/* With that as the script of what comes to it. */
#define LOWER_DOES(...)                                                               \
	do {                                                                          \
		ASSERT_EQ(0, make_lower(&self->km));                                  \
		ASSERT_EQ(0, km_script(&self->km, &(struct kmtest_script){            \
							  .slot = LOWER_QUEUE,        \
							  .flags = KMTEST_OWN_SCRIPT, \
							  .first = L,                 \
							  .count = 8,                 \
							  .ops = {__VA_ARGS__},       \
						  }));                                \
	} while (0)

/* In a handler: the request goes on as it is. */
#define SENDS_ON                                                                                \
	AT(IO, FORMAT, .other = TARGET), AT(IO, SET_COMPLETION), AT(IO, SEND, .other = TARGET), \
		AT(IO, COMPLETE_AS, .only_if = KMTEST_UNLESS_VALUE)
#define PASSES_BACK AT(COMPLETION, COMPLETE_AS)

/* A request of the driver's own in slot R, ready to be sent: a device control, whose answer goes to MEMORY. */
#define OWN_REQUEST(...)                                                                                  \
	do {                                                                                              \
		SCRIPT(R, __VA_ARGS__);                                                                   \
		ASSERT_EQ(STATUS_SUCCESS, DO(REQUEST_CREATE, R));                                         \
		ASSERT_EQ(STATUS_SUCCESS, DO(MEMORY_CREATE, MEMORY, .value = 32));                        \
		ASSERT_EQ(STATUS_SUCCESS,                                                                 \
			  DO(FORMAT, R, .other = TARGET, .flags = KMTEST_FORMAT_IOCTL, .value = MEMORY)); \
		DO(SET_COMPLETION, R);                                                                    \
	} while (0)

TEST_F(driver, W_079_completed_below_at_once)
{
	struct km_client client;

	LOWER_DOES(AT(IO, FILL, .value = 12), AT(IO, COMPLETE_WITH, .value = 12));
	DELIVERED(&client, R, SENDS_ON, PASSES_BACK);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(12, client.information);
	EXPECT_EQ(11, client.data[11]);
	EXPECT_EQ(1, FIRST_OP(SEND, R).value);
	EXPECT_EQ(1, COUNT(COMPLETION, R));
	EXPECT_EQ(12, FIRST(COMPLETION, R).value);
}

TEST_F(driver, W_079_completed_below_later)
{
	struct km_client client;

	LOWER_DOES(AT(IO, NOTE));
	DELIVERED(&client, R, SENDS_ON, PASSES_BACK);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	EXPECT_TRUE(km_waits(&client));
	EXPECT_EQ(0, COUNT(COMPLETION, R));
	DO(COMPLETE_WITH, L, .status = STATUS_UNSUCCESSFUL);
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_end(&client));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_079_request_of_the_drivers_own)
{
	LOWER_DOES(AT(IO, FILL, .value = 9), AT(IO, COMPLETE_WITH, .value = 9));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
	EXPECT_EQ(9, FIRST(COMPLETION, R).value);
	EXPECT_EQ(8, VALUE(MEMORY_READ, MEMORY, .value = 8ull << 32 | 1));
	EXPECT_EQ(STATUS_SUCCESS, DO(GET_STATUS, R));
	DO(DELETE, R);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_079_synchronous_send)
{
	LOWER_DOES(AT(IO, COMPLETE_WITH, .value = 4));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(STATUS_SUCCESS, DO(SEND, R, .other = TARGET, .flags = SEND_SYNCHRONOUS));
	EXPECT_EQ(0, COUNT(COMPLETION, R));
	EXPECT_EQ(1, COUNT(IO, L));
}

TEST_F(driver, W_079_send_and_forget)
{
	struct km_client client;

	LOWER_DOES(AT(IO, NOTE));
	DELIVERED(&client, R, AT(IO, FORMAT, .other = TARGET), AT(IO, SEND, .other = TARGET, .flags = SEND_AND_FORGET),
		  AT(IO, COMPLETE_AS, .only_if = KMTEST_UNLESS_VALUE));
	EXPECT_EQ(1, FIRST_OP(SEND, R).value);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	DO(COMPLETE_WITH, L, .value = 3);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(3, client.information);
	EXPECT_EQ(0, COUNT(COMPLETION, R));
}

TEST_F(driver, W_080_send_that_is_refused)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(TARGET_CLOSE, TARGET);
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET));
	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE, DO(GET_STATUS, R));
	EXPECT_TRUE(NEVER(COMPLETION, R));
	EXPECT_EQ(0, COUNT(IO, L));
}

TEST_F(driver, W_080_bad_options)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET, .flags = 0x10));
	EXPECT_EQ(STATUS_INVALID_PARAMETER, DO(GET_STATUS, R));
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET, .flags = SEND_AND_FORGET, .value = 10));
	EXPECT_EQ(STATUS_INVALID_PARAMETER, DO(GET_STATUS, R));
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET, .flags = SEND_AND_FORGET));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(GET_STATUS, R));
	EXPECT_TRUE(NEVER(COMPLETION, R));
}

TEST_F(driver, W_080_request_without_a_format)
{
	LOWER_DOES(AT(IO, COMPLETE));
	ASSERT_EQ(STATUS_SUCCESS, DO(REQUEST_CREATE, R));
	DO(SET_COMPLETION, R);
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET));
	EXPECT_EQ(STATUS_REQUEST_NOT_ACCEPTED, DO(GET_STATUS, R));
	EXPECT_TRUE(NEVER(COMPLETION, R));
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_081_clients_request_without_a_completion_routine)
{
	struct km_client client;

	LOWER_DOES(AT(IO, COMPLETE));
	DELIVERED(&client, R, AT(IO, FORMAT, .other = TARGET), AT(IO, SEND, .other = TARGET));
	EXPECT_EQ(0, FIRST_OP(SEND, R).value);
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, FIRST_OP(SEND, R).status);
	EXPECT_EQ(0, COUNT(IO, L));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_082_cancelled_before_it_is_sent)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(0, VALUE(CANCEL_SENT, R));
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET));
	EXPECT_EQ(STATUS_CANCELLED, DO(GET_STATUS, R));
	EXPECT_TRUE(NEVER(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(REUSE, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(FORMAT, R, .other = TARGET, .flags = KMTEST_FORMAT_IOCTL, .value = MEMORY));
	DO(SET_COMPLETION, R);
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
}

TEST_F(driver, W_083_cancel_of_what_is_marked_below)
{
	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	EXPECT_EQ(1, VALUE(CANCEL_SENT, R));
	EXPECT_TRUE(SEEN(CANCEL, L));
	EXPECT_EQ(STATUS_CANCELLED, FIRST(COMPLETION, R).status);
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_083_cancel_of_what_is_not_marked_below)
{
	LOWER_DOES(AT(IO, NOTE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	EXPECT_EQ(0, VALUE(CANCEL_SENT, R));
	EXPECT_EQ(1, VALUE(IS_CANCELED, L));
	EXPECT_TRUE(NEVER(COMPLETION, R));
	DO(COMPLETE, L);
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
}

/* The cancel of the client reaches the one below by itself. */
TEST_F(driver, W_083_clients_cancel_goes_through)
{
	struct km_client client;

	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	DELIVERED(&client, R, SENDS_ON, PASSES_BACK);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	EXPECT_EQ(1, CANCEL(R).found);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(CANCEL, L));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_084_completion_on_the_cancellers_stack)
{
	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	OWN_REQUEST(AT(COMPLETION, SPIN_ACQUIRE, .slot = LOCK), AT(COMPLETION, SPIN_RELEASE, .slot = LOCK));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	RUN(ops, OP(SPIN_ACQUIRE, .slot = LOCK), OP(CANCEL_SENT, .slot = R), OP(SPIN_RELEASE, .slot = LOCK));
	EXPECT_TRUE(SEEN(COMPLETION | KMTEST_END, R));
	if (FIRST(COMPLETION, R).thread == FIRST_OP(CANCEL_SENT, R).thread &&
	    FIRST(COMPLETION, R).seq < FIRST_OP(CANCEL_SENT, R).seq)
		EXPECT_EQ(1, BROKEN(RecursiveLock));
	/* The lock is as it was. */
	RUN(free, OP(SPIN_ACQUIRE, .slot = LOCK), OP(SPIN_RELEASE, .slot = LOCK));
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(driver, W_085_cancel_after_completion)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(REFERENCE, R);
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(COMPLETION | KMTEST_END, R));
	EXPECT_EQ(0, VALUE(CANCEL_SENT, R));
	DO(DELETE, R);
	EXPECT_EQ(0, VALUE(CANCEL_SENT, R));
	DO(DEREFERENCE, R);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
	km_broken_any(&self->km); /* the second one may be told */
}

TEST_F(driver, W_086_timeout)
{
	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET, .value = 50));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_IO_TIMEOUT, FIRST(COMPLETION, R).status);
	EXPECT_EQ(1, COUNT(CANCEL, L));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_086_timeout_of_a_synchronous_send)
{
	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(STATUS_IO_TIMEOUT, DO(SEND, R, .other = TARGET, .flags = SEND_SYNCHRONOUS, .value = 50));
	EXPECT_EQ(1, COUNT(CANCEL, L));
}

TEST_F(driver, W_086_in_time)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET, .value = 50));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_EQ(1, COUNT(COMPLETION, R));
	EXPECT_EQ(0, COUNT(CANCEL, L));
}

TEST_F(driver, W_087_stopped_target_keeps_it)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(TARGET_STOP, TARGET, .value = SENT_IO_LEAVE);
	EXPECT_EQ(2, VALUE(TARGET_STATE, TARGET));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	EXPECT_TRUE(NEVER(IO, L));
	EXPECT_EQ(0, COUNT(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(TARGET_START, TARGET));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
	EXPECT_EQ(1, VALUE(TARGET_STATE, TARGET));
}

TEST_F(driver, W_087_cancelled_in_the_stopped_target)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(TARGET_STOP, TARGET, .value = SENT_IO_LEAVE);
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	EXPECT_EQ(1, VALUE(CANCEL_SENT, R));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_CANCELLED, FIRST(COMPLETION, R).status);
	EXPECT_EQ(STATUS_SUCCESS, DO(TARGET_START, TARGET));
	EXPECT_TRUE(NEVER(IO, L));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_087_timeout_in_the_stopped_target)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(TARGET_STOP, TARGET, .value = SENT_IO_LEAVE);
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET, .value = 50));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_WDF_IO_TIMEOUT_NOT_SENT, FIRST(COMPLETION, R).status);
	DO(TARGET_START, TARGET);
	EXPECT_TRUE(NEVER(IO, L));
}

/* Not for one that does not mind. */
TEST_F(driver, W_087_ignores_the_state)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(TARGET_STOP, TARGET, .value = SENT_IO_LEAVE);
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET, .flags = SEND_IGNORE_TARGET_STATE));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
	DO(TARGET_START, TARGET);
}

TEST_F(driver, W_087_purged_target_refuses)
{
	LOWER_DOES(AT(IO, COMPLETE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	DO(TARGET_STOP, TARGET, .value = SENT_IO_LEAVE);
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	DO(TARGET_PURGE, TARGET, .value = PURGE_IO_AND_WAIT);
	EXPECT_EQ(6, VALUE(TARGET_STATE, TARGET));
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(STATUS_WDF_DEVICE_REMOVED_NOT_SENT, FIRST(COMPLETION, R).status);
	EXPECT_EQ(STATUS_SUCCESS, DO(REUSE, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(FORMAT, R, .other = TARGET, .flags = KMTEST_FORMAT_IOCTL, .value = MEMORY));
	DO(SET_COMPLETION, R);
	EXPECT_EQ(0, VALUE(SEND, R, .other = TARGET));
	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE, DO(GET_STATUS, R));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(TARGET_START, TARGET));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	EXPECT_EQ(1, COUNT(IO, L));
}

TEST_F(driver, W_087_stop_cancels_what_was_sent)
{
	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	DO(TARGET_STOP, TARGET, .value = SENT_IO_CANCEL);
	EXPECT_EQ(1, COUNT(COMPLETION, R));
	EXPECT_EQ(STATUS_CANCELLED, FIRST(COMPLETION, R).status);
}

TEST_F(driver, W_087_stop_waits_for_what_was_sent)
{
	const struct kmtest_op stop = OP(TARGET_STOP, .slot = TARGET, .value = SENT_IO_WAIT);
	struct km_runner runner;

	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	ASSERT_EQ(0, km_run_begin(&self->km, &runner, 0, &stop, 1));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_run_done(&runner));
	EXPECT_EQ(0, COUNT(CANCEL, L));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, L));
	DO(COMPLETE, L);
	EXPECT_EQ(0, km_run_end(&runner));
	EXPECT_EQ(STATUS_SUCCESS, FIRST(COMPLETION, R).status);
}

TEST_F(driver, W_088_send_twice)
{
	LOWER_DOES(AT(IO, NOTE));
	OWN_REQUEST(AT(COMPLETION, NOTE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	DO(SEND, R, .other = TARGET);
	EXPECT_EQ(1, BROKEN(AlreadySent));
	EXPECT_TRUE(NEVER(COMPLETION, R));
	EXPECT_EQ(0, COUNT(IO, L + 1));
	DO(COMPLETE, L);
	EXPECT_TRUE(SEEN(COMPLETION, R));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
}

TEST_F(driver, W_089_send_of_what_is_marked)
{
	struct km_client client;

	LOWER_DOES(AT(IO, COMPLETE));
	DELIVERED(&client, R, AT(IO, MARK_EX), AT(IO, FORMAT, .other = TARGET), AT(IO, SET_COMPLETION),
		  AT(IO, SEND, .other = TARGET), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(0, FIRST_OP(SEND, R).value);
	EXPECT_EQ(1, BROKEN(ReqMarkCancelableSend));
	EXPECT_EQ(0, COUNT(IO, L));
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	km_broken_any(&self->km); /* that it was formatted while it was marked */
}

/* What was sent is the target's: nothing else may be done with it meanwhile. */
TEST_F(driver, W_089_complete_of_what_is_sent)
{
	struct km_client client;

	LOWER_DOES(AT(IO, NOTE));
	DELIVERED(&client, R, SENDS_ON, PASSES_BACK);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	DO(COMPLETE, R);
	EXPECT_EQ(1, km_broken_any(&self->km));
	EXPECT_TRUE(km_waits(&client));
	DO(COMPLETE_WITH, L, .value = 1);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(1, client.information);
}

/* The recipe: a list and a lock are the test's; a reference, the cancel, the reference dropped. */
TEST_F(driver, W_090_reference_around_the_cancel)
{
	LOWER_DOES(AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	OWN_REQUEST(AT(COMPLETION, DELETE));
	EXPECT_EQ(1, VALUE(SEND, R, .other = TARGET));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, L));
	RUN(ops, OP(REFERENCE, .slot = R), OP(CANCEL_SENT, .slot = R), OP(CONTEXT, .slot = R),
	    OP(DEREFERENCE, .slot = R));
	EXPECT_EQ(1, ops[1].value);
	EXPECT_EQ(1, ops[2].value);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(1, COUNT(COMPLETION, R));
	EXPECT_EQ(1, COUNT(DESTROY, R));
}

/* A client's reads and writes, on and back. */
TEST_F(driver, W_079_read_and_write_go_through)
{
	struct km_client client;

	LOWER_DOES(AT(IO, PARAMETERS), AT(IO, COMPLETE_WITH, .value = 16));
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R1, 1, SENDS_ON, PASSES_BACK);
	QUEUE_SCRIPT(KMTEST_PARALLEL, R2, 1, SENDS_ON, PASSES_BACK);
	ASSERT_EQ(0, km_read(&self->km, &client, 16));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(16, client.returned);
	EXPECT_EQ(3, FIRST_OP(PARAMETERS, L).value);
	ASSERT_EQ(0, km_write(&self->km, &client, 16));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(16, client.returned);
	EXPECT_EQ(4, FIRST_OP(PARAMETERS, L + 1).value);
}

TEST_HARNESS_MAIN
