// SPDX-License-Identifier: GPL-2.0-only
/* Loading kexts by identifier. kextd's part of it is in kextd.c. */
#include "kselftest_harness.h"

#include "lib/fixture.h"

/* The load that the daemon is asked for next. */
#define FETCH_LOAD(record, expected_identifier)                           \
	do {                                                              \
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, record, SOON_MS)); \
		ASSERT_EQ(KEXTD_LOAD, (record)->head.kind);               \
		ASSERT_STREQ(expected_identifier, (record)->identifier);  \
		EXPECT_STREQ("", (record)->name);                         \
	} while (0)

TEST_F(kext, T_100_started_kext)
{
	struct kbtest_event event;

	while (kb_event(&self->kb, 0, &event, 0))
		;
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_A));
	EXPECT_EQ(0, kb_load(self->kb.control, ID_A, 0));
	EXPECT_EQ(0, kb_load(self->kb.control, ID_A, KEXTBRIDGE_LOAD_WAIT));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, 0));
	NOTHING_TO_FETCH();
}

TEST_F(kext, T_101_unknown_kext_is_the_daemons_business)
{
	struct kbtest_event event;
	struct kb_record record;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	FETCH_LOAD(&record, ID_B);
	NOTHING_TO_FETCH();
	ASSERT_EQ(0, kb_insmod(B));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_B));
}

/* One identifier is the beginning of the other. */
TEST_F(kext, T_101_longer_identifier_is_another_kext)
{
	static const char *const identifiers[] = {ID_A ".more.of.it", ID_A ".more", ID_A ".more.of.it.all", "com"};
	struct kb_record record;

	for (unsigned int i = 0; i < ARRAY_SIZE(identifiers); i++)
		EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, identifiers[i]));
	for (unsigned int i = 0; i < ARRAY_SIZE(identifiers); i++) {
		FETCH_LOAD(&record, identifiers[i]);
		EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
	}
	NOTHING_TO_FETCH();
}

/* The kext came by another way while the daemon was asked for it. */
TEST_F(bare, T_100_started_kext_with_a_load_in_the_queue)
{
	struct kb_record record;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	ASSERT_EQ(0, kb_insmod(B));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_B));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_EQ(0, kb_load(self->kb.control, ID_B, KEXTBRIDGE_LOAD_WAIT));
	FETCH_LOAD(&record, ID_B);
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	NOTHING_TO_FETCH();
}

struct loader {
	pthread_t thread;
	int control;
	int result;
};

static void *load_waiting(void *arg)
{
	struct loader *loader = arg;

	loader->result = kb_load(loader->control, ID_B, KEXTBRIDGE_LOAD_WAIT);
	return NULL;
}

TEST_F(kext, T_101_program_waits_for_the_answer)
{
	static const OSReturn results[] = {kOSReturnSuccess, kOSKextReturnNotFound, kOSKextReturnAuthentication};
	struct loader loader = {.control = self->kb.control};
	struct kb_record record;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_create(&loader.thread, NULL, load_waiting, &loader));
		FETCH_LOAD(&record, ID_B);
		EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, results[i]));
		pthread_join(loader.thread, NULL);
		EXPECT_EQ(results[i], loader.result);
	}
	kb_daemon_leave(&self->kb);
	EXPECT_EQ(kOSKextReturnDisabled, kb_load(self->kb.control, ID_B, KEXTBRIDGE_LOAD_WAIT));
}

TEST_F(kext, T_102_two_loads_before_the_fetch_are_one)
{
	struct kb_record record;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	EXPECT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, ID_B, 0));
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.other"));
	FETCH_LOAD(&record, ID_B);
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
	FETCH_LOAD(&record, "com.example.other");
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
	NOTHING_TO_FETCH();
}

TEST_F(kext, T_103_load_after_the_fetch_is_another)
{
	struct kb_record first, second;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	FETCH_LOAD(&first, ID_B);
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	FETCH_LOAD(&second, ID_B);
	EXPECT_NE(first.head.id, second.head.id);
	EXPECT_EQ(0, kb_reply(self->kb.daemon, first.head.id, kOSKextReturnNotFound));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, second.head.id, kOSKextReturnNotFound));
}

