// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: a device that sleeps, wakes up and goes, and the requests that its driver has meanwhile. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"
#include "lib/power.h"

#define CANCELLED .status = STATUS_CANCELLED
#define KEEP .value = 0
#define GIVE_BACK .value = 1

TEST_F(driver, W_070_stop_for_each_request_that_is_not_cancelled)
{
	struct km_client marked, plain, cancelled;
	struct km_powerer suspend;

	DELIVERED(&marked, R1, AT(IO, MARK_EX), AT(STOP, STOP_ACK, KEEP));
	DELIVERED(&plain, R2, AT(IO, NOTE), AT(STOP, STOP_ACK, KEEP));
	DELIVERED(&cancelled, R3, AT(IO, NOTE));
	EXPECT_EQ(1, CANCEL(R3).flagged);
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	EXPECT_EQ(STOP_SUSPEND | STOP_CANCELABLE, FIRST(STOP, R1).value);
	EXPECT_EQ(STOP_SUSPEND, FIRST(STOP, R2).value);
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_power_done(&suspend));
	DO(COMPLETE, R3, CANCELLED);
	EXPECT_EQ(0, km_power_end(&suspend));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_EQ(1, COUNT(STOP, R1));
	EXPECT_EQ(1, COUNT(STOP, R2));
	EXPECT_EQ(0, COUNT(STOP, R3));
	EXPECT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R1));
	DO(COMPLETE, R1);
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&marked));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&plain));
}

TEST_F(driver, W_070_sleeping_queue_presents_nothing)
{
	struct km_client client;

	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	REQUEST(&client, R, AT(IO, COMPLETE));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, KMTEST_DEFAULT)) != 1)
		sched_yield();
	EXPECT_EQ(STATE_HELD, DO(QUEUE_STATE, KMTEST_DEFAULT) & STATE_HELD);
	EXPECT_TRUE(NEVER(IO, R));
	EXPECT_EQ(STATUS_WDF_PAUSED, DO(RETRIEVE_NEXT, KMTEST_MANUAL));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, DO(QUEUE_STATE, KMTEST_DEFAULT) & STATE_HELD);
}

TEST_F(driver, W_070_cancel_in_a_sleeping_queue)
{
	struct km_client client;

	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	REQUEST(&client, R, AT(IO, COMPLETE));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, KMTEST_DEFAULT)) != 1)
		sched_yield();
	EXPECT_EQ(1, CANCEL(R).finished);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_TRUE(NEVER(IO, R));
}

TEST_F(driver, W_070_callbacks_of_the_device)
{
	static const uint32_t order[] = {
		KMTEST_AT_D0_ENTRY, KMTEST_AT_IO_INIT,  KMTEST_AT_IO_SUSPEND,
		KMTEST_AT_D0_EXIT,  KMTEST_AT_D0_ENTRY, KMTEST_AT_IO_RESTART,
	};
	struct kmtest_event event = {};

	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		event = km_next(&self->km, &event, order[i], KMTEST_DEVICE);
		EXPECT_NE(0, event.seq) TH_LOG("callback %u", order[i]);
	}
	EXPECT_EQ(2, COUNT(D0_ENTRY, KMTEST_DEVICE));
	EXPECT_EQ(1, COUNT(IO_INIT, KMTEST_DEVICE));
	EXPECT_EQ(1, COUNT(IO_RESTART, KMTEST_DEVICE));
}

TEST_F(driver, W_071_kept_request_is_resumed)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(STOP, STOP_ACK, KEEP), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_FALSE(km_done(&client));
	EXPECT_EQ(KMDF_REQUEST_CANCELABLE, km_state(&self->km, R, NULL));
	EXPECT_EQ(0, COUNT(RESUME, R));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(1, COUNT(RESUME, R));
	EXPECT_EQ(0, COUNT(AGAIN, R));
	/* And stopped again the next time. */
	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_EQ(2, COUNT(STOP, R));
	/* Cancelled while the device sleeps: it is not resumed. */
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(1, COUNT(RESUME, R));
}

