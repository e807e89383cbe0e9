// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: completing requests, and what their clients get. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

TEST_F(driver, W_031_complete_of_what_is_marked)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX));
	DO(COMPLETE_WITH, R, .value = 3);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(3, client.information);
	EXPECT_EQ(1, BROKEN(CompleteCanceledReq));
	EXPECT_EQ(0, CANCEL(R).found);
	EXPECT_TRUE(NEVER(CANCEL, R));
}

/* X: cancelled, and the driver has not been told yet. */
TEST_F(driver, W_032_complete_before_the_callback)
{
	struct km_client early, busy;

	DELIVERED(&early, R1, AT(IO, MARK_EX), AT(CANCEL, CONTEXT), AT(CANCEL, COMPLETE, CANCELLED));
	REQUEST(&busy, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R2));
	EXPECT_EQ(1, CANCEL(R1).notified);
	DO(COMPLETE_WITH, R1, .value = 9);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&early));
	EXPECT_EQ(9, early.information);
	EXPECT_EQ(1, BROKEN(CompleteCanceledReq));
	EXPECT_EQ(0, COUNT(CANCEL, R1));
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&busy));
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R1));
	EXPECT_EQ(1, FIRST_OP(CONTEXT, R1).value);
	EXPECT_GT(FIRST(DESTROY, R1).seq, FIRST(CANCEL | KMTEST_END, R1).seq);
	EXPECT_EQ(1, COUNT(CANCEL, R1));
	EXPECT_EQ(1, COUNT(CLEANUP, R1));
}

TEST_F(driver, W_033_information_that_was_set)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, SET_INFORMATION, .value = 5), AT(IO, GET_INFORMATION), AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(5, client.information);
	EXPECT_EQ(5, FIRST_OP(GET_INFORMATION, R).value);
}

TEST_F(driver, W_033_information_that_is_given)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, SET_INFORMATION, .value = 5), AT(IO, COMPLETE_WITH, .value = 3));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(3, client.information);
}

TEST_F(driver, W_033_information_of_a_boost)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, SET_INFORMATION, .value = 5), AT(IO, COMPLETE_BOOST));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(5, client.information);
}

TEST_F(driver, W_033_no_information_is_none)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FILL, .value = 4), AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, client.information);
	EXPECT_EQ(0, client.data[1]);
}

TEST_F(driver, W_034_warning_copies_the_bytes)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FILL, .value = 20),
		  AT(IO, COMPLETE_WITH, .status = STATUS_BUFFER_OVERFLOW, .value = 10));
	EXPECT_EQ(STATUS_BUFFER_OVERFLOW, km_end(&client));
	EXPECT_EQ(10, client.information);
	EXPECT_EQ(9, client.data[9]);
	EXPECT_EQ(0, client.data[11]);
}

TEST_F(driver, W_034_error_copies_nothing)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FILL, .value = 20),
		  AT(IO, COMPLETE_WITH, .status = STATUS_UNSUCCESSFUL, .value = 10));
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_end(&client));
	EXPECT_EQ(0, client.data[9]);
}

TEST_F(driver, W_034_read_with_a_warning)
{
	struct kmdf_last_status last;
	struct km_client client;

	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R, 1, AT(IO, FILL, .value = 20),
		     AT(IO, COMPLETE_WITH, .status = STATUS_BUFFER_OVERFLOW, .value = 10));
	ASSERT_EQ(0, km_read(&self->km, &client, 64));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(10, client.returned);
	EXPECT_EQ(9, client.data[9]);
	ASSERT_EQ(0, km_last_status(self->km.fd, &last));
	EXPECT_EQ(STATUS_BUFFER_OVERFLOW, last.status);
	EXPECT_EQ(10, last.information);
}

TEST_F(driver, W_034_read_with_an_error)
{
	struct km_client client;

	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R, 1, AT(IO, FILL, .value = 20),
		     AT(IO, COMPLETE_WITH, .status = STATUS_UNSUCCESSFUL, .value = 10));
	ASSERT_EQ(0, km_read(&self->km, &client, 64));
	EXPECT_EQ(KM_ERRNO(EIO), km_end(&client));
	EXPECT_EQ(0, client.data[9]);
}

