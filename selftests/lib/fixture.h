/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of most tests: kext A is loaded, and the test is the daemon (self->kb.daemon). Included once, after
 * kselftest_harness.h.
 */
#ifndef _FIXTURE_H
#define _FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kb.h"

#define A "kbtest_a"
#define B "kbtest_b"
#define SOON_MS 15000 /* what must come comes within this */
#define NEVER_MS 150  /* what must not come is waited for so long */

FIXTURE(kext)
{
	struct kb kb;
};

FIXTURE_SETUP(kext)
{
	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
}

FIXTURE_TEARDOWN(kext)
{
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

/* The fixture of tests that load what they need and open /dev/kextd when they want. */
FIXTURE(bare)
{
	struct kb kb;
};

FIXTURE_SETUP(bare)
{
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
}

FIXTURE_TEARDOWN(bare)
{
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

/* The resource that the daemon is asked for next, by its name. */
#define FETCH(record, expected_name)                                      \
	do {                                                              \
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, record, SOON_MS)); \
		ASSERT_EQ(KEXTD_RESOURCE, (record)->head.kind);           \
		ASSERT_STREQ(expected_name, (record)->name);              \
	} while (0)

#define NOTHING_TO_FETCH()                                                         \
	do {                                                                       \
		struct kb_record nothing_;                                         \
		ASSERT_EQ(EAGAIN, kb_fetch(self->kb.daemon, &nothing_, NEVER_MS)); \
	} while (0)

#endif
