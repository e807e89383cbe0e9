// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: each rule that a driver breaks is counted, once, and no other; and the driver goes on. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"
#include "lib/kmbad.h"

FIXTURE(bad)
{
	struct km km;
};

static int begin(struct km *km, const char *parameters)
{
	int err;

	*km = (struct km){.ctl = -1, .fd = -1, .control = -1};
	err = km_unload("kmtest", 0) ?: km_unload("kmbad", KM_SOON_MS);
	if (!err && parameters) {
		km->own_kmdf = true;
		err = km_unload("kmdf", KM_SOON_MS);
	}
	err = err ?: km_load_kmdf(parameters) ?: kb_insmod("kmbad") ?: km_rules(km->rules);
	if (err)
		return err;
	km->fd = km_open("kmbad");
	return km->fd < 0 ? -km->fd : 0;
}

/* What the driver has kept is completed. */
static bool release(struct km *km)
{
	char byte;

	return read(km->fd, &byte, 1) == 0;
}

static int end(struct km *km)
{
	int err;

	release(km);
	close(km->fd);
	if (km->control >= 0)
		close(km->control);
	err = km_broken_any(km) ? EBADE : 0;
	err = km_unload("kmbad", KM_SOON_MS) ?: err;
	return (km->own_kmdf ? km_unload("kmdf", KM_SOON_MS) : 0) ?: err;
}

FIXTURE_SETUP(bad)
{
	ASSERT_EQ(0, begin(&self->km, NULL));
}

FIXTURE_TEARDOWN(bad)
{
	EXPECT_EQ(0, end(&self->km));
}

/* The rule is counted once, no other is, and the device goes on. */
static void check(struct __test_metadata *_metadata, FIXTURE_DATA(bad) * self, uint32_t code, const char *rule)
{
	char out[16];

	EXPECT_EQ(0, km_control(self->km.fd, KMBAD_NOTHING, NULL, 0, out, sizeof(out)));
	EXPECT_EQ(0, km_broken_any(&self->km));
	km_control(self->km.fd, code, NULL, 0, out, sizeof(out));
	EXPECT_EQ(1, km_broken(&self->km, rule)) TH_LOG("%s", rule);
	EXPECT_EQ(0, km_broken_any(&self->km)) TH_LOG("%s", rule);
	EXPECT_EQ(0, km_control(self->km.fd, KMBAD_NOTHING, NULL, 0, out, sizeof(out)));
}

