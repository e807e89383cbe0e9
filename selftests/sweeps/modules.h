/* SPDX-License-Identifier: GPL-2.0-only */
/* What module init and exit call, of kexts and of kextbridge.ko itself. Part of faults.c. */

static void open_module(struct __test_metadata *_metadata, struct sweep *s, const char *module)
{
	static const char *const folders[] = {"", "drivers/"};
	char path[4200];

	s->file = -1;
	for (int i = 0; i < 2 && s->file < 0; i++) {
		snprintf(path, sizeof(path), "%s/%s%s.ko", kb_program_dir(), folders[i], module);
		s->file = open(path, O_RDONLY | O_CLOEXEC);
	}
	ASSERT_LE(0, s->file) TH_LOG("%s", path);
}

/*
 * The parameter fail_nth counts from module init on, or, for a kext, from where the loader sets it: before that none of
 * our code has run, and what fails there the loader reports with warnings of its own.
 */
static int call_init(struct sweep *s)
{
	char parameters[32];
	int err;

	snprintf(parameters, sizeof(parameters), "fail_nth=%u", s->point);
	err = syscall(SYS_finit_module, s->file, parameters, 0) ? errno : 0;
	s->hit = inject_disarm(s->kind);
	close(s->file);
	s->file = -1;
	return err;
}

static const char *exiting;

static int call_exit_module(__attribute__((unused)) struct sweep *s)
{
	return kb_rmmod(exiting);
}

/* ---- kexts */

/* Its start function requests: one of it finds no memory, or the kext is never there. */
static void plan_kext(struct __test_metadata *_metadata, struct sweep *s, int start_result)
{
	struct kbtest_plan plan = {.kext = A, .start_requests = 2, .start_result = start_result};
	static struct kb_record record;

	/* A daemon that is told. */
	kb_daemon_leave(&s->kb);
	ASSERT_EQ(0, kb_daemon(&s->kb));
	ASSERT_EQ(EAGAIN, kb_fetch_any(s->kb.daemon, &record, 0));
	ASSERT_EQ(0, kb_plan(&s->kb, &plan));
	open_module(_metadata, s, A);
}

static void prepare_kext(struct __test_metadata *_metadata, struct sweep *s)
{
	plan_kext(_metadata, s, 0);
}

static void prepare_kext_fails(struct __test_metadata *_metadata, struct sweep *s)
{
	plan_kext(_metadata, s, 5);
}

static void check_kext(struct __test_metadata *_metadata, struct sweep *s)
{
	static struct kb_record record;

	EXPECT_EQ(s->err ? EAGAIN : 0, kb_fetch_any(s->kb.daemon, &record, 0));
	EXPECT_TRUE(s->err || record.head.kind == KEXTD_LOADED);
	EXPECT_EQ(!s->err, kb_is_loaded(A));
	EXPECT_EQ(s->err != 0, kb_tag(&s->kb, A) == TAG_INVALID);
	EXPECT_EQ(s->err ? 1 : 2, s->after.kexts);
	if (s->err) {
		EXPECT_EQ(s->before.submitted - s->before.discarded, s->after.submitted - s->after.discarded);
		EXPECT_EQ(0, s->after.pending);
		return;
	}
	expect_started(_metadata, s);
	EXPECT_TRUE(s->hit || s->after.pending == 2);
	EXPECT_EQ(s->after.submitted - s->before.submitted, s->after.pending);
	EXPECT_EQ(0, kb_unload_served(&s->kb, A));
	EXPECT_FALSE(kb_is_loaded(A));
	fetch_rest(_metadata, s);
}

static void prepare_exit_plain(struct __test_metadata *_metadata, struct sweep *s)
{
	exiting = "kbtest_plain";
	if (!kb_is_loaded(exiting))
		ASSERT_EQ(0, kb_insmod(exiting));
	for (s->issued = 0; s->issued < 2; s->issued++)
		ASSERT_EQ(0, kb_request(&s->kb, exiting, "resource", s->issued, &s->tags[s->issued]));
}

/* It goes, and what was pending is called back; or it stays, and nothing has happened to it. */
static void check_exit_plain(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->err != 0, kb_is_loaded(exiting));
	EXPECT_EQ(s->err ? 2 : 0, s->after.pending);
	if (s->err)
		ASSERT_EQ(0, kb_rmmod(exiting));
	EXPECT_EQ(TAG_INVALID, kb_tag(&s->kb, exiting));
	for (uint32_t i = 0; i < 2; i++)
		expect_callback(_metadata, s, i, kOSKextReturnTimeout);
}

