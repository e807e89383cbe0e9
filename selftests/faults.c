// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy from or to user memory of every way into the module fails once, for the task that
 * comes in. What runs on workers is in the last tests: it allocates nothing. On a kernel with fault injection, with the
 * test build: selftests/run-program kasan faults
 */
#include "kselftest_harness.h"

#include <sys/epoll.h>
#include <sys/wait.h>

#include <mach/kern_return.h>

#include "lib/sweep.h"

FIXTURE(faults)
{
	struct sweep s;
};
FIXTURE_VARIANT(faults)
{
	bool wire32;
};
FIXTURE_VARIANT_ADD(faults, native){.wire32 = false};
FIXTURE_VARIANT_ADD(faults, compat){.wire32 = true};

FIXTURE_SETUP(faults)
{
	sweep_setup(_metadata, &self->s);
	self->s.wire32 = variant->wire32;
}

FIXTURE_TEARDOWN(faults)
{
	EXPECT_EQ(0, kb_teardown(&self->s.kb));
}

FIXTURE(files)
{
	struct sweep s;
};

FIXTURE_SETUP(files)
{
	sweep_setup(_metadata, &self->s);
}

FIXTURE_TEARDOWN(files)
{
	EXPECT_EQ(0, kb_teardown(&self->s.kb));
}

#include "sweeps/round.h"

#include "sweeps/daemon.h"
#include "sweeps/program.h"

#include "sweeps/driver.h"
#include "sweeps/files.h"
#include "sweeps/modules.h"
#include "sweeps/workers.h"
#include "sweeps/leaks.h"

TEST_HARNESS_MAIN