TEST_F(bare, T_104_no_daemon)
{
	struct kb_record record;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH_LOAD(&record, ID_B);
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
}

TEST_F(bare, T_104_loads_that_nobody_fetches_are_limited)
{
	struct kextbridge_status before, after;
	char identifier[32];

	ASSERT_EQ(0, kb_unload_bench(&self->kb));
	ASSERT_TRUE(kb_status(&self->kb, &before));
	for (int i = 0; i < 1024; i++) {
		snprintf(identifier, sizeof(identifier), "com.example.none%d", i);
		ASSERT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, identifier, 0)) TH_LOG("%d", i);
	}
	EXPECT_EQ(kOSKextReturnNoResources, kb_load(self->kb.control, "com.example.one.more", 0));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_EQ(kOSKextReturnNoResources, kb_load(self->kb.control, "com.example.one.more", KEXTBRIDGE_LOAD_WAIT));
	kb_daemon_leave(&self->kb);
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.limited + 2, after.limited);
	EXPECT_EQ(before.loads + 1024, after.loads);
	ASSERT_EQ(0, kb_load_afresh(&self->kb, ""));
	NOTHING_TO_FETCH();
}

static int asked_loads(struct kb *kb, uint32_t from, char (*identifiers)[KEXTBRIDGE_IDENTIFIER_SIZE], uint32_t room,
		       uint32_t *total)
{
	struct kextbridge_load_requests args = {
		.size = sizeof(args), .identifiers = KB_STRING(identifiers), .count = room, .from = from};

	if (ioctl(kb->control, KEXTBRIDGE_IOC_LOAD_REQUESTS, &args))
		return -errno;
	*total = args.total;
	return args.count;
}

/* "Get All Load Requests": of drivers and of programs, each once, loaded or not. */
TEST_F(bare, what_was_asked_for_is_remembered)
{
	static char all[5000][KEXTBRIDGE_IDENTIFIER_SIZE], part[2][KEXTBRIDGE_IDENTIFIER_SIZE];
	uint32_t before, total;
	char identifier[80];

	ASSERT_GE(asked_loads(&self->kb, 0, all, 5000, &before), 0);
	ASSERT_EQ(0, kb_unload_bench(&self->kb));
	ASSERT_EQ(0, kb_load_afresh(&self->kb, ""));
	EXPECT_EQ(0, asked_loads(&self->kb, 0, all, 5000, &total));
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.z"));
	EXPECT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, "com.example.a", 0));
	EXPECT_EQ(0, kb_load(self->kb.control, "com.example.kbtest", 0));
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.z"));
	for (int i = 3; i < 40; i++) {
		snprintf(identifier, sizeof(identifier), "com.example.%d", i);
		EXPECT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, identifier, 0));
	}
	ASSERT_EQ(40, asked_loads(&self->kb, 0, all, 5000, &total));
	EXPECT_EQ(40, total);
	EXPECT_STREQ("com.example.z", all[0]);
	EXPECT_STREQ("com.example.a", all[1]);
	EXPECT_STREQ("com.example.kbtest", all[2]);
	EXPECT_STREQ("com.example.39", all[39]);
	ASSERT_EQ(2, asked_loads(&self->kb, 1, part, 2, &total));
	EXPECT_STREQ("com.example.a", part[0]);
	EXPECT_STREQ("com.example.kbtest", part[1]);
	EXPECT_EQ(0, asked_loads(&self->kb, 40, part, 2, &total));
	EXPECT_EQ(0, asked_loads(&self->kb, 0xffffffff, part, 2, &total));
	/* One that no kext can have. */
	memset(identifier, 'x', sizeof(identifier));
	identifier[70] = 0;
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, identifier));
	EXPECT_EQ(0, asked_loads(&self->kb, 40, part, 2, &total));
}

TEST_F(bare, T_104_load_that_nobody_fetches_keeps_nothing)
{
	ASSERT_EQ(0, kb_unload_bench(&self->kb));
	EXPECT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, "com.example.none", 0));
	ASSERT_EQ(0, kb_load_afresh(&self->kb, ""));
	NOTHING_TO_FETCH();
}

