// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: objects, timers, work items, locks, files. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

TEST_F(driver, W_091_children_are_cleaned_up_first)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, CHILD, .other = PARENT));
	DO(DELETE, PARENT);
	EXPECT_TRUE(SEEN(DESTROY, PARENT));
	EXPECT_TRUE(SEEN(DESTROY, CHILD));
	EXPECT_LT(FIRST(CLEANUP, CHILD).seq, FIRST(CLEANUP, PARENT).seq);
	EXPECT_LT(FIRST(CLEANUP, PARENT).seq, FIRST(DESTROY, PARENT).seq);
	EXPECT_LT(FIRST(CLEANUP, PARENT).seq, FIRST(DESTROY, CHILD).seq);
	EXPECT_EQ(1, COUNT(CLEANUP, CHILD));
	EXPECT_EQ(1, COUNT(CLEANUP, PARENT));
	EXPECT_EQ(1, COUNT(DESTROY, CHILD));
	EXPECT_EQ(1, COUNT(DESTROY, PARENT));
}

/* A request's children go with it, before its client has the answer. */
TEST_F(driver, W_091_children_of_a_request)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, OBJECT_CREATE, .slot = CHILD, .other = R));
	EXPECT_EQ(0, COUNT(CLEANUP, CHILD));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_LT(FIRST(CLEANUP, CHILD).seq, FIRST(CLEANUP, R).seq);
	EXPECT_LT(FIRST(CLEANUP, R).seq, FIRST_OP(COMPLETE, R).seq);
}

TEST_F(driver, W_091_deep_trees)
{
	enum { FIRST_OF = 200, DEEP = 100 };

	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, FIRST_OF));
	for (int i = 1; i < DEEP; i++)
		ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, FIRST_OF + i, .other = FIRST_OF + i - 1));
	DO(DELETE, FIRST_OF);
	for (int i = 1; i < DEEP; i++)
		EXPECT_LT(FIRST(CLEANUP, FIRST_OF + i).seq, FIRST(CLEANUP, FIRST_OF + i - 1).seq);
	EXPECT_TRUE(SEEN(DESTROY, FIRST_OF));
}

TEST_F(driver, W_091_child_that_is_deleted_by_itself)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, CHILD, .other = PARENT));
	DO(DELETE, CHILD);
	EXPECT_TRUE(SEEN(DESTROY, CHILD));
	EXPECT_EQ(0, COUNT(CLEANUP, PARENT));
	DO(DELETE, PARENT);
	EXPECT_TRUE(SEEN(DESTROY, PARENT));
	EXPECT_EQ(1, COUNT(CLEANUP, CHILD));
}

/* What is left goes with the driver. */
TEST_F(driver, W_091_objects_of_the_driver_go_with_it)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	ASSERT_EQ(STATUS_SUCCESS, DO(MEMORY_CREATE, MEMORY, .value = 100));
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE, .value = 1));
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = KMTEST_DEVICE));
	DO(TIMER_START, TIMER, .value = 100);
	EXPECT_TRUE(SEEN(TIMER, TIMER));
}

TEST_F(driver, W_092_reference_keeps_the_context)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	DO(REFERENCE, PARENT);
	DO(DELETE, PARENT);
	EXPECT_EQ(1, COUNT(CLEANUP, PARENT));
	EXPECT_TRUE(NEVER(DESTROY, PARENT));
	EXPECT_EQ(1, VALUE(CONTEXT, PARENT));
	DO(DEREFERENCE, PARENT);
	EXPECT_TRUE(SEEN(DESTROY, PARENT));
	EXPECT_EQ(1, COUNT(DESTROY, PARENT));
}

TEST_F(driver, W_093_dereference_too_many)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	DO(DEREFERENCE, PARENT);
	EXPECT_EQ(1, BROKEN(ObjectMisuse));
	EXPECT_EQ(1, VALUE(CONTEXT, PARENT));
	EXPECT_EQ(0, COUNT(CLEANUP, PARENT));
	DO(REFERENCE, PARENT);
	DO(DEREFERENCE, PARENT);
	EXPECT_EQ(0, BROKEN(ObjectMisuse));
	DO(DEREFERENCE, PARENT);
	EXPECT_EQ(1, BROKEN(ObjectMisuse));
	DO(DELETE, PARENT);
	EXPECT_TRUE(SEEN(DESTROY, PARENT));
}

