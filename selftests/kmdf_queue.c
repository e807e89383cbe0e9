// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: queues, what they present and when, and requests that go from one to another. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

TEST_F(driver, W_043_sequential_presents_one_at_a_time)
{
	struct km_client first, second, third;

	USE_QUEUE(.type = SEQUENTIAL);
	DELIVERED(&first, R1, AT(IO, NOTE));
	WAITING(&second, R2, 1, AT(IO, FORWARD, .other = OTHER_QUEUE));
	WAITING(&third, R3, 2, AT(IO, NOTE));
	EXPECT_TRUE(NEVER(IO, R2));
	/* Leaving by completion, then by being forwarded. */
	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KM_OWN_DEVICE, MANUAL}));
	DO(COMPLETE, R1);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_TRUE(SEEN(IO, R2));
	EXPECT_TRUE(SEEN(IO, R3));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(FORWARD, R2).status);
	EXPECT_EQ(1, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	CANCEL(R2);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&second));
	DO(COMPLETE, R3);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&third));
}

TEST_F(driver, W_043_arrival_order)
{
	struct km_client clients[8];

	USE_QUEUE(.type = SEQUENTIAL);
	DELIVERED(&clients[0], 30, AT(IO, NOTE));
	for (int i = 1; i < 8; i++)
		WAITING(&clients[i], 30 + i, i, AT(IO, COMPLETE));
	DO(COMPLETE, 30);
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[i]));
	for (int i = 1; i < 8; i++)
		EXPECT_LT(FIRST(IO, 30 + i - 1).seq, FIRST(IO, 30 + i).seq);
}

TEST_F(driver, W_044_parallel_presents_as_many_as_its_limit)
{
	struct km_client clients[5];

	USE_QUEUE(.type = PARALLEL, .limit = 3);
	for (int i = 0; i < 3; i++)
		DELIVERED(&clients[i], 30 + i, AT(IO, NOTE));
	WAITING(&clients[3], 33, 1, AT(IO, NOTE));
	WAITING(&clients[4], 34, 2, AT(IO, NOTE));
	EXPECT_TRUE(NEVER(IO, 33));
	EXPECT_EQ(3, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	DO(COMPLETE, 31);
	EXPECT_TRUE(SEEN(IO, 33));
	EXPECT_TRUE(NEVER(IO, 34));
	DO(COMPLETE, 30);
	EXPECT_TRUE(SEEN(IO, 34));
	for (int i = 32; i < 35; i++)
		DO(COMPLETE, i);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[i]));
}

/* Without a scope, each in the thread that has brought it. */
TEST_F(driver, W_044_handlers_run_side_by_side)
{
	struct km_client first, second;

	USE_QUEUE(.type = PARALLEL);
	REQUEST(&first, R1, AT(IO, WAIT), AT(IO, COMPLETE));
	REQUEST(&second, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	EXPECT_TRUE(SEEN(IO, R1));
	EXPECT_TRUE(SEEN(IO, R2));
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
	EXPECT_FALSE(km_done(&first));
	DO(OPEN, R1);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
}

TEST_F(driver, W_044_passive_handlers_run_side_by_side)
{
	struct km_client first, second;

	USE_QUEUE(.type = PARALLEL, .level = LEVEL_PASSIVE);
	REQUEST(&first, R1, AT(IO, WAIT), AT(IO, COMPLETE));
	REQUEST(&second, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	EXPECT_TRUE(SEEN(IO, R1));
	EXPECT_TRUE(SEEN(IO, R2));
	DO(OPEN, R1);
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
}

TEST_F(driver, W_045_manual_presents_nothing)
{
	struct km_client clients[3];

	USE_MANUAL();
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
	for (int i = 0; i < 3; i++)
		WAITING(&clients[i], R1 + i, i + 1);
	EXPECT_TRUE(NEVER(IO, R1));
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(R3, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
	/* What was retrieved is not cancelable until it is marked. */
	EXPECT_EQ(1, CANCEL(R1).flagged);
	EXPECT_EQ(STATUS_SUCCESS, DO(MARK_EX, R2));
	for (int i = 0; i < 3; i++) {
		DO(UNMARK, R1 + i);
		DO(COMPLETE, R1 + i);
		EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[i]));
	}
	EXPECT_EQ(2, BROKEN(UnmarkNotCancelable));
}

TEST_F(driver, W_045_retrieve_by_file)
{
	struct km_client ours, theirs;
	int other = -1;

	USE_MANUAL();
	other = km_open("kmtest_own");
	ASSERT_LE(0, other);
	WAITING(&ours, R1, 1);
	theirs = (struct km_client){.fd = other, .kind = KM_CONTROL, .script = {.slot = R2}, .code = KMTEST_REQUEST};
	ASSERT_EQ(0, km_begin(&theirs));
	ASSERT_TRUE(km_queued(&self->km, 2));
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_NE(0, VALUE(FILE, R1, .other = FILE_OF));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_BY_FILE, QUEUE, .other = FILE_OF));
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_NE(FIRST_OP(FILE, R1).value, VALUE(FILE, R2));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R1));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R2));
	EXPECT_EQ(R1, VALUE(RETRIEVE_BY_FILE, QUEUE, .other = FILE_OF));
	DO(COMPLETE, R1);
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&ours));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&theirs));
	close(other);
}