/* As modprobe.d may have it. */
TEST_F(bare, T_016_strict_cancel_without_a_value_is_on)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_unload_bench(&self->kb));
	ASSERT_EQ(0, kb_load_afresh(&self->kb, "strict_cancel"));
	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 42, &tag));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, B, tag, NULL));
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	/* Off again for the others. */
	ASSERT_EQ(0, kb_teardown(&self->kb));
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
	ASSERT_EQ(0, kb_unload_bench(&self->kb));
	ASSERT_EQ(0, kb_load_afresh(&self->kb, ""));
}

TEST_F(kext, T_105_no_identifier)
{
	static char text[5001];
	struct kbtest_call call = {.op = KBTEST_LOAD, .identifier = 0};

	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_call(&self->kb, &call));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_load(&self->kb, ""));
	memset(text, 'x', 5000);
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_load(&self->kb, text));
	NOTHING_TO_FETCH();
}

/* Loaded and not started: its start function failed when it could not be deleted. */
TEST_F(kext, T_106_loaded_kext_is_started_by_the_caller)
{
	struct kbtest_plan refuse = {.kext = A, .start_result = 5}, obey = {.kext = A};
	struct kextbridge_kext kext;
	struct kb_unload unload;
	struct kb_record record;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &refuse));
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnInUse));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload_end(&unload));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_LOADED, kext.state);
	while (kb_event(&self->kb, 0, &event, 0))
		;
	EXPECT_EQ(kOSKextReturnStartStopError, kb_kpi_load(&self->kb, ID_A));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, 0)) TH_LOG("not on the caller's thread");
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_LOADED, kext.state);
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(A));
	ASSERT_EQ(0, kb_plan(&self->kb, &obey));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_A));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, 0));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	NOTHING_TO_FETCH();
}

/* As before, and a dead daemon has left a load of it behind. */
TEST_F(bare, T_106_loaded_kext_with_a_load_in_the_queue)
{
	struct kbtest_plan refuse = {.kext = B, .start_result = 5}, obey = {.kext = B};
	struct kb_record load, record;
	struct kextbridge_kext kext;
	struct kb_unload unload;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH_LOAD(&load, ID_B);
	ASSERT_EQ(0, kb_plan(&self->kb, &refuse));
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, B, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnInUse));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload_end(&unload));
	kb_daemon_leave(&self->kb);
	ASSERT_TRUE(kb_kext(&self->kb, B, &kext));
	EXPECT_EQ(KEXT_STATE_LOADED, kext.state);
	ASSERT_EQ(0, kb_plan(&self->kb, &obey));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_B));
	ASSERT_TRUE(kb_kext(&self->kb, B, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH_LOAD(&record, ID_B);
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	NOTHING_TO_FETCH();
}

/* One that is loaded and not started can be unloaded as it is: its stop function has run already. */
TEST_F(kext, T_106_loaded_kext_is_unloaded_without_stop)
{
	struct kbtest_plan refuse = {A, .start_result = 5};
	struct kb_unload unload;
	struct kb_record record;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &refuse));
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnInUse));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload_end(&unload));
	while (kb_event(&self->kb, 0, &event, 0))
		;
	EXPECT_EQ(0, kb_unload_served(&self->kb, A));
	EXPECT_FALSE(kb_is_loaded(A));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, 0));
}

TEST_F(kext, T_107_load_that_fails_tells_nobody)
{
	struct kb_record record;

	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.no.such.kext"));
	FETCH_LOAD(&record, "com.example.no.such.kext");
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(bare, T_108_kext_loads_itself_in_start)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_START_LOAD};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_TRUE(kb_event(&self->kb, 0, &event, SOON_MS));
	EXPECT_EQ(KBTEST_START, event.type);
	ASSERT_TRUE(kb_event(&self->kb, 0, &event, SOON_MS));
	EXPECT_EQ(KBTEST_STARTED, event.type);
	EXPECT_EQ(0, event.inner_result);
	EXPECT_TRUE(kb_quiet(&self->kb, 0, 0));
}

