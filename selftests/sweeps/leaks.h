/* SPDX-License-Identifier: GPL-2.0-only */
/* At the end: what kmemleak finds after all that, and the total. Part of faults.c. */

/* A fixture of its own, defined last: its test runs last. */
FIXTURE(end)
{
	struct sweep s;
};

FIXTURE_SETUP(end)
{
	sweep_setup(_metadata, &self->s);
}

FIXTURE_TEARDOWN(end)
{
	EXPECT_EQ(0, kb_teardown(&self->s.kb));
}

TEST_F_TIMEOUT(end, leaks, 300)
{
	int kmemleak = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC);
	ssize_t length;

	if (kmemleak < 0)
		SKIP(return, "this kernel has no kmemleak");
	/* What our modules' data refers to would count as found. */
	all_out(_metadata, &self->s);
	/* It does not look at what is younger than 5 s. */
	kb_sleep_ms(6000);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(4, write(kmemleak, "scan", 4)) TH_LOG("kmemleak has switched itself off");
	length = read(kmemleak, self->s.low->data, 8192);
	self->s.low->data[length < 0 ? 0 : length] = 0;
	EXPECT_EQ(0, length) TH_LOG("leaks:\n%s", self->s.low->data);
	close(kmemleak);
	printf("# faults: %u entries, %u points, all swept\n", sweep_total->entries, sweep_total->points);
	fflush(stdout);
	ASSERT_EQ(0, kb_setup(&self->s.kb, NULL));
}
