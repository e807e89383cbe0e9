// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: what a driver can call by itself (drivers/kmapi), and what it makes of a client's own addresses. */
#include <sys/syscall.h>

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
	/* Its DriverEntry asks for a second driver object. */
	ASSERT_EQ(1, km_broken(&self->km, "DriverCreate"));
	self->km.fd = km_open("kmapi");
	ASSERT_LE(0, self->km.fd);
}

FIXTURE_TEARDOWN(api)
{
	close(self->km.fd);
	EXPECT_EQ(0, km_unload("kmapi", KM_SOON_MS));
	EXPECT_EQ(0, km_broken_any(&self->km));
}

static void ask(struct __test_metadata *_metadata, FIXTURE_DATA(api) * self, uint32_t part)
{
	struct kmapi_result result = {};

	ASSERT_EQ(STATUS_SUCCESS, km_control(self->km.fd, part, NULL, 0, &result, sizeof(result)));
	TH_LOG("%u checks, %u rules broken", result.checks, result.broken);
	EXPECT_LT(0, result.checks);
	EXPECT_EQ(0, result.failed)
	TH_LOG("lines %u %u %u %u %u %u of drivers/kmapi", result.lines[0], result.lines[1], result.lines[2],
	       result.lines[3], result.lines[4], result.lines[5]);
	EXPECT_EQ(result.broken, km_broken_any(&self->km));
}

#define API(name, part)                             \
	TEST_F(api, name)                           \
	{                                           \
		ask(_metadata, self, KMAPI_##part); \
	}

API(print, PRINT)
API(print_wide, PRINT_WIDE)
API(print_cut_anywhere, PRINT_CUT)
API(collections, COLLECTION)
API(memory, MEMORY)
API(W_094_objects_and_contexts, OBJECT)
API(W_042_handles_that_are_none, HANDLE)
API(W_063_above_passive_level, LEVEL)
API(driver_object, ENTRY)
API(children_that_come_too_late, LATE)
API(kernel_services, KERNEL)
API(locks, LOCK)
API(what_is_refused, REFUSED)
API(devices_that_cannot_be, BAD_DEVICE)
API(queues_that_cannot_be, BAD_QUEUE)
API(sent_and_waited_for, SYNCHRONOUS)
API(formats, FORMAT)
API(what_a_request_says_of_itself, REQUEST)

TEST_F(api, method_neither_in_the_callers_context)
{
	char out[8] = "########";

	EXPECT_EQ(STATUS_SUCCESS, km_control(self->km.fd, KMAPI_NEITHER, "abcd", 4, out, 8));
	EXPECT_EQ(0, memcmp(out + 4, "abcd", 4));
	EXPECT_EQ(STATUS_BUFFER_TOO_SMALL, km_control(self->km.fd, KMAPI_NEITHER, "abcd", 4, out, 7));
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_control(self->km.fd, KMAPI_NEITHER, "abcde", 5, out, 8));
}

/* A module that another one sends to stays. */
TEST_F(api, target_of_another_driver)
{
	ASSERT_EQ(0, kb_insmod("kmtest"));
	ask(_metadata, self, KMAPI_OTHER);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "kmtest", O_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_TRUE(kb_is_loaded("kmtest"));
	ask(_metadata, self, KMAPI_OTHER);
	EXPECT_EQ(0, km_unload("kmtest", KM_SOON_MS));
}

TEST_F(api, one_of_each)
{
	EXPECT_EQ(STATUS_SUCCESS, km_control(self->km.fd, KMAPI_CREATE, NULL, 0, NULL, 0));
	EXPECT_EQ(-ENOENT, km_open("kmapi_created"));
}

/* The first line is the driver's own interface, with its reference string. */
TEST_F(api, interface_in_sysfs)
{
	static const char wanted[] = "{c0ffee00-1234-5678-9abc-010203040506}\\part 2\n";
	char name[64] = "", text[200] = "";
	int fd;

	EXPECT_TRUE(km_find_interface("c0ffee00-1234-5678-9abc-010203040506", name, sizeof(name)));
	EXPECT_STREQ("kmapi", name);
	fd = open("/sys/class/kmdf/kmapi/interfaces", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(sizeof(wanted) - 1, read(fd, text, sizeof(text) - 1));
	EXPECT_STREQ(wanted, text);
	close(fd);
	memset(text, 0, sizeof(text));
	fd = open("/sys/class/kmdf/kmapi/driver_module", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(6, read(fd, text, sizeof(text) - 1));
	EXPECT_STREQ("kmapi\n", text);
	close(fd);
}

TEST_F(api, unknown_control)
{
	struct kmapi_result result;

	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST,
		  km_control(self->km.fd, KMAPI_LAST + 0x100, NULL, 0, &result, sizeof(result)));
}

TEST_HARNESS_MAIN