TEST_F(driver, W_046_retrieve_where_it_is_not_allowed)
{
	struct km_client first, second;

	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE, DO(RETRIEVE_NEXT, KMTEST_PARALLEL));
	USE_QUEUE(.type = SEQUENTIAL);
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
	DELIVERED(&first, R1, AT(IO, NOTE));
	WAITING(&second, R2, 1);
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_NO_CALLBACK);
	EXPECT_EQ(STATUS_WDF_PAUSED, DO(RETRIEVE_NEXT, QUEUE));
	DO(COMPLETE, R1);
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
}

TEST_F(driver, W_047_cancel_in_the_queue_is_silent)
{
	struct km_client client;
	struct kmdf_cancel cancel;

	USE_QUEUE(.type = SEQUENTIAL, .flags = KMTEST_ON_QUEUE);
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_SYNC);
	WAITING(&client, R, 1, AT(IO, COMPLETE));
	cancel = CANCEL(R);
	EXPECT_EQ(1, cancel.found);
	EXPECT_EQ(1, cancel.finished);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, client.information);
	EXPECT_TRUE(km_queued(&self->km, 0));
	DO(QUEUE_START, QUEUE);
	EXPECT_TRUE(NEVER(IO, R));
	EXPECT_TRUE(NEVER(ON_QUEUE, R));
	EXPECT_TRUE(NEVER(CANCEL, R));
}

TEST_F(driver, W_048_cancel_of_a_forwarded_request_tells_the_driver)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FORWARD, .other = KMTEST_MANUAL));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(FORWARD, R).status);
	EXPECT_EQ(1, KMTEST_QUEUED(VALUE(QUEUE_STATE, KMTEST_MANUAL)));
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_TRUE(SEEN(ON_QUEUE | KMTEST_END, R));
	EXPECT_EQ(0, KMTEST_QUEUED(VALUE(QUEUE_STATE, KMTEST_MANUAL)));
	EXPECT_EQ(1, KMTEST_OWNED(VALUE(QUEUE_STATE, KMTEST_MANUAL)));
	EXPECT_TRUE(km_waits(&client));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(ON_QUEUE, R));
	EXPECT_EQ(0, COUNT(CANCEL, R));
}

TEST_F(driver, W_048_callback_completes_it)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FORWARD, .other = KMTEST_MANUAL), AT(ON_QUEUE, IS_CANCELED),
		  AT(ON_QUEUE, GET_QUEUE), AT(ON_QUEUE, COMPLETE, CANCELLED));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, FIRST_OP(IS_CANCELED, R).value);
	EXPECT_EQ(KMTEST_MANUAL, FIRST_OP(GET_QUEUE, R).value);
}

/* Without the callback, nothing of it is told. */
TEST_F(driver, W_048_queue_without_the_callback)
{
	struct km_client client;

	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, MANUAL}));
	DELIVERED(&client, R, AT(IO, FORWARD, .other = OTHER_QUEUE));
	EXPECT_EQ(1, CANCEL(R).finished);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_TRUE(NEVER(ON_QUEUE, R));
}

TEST_F(driver, W_049_request_that_was_never_presented)
{
	struct km_client client;

	USE_MANUAL(.flags = KMTEST_ON_QUEUE);
	WAITING(&client, R, 1, AT(ON_QUEUE, COMPLETE));
	EXPECT_EQ(1, CANCEL(R).finished);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_TRUE(NEVER(ON_QUEUE, R));
}