TEST_F(driver, W_093_deleted_twice)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	DO(REFERENCE, PARENT);
	DO(DELETE, PARENT);
	DO(DELETE, PARENT);
	EXPECT_EQ(1, km_broken_any(&self->km));
	DO(DEREFERENCE, PARENT);
	EXPECT_TRUE(SEEN(DESTROY, PARENT));
	EXPECT_EQ(1, COUNT(CLEANUP, PARENT));
	DO(DELETE, PARENT);
	EXPECT_EQ(1, BROKEN(InvalidHandle));
}

/* Not the driver's to delete. */
TEST_F(driver, W_093_delete_of_a_clients_request)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, DELETE));
	EXPECT_EQ(1, km_broken_any(&self->km));
	EXPECT_EQ(0, COUNT(CLEANUP, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_094_context_of_a_type_is_allocated_once)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(STATUS_SUCCESS, DO(CONTEXT_ADD, R));
	RUN(again, OP(CONTEXT_ADD, .slot = R));
	EXPECT_EQ(STATUS_OBJECT_NAME_EXISTS, again[0].status);
	EXPECT_EQ(1, again[0].value);
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_094_no_context_for_what_is_being_deleted)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	DO(REFERENCE, PARENT);
	DO(DELETE, PARENT);
	EXPECT_EQ(STATUS_DELETE_PENDING, DO(CONTEXT_ADD, PARENT));
	DO(DEREFERENCE, PARENT);
	EXPECT_TRUE(SEEN(DESTROY, PARENT));
}

TEST_F(driver, W_095_context_type_is_one_in_all_units)
{
	struct km_client client;

	EXPECT_EQ(1, VALUE(CONTEXT_UNITS, KMTEST_DEVICE));
	EXPECT_EQ(1, VALUE(CONTEXT_UNITS, KMTEST_DEFAULT));
	DELIVERED(&client, R, AT(IO, CONTEXT_UNITS), AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(1, FIRST_OP(CONTEXT_UNITS, R).value);
}

TEST_F(driver, W_096_timers_that_cannot_be)
{
	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE, .level = LEVEL_PASSIVE);
	EXPECT_EQ(STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL, DO(TIMER_CREATE, TIMER, .other = QUEUE, .value = 10));
	EXPECT_EQ(STATUS_NOT_SUPPORTED, DO(TIMER_CREATE, TIMER, .other = QUEUE, .value = 10, .flags = KMTEST_PASSIVE));
	EXPECT_EQ(STATUS_WDF_PARENT_NOT_SPECIFIED, DO(TIMER_CREATE, TIMER));
	EXPECT_EQ(STATUS_INVALID_PARAMETER, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE, .value = 0x80000000u));
	ASSERT_EQ(STATUS_SUCCESS, DO(OBJECT_CREATE, PARENT));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(TIMER_CREATE, TIMER, .other = PARENT));
	EXPECT_EQ(STATUS_WDF_PARENT_NOT_SPECIFIED, DO(WORK_CREATE, WORK));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(WORK_CREATE, WORK, .other = PARENT));
	/* One that is not serialized may have another level; so may one of that level. */
	EXPECT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE, .flags = KMTEST_NOT_SERIALIZED));
	EXPECT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, GATE, .other = QUEUE, .flags = KMTEST_PASSIVE));
	DO(TIMER_START, GATE, .value = 1000);
	EXPECT_EQ(IRQL_PASSIVE, FIRST(TIMER, GATE).irql);
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_096_work_item_below_a_spin_lock)
{
	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	EXPECT_EQ(STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL, DO(WORK_CREATE, WORK, .other = QUEUE));
	EXPECT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = QUEUE, .flags = KMTEST_NOT_SERIALIZED));
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_097_serialized_timer_without_a_scope)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_NONE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE, .value = 5));
	EXPECT_EQ(1, VALUE(TIMER_PARENT, TIMER, .other = QUEUE));
	REQUEST(&client, R, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R));
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_TRUE(SEEN(TIMER | KMTEST_END, TIMER));
	EXPECT_FALSE(km_done(&client));
	DO(OPEN, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	DO(TIMER_STOP, TIMER, .flags = KMTEST_SYNC);
}