TEST_F(driver, W_035_information_beyond_the_buffer)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, COMPLETE_WITH, .value = 1000));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(64, client.information);
	EXPECT_EQ(1, BROKEN(InformationTooLong));
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R1, 1, AT(IO, COMPLETE_WITH, .value = 1000));
	ASSERT_EQ(0, km_read(&self->km, &client, 16));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(16, client.returned);
	EXPECT_EQ(1, BROKEN(InformationTooLong));
}

/* An error may say what it likes. */
TEST_F(driver, W_035_information_of_an_error)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, COMPLETE_WITH, .status = STATUS_UNSUCCESSFUL, .value = 1000));
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_end(&client));
}

TEST_F(driver, W_036_statuses_of_the_framework)
{
	static const struct {
		int32_t given, got;
	} statuses[] = {
		{STATUS_WDF_PAUSED, STATUS_DEVICE_BUSY},
		{STATUS_WDF_BUSY, STATUS_DEVICE_BUSY},
		{(int32_t)0xc0200201, (int32_t)0xc00000e5},
		{(int32_t)0xc020020a, STATUS_INVALID_DEVICE_REQUEST},
		{STATUS_WDF_NO_CALLBACK, STATUS_INVALID_DEVICE_REQUEST},
	};
	struct km_client client;

	for (unsigned int i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		DELIVERED(&client, R + i, AT(IO, COMPLETE, .status = statuses[i].given));
		EXPECT_EQ(statuses[i].got, km_end(&client)) TH_LOG("%#x", statuses[i].given);
	}
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, 40, 1, AT(IO, COMPLETE, .status = STATUS_WDF_PAUSED));
	ASSERT_EQ(0, km_read(&self->km, &client, 16));
	EXPECT_EQ(KM_ERRNO(EBUSY), km_end(&client));
}

TEST_F(driver, W_037_memory_that_is_still_referenced)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FILL, .value = 8), AT(IO, OUT_MEMORY, .other = MEMORY));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(OUT_MEMORY, R).status);
	DO(REFERENCE, MEMORY);
	DO(COMPLETE_WITH, R, .value = 8);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(7, client.data[7]);
	EXPECT_EQ(1, BROKEN(MemoryReferenced));
	/* It is there as long as the reference. */
	EXPECT_EQ(5, VALUE(MEMORY_READ, MEMORY, .value = 5ull << 32 | 1));
	EXPECT_EQ(STATUS_SUCCESS, DO(MEMORY_WRITE, MEMORY, .value = 8, .flags = 0xee));
	DO(DEREFERENCE, MEMORY);
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(driver, W_037_memory_is_the_requests)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FILL, .value = 8), AT(IO, OUT_MEMORY, .other = MEMORY));
	EXPECT_EQ(64, VALUE(MEMORY_SIZE, MEMORY));
	EXPECT_EQ(STATUS_BUFFER_TOO_SMALL, DO(MEMORY_READ, MEMORY, .value = 60ull << 32 | 5));
	EXPECT_EQ(STATUS_INVALID_BUFFER_SIZE, DO(MEMORY_WRITE, MEMORY, .value = 60ull << 32 | 5));
	EXPECT_EQ(STATUS_SUCCESS, DO(MEMORY_WRITE, MEMORY, .value = 60ull << 32 | 4, .flags = 0xab));
	DO(COMPLETE_WITH, R, .value = 64);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0xab, client.data[63]);
}

/* What a client writes is not to be changed; of a buffered device control, in and out are one buffer. */
TEST_F(driver, W_037_input_memory_is_read_only)
{
	struct km_client client;

	QUEUE_SCRIPT(KMTEST_PARALLEL, R, 1, AT(IO, IN_MEMORY, .other = MEMORY));
	ASSERT_EQ(0, km_write(&self->km, &client, 16));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	EXPECT_EQ(STATUS_ACCESS_VIOLATION, DO(MEMORY_WRITE, MEMORY, .value = 4));
	EXPECT_EQ(STATUS_SUCCESS, DO(MEMORY_READ, MEMORY, .value = 4));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(OUTPUT, R));
	DO(COMPLETE_WITH, R, .value = 16);
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(16, client.returned);
}