/* The daemon's part of an unload. */
static void prepare_delete(struct __test_metadata *_metadata, struct sweep *s)
{
	exiting = A;
	begin_unload(_metadata, s);
	fetch(_metadata, s, 1);
	ASSERT_EQ(KEXTD_UNLOAD, s->got[0].kind);
}

static void check_delete(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->err != 0, kb_is_loaded(A));
	EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[0].id, s->err ? kOSKextReturnInUse : kOSReturnSuccess));
	EXPECT_EQ(s->err ? kOSKextReturnInUse : 0, kb_unload_end(&s->unload));
	if (!s->err)
		ASSERT_EQ(0, kb_insmod(A));
	expect_started(_metadata, s);
}

TEST_F_TIMEOUT(files, kexts, 900)
{
	static const struct entry deleted = {"delete_module by the daemon",
					     prepare_delete,
					     call_exit_module,
					     check_delete,
					     .least = 1,
					     .one_only = true};
	static const struct entry entries[] = {
		{"delete_module of a kext", prepare_exit_plain, call_exit_module, check_exit_plain, .least = 1,
		 .one_only = true},
		{"init of a kext", prepare_kext, call_init, check_kext, .least = 20, .arms_itself = true, .slow = true,
		 .one_only = true},
		{"init of a kext that fails", prepare_kext_fails, call_init, check_kext, .least = 20, .expected = EIO,
		 .arms_itself = true, .slow = true, .one_only = true},
	};

	sweep(_metadata, &self->s, &deleted);
	ASSERT_EQ(0, kb_unload_served(&self->s.kb, A));
	SWEEP_ALL(&self->s, entries);
}

/* ---- kextbridge.ko */

static bool nodes_are_there(void)
{
	return !access("/sys/class/misc/kextd", F_OK) && !access("/sys/class/misc/kextbridge", F_OK);
}

static void all_out(struct __test_metadata *_metadata, struct sweep *s)
{
	if (kb_is_loaded(A))
		ASSERT_EQ(0, kb_unload_served(&s->kb, A));
	close(s->kb.bench);
	s->kb.bench = -1;
	ASSERT_EQ(0, kb_unload_served(&s->kb, "kbtest"));
	kb_daemon_leave(&s->kb);
	close(s->kb.control);
	s->kb.control = -1;
	ASSERT_EQ(0, kb_rmmod("kextbridge"));
}

static void prepare_init(struct __test_metadata *_metadata, struct sweep *s)
{
	open_module(_metadata, s, "kextbridge");
}

/* Nothing is left of one that failed: the next one would find its name taken. */
static void check_init(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(!s->err, kb_is_loaded("kextbridge"));
	EXPECT_EQ(!s->err, nodes_are_there());
	EXPECT_EQ(!s->err, !access("/sys/class/misc/kextd", F_OK));
	if (!s->err)
		EXPECT_EQ(0, kb_rmmod("kextbridge"));
}

static void prepare_exit_kextbridge(struct __test_metadata *_metadata, __attribute__((unused)) struct sweep *s)
{
	exiting = "kextbridge";
	if (!kb_is_loaded(exiting))
		ASSERT_EQ(0, kb_insmod(exiting));
	EXPECT_TRUE(nodes_are_there());
}

static void check_exit_kextbridge(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->err != 0, kb_is_loaded(exiting));
	EXPECT_EQ(s->err != 0, nodes_are_there());
}

TEST_F_TIMEOUT(files, kextbridge_itself, 900)
{
	static const struct entry entries[] = {
		{"init of kextbridge", prepare_init, call_init, check_init, .least = 30, .arms_itself = true,
		 .slow = true, .one_only = true, .module_is_absent = true},
		{"exit of kextbridge", prepare_exit_kextbridge, call_exit_module, check_exit_kextbridge, .least = 1,
		 .one_only = true, .module_is_absent = true},
	};

	all_out(_metadata, &self->s);
	SWEEP_ALL(&self->s, entries);
	ASSERT_EQ(0, kb_setup(&self->s.kb, A, NULL));
}