TEST_F(driver, W_098_stop_waits_for_the_function)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE));
	SCRIPT(TIMER, AT(TIMER, STALL, .value = 100000));
	EXPECT_EQ(0, VALUE(TIMER_START, TIMER, .value = 1000));
	ASSERT_TRUE(SEEN(TIMER, TIMER));
	EXPECT_EQ(0, VALUE(TIMER_STOP, TIMER, .flags = KMTEST_SYNC));
	EXPECT_LT(FIRST(TIMER | KMTEST_END, TIMER).seq, FIRST_OP(TIMER_STOP, TIMER).seq);
}

TEST_F(driver, W_098_start_and_stop_say_whether_it_was_armed)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE));
	EXPECT_EQ(0, VALUE(TIMER_STOP, TIMER));
	EXPECT_EQ(0, VALUE(TIMER_START, TIMER, .value = 60000000));
	EXPECT_EQ(1, VALUE(TIMER_START, TIMER, .value = 60000000));
	EXPECT_EQ(1, VALUE(TIMER_STOP, TIMER));
	EXPECT_EQ(0, VALUE(TIMER_STOP, TIMER, .flags = KMTEST_SYNC));
	EXPECT_EQ(0, COUNT(TIMER, TIMER));
}

TEST_F(driver, W_098_stop_in_its_own_function)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE));
	SCRIPT(TIMER, AT(TIMER, TIMER_STOP, .flags = KMTEST_SYNC));
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_EQ(0, FIRST_OP(TIMER_STOP, TIMER).value);
	EXPECT_TRUE(SEEN(TIMER | KMTEST_END, TIMER));
	EXPECT_EQ(1, km_broken_any(&self->km));
}

TEST_F(driver, W_098_stop_in_its_own_passive_function)
{
	ASSERT_EQ(STATUS_SUCCESS,
		  DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE, .flags = KMTEST_PASSIVE | KMTEST_NOT_SERIALIZED));
	SCRIPT(TIMER, AT(TIMER, TIMER_STOP, .flags = KMTEST_SYNC));
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_EQ(0, FIRST_OP(TIMER_STOP, TIMER).value);
	EXPECT_TRUE(SEEN(TIMER | KMTEST_END, TIMER));
	EXPECT_EQ(1, BROKEN(WaitOnSelf));
}

TEST_F(driver, W_098_periodic_timer)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE, .value = 2));
	DO(TIMER_START, TIMER, .value = 1000);
	for (uint64_t until = kb_now_ns() + 5000000000ull; COUNT(TIMER, TIMER) < 10 && kb_now_ns() < until;)
		kb_sleep_ms(2);
	EXPECT_LE(10, COUNT(TIMER, TIMER));
	EXPECT_EQ(1, VALUE(TIMER_STOP, TIMER, .flags = KMTEST_SYNC));
	{
		uint32_t count = COUNT(TIMER, TIMER);

		kb_sleep_ms(50);
		EXPECT_EQ(count, COUNT(TIMER, TIMER));
	}
}

TEST_F(driver, W_098_deleting_waits_for_the_function)
{
	/* More often than it takes would leave its CPU to nobody else. */
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE, .value = 200));
	SCRIPT(TIMER, AT(TIMER, STALL, .value = 50000));
	DO(TIMER_START, TIMER, .value = 1000);
	ASSERT_TRUE(SEEN(TIMER, TIMER));
	DO(DELETE, TIMER);
	EXPECT_TRUE(SEEN(DESTROY, TIMER));
	EXPECT_LT(FIRST(TIMER | KMTEST_END, TIMER).seq, FIRST(CLEANUP, TIMER).seq);
	{
		uint32_t count = COUNT(TIMER, TIMER);

		kb_sleep_ms(400);
		EXPECT_EQ(count, COUNT(TIMER, TIMER));
	}
}