#define RULE(name, code, rule)                               \
	TEST_F(bad, name)                                    \
	{                                                    \
		check(_metadata, self, KMBAD_##code, #rule); \
	}

RULE(W_031_complete_marked, COMPLETE_MARKED, CompleteCanceledReq)
RULE(W_032_complete_after_vain_unmark, COMPLETE_AFTER_VAIN_UNMARK, ReqNotCanceled)
RULE(W_038_complete_twice, COMPLETE_TWICE, DoubleCompletion)
RULE(W_042_complete_queued, COMPLETE_QUEUED, NotInQueue)
RULE(W_038_complete_pending, COMPLETE_PENDING, StatusPending)
RULE(W_035_complete_too_long, COMPLETE_TOO_LONG, InformationTooLong)
RULE(W_037_complete_with_memory, COMPLETE_WITH_MEMORY, MemoryReferenced)
RULE(W_012_mark_twice, MARK_TWICE, MarkCancOnCancReq)
RULE(W_042_mark_queued, MARK_QUEUED, InvalidReqAccess)
RULE(W_001_mark_without_callback, MARK_WITHOUT_CALLBACK, NullParameter)
RULE(W_010_unmark_unmarked, UNMARK_UNMARKED, UnmarkNotCancelable)
RULE(W_016_is_canceled_marked, IS_CANCELED_MARKED, ReqIsCancOnCancReq)
RULE(W_050_forward_marked, FORWARD_MARKED, ReqMarkCancelableSend)
RULE(W_089_send_marked, SEND_MARKED, ReqMarkCancelableSend)
RULE(W_088_send_twice, SEND_TWICE, AlreadySent)
RULE(W_074_stop_ack, STOP_ACK, StopAckOutsideStop)
RULE(W_061_stop_twice, STOP_TWICE, StateCallback)
RULE(W_063_stop_above_passive, STOP_ABOVE_PASSIVE, KmdfIrql)
RULE(W_062_stop_in_handler, STOP_IN_HANDLER, WaitOnSelf)
RULE(W_084_lock_twice, LOCK_TWICE, RecursiveLock)
RULE(W_084_lock_released, LOCK_RELEASED, LockOwner)
RULE(W_028_return_raised, RETURN_RAISED, CallbackIrql)
RULE(W_042_no_handle, NO_HANDLE, NullParameter)
RULE(W_042_wrong_handle, WRONG_HANDLE, InvalidHandle)
RULE(W_042_foreign_handle, FOREIGN_HANDLE, InvalidHandle)
RULE(W_093_dereference, DEREFERENCE, ObjectMisuse)
RULE(W_093_delete_queues_request, DELETE_QUEUES, ObjectMisuse)

/* The level that a callback has left is put right. */
TEST_F(bad, W_028_level_is_restored)
{
	for (int i = 0; i < 300; i++)
		ASSERT_EQ(0, km_control(self->km.fd, KMBAD_RETURN_RAISED, NULL, 0, NULL, 0));
	EXPECT_EQ(300, BROKEN(CallbackIrql));
	kb_sleep_ms(1);
}

static int keep(struct km *km, struct km_client *client, uint32_t code)
{
	*client = (struct km_client){.fd = km->fd, .kind = KM_CONTROL, .code = code, .tag = 77};
	return km_begin(client);
}

#define KEPT(client, code)                                                 \
	do {                                                               \
		self->km.control = km_open("control");                     \
		ASSERT_EQ(0, keep(&self->km, client, KMBAD_##code));       \
		while (km_state(&self->km, 77, NULL) < KMDF_REQUEST_OWNED) \
			sched_yield();                                     \
		kb_sleep_ms(20);                                           \
	} while (0)

FIXTURE(watched)
{
	struct km km;
};

FIXTURE_SETUP(watched)
{
	ASSERT_EQ(0, begin(&self->km, "stuck_ms=100 forgotten_ms=100 stop_ms=100"));
}

FIXTURE_TEARDOWN(watched)
{
	EXPECT_EQ(0, end(&self->km));
}

static bool counted(struct km *km, const char *rule)
{
	uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull, count = 0;

	while (!count && kb_now_ns() < until) {
		kb_sleep_ms(20);
		count = km_broken(km, rule);
	}
	return count == 1;
}

TEST_F(watched, W_014_ignored_cancel)
{
	struct km_client client;

	KEPT(&client, KEEP);
	EXPECT_EQ(1, km_cancel(&self->km, 77).flagged);
	EXPECT_TRUE(counted(&self->km, "IgnoredCancel"));
	kb_sleep_ms(300);
	EXPECT_EQ(0, BROKEN(IgnoredCancel));
	km_broken_any(&self->km); /* it may have been forgotten before it was cancelled */
	EXPECT_TRUE(release(&self->km));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(watched, W_014_forgotten_request)
{
	struct km_client client;

	KEPT(&client, KEEP);
	EXPECT_TRUE(counted(&self->km, "DeferredRequestCompleted"));
	kb_sleep_ms(300);
	EXPECT_EQ(0, km_broken_any(&self->km));
	EXPECT_TRUE(release(&self->km));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

/* One that can be cancelled may take its time. */
TEST_F(watched, W_014_marked_request_is_not_forgotten)
{
	struct km_client client;

	KEPT(&client, KEEP_MARKED);
	kb_sleep_ms(400);
	EXPECT_EQ(0, km_broken_any(&self->km));
	EXPECT_TRUE(release(&self->km));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

static void stop_without_answer(struct __test_metadata *_metadata, struct km *km, struct km_client *client,
				const char *rule)
{
	struct km_powerer suspend;

	ASSERT_EQ(0, km_power_begin(&suspend, "kmbad", "suspend"));
	EXPECT_TRUE(counted(km, rule));
	EXPECT_EQ(0, km_broken_any(km));
	EXPECT_FALSE(km_power_done(&suspend));
	EXPECT_FALSE(km_done(client));
	EXPECT_TRUE(release(km));
	EXPECT_EQ(STATUS_SUCCESS, km_end(client));
	EXPECT_EQ(0, km_power_end(&suspend));
	EXPECT_EQ(0, km_power("kmbad", "resume"));
}

TEST_F(bad, W_073_stop_without_answer)
{
	struct km_client client;

	KEPT(&client, KEEP);
	stop_without_answer(_metadata, &self->km, &client, "EvtIoStopCancel");
}

TEST_F(bad, W_073_stop_without_answer_for_a_marked_request)
{
	struct km_client client;

	KEPT(&client, KEEP_MARKED);
	stop_without_answer(_metadata, &self->km, &client, "EvtIoStopCompleteOrStopAck");
}

TEST_F(watched, W_073_stop_that_takes_too_long)
{
	struct km_powerer suspend;
	struct km_client client;

	KEPT(&client, KEEP_MARKED);
	ASSERT_EQ(0, km_power_begin(&suspend, "kmbad", "suspend"));
	EXPECT_TRUE(counted(&self->km, "PowerTimeout"));
	EXPECT_EQ(1, BROKEN(EvtIoStopCompleteOrStopAck));
	EXPECT_TRUE(release(&self->km));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, km_power_end(&suspend));
	EXPECT_EQ(0, km_power("kmbad", "resume"));
}

/* ---- drivers that are wrong from the start */

FIXTURE(unborn)
{
	struct km km;
};

FIXTURE_SETUP(unborn)
{
	ASSERT_EQ(0, km_load_kmdf(NULL));
	ASSERT_EQ(0, km_rules(self->km.rules));
}

FIXTURE_TEARDOWN(unborn)
{
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(unborn, W_042_call_before_the_driver_object)
{
	EXPECT_EQ(0, kb_insmod("kmbad_early"));
	EXPECT_EQ(1, BROKEN(DriverCreate));
	EXPECT_EQ(0, km_unload("kmbad_early", KM_SOON_MS));
}

TEST_F(unborn, W_042_no_driver_object)
{
	EXPECT_NE(0, kb_insmod("kmbad_none"));
	EXPECT_FALSE(kb_is_loaded("kmbad_none"));
	EXPECT_EQ(1, BROKEN(DriverCreate));
	/* Its DriverEntry has succeeded: it was unloaded. */
	EXPECT_EQ(1, BROKEN(NullParameter));
}

/* Switched off, nothing is counted. */
TEST_F(bad, W_010_verifier_that_is_off)
{
	FILE *file = fopen("/sys/module/kmdf/parameters/verifier", "r+");
	char text[16] = "";

	ASSERT_NE(NULL, file);
	EXPECT_NE(NULL, fgets(text, sizeof(text), file));
	EXPECT_STREQ("warn\n", text);
	rewind(file);
	EXPECT_LT(0, fputs("loud", file));
	EXPECT_EQ(EOF, fflush(file));
	EXPECT_EQ(EINVAL, errno);
	clearerr(file);
	fclose(file);
	file = fopen("/sys/module/kmdf/parameters/verifier", "w");
	ASSERT_NE(NULL, file);
	EXPECT_LT(0, fputs("off", file));
	EXPECT_EQ(0, fflush(file));
	EXPECT_EQ(0, km_control(self->km.fd, KMBAD_UNMARK_UNMARKED, NULL, 0, NULL, 0));
	EXPECT_EQ(0, km_broken_any(&self->km));
	rewind(file);
	EXPECT_LT(0, fputs("warn", file));
	fclose(file);
	EXPECT_EQ(0, km_control(self->km.fd, KMBAD_UNMARK_UNMARKED, NULL, 0, NULL, 0));
	EXPECT_EQ(1, BROKEN(UnmarkNotCancelable));
}

TEST_HARNESS_MAIN