TEST_F(driver, W_037_buffer_shorter_than_wanted)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(STATUS_BUFFER_TOO_SMALL, DO(OUTPUT, R, .value = 65));
	EXPECT_EQ(64, VALUE(OUTPUT, R, .value = 64));
	EXPECT_EQ(sizeof(struct kmtest_script), VALUE(INPUT, R, .value = 1));
	EXPECT_EQ(STATUS_BUFFER_TOO_SMALL, DO(INPUT, R, .value = sizeof(struct kmtest_script) + 1));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_038_complete_twice)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, REFERENCE));
	DO(COMPLETE_WITH, R, .value = 2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	DO(COMPLETE, R, .status = STATUS_UNSUCCESSFUL);
	EXPECT_EQ(1, BROKEN(DoubleCompletion));
	EXPECT_EQ(2, client.information);
	EXPECT_EQ(1, COUNT(CLEANUP, R));
	DO(DEREFERENCE, R);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(1, COUNT(DESTROY, R));
}

TEST_F(driver, W_038_complete_twice_in_the_callback)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED), AT(CANCEL, COMPLETE));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	EXPECT_EQ(1, BROKEN(DoubleCompletion));
}

TEST_F(driver, W_038_status_pending_is_no_end)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, COMPLETE, .status = STATUS_PENDING));
	km_end(&client);
	EXPECT_EQ(1, BROKEN(StatusPending));
}

/* Each of those that wait is handled by the same loop: no handler inside a handler, and the same stack each time. */
TEST_F(driver, W_039_next_request_comes_after_the_handler)
{
	struct km_client clients[40];
	struct kmtest_event before = {}, io;

	USE_QUEUE(.type = SEQUENTIAL);
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_SYNC);
	for (int i = 0; i < 40; i++)
		REQUEST(&clients[i], 30 + i, AT(IO, COMPLETE));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != 40)
		sched_yield();
	DO(QUEUE_START, QUEUE);
	for (int i = 0; i < 40; i++)
		EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[i]));
	for (int i = 0; i < 40; i++) {
		ASSERT_TRUE(km_event(&self->km, before.seq + 1, KMTEST_AT_IO, 0, 0, 0, &io));
		if (before.seq) {
			EXPECT_LT(FIRST(IO | KMTEST_END, before.slot).seq, io.seq);
			if (before.thread == io.thread)
				EXPECT_EQ(before.stack, io.stack);
		}
		before = io;
	}
}

struct requester {
	pthread_t thread;
	struct km *km;
	uint32_t slot, rounds, wrong;
};

static void *request_often(void *arg)
{
	struct requester *requester = arg;
	struct kmtest_script script = {
		.slot = requester->slot, .flags = KMTEST_QUIET, .ops = {AT(IO, COMPLETE_WITH, .value = 1)}};
	char out[8];

	for (uint32_t i = 0; i < requester->rounds; i++)
		requester->wrong += km_control(requester->km->fd, KMTEST_REQUEST, &script, sizeof(script), out, 8) != 0;
	return NULL;
}

/* While its handler completes one, others wait: they are not handled inside of that. */
TEST_F_TIMEOUT(driver, W_039_many_requests_one_stack, 300)
{
	const uint32_t rounds = kb_rounds(100000 / 8);
	struct requester requesters[8];
	uint32_t handled = 0;

	USE_QUEUE(.type = SEQUENTIAL);
	for (int i = 0; i < 8; i++) {
		requesters[i] = (struct requester){.km = &self->km, .slot = 30 + i, .rounds = rounds};
		ASSERT_EQ(0, pthread_create(&requesters[i].thread, NULL, request_often, &requesters[i]));
	}
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, pthread_join(requesters[i].thread, NULL));
		EXPECT_EQ(0, requesters[i].wrong);
		handled += rounds;
	}
	TH_LOG("%u requests", handled);
}

