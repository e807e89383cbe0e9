// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: what a driver can call by itself (drivers/kmapi), and what it makes of a client's own addresses. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"
#include "lib/kmapi.h"

FIXTURE(api)
{
	struct km km;
};

FIXTURE_SETUP(api)
{
	self->km = (struct km){.ctl = -1, .fd = -1, .control = -1};
	ASSERT_EQ(0, km_unload("kmtest", 0));
	ASSERT_EQ(0, km_load_kmdf(NULL));
	ASSERT_EQ(0, km_rules(self->km.rules));
	ASSERT_EQ(0, kb_insmod("kmapi"));
	self->km.fd = km_open("kmapi");
	ASSERT_LE(0, self->km.fd);
}

FIXTURE_TEARDOWN(api)
{
	close(self->km.fd);
	EXPECT_EQ(0, km_unload("kmapi", KM_SOON_MS));
	EXPECT_EQ(0, km_broken_any(&self->km));
}

/* broken: how often it breaks a rule on purpose. */
#define API(name, part, broken)                                                                                       \
	TEST_F(api, name)                                                                                             \
	{                                                                                                             \
		struct kmapi_result result = {};                                                                      \
                                                                                                                      \
		ASSERT_EQ(STATUS_SUCCESS, km_control(self->km.fd, KMAPI_##part, NULL, 0, &result, sizeof(result)));   \
		TH_LOG("%u checks", result.checks);                                                                   \
		EXPECT_LT(0, result.checks);                                                                          \
		EXPECT_EQ(0, result.failed)                                                                           \
		TH_LOG("lines %u %u %u %u %u %u of drivers/kmapi", result.lines[0], result.lines[1], result.lines[2], \
		       result.lines[3], result.lines[4], result.lines[5]);                                            \
		EXPECT_EQ(broken, km_broken_any(&self->km));                                                          \
	}

API(print, PRINT, 0)
API(print_wide, PRINT_WIDE, 0)
API(W_091_collections, COLLECTION, 2)
API(W_037_memory, MEMORY, 0)
API(W_094_objects_and_contexts, OBJECT, 1)
API(kernel_services, KERNEL, 0)
API(W_099_locks, LOCK, 0)
API(what_is_refused, REFUSED, 0)
API(devices_that_cannot_be, BAD_DEVICE, 0)
API(queues_that_cannot_be, BAD_QUEUE, 0)
API(W_077_sent_and_waited_for, SYNCHRONOUS, 0)
API(W_078_formats, FORMAT, 1)
API(W_036_what_a_request_says_of_itself, REQUEST, 0)

TEST_F(api, W_034_method_neither_in_the_callers_context)
{
	char out[8] = "########";

	EXPECT_EQ(STATUS_SUCCESS, km_control(self->km.fd, KMAPI_NEITHER, "abcd", 4, out, 8));
	EXPECT_EQ(0, memcmp(out + 4, "abcd", 4));
	EXPECT_EQ(STATUS_BUFFER_TOO_SMALL, km_control(self->km.fd, KMAPI_NEITHER, "abcd", 4, out, 7));
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_control(self->km.fd, KMAPI_NEITHER, "abcde", 5, out, 8));
}

TEST_F(api, unknown_control)
{
	struct kmapi_result result;

	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST,
		  km_control(self->km.fd, KMAPI_LAST + 0x100, NULL, 0, &result, sizeof(result)));
}

TEST_HARNESS_MAIN