TEST_F(driver, W_072_request_that_is_given_back_comes_first)
{
	struct km_client first, second;

	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R1, 2, AT(IO, MARK_EX), AT(STOP, UNMARK), AT(STOP, STOP_ACK, GIVE_BACK),
		     AT(AGAIN, COMPLETE));
	ASSERT_EQ(0, km_read(&self->km, &first, 8));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R1));
	ASSERT_EQ(0, km_read(&self->km, &second, 8));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, KMTEST_SEQUENTIAL)) != 1)
		sched_yield();
	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(UNMARK, R1).status);
	EXPECT_EQ(2, KMTEST_QUEUED(VALUE(QUEUE_STATE, KMTEST_SEQUENTIAL)));
	EXPECT_EQ(0, KMTEST_OWNED(VALUE(QUEUE_STATE, KMTEST_SEQUENTIAL)));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(0, km_end(&first));
	EXPECT_TRUE(SEEN(IO, R2));
	EXPECT_LT(FIRST(AGAIN, R1).seq, FIRST(IO, R2).seq);
	EXPECT_EQ(0, COUNT(RESUME, R1));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R2));
	DO(COMPLETE, R2);
	EXPECT_EQ(0, km_end(&second));
}

TEST_F(driver, W_072_given_back_and_cancelled)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(STOP, UNMARK), AT(STOP, STOP_ACK, GIVE_BACK), AT(AGAIN, COMPLETE),
		  AT(ON_QUEUE, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_EQ(1, CANCEL(R).found);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(0, COUNT(AGAIN, R));
	EXPECT_EQ(0, COUNT(CANCEL, R));
}

TEST_F(driver, W_072_marked_request_cannot_be_given_back)
{
	struct km_client client;
	struct km_powerer suspend;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(STOP, STOP_ACK, GIVE_BACK), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	ASSERT_TRUE(SEEN(STOP | KMTEST_END, R));
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, km_power_end(&suspend));
	EXPECT_LE(1, km_broken_any(&self->km));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
}

/* The system's own suspend, as far as to the freezer: the clients that wait are frozen, and none of them is woken. */
TEST_F(driver, W_071_suspend_of_the_system)
{
	struct km_client kept, waiting;

	DELIVERED(&kept, R1, AT(IO, MARK_EX), AT(STOP, STOP_ACK, KEEP), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, keep_freezing_possible(true));
	ASSERT_EQ(0, put("/sys/power/pm_test", "freezer"));
	ASSERT_EQ(0, put("/sys/module/suspend/parameters/pm_test_delay", "1"));
	for (int times = 1; times <= 2; times++) {
		ASSERT_EQ(0, put("/sys/power/state", "freeze"));
		EXPECT_EQ(times, COUNT(STOP, R1));
		EXPECT_EQ(STOP_SUSPEND | STOP_CANCELABLE, FIRST(STOP, R1).value);
		EXPECT_TRUE(SEEN(RESUME, R1));
		EXPECT_EQ(1 + times, COUNT(D0_ENTRY, KMTEST_DEVICE));
		EXPECT_EQ(times, COUNT(D0_EXIT, KMTEST_DEVICE));
	}
	EXPECT_EQ(2, COUNT(RESUME, R1));
	EXPECT_FALSE(km_done(&kept));
	/* It is as it was before. */
	REQUEST(&waiting, R2, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&waiting));
	EXPECT_EQ(1, CANCEL(R1).notified);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&kept));
	EXPECT_EQ(0, put("/sys/power/pm_test", "none"));
	EXPECT_EQ(0, keep_freezing_possible(false));
}

FIXTURE(impatient)
{
	struct km km;
};

FIXTURE_SETUP(impatient)
{
	ASSERT_EQ(0, km_setup(&self->km, "stop_ms=200"));
}

FIXTURE_TEARDOWN(impatient)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(impatient, W_073_stop_that_does_nothing)
{
	struct km_client plain, marked;
	struct km_powerer suspend;

	DELIVERED(&plain, R1, AT(IO, NOTE));
	DELIVERED(&marked, R2, AT(IO, MARK_EX));
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	ASSERT_TRUE(SEEN(STOP | KMTEST_END, R1));
	ASSERT_TRUE(SEEN(STOP | KMTEST_END, R2));
	/* The last thing that it says. */
	for (uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull; !BROKEN(PowerTimeout); kb_sleep_ms(10))
		ASSERT_LT(kb_now_ns(), until);
	EXPECT_FALSE(km_power_done(&suspend));
	EXPECT_EQ(1, BROKEN(EvtIoStopCancel));
	EXPECT_EQ(1, BROKEN(EvtIoStopCompleteOrStopAck));
	DO(COMPLETE, R1);
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R2));
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&plain));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&marked));
	EXPECT_EQ(0, km_power_end(&suspend));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(0, COUNT(RESUME, R1));
}