TEST_F(driver, W_040_next_request_may_come_in_the_completers_context)
{
	struct km_client first, second;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_NONE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE));
	SCRIPT(TIMER, AT(TIMER, COMPLETE, .slot = R1));
	DELIVERED(&first, R1, AT(IO, NOTE));
	REQUEST(&second, R2, AT(IO, COMPLETE));
	EXPECT_TRUE(NEVER(IO, R2));
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
	EXPECT_EQ(IRQL_DISPATCH, FIRST(TIMER, TIMER).irql);
	EXPECT_LT(FIRST(TIMER, TIMER).seq, FIRST(IO, R2).seq);
}

/* Under the queue's own lock it may not: a worker does it. */
TEST_F(driver, W_040_completer_that_holds_the_lock)
{
	struct km_client first, second;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_QUEUE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE));
	SCRIPT(TIMER, AT(TIMER, COMPLETE, .slot = R1));
	DELIVERED(&first, R1, AT(IO, NOTE));
	REQUEST(&second, R2, AT(IO, COMPLETE));
	EXPECT_TRUE(NEVER(IO, R2));
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&first));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&second));
	EXPECT_LT(FIRST(TIMER | KMTEST_END, TIMER).seq, FIRST(IO, R2).seq);
}

TEST_F(driver, W_041_success_after_the_cancel)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FILL, .value = 6));
	EXPECT_EQ(1, CANCEL(R).flagged);
	DO(COMPLETE_WITH, R, .value = 6);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(6, client.information);
	EXPECT_EQ(5, client.data[5]);
}

TEST_F(driver, W_042_handle_after_completion)
{
	static const uint16_t calls[] = {
		KMTEST_UNMARK,          KMTEST_MARK_EX,   KMTEST_IS_CANCELED, KMTEST_COMPLETE, KMTEST_SET_INFORMATION,
		KMTEST_GET_INFORMATION, KMTEST_INPUT,     KMTEST_PARAMETERS,  KMTEST_FORWARD,  KMTEST_REQUEUE,
		KMTEST_STOP_ACK,        KMTEST_REFERENCE, KMTEST_DEREFERENCE, KMTEST_DELETE,
	};
	struct km_client client;

	DELIVERED(&client, R, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	ASSERT_TRUE(SEEN(DESTROY, R));
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct kmtest_op op = {.code = calls[i], .slot = R, .other = KMTEST_MANUAL};

		km_op(&self->km, &op);
		EXPECT_EQ(1, BROKEN(InvalidHandle)) TH_LOG("call %u", calls[i]);
		EXPECT_EQ(0, km_broken_any(&self->km));
	}
}

/* With a reference the memory is there, but the request is not the driver's any more. */
TEST_F(driver, W_042_handle_with_a_reference_after_completion)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, REFERENCE), AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(1, VALUE(CONTEXT, R));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R));
	EXPECT_EQ(1, km_broken_any(&self->km));
	EXPECT_FALSE(NT_SUCCESS(DO(MARK_EX, R)));
	EXPECT_EQ(1, km_broken_any(&self->km));
	EXPECT_FALSE(NT_SUCCESS(DO(FORWARD, R, .other = KMTEST_MANUAL)));
	EXPECT_EQ(1, km_broken_any(&self->km));
	EXPECT_EQ(0, COUNT(DESTROY, R));
	DO(DEREFERENCE, R);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(driver, W_035_written_more_than_was_there)
{
	struct km_client client;

	QUEUE_SCRIPT(KMTEST_PARALLEL, R, 1, AT(IO, COMPLETE_WITH, .value = 9));
	ASSERT_EQ(0, km_write(&self->km, &client, 8));
	EXPECT_EQ(0, km_end(&client));
	EXPECT_EQ(8, client.returned);
	EXPECT_EQ(1, BROKEN(InformationTooLong));
}

TEST_HARNESS_MAIN