/* At DISPATCH_LEVEL a worker does what has to wait. */
TEST_F(driver, W_098_deleting_above_passive)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = KMTEST_DEVICE, .value = 1));
	DO(TIMER_START, TIMER, .value = 1000);
	ASSERT_TRUE(SEEN(TIMER, TIMER));
	RUN(ops, OP(RAISE, .slot = GATE), OP(DELETE, .slot = TIMER), OP(LOWER, .slot = GATE));
	EXPECT_TRUE(SEEN(DESTROY, TIMER));
	EXPECT_EQ(IRQL_PASSIVE, FIRST(CLEANUP, TIMER).irql);
}

TEST_F(driver, W_099_enqueued_before_it_runs_is_one_run)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = KMTEST_DEVICE));
	SCRIPT(WORK, AT(WORK, WAIT));
	DO(WORK_ENQUEUE, WORK);
	ASSERT_TRUE(SEEN(WORK, WORK));
	for (int i = 0; i < 3; i++)
		DO(WORK_ENQUEUE, WORK);
	EXPECT_EQ(1, COUNT(WORK, WORK));
	DO(OPEN, WORK);
	DO(WORK_FLUSH, WORK);
	EXPECT_EQ(2, COUNT(WORK, WORK));
	EXPECT_EQ(IRQL_PASSIVE, FIRST(WORK, WORK).irql);
}

TEST_F(driver, W_099_enqueued_in_its_own_function)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = KMTEST_DEVICE));
	/* The second run finds the gate open, and the slot empty. */
	SCRIPT(WORK, AT(WORK, WAIT, .slot = GATE), AT(WORK, WORK_ENQUEUE), AT(WORK, FORGET));
	DO(WORK_ENQUEUE, WORK);
	ASSERT_TRUE(SEEN(WORK, WORK));
	DO(OPEN, GATE);
	EXPECT_TRUE(km_next(&self->km, &(struct kmtest_event){.seq = FIRST(WORK, WORK).seq}, KMTEST_AT_WORK, WORK).seq);
	kb_sleep_ms(50);
	EXPECT_EQ(2, COUNT(WORK, WORK));
}

TEST_F(driver, W_099_flush_in_its_own_function)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = KMTEST_DEVICE));
	SCRIPT(WORK, AT(WORK, WORK_FLUSH));
	DO(WORK_ENQUEUE, WORK);
	EXPECT_TRUE(SEEN(WORK | KMTEST_END, WORK));
	EXPECT_EQ(1, BROKEN(WaitOnSelf));
}

/* Lockdep: they are not of one class. */
TEST_F(driver, W_099_flush_of_another_in_its_function)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = KMTEST_DEVICE));
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, CHILD, .other = KMTEST_DEVICE));
	SCRIPT(WORK, AT(WORK, WORK_ENQUEUE, .slot = CHILD), AT(WORK, WORK_FLUSH, .slot = CHILD));
	DO(WORK_ENQUEUE, WORK);
	ASSERT_TRUE(SEEN(WORK | KMTEST_END, WORK));
	EXPECT_EQ(1, COUNT(WORK, CHILD));
	EXPECT_LT(FIRST(WORK, CHILD).seq, FIRST(WORK | KMTEST_END, WORK).seq);
}

/* ---- locks */

TEST_F(driver, W_099_wait_lock)
{
	const struct kmtest_op hold[] = {OP(WAIT_ACQUIRE, .slot = LOCK, .flags = KMTEST_NO_TIMEOUT),
					 OP(WAIT, .slot = GATE), OP(WAIT_RELEASE, .slot = LOCK)};
	struct km_runner runner;

	ASSERT_EQ(STATUS_SUCCESS, DO(WAIT_CREATE, LOCK));
	ASSERT_EQ(0, km_run_begin(&self->km, &runner, 0, hold, 3));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(WAIT_ACQUIRE, LOCK).status);
	EXPECT_EQ(STATUS_TIMEOUT, DO(WAIT_ACQUIRE, LOCK, .value = 0));
	EXPECT_EQ(STATUS_TIMEOUT, DO(WAIT_ACQUIRE, LOCK, .value = 20));
	DO(OPEN, GATE);
	EXPECT_EQ(0, km_run_end(&runner));
	RUN(ops, OP(WAIT_ACQUIRE, .slot = LOCK, .value = 1000), OP(WAIT_RELEASE, .slot = LOCK));
	EXPECT_EQ(STATUS_SUCCESS, ops[0].status);
}