TEST_F(kext, T_109_load_retains_nothing)
{
	struct kextbridge_kext kext;

	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_A));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(0, kext.retains);
	EXPECT_EQ(1, kext.module_refcount);
	EXPECT_EQ(0, kext.flags & KEXT_FLAG_AUTOUNLOAD);
}

/* An open node, either of them, keeps the module; and when both are closed, nothing does. */
TEST_F(bare, open_nodes_keep_kextbridge)
{
	static const char *const nodes[] = {"/dev/kextbridge", "/dev/kextd"};
	int fds[2];

	ASSERT_EQ(0, kb_unload_bench(&self->kb));
	close(self->kb.control);
	self->kb.control = -1;
	for (int both = 0; both < 2; both++) {
		for (int i = 0; i < 2; i++) {
			fds[i] = open(nodes[i], O_RDWR | O_CLOEXEC);
			ASSERT_GE(fds[i], 0) TH_LOG("%s: %s", nodes[i], strerror(errno));
			EXPECT_EQ(EWOULDBLOCK, kb_rmmod("kextbridge")) TH_LOG("with %s open", nodes[i]);
			if (!both)
				close(fds[i]);
		}
	}
	EXPECT_EQ(0, ioctl(fds[0], KEXTBRIDGE_IOC_STATUS,
			   &(struct kextbridge_status){.size = sizeof(struct kextbridge_status)}));
	close(fds[0]);
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod("kextbridge"));
	close(fds[1]);
	EXPECT_EQ(0, kb_rmmod("kextbridge"));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(-1, open(nodes[i], O_RDWR | O_CLOEXEC));
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
}

/* In C and in C++. */
TEST_F(bare, a_weak_symbol_is_resolved_if_its_kext_was_loaded_before)
{
	static const char *const askers[] = {"kbtest_weak", "kbtest_weak_cxx"};
	struct kbtest_kext_info info = {};

	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (unsigned int i = 0; i < ARRAY_SIZE(askers); i++) {
		strcpy(info.kext, askers[i]);
		ASSERT_EQ(0, kb_insmod(askers[i])) TH_LOG("%s", askers[i]);
		ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_KEXT, &info));
		EXPECT_EQ(1, info.present);
		EXPECT_EQ(KBTEST_UNRESOLVED, info.base_load_tag);
		/* Nor is what it does not have kept there for it. */
		ASSERT_EQ(0, kb_insmod("kbtest_base"));
		EXPECT_EQ(0, kb_unload_served(&self->kb, "kbtest_base"));
		EXPECT_EQ(0, kb_unload_served(&self->kb, askers[i]));

		ASSERT_EQ(0, kb_insmod("kbtest_base"));
		ASSERT_EQ(0, kb_insmod(askers[i]));
		ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_KEXT, &info));
		EXPECT_EQ(kb_tag(&self->kb, "kbtest_base"), info.base_load_tag);
		EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kb_tag(&self->kb, "kbtest_base"), 0));
		EXPECT_EQ(0, kb_unload_served(&self->kb, askers[i]));
		EXPECT_EQ(0, kb_unload_served(&self->kb, "kbtest_base"));
	}
}

/* One that was built without the Module.symvers of what it asks for. */
TEST_F(bare, a_weak_symbol_without_its_version_is_refused_where_versions_are_compared)
{
	struct kbtest_kext_info info = {.kext = "kbtest_stray"};

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod("kbtest_stray"));
	ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_KEXT, &info));
	EXPECT_EQ(KBTEST_UNRESOLVED, info.base_load_tag);
	EXPECT_EQ(0, kb_unload_served(&self->kb, "kbtest_stray"));
	ASSERT_EQ(0, kb_insmod("kbtest_base"));
	ASSERT_EQ(info.modversions ? EINVAL : 0, kb_insmod("kbtest_stray"));
	if (info.modversions)
		return;
	ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_KEXT, &info));
	EXPECT_EQ(kb_tag(&self->kb, "kbtest_base"), info.base_load_tag);
}

TEST_HARNESS_MAIN