TEST_F(driver, W_050_forward_of_what_is_marked)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(FORWARD, R, .other = KMTEST_MANUAL));
	EXPECT_EQ(1, BROKEN(ReqMarkCancelableSend));
	EXPECT_EQ(KMDF_REQUEST_CANCELABLE, km_state(&self->km, R, NULL));
	EXPECT_EQ(KMTEST_DEFAULT, VALUE(GET_QUEUE, R));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
}

TEST_F(driver, W_051_forward_to_a_wrong_queue)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	struct km_client client;
	int fd;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(FORWARD, R, .other = KMTEST_DEFAULT));
	fd = km_device(&self->km, &device);
	ASSERT_LE(0, fd);
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(FORWARD, R, .other = QUEUE));
	km_broken_any(&self->km); /* it may be told */
	DO(QUEUE_PURGE, KMTEST_MANUAL, .flags = KMTEST_SYNC);
	EXPECT_EQ(STATUS_WDF_BUSY, DO(FORWARD, R, .other = KMTEST_MANUAL));
	EXPECT_EQ(KMDF_REQUEST_OWNED, km_state(&self->km, R, NULL));
	EXPECT_EQ(KMTEST_DEFAULT, VALUE(GET_QUEUE, R));
	DO(QUEUE_START, KMTEST_MANUAL);
	EXPECT_EQ(STATUS_SUCCESS, DO(FORWARD, R, .other = KMTEST_MANUAL));
	EXPECT_EQ(R, VALUE(RETRIEVE_NEXT, KMTEST_MANUAL));
	EXPECT_EQ(KMTEST_MANUAL, VALUE(GET_QUEUE, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	close(fd);
}

TEST_F(driver, W_052_forward_of_what_was_cancelled)
{
	struct km_client client;

	/* To a queue without EvtIoCanceledOnQueue: the driver never sees it again. */
	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, MANUAL}));
	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(1, CANCEL(R).flagged);
	EXPECT_EQ(STATUS_SUCCESS, DO(FORWARD, R, .other = OTHER_QUEUE));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, OTHER_QUEUE));
	EXPECT_EQ(0, COUNT(AGAIN, R));
	EXPECT_EQ(0, COUNT(CANCEL, R));
}

/* One that has been presented, and a queue that tells the driver of such. */
TEST_F(driver, W_048_forward_of_what_was_cancelled_tells_the_driver)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE), AT(ON_QUEUE, COMPLETE, CANCELLED));
	EXPECT_EQ(1, CANCEL(R).flagged);
	EXPECT_EQ(STATUS_SUCCESS, DO(FORWARD, R, .other = KMTEST_MANUAL));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(ON_QUEUE, R));
	EXPECT_EQ(0, COUNT(CANCEL, R));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, KMTEST_MANUAL));
}

TEST_F(driver, W_053_requeued_comes_first)
{
	struct km_client first, second;

	USE_MANUAL();
	WAITING(&first, R1, 1);
	WAITING(&second, R2, 2);
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R1));
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R2));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R1));
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	DO(COMPLETE, R1);
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
}

TEST_F(driver, W_053_requeue_where_it_is_not_allowed)
{
	struct km_client parallel, sequential;

	DELIVERED(&parallel, R1, AT(IO, NOTE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(REQUEUE, R1));
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R2, 1, AT(IO, NOTE));
	ASSERT_EQ(0, km_read(&self->km, &sequential, 8));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R2));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(REQUEUE, R2));
	km_broken_any(&self->km); /* it may be told */
	DO(COMPLETE, R1);
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&parallel));
	EXPECT_EQ(0, km_end(&sequential));
}