TEST_F(driver, W_099_spin_lock_raises)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	RUN(ops, OP(SPIN_ACQUIRE, .slot = LOCK), OP(NOTE, .slot = GATE), OP(SPIN_RELEASE, .slot = LOCK),
	    OP(NOTE, .slot = WORK));
	EXPECT_EQ(IRQL_DISPATCH, FIRST_OP(NOTE, GATE).irql);
	EXPECT_EQ(IRQL_PASSIVE, FIRST_OP(NOTE, WORK).irql);
}

/* ---- files */

/* A killed client leaves its request behind: its file is cleaned up at once and closed when the driver is done. */
TEST_F(driver, W_101_cleanup_before_the_flush_and_close_after_the_last_request)
{
	struct kmtest_event created;
	pid_t pid;

	pid = km_fork("kmtest", &(struct kmtest_script){.slot = R, .ops = {AT(IO, NOTE)}});
	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	created = FIRST(FILE_CREATE, KMTEST_DEVICE);
	created = km_next(&self->km, &created, KMTEST_AT_FILE_CREATE, KMTEST_DEVICE);
	ASSERT_NE(0, created.seq);
	ASSERT_LE(0, km_kill(pid));
	EXPECT_EQ(created.value, FIRST(FILE_CLEANUP, KMTEST_DEVICE).value);
	EXPECT_TRUE(NEVER(FILE_CLOSE, KMTEST_DEVICE));
	EXPECT_EQ(0, COUNT(CLEANUP, R));
	DO(COMPLETE, R);
	EXPECT_EQ(created.value, FIRST(FILE_CLOSE, KMTEST_DEVICE).value);
	EXPECT_GT(FIRST(FILE_CLOSE, KMTEST_DEVICE).seq, FIRST(CLEANUP, R).seq);
}

/* A copy of the descriptor is the same file. */
TEST_F(driver, W_101_cleanup_comes_with_the_last_descriptor)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	int fd, copy;

	fd = km_device(&self->km, &device);
	ASSERT_LE(0, fd);
	copy = dup(fd);
	ASSERT_LE(0, copy);
	close(fd);
	EXPECT_TRUE(NEVER(FILE_CLEANUP, KM_OWN_DEVICE));
	close(copy);
	EXPECT_TRUE(SEEN(FILE_CLOSE, KM_OWN_DEVICE));
	EXPECT_EQ(1, COUNT(FILE_CLEANUP, KM_OWN_DEVICE));
	EXPECT_EQ(1, COUNT(FILE_CLOSE, KM_OWN_DEVICE));
	EXPECT_LT(FIRST(FILE_CLEANUP, KM_OWN_DEVICE).seq, FIRST(FILE_CLOSE, KM_OWN_DEVICE).seq);
}

TEST_F(driver, W_022_work_item_never_overlaps_a_handler)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .level = LEVEL_PASSIVE, .scope = SCOPE_QUEUE);
	ASSERT_EQ(STATUS_SUCCESS, DO(WORK_CREATE, WORK, .other = QUEUE));
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE, .flags = KMTEST_PASSIVE));
	REQUEST(&client, R, AT(IO, WORK_ENQUEUE, .slot = WORK), AT(IO, TIMER_START, .slot = TIMER, .value = 1000),
		AT(IO, SLEEP, .value = 100), AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_TRUE(SEEN(WORK, WORK));
	EXPECT_TRUE(SEEN(TIMER, TIMER));
	EXPECT_GT(FIRST(WORK, WORK).seq, FIRST(IO | KMTEST_END, R).seq);
	EXPECT_GT(FIRST(TIMER, TIMER).seq, FIRST(IO | KMTEST_END, R).seq);
	EXPECT_EQ(IRQL_PASSIVE, FIRST(WORK, WORK).irql);
}

