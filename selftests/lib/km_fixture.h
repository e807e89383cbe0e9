/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the tests of kmdf.ko, and words for what they say all the time. Included once, after
 * kselftest_harness.h. "R", "R1"... are slots of requests, whose numbers are their tags, too.
 */
#ifndef _KM_FIXTURE_H
#define _KM_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "km.h"

FIXTURE(driver)
{
	struct km km;
};

FIXTURE_SETUP(driver)
{
	ASSERT_EQ(0, km_setup(&self->km, NULL));
}

FIXTURE_TEARDOWN(driver)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

enum { R = 20, R1 = 21, R2 = 22, R3 = 23, R4 = 24, R5 = 25 };
/* Slots of what is no request. */
enum {
	QUEUE = KM_QUEUE,
	OTHER_QUEUE = 110,
	TIMER = 120,
	WORK = 121,
	LOCK = 122,
	GATE = 123,
	MEMORY = 124,
	PARENT = 125,
	CHILD = 126,
	FILE_OF = 127
};

/* A line of a script: AT(CANCEL, COMPLETE, .status = STATUS_CANCELLED). */
#define AT(callback, call, ...)                                                    \
	{                                                                          \
		.when = KMTEST_AT_##callback, .code = KMTEST_##call, ##__VA_ARGS__ \
	}
#define OP(call, ...)                                \
	{                                            \
		.code = KMTEST_##call, ##__VA_ARGS__ \
	}

/* A client with that slot and script. */
#define REQUEST(client, number, ...)                          \
	ASSERT_EQ(0, km_request(&self->km, client,            \
				&(struct kmtest_script){      \
					.slot = (number),     \
					.ops = {__VA_ARGS__}, \
				}))
/* And the driver has it, and has done what it does when it gets it. */
#define DELIVERED(client, number, ...)                      \
	do {                                                \
		REQUEST(client, number, __VA_ARGS__);       \
		ASSERT_TRUE(SEEN(IO | KMTEST_END, number)); \
	} while (0)

/* A client whose request waits in the queue: so many do then. */
#define WAITING(client, number, count, ...)               \
	do {                                              \
		REQUEST(client, number, ##__VA_ARGS__);   \
		ASSERT_TRUE(km_queued(&self->km, count)); \
	} while (0)

#define SCRIPT(number, ...)                                             \
	ASSERT_EQ(0, km_script(&self->km, &(struct kmtest_script){      \
						  .slot = (number),     \
						  .ops = {__VA_ARGS__}, \
					  }))

/* Of requests to that queue that bring no script, such as reads: they get slots from `from` on, in turn. */
#define QUEUE_SCRIPT(queue, from, number, ...)                          \
	ASSERT_EQ(0, km_script(&self->km, &(struct kmtest_script){      \
						  .slot = (queue),      \
						  .first = (from),      \
						  .count = (number),    \
						  .ops = {__VA_ARGS__}, \
					  }))

/* A call at once: its status, its value. */
#define DO(call, number, ...) \
	km_op(&self->km, &(struct kmtest_op){.code = KMTEST_##call, .slot = (number), ##__VA_ARGS__})
#define VALUE(call, number, ...) \
	km_op_value(&self->km, &(struct kmtest_op){.code = KMTEST_##call, .slot = (number), ##__VA_ARGS__})

/* Calls one after the other; ops is a variable with what came of them. */
#define RUN(ops, ...)                           \
	struct kmtest_op ops[] = {__VA_ARGS__}; \
	ASSERT_EQ(0, km_run(&self->km, 0, ops, sizeof(ops) / sizeof((ops)[0])))

/* SEEN(CANCEL, R): waits for it. The first one. */
#define SEEN(callback, number) (km_first(&self->km, KMTEST_AT_##callback, number).seq != 0)
#define FIRST(callback, number) km_first(&self->km, KMTEST_AT_##callback, number)
#define FIRST_OP(call, number) km_first_op(&self->km, number, KMTEST_##call)
#define NEVER(callback, number) km_never(&self->km, KMTEST_AT_##callback, number)
#define COUNT(callback, number) km_count(&self->km, number, KMTEST_AT_##callback)
#define BROKEN(rule) km_broken(&self->km, #rule)
#define CANCEL(number) km_cancel(&self->km, number)

/* The requests of the test go to a control device of its own, with that queue in slot QUEUE. */
#define USE_QUEUE(...) ASSERT_EQ(0, km_use_queue(&self->km, "kmtest_own", &(struct kmtest_queue){__VA_ARGS__}))
#define USE_MANUAL(...) USE_QUEUE(.type = MANUAL, ##__VA_ARGS__)

#endif