/* What is completed in EvtIoStop is done with. */
TEST_F(driver, W_073_completed_in_stop)
{
	struct km_client plain, marked;

	DELIVERED(&plain, R1, AT(IO, NOTE), AT(STOP, COMPLETE, .status = STATUS_UNSUCCESSFUL));
	DELIVERED(&marked, R2, AT(IO, MARK_EX), AT(STOP, UNMARK), AT(STOP, COMPLETE, .status = STATUS_UNSUCCESSFUL));
	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_end(&plain));
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_end(&marked));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(0, COUNT(RESUME, R1) + COUNT(RESUME, R2));
}

TEST_F(driver, W_073_queue_without_the_callback_waits)
{
	struct km_client client;
	struct km_powerer suspend;

	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, PARALLEL,
									     .handlers = KMTEST_HANDLE_CONTROL}));
	REQUEST(&client, R, AT(IO, FORWARD, .other = OTHER_QUEUE), AT(AGAIN, NOTE));
	ASSERT_TRUE(SEEN(AGAIN | KMTEST_END, R));
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_power_done(&suspend));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, km_power_end(&suspend));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
}

/* The system's, the switch's and a removal come from threads of their own: each waits for the one before. */
TEST_F(driver, W_070_one_change_at_a_time)
{
	struct km_client client;
	struct km_powerer suspend, again, remove;

	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, PARALLEL,
									     .handlers = KMTEST_HANDLE_CONTROL}));
	REQUEST(&client, R, AT(IO, FORWARD, .other = OTHER_QUEUE), AT(AGAIN, NOTE));
	ASSERT_TRUE(SEEN(AGAIN | KMTEST_END, R));
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	ASSERT_TRUE(SEEN(IO_SUSPEND | KMTEST_END, KMTEST_DEVICE));
	ASSERT_EQ(0, km_power_begin(&again, "kmtest", "suspend"));
	ASSERT_EQ(0, km_power_begin(&remove, "kmtest", "remove"));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_power_done(&suspend));
	EXPECT_FALSE(km_power_done(&again));
	EXPECT_FALSE(km_power_done(&remove));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, km_power_end(&suspend));
	EXPECT_EQ(0, km_power_end(&again));
	EXPECT_EQ(0, km_power_end(&remove));
	EXPECT_EQ(1, COUNT(IO_SUSPEND, KMTEST_DEVICE));
	EXPECT_EQ(1, COUNT(D0_EXIT, KMTEST_DEVICE));
	EXPECT_GT(0, km_open("kmtest"));
}

TEST_F(driver, W_074_acknowledged_outside_of_stop)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	DO(STOP_ACK, R, KEEP);
	EXPECT_EQ(1, BROKEN(StopAckOutsideStop));
	DO(STOP_ACK, R, GIVE_BACK);
	EXPECT_EQ(1, BROKEN(StopAckOutsideStop));
	EXPECT_EQ(KMDF_REQUEST_OWNED, km_state(&self->km, R, NULL));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_075_removal_cancels_before_it_stops)
{
	struct km_client marked, plain, waiting;
	struct km_powerer remove;

	DELIVERED(&marked, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	DELIVERED(&plain, R2, AT(IO, NOTE), AT(STOP, IS_CANCELED), AT(STOP, COMPLETE, CANCELLED));
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R3, 2, AT(IO, NOTE), AT(STOP, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_read(&self->km, &waiting, 8));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R3));
	ASSERT_EQ(0, km_power_begin(&remove, "kmtest", "remove"));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&marked));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&plain));
	EXPECT_EQ(KM_ERRNO(ECANCELED), km_end(&waiting));
	EXPECT_EQ(STOP_PURGE, FIRST(STOP, R2).value);
	EXPECT_EQ(0, COUNT(STOP, R1));
	EXPECT_LT(FIRST(CANCEL, R1).seq, FIRST(STOP, R2).seq);
	EXPECT_EQ(0, km_power_end(&remove));
	EXPECT_GT(0, km_open("kmtest"));
}

TEST_F(driver, W_075_removal_refuses_what_comes)
{
	struct km_client client;

	ASSERT_EQ(0, km_power("kmtest", "remove"));
	REQUEST(&client, R, AT(IO, COMPLETE));
	EXPECT_FALSE(NT_SUCCESS(km_end(&client)) && !client.err);
	EXPECT_TRUE(NEVER(IO, R));
}