TEST_F(driver, W_054_requeue_of_what_was_cancelled)
{
	struct km_client client;

	USE_MANUAL();
	WAITING(&client, R, 1);
	EXPECT_EQ(R, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(1, CANCEL(R).flagged);
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
}

/* Back into a queue that is being purged, of which the driver is not told: it ends at once. */
TEST_F(driver, W_054_requeue_while_it_is_purged)
{
	struct km_client client;

	USE_MANUAL();
	WAITING(&client, R, 1);
	EXPECT_EQ(R, VALUE(RETRIEVE_NEXT, QUEUE));
	DO(QUEUE_PURGE, QUEUE, .flags = KMTEST_NO_CALLBACK);
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
}

TEST_F(driver, W_055_found_request_that_was_cancelled)
{
	struct km_client first, second;

	USE_MANUAL();
	WAITING(&first, R1, 1);
	WAITING(&second, R2, 2);
	EXPECT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .value = R1));
	EXPECT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .other = R1, .value = R2));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(FIND, QUEUE, .other = R2));
	EXPECT_EQ(1, CANCEL(R1).finished);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&first));
	EXPECT_EQ(1, VALUE(CONTEXT, R1));
	EXPECT_EQ(STATUS_NOT_FOUND, DO(RETRIEVE_FOUND, QUEUE, .other = R1));
	EXPECT_EQ(STATUS_NOT_FOUND, DO(FIND, QUEUE, .other = R1));
	DO(DEREFERENCE, R1);
	EXPECT_EQ(R2, VALUE(RETRIEVE_FOUND, QUEUE, .other = R2));
	DO(DEREFERENCE, R2);
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
	EXPECT_EQ(0, km_broken_any(&self->km));
}

/* By the file that they came through, and by what is asked. */
TEST_F(driver, W_055_found_by_file_and_kind)
{
	struct km_client control, read, theirs;
	int other = -1;

	USE_MANUAL();
	other = km_open("kmtest_own");
	ASSERT_LE(0, other);
	WAITING(&control, R1, 1);
	ASSERT_EQ(0, km_read(&self->km, &read, 8));
	ASSERT_TRUE(km_queued(&self->km, 2));
	theirs = (struct km_client){.fd = other, .kind = KM_CONTROL, .script = {.slot = R3}, .code = KMTEST_REQUEST};
	ASSERT_EQ(0, km_begin(&theirs));
	ASSERT_TRUE(km_queued(&self->km, 3));
	/* The first is looked at for its file, and goes back to its place. */
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_NE(0, VALUE(FILE, R1, .other = FILE_OF));
	EXPECT_EQ(STATUS_SUCCESS, DO(REQUEUE, R1));

	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(FIND, QUEUE, .flags = KMTEST_FIND_OTHER));
	EXPECT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .flags = KMTEST_FIND_READ, .value = R2));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(FIND, QUEUE, .flags = KMTEST_FIND_READ, .other = R2));
	EXPECT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .flags = KMTEST_FIND_CONTROL, .other = R2, .value = R3));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(FIND, QUEUE, .flags = KMTEST_FIND_CONTROL, .other = R3));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES,
		  DO(FIND, QUEUE, .flags = KMTEST_FIND_CONTROL | KMTEST_FIND_OF(FILE_OF), .other = R2));
	EXPECT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .flags = KMTEST_FIND_OF(FILE_OF), .value = R4));
	EXPECT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .flags = KMTEST_FIND_OF(FILE_OF), .other = R4, .value = R5));
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(FIND, QUEUE, .flags = KMTEST_FIND_OF(FILE_OF), .other = R5));
	/* The read, found twice. */
	DO(DEREFERENCE, R2);
	DO(DEREFERENCE, R5);
	DO(DEREFERENCE, R4);
	EXPECT_EQ(R3, VALUE(RETRIEVE_FOUND, QUEUE, .other = R3));
	DO(DEREFERENCE, R3);
	DO(COMPLETE, R3);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&theirs));
	DO(QUEUE_PURGE, QUEUE, .flags = KMTEST_NO_CALLBACK);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&control));
	EXPECT_EQ(KM_ERRNO(ECANCELED), km_end(&read));
	close(other);
}

TEST_F(driver, W_064_zero_length)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL);
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, COMPLETE, .status = STATUS_UNSUCCESSFUL));
	ASSERT_EQ(0, km_read(&self->km, &client, 0));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(0, client.returned);
	ASSERT_EQ(0, km_write(&self->km, &client, 0));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_TRUE(NEVER(IO, R));
}

TEST_F(driver, W_064_zero_length_that_is_allowed)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .flags = KMTEST_ZERO_LENGTH);
	QUEUE_SCRIPT(QUEUE, R, 2, AT(IO, COMPLETE, .status = STATUS_UNSUCCESSFUL));
	ASSERT_EQ(0, km_read(&self->km, &client, 0));
	EXPECT_EQ(KM_ERRNO(EIO), km_end(&client));
	EXPECT_EQ(0, FIRST(IO, R).value);
	ASSERT_EQ(0, km_write(&self->km, &client, 0));
	EXPECT_EQ(KM_ERRNO(EIO), km_end(&client));
	EXPECT_EQ(0, FIRST(IO, R + 1).value);
}

