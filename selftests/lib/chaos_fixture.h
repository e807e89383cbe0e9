/* SPDX-License-Identifier: GPL-2.0-only */
/* The fixture of the races with delays. Included once, after kselftest_harness.h. */
#ifndef _CHAOS_FIXTURE_H
#define _CHAOS_FIXTURE_H

#include "chaos.h"
#include "fixture.h"
#include "race.h"

/* No kext is loaded, and no daemon is there. */

FIXTURE(chaos)
{
	struct kb kb;
	long live;
};

FIXTURE_SETUP(chaos)
{
	ASSERT_EQ(2, sysconf(_SC_NPROCESSORS_ONLN));
	/* Once before, so that the module is there with nothing but the bench on it. */
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
	ASSERT_EQ(0, kb_teardown(&self->kb));
	self->live = chaos_live();
	ASSERT_NE(-1, self->live) TH_LOG("this needs the test build: make modules HOOKS=1");
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
}

FIXTURE_TEARDOWN(chaos)
{
	EXPECT_EQ(0, kb_teardown(&self->kb));
	EXPECT_TRUE(chaos_balanced(self->live));
}

#endif