TEST_F(driver, W_076_cancel_during_stop_comes_after_it)
{
	struct km_client client;
	struct km_powerer suspend;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(STOP, WAIT), AT(STOP, UNMARK), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	ASSERT_TRUE(SEEN(STOP, R));
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_TRUE(NEVER(CANCEL, R));
	DO(OPEN, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(STATUS_CANCELLED, FIRST_OP(UNMARK, R).status);
	EXPECT_GT(FIRST(CANCEL, R).seq, FIRST(STOP | KMTEST_END, R).seq);
	EXPECT_EQ(0, km_power_end(&suspend));
	ASSERT_EQ(0, km_power("kmtest", "resume"));
	/* That it has done nothing is no mistake: it was the callback's. */
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(driver, W_077_stop_of_a_queue_is_no_power_stop)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	DO(QUEUE_STOP, KMTEST_DEFAULT);
	EXPECT_TRUE(NEVER(STOP, R));
	DO(QUEUE_START, KMTEST_DEFAULT);
	DO(QUEUE_STOP_AND_PURGE, KMTEST_DEFAULT, .flags = KMTEST_NO_CALLBACK);
	EXPECT_TRUE(NEVER(STOP, R));
	DO(QUEUE_START, KMTEST_DEFAULT);
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_078_control_device_has_no_power)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .flags = KMTEST_STOPS | KMTEST_POWER_MANAGED);
	DELIVERED(&client, R, AT(IO, NOTE));
	km_power("kmtest_own", "suspend");
	EXPECT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_TRUE(NEVER(STOP, R));
	EXPECT_EQ(0, DO(QUEUE_STATE, QUEUE) & STATE_HELD);
	km_power("kmtest_own", "resume");
	EXPECT_EQ(0, km_power("kmtest", "resume"));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, COUNT(RESUME, R));
}

/* Nor has a queue that has said that it is not power-managed. */
TEST_F(driver, W_078_queue_that_is_not_power_managed)
{
	struct km_client client;

	ASSERT_EQ(STATUS_SUCCESS,
		  km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, PARALLEL,
							     .handlers = KMTEST_HANDLE_CONTROL,
							     .flags = KMTEST_STOPS | KMTEST_NOT_POWER_MANAGED}));
	REQUEST(&client, R, AT(IO, FORWARD, .other = OTHER_QUEUE), AT(AGAIN, NOTE));
	ASSERT_TRUE(SEEN(AGAIN | KMTEST_END, R));
	EXPECT_EQ(0, km_power("kmtest", "suspend"));
	EXPECT_EQ(0, COUNT(STOP, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, km_power("kmtest", "resume"));
}

TEST_F(driver, power_that_is_nothing)
{
	EXPECT_EQ(EINVAL, km_power("kmtest", "explode"));
	EXPECT_EQ(EINVAL, km_power("kmtest", "resumes"));
	EXPECT_EQ(ENOENT, km_power("kmtest_nobody", "suspend"));
}

/* In a queue that no power is managed for, which nobody waits for. */
TEST_F(driver, W_075_removal_tells_of_what_the_driver_keeps)
{
	struct km_client client;

	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, PARALLEL,
									     .handlers = KMTEST_HANDLE_CONTROL,
									     .flags = KMTEST_NOT_POWER_MANAGED}));
	DELIVERED(&client, R, AT(IO, FORWARD, .other = OTHER_QUEUE), AT(AGAIN, NOTE));
	ASSERT_TRUE(SEEN(AGAIN | KMTEST_END, R));
	ASSERT_EQ(0, km_power("kmtest", "remove"));
	EXPECT_EQ(1, BROKEN(DeferredRequestCompleted));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