TEST_F(driver, W_064_zero_length_in_a_manual_queue)
{
	struct km_client client;

	USE_MANUAL();
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	ASSERT_EQ(0, km_read(&self->km, &client, 0));
	/* It may be completed as it arrives, or as somebody looks for it. */
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
	for (uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull; !km_done(&client); sched_yield()) {
		ASSERT_LT(kb_now_ns(), until);
		EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
	}
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(0, client.returned);
}

TEST_F(driver, W_065_type_without_a_handler)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .handlers = KMTEST_HANDLE_READ);
	REQUEST(&client, R, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, km_end(&client));
	ASSERT_EQ(0, km_write(&self->km, &client, 8));
	EXPECT_EQ(KM_ERRNO(EOPNOTSUPP), km_end(&client));
	/* The next one is presented. */
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, COMPLETE));
	ASSERT_EQ(0, km_read(&self->km, &client, 8));
	EXPECT_EQ(0, km_end(&client));
}

TEST_F(driver, W_065_default_handler_takes_the_rest)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .handlers = KMTEST_HANDLE_READ | KMTEST_HANDLE_DEFAULT);
	REQUEST(&client, R, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_066_ready_notify)
{
	struct km_client first, second, third;

	USE_MANUAL();
	EXPECT_EQ(STATUS_SUCCESS, DO(READY_NOTIFY, QUEUE, .value = 9));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(READY_NOTIFY, QUEUE, .value = 9));
	EXPECT_TRUE(NEVER(READY, QUEUE));
	WAITING(&first, R1, 1);
	EXPECT_EQ(9, FIRST(READY, QUEUE).value);
	WAITING(&second, R2, 2);
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_EQ(1, COUNT(READY, QUEUE));
	EXPECT_EQ(R1, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(R2, VALUE(RETRIEVE_NEXT, QUEUE));
	WAITING(&third, R3, 1);
	EXPECT_TRUE(
		km_next(&self->km, &(struct kmtest_event){.seq = FIRST(READY, QUEUE).seq}, KMTEST_AT_READY, QUEUE).seq);
	EXPECT_EQ(2, COUNT(READY, QUEUE));
	EXPECT_EQ(R3, VALUE(RETRIEVE_NEXT, QUEUE));
	for (int i = R1; i <= R3; i++)
		DO(COMPLETE, i);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&third));
	/* It can be taken back only while the queue is stopped. */
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(READY_NOTIFY, QUEUE, .value = 0));
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_SYNC);
	EXPECT_EQ(STATUS_SUCCESS, DO(READY_NOTIFY, QUEUE, .value = 0));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(READY_NOTIFY, KMTEST_SEQUENTIAL, .value = 1));
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_067_device_without_a_queue)
{
	struct kmtest_device device = {.name = "kmtest_own", .slot = KM_OWN_DEVICE};
	struct km_client client;

	ASSERT_EQ(0, km_use(&self->km, &device));
	REQUEST(&client, R, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, km_end(&client));
	ASSERT_EQ(0, km_read(&self->km, &client, 8));
	EXPECT_EQ(KM_ERRNO(EOPNOTSUPP), km_end(&client));
}

/* Dispatching is configured for reads only. */
TEST_F(driver, W_067_type_that_no_queue_is_for)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.count = 1,
		.queues = {{QUEUE, .type = SEQUENTIAL, .handlers = KMTEST_HANDLE_READ | KMTEST_HANDLE_CONTROL,
			    .dispatched = KMTEST_HANDLE_READ}},
	};
	struct km_client client;

	ASSERT_EQ(0, km_use(&self->km, &device));
	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, COMPLETE));
	REQUEST(&client, R1, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, km_end(&client));
	ASSERT_EQ(0, km_read(&self->km, &client, 8));
	EXPECT_EQ(0, km_end(&client));
}