/* Whoever comes second waits for as long as it takes. */
TEST_F(driver, wait_lock_is_waited_for)
{
	struct kmtest_op ops[] = {OP(WAIT_ACQUIRE, .slot = LOCK, .flags = KMTEST_NO_TIMEOUT),
				  OP(WAIT_RELEASE, .slot = LOCK)};
	struct km_runner second;

	ASSERT_EQ(STATUS_SUCCESS, DO(WAIT_CREATE, LOCK));
	ASSERT_EQ(STATUS_SUCCESS, DO(WAIT_ACQUIRE, LOCK, .flags = KMTEST_NO_TIMEOUT));
	ASSERT_EQ(0, km_run_begin(&self->km, &second, LOCK, ops, 2));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_run_done(&second));
	EXPECT_EQ(STATUS_TIMEOUT, DO(WAIT_ACQUIRE, LOCK, .value = 1));
	DO(WAIT_RELEASE, LOCK);
	EXPECT_EQ(0, km_run_end(&second));
	EXPECT_EQ(STATUS_SUCCESS, second.ops[0].status);
	EXPECT_EQ(STATUS_SUCCESS, DO(WAIT_ACQUIRE, LOCK, .value = 1));
	DO(WAIT_RELEASE, LOCK);
}

/* The lock of a device is that of its scope. */
TEST_F(driver, W_084_lock_of_a_device)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.level = LEVEL_PASSIVE,
		.scope = SCOPE_DEVICE,
		.count = 1,
		.queues = {{QUEUE, .type = PARALLEL, .handlers = KMTEST_HANDLE_CONTROL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	struct kmtest_op hold[] = {OP(LOCK, .slot = KM_OWN_DEVICE), OP(WAIT, .slot = GATE),
				   OP(UNLOCK, .slot = KM_OWN_DEVICE)};
	struct km_runner holder;
	struct km_client client;

	ASSERT_EQ(0, km_use(&self->km, &device));
	ASSERT_EQ(0, km_run_begin(&self->km, &holder, KM_OWN_DEVICE, hold, 3));
	ASSERT_NE(0, FIRST_OP(LOCK, KM_OWN_DEVICE).seq);
	REQUEST(&client, R, AT(IO, COMPLETE));
	EXPECT_TRUE(NEVER(IO, R));
	DO(OPEN, GATE);
	EXPECT_EQ(0, km_run_end(&holder));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

/* The last request of a file that is closed is completed by `ops`, under which EvtFileClose cannot be called. */
static void close_after(struct __test_metadata *_metadata, FIXTURE_DATA(driver) * self, int level, int scope,
			struct kmtest_op ops[3])
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES,
		.level = level,
		.scope = scope,
		.count = 1,
		.queues = {{QUEUE, .type = PARALLEL, .handlers = KMTEST_HANDLE_CONTROL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	pid_t pid;

	close(km_device(&self->km, &device));
	ASSERT_TRUE(SEEN(FILE_CLOSE, KM_OWN_DEVICE));
	pid = km_fork("kmtest_own", &(struct kmtest_script){.slot = R});
	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	EXPECT_LE(0, km_kill(pid));
	EXPECT_EQ(1, COUNT(FILE_CLOSE, KM_OWN_DEVICE));
	ASSERT_EQ(0, km_run(&self->km, R, ops, 3));
	for (uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull; COUNT(FILE_CLOSE, KM_OWN_DEVICE) < 2;)
		ASSERT_LT(kb_now_ns(), until);
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(driver, W_101_close_after_a_completion_above_passive)
{
	close_after(_metadata, self, 0, 0,
		    (struct kmtest_op[]){OP(RAISE, .slot = R), OP(COMPLETE, .slot = R), OP(LOWER, .slot = R)});
}

TEST_F(driver, W_101_close_after_a_completion_in_the_devices_scope)
{
	close_after(_metadata, self, LEVEL_PASSIVE, SCOPE_DEVICE,
		    (struct kmtest_op[]){OP(LOCK, .slot = KM_OWN_DEVICE), OP(COMPLETE, .slot = R),
					 OP(UNLOCK, .slot = KM_OWN_DEVICE)});
}

/* EvtDeviceFileCreate says no: there is no file. */
TEST_F(driver, open_that_is_refused)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES | KMTEST_REFUSES,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};

	EXPECT_EQ(-EIO, km_device(&self->km, &device));
	EXPECT_EQ(-EIO, km_open("kmtest_own"));
	EXPECT_EQ(2, COUNT(FILE_CREATE, KM_OWN_DEVICE));
	EXPECT_TRUE(NEVER(FILE_CLEANUP, KM_OWN_DEVICE));
	EXPECT_EQ(0, COUNT(FILE_CLOSE, KM_OWN_DEVICE));
}

/* EvtDeviceFileCreate puts the request into a queue: open() returns when it is completed, and can be killed before. */
TEST_F(driver, open_that_waits_in_a_queue)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES | KMTEST_DEFERS,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	int status;
	pid_t pid;

	QUEUE_SCRIPT(QUEUE, R, 1, AT(IO, NOTE));
	pid = fork();
	if (!pid)
		_exit(km_device(&self->km, &device) < 0);
	ASSERT_TRUE(km_queued(&self->km, 1));
	EXPECT_EQ(R, VALUE(RETRIEVE_NEXT, QUEUE));
	EXPECT_EQ(STATUS_SUCCESS, DO(COMPLETE, R));
	ASSERT_TRUE(km_reap(pid, &status, KM_SOON_MS));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(SEEN(FILE_CLOSE, KM_OWN_DEVICE));
	pid = fork();
	if (!pid)
		_exit(km_open("kmtest_own") < 0);
	ASSERT_TRUE(km_queued(&self->km, 1));
	EXPECT_LE(0, km_kill(pid));
	EXPECT_TRUE(km_queued(&self->km, 0));
}

/* The callbacks about files are synchronized, too. */
static void files_in_scope(struct __test_metadata *_metadata, FIXTURE_DATA(driver) * self, int level)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES,
		.level = level,
		.scope = SCOPE_DEVICE,
		.count = 1,
		.queues = {{QUEUE, .type = PARALLEL, .handlers = KMTEST_HANDLE_CONTROL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	struct kmtest_event close_end;
	struct km_client client;
	int other;

	ASSERT_EQ(0, km_use(&self->km, &device));
	other = km_open("kmtest_own");
	ASSERT_LE(0, other);
	REQUEST(&client, R, AT(IO, STALL, .value = 200000), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R));
	close(other);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	close_end = FIRST(FILE_CLOSE | KMTEST_END, KM_OWN_DEVICE);
	EXPECT_GT(FIRST(FILE_CLEANUP, KM_OWN_DEVICE).seq, FIRST(IO | KMTEST_END, R).seq);
	EXPECT_GT(close_end.seq, FIRST(FILE_CLEANUP | KMTEST_END, KM_OWN_DEVICE).seq);
}

TEST_F(driver, W_022_device_scope_spans_files)
{
	files_in_scope(_metadata, self, LEVEL_PASSIVE);
}

TEST_F(driver, W_022_device_scope_spans_files_at_dispatch)
{
	files_in_scope(_metadata, self, LEVEL_DISPATCH);
}

/* Its file stays open, and is of nothing any more. */
TEST_F(driver, control_device_is_deleted)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_FILES,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	struct km_client client = {.kind = KM_READ, .length = 8};
	struct kmdf_device listed;
	char byte;

	client.fd = km_device(&self->km, &device);
	ASSERT_LE(0, client.fd);
	ASSERT_EQ(0, km_begin(&client));
	EXPECT_TRUE(km_waits(&client));
	DO(DELETE, KM_OWN_DEVICE);
	EXPECT_EQ(KM_ERRNO(ECANCELED), km_end(&client));
	EXPECT_EQ(-ENOENT, km_open("kmtest_own"));
	EXPECT_EQ(-1, read(client.fd, &byte, 1));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_FALSE(km_find_device(&self->km, "kmtest_own", &listed));
	close(client.fd);
	EXPECT_EQ(0, COUNT(FILE_CLOSE, KM_OWN_DEVICE) - COUNT(FILE_CLEANUP, KM_OWN_DEVICE));
}

TEST_F(driver, W_102_exclusive_device)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.flags = KMTEST_EXCLUSIVE,
		.count = 1,
		.queues = {{QUEUE, .type = MANUAL, .flags = KMTEST_DEFAULT_QUEUE}},
	};
	int fd;

	ASSERT_EQ(0, km_use(&self->km, &device));
	EXPECT_EQ(-EACCES, km_open("kmtest_own"));
	close(self->km.fd);
	fd = km_open("kmtest_own");
	EXPECT_LE(0, fd);
	self->km.fd = fd;
	EXPECT_EQ(-EACCES, km_open("kmtest_own"));
}

TEST_HARNESS_MAIN