/* EvtIoStop and EvtIoResume keep a queue's scope. */
TEST_F(driver, W_022_stop_in_the_scope_of_its_queue)
{
	struct kmtest_op hold[] = {OP(LOCK, .slot = OTHER_QUEUE), OP(WAIT, .slot = GATE),
				   OP(UNLOCK, .slot = OTHER_QUEUE)};
	struct km_powerer suspend;
	struct km_runner holder;
	struct km_client kept;

	ASSERT_EQ(
		STATUS_SUCCESS,
		km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KMTEST_DEVICE, PARALLEL, .level = LEVEL_PASSIVE,
							   .scope = SCOPE_QUEUE, .handlers = KMTEST_HANDLE_CONTROL,
							   .flags = KMTEST_STOPS | KMTEST_POWER_MANAGED}));
	DELIVERED(&kept, R, AT(IO, FORWARD, .other = OTHER_QUEUE), AT(AGAIN, NOTE), AT(STOP, STOP_ACK),
		  AT(RESUME, COMPLETE));
	ASSERT_TRUE(SEEN(AGAIN | KMTEST_END, R));
	ASSERT_EQ(0, km_run_begin(&self->km, &holder, OTHER_QUEUE, hold, 3));
	ASSERT_NE(0, FIRST_OP(LOCK, OTHER_QUEUE).seq);
	ASSERT_EQ(0, km_power_begin(&suspend, "kmtest", "suspend"));
	EXPECT_TRUE(NEVER(STOP, R));
	DO(OPEN, GATE);
	EXPECT_EQ(0, km_run_end(&holder));
	EXPECT_TRUE(SEEN(STOP | KMTEST_END, R));
	EXPECT_EQ(IRQL_PASSIVE, FIRST(STOP, R).irql);
	EXPECT_EQ(0, km_power_end(&suspend));
	EXPECT_EQ(0, km_power("kmtest", "resume"));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&kept));
}

/* ---- drivers that do not want to (drivers/kmbad/fails.c): they break a rule if they are called out of order */

FIXTURE(unwilling)
{
	struct km km;
};

FIXTURE_SETUP(unwilling)
{
	self->km = (struct km){.ctl = -1, .fd = -1, .control = -1};
	ASSERT_EQ(0, km_unload("kmtest", 0));
	ASSERT_EQ(0, km_load_kmdf(NULL));
	ASSERT_EQ(0, km_rules(self->km.rules));
	self->km.control = km_open("control");
	ASSERT_LE(0, self->km.control);
}

FIXTURE_TEARDOWN(unwilling)
{
	close(self->km.control);
	EXPECT_EQ(0, km_broken_any(&self->km));
}

static const struct {
	const char *name;
	int err; /* what insmod says: that of the driver's status */
} unwilling_drivers[] = {
	{"kmbad_entry", EOPNOTSUPP}, {"kmbad_add", ENOMEM},     {"kmbad_prepare", EIO},
	{"kmbad_start", EBUSY},      {"kmbad_started", EACCES}, {"kmbad_init", EINVAL},
};

TEST_F(unwilling, driver_that_fails_is_not_loaded)
{
	for (unsigned int i = 0; i < sizeof(unwilling_drivers) / sizeof(unwilling_drivers[0]); i++) {
		const char *name = unwilling_drivers[i].name;
		struct kmdf_device device;

		EXPECT_EQ(unwilling_drivers[i].err, kb_insmod(name)) TH_LOG("%s", name);
		EXPECT_FALSE(kb_is_loaded(name)) TH_LOG("%s", name);
		EXPECT_FALSE(km_find_device(&self->km, "kmbad_fails", &device)) TH_LOG("%s", name);
		EXPECT_GT(0, km_open("kmbad_fails")) TH_LOG("%s", name);
		EXPECT_EQ(0, km_broken_any(&self->km)) TH_LOG("%s", name);
	}
}

/* Its hardware is not there: that is no error. */
TEST_F(unwilling, driver_without_a_device)
{
	struct kmdf_device device;

	EXPECT_EQ(0, kb_insmod("kmbad_nothing"));
	EXPECT_FALSE(km_find_device(&self->km, "kmbad_fails", &device));
	EXPECT_EQ(0, km_unload("kmbad_nothing", KM_SOON_MS));
}

TEST_F(unwilling, device_that_does_not_resume_is_removed)
{
	struct kmdf_device device;
	int fd;

	ASSERT_EQ(0, kb_insmod("kmbad_resume"));
	fd = km_open("kmbad_fails");
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, km_power("kmbad_fails", "suspend"));
	EXPECT_EQ(0, km_broken_any(&self->km));
	EXPECT_EQ(0, km_power("kmbad_fails", "resume"));
	ASSERT_TRUE(km_find_device(&self->km, "kmbad_fails", &device));
	EXPECT_GT(0, km_open("kmbad_fails"));
	/* It does not come back. */
	EXPECT_EQ(0, km_power("kmbad_fails", "resume"));
	EXPECT_GT(0, km_open("kmbad_fails"));
	close(fd);
	EXPECT_EQ(0, km_unload("kmbad_resume", KM_SOON_MS));
}

TEST_HARNESS_MAIN