TEST_F(driver, W_068_queues_that_cannot_be)
{
	static const struct {
		struct kmtest_queue queue;
		int32_t status;
	} cases[] = {
		{{.type = PARALLEL, .handlers = KMTEST_HANDLE_READ, .flags = KMTEST_BAD_SIZE},
		 STATUS_INFO_LENGTH_MISMATCH},
		{{.type = PARALLEL}, STATUS_WDF_NO_CALLBACK},
		{{.type = SEQUENTIAL}, STATUS_WDF_NO_CALLBACK},
		{{.type = 0, .handlers = KMTEST_HANDLE_READ}, STATUS_INVALID_PARAMETER},
		{{.type = 4, .handlers = KMTEST_HANDLE_READ}, STATUS_INVALID_PARAMETER},
		{{.type = MANUAL, .handlers = KMTEST_HANDLE_READ}, STATUS_INVALID_PARAMETER},
		{{.type = SEQUENTIAL, .handlers = KMTEST_HANDLE_READ, .limit = 2}, STATUS_INVALID_PARAMETER},
		{{.type = MANUAL, .limit = 2}, STATUS_INVALID_PARAMETER},
		{{.type = PARALLEL, .handlers = KMTEST_HANDLE_READ, .flags = KMTEST_LIMIT_0}, STATUS_INVALID_PARAMETER},
		{{.type = PARALLEL, .handlers = KMTEST_HANDLE_READ, .flags = KMTEST_NO_HANDLE},
		 STATUS_INVALID_PARAMETER_4},
		{{.type = PARALLEL, .handlers = KMTEST_HANDLE_READ, .scope = SCOPE_DEVICE, .level = LEVEL_PASSIVE},
		 STATUS_INVALID_PARAMETER},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kmtest_queue queue = cases[i].queue;

		queue.slot = OTHER_QUEUE;
		queue.device = KMTEST_DEVICE;
		EXPECT_EQ(cases[i].status, km_queue(&self->km, &queue)) TH_LOG("case %u", i);
	}
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_068_default_queue_of_a_device_that_has_started)
{
	struct kmtest_device device = {.name = "kmtest_own", .slot = KM_OWN_DEVICE};

	ASSERT_EQ(0, km_use(&self->km, &device));
	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE,
		  km_queue(&self->km,
			   &(struct kmtest_queue){OTHER_QUEUE, KM_OWN_DEVICE, MANUAL, .flags = KMTEST_DEFAULT_QUEUE}));
}

TEST_F(driver, W_068_second_default_queue)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.count = 2,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE},
			   {OTHER_QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};

	EXPECT_GT(0, km_device(&self->km, &device));
	EXPECT_EQ(STATUS_SUCCESS, device.queues[0].status);
	EXPECT_EQ(STATUS_UNSUCCESSFUL, device.queues[1].status);
}

TEST_F(driver, W_068_default_queue_needs_no_place_for_its_handle)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.count = 1,
		.queues = {{QUEUE, .type = SEQUENTIAL, .handlers = KMTEST_HANDLE_CONTROL,
			    .flags = KMTEST_DEFAULT_QUEUE | KMTEST_NO_HANDLE}},
	};
	struct km_client client;

	ASSERT_EQ(0, km_use(&self->km, &device));
	REQUEST(&client, R, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

/* A default queue is the device's to delete. */
TEST_F(driver, W_068_default_queue_stays)
{
	struct km_client client;

	DO(DELETE, KMTEST_DEFAULT);
	EXPECT_EQ(1, km_broken_any(&self->km));
	DELIVERED(&client, R, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_068_deleted_queue_is_purged_first)
{
	struct km_client client;
	struct km_runner runner;
	struct kmtest_op delete = OP(DELETE, .slot = OTHER_QUEUE);

	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, PARALLEL,
									     .handlers = KMTEST_HANDLE_CONTROL}));
	REQUEST(&client, R, AT(IO, FORWARD, .other = OTHER_QUEUE), AT(AGAIN, MARK_EX));
	ASSERT_TRUE(SEEN(AGAIN | KMTEST_END, R));
	ASSERT_EQ(0, km_run_begin(&self->km, &runner, 0, &delete, 1));
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	EXPECT_TRUE(NEVER(CLEANUP, OTHER_QUEUE));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, km_run_end(&runner));
	EXPECT_TRUE(SEEN(CLEANUP, OTHER_QUEUE));
	EXPECT_TRUE(SEEN(DESTROY, OTHER_QUEUE));
}

TEST_HARNESS_MAIN
