// SPDX-License-Identifier: GPL-2.0-only
/* Retain, release, and kexts that leave by themselves. */
#include "kselftest_harness.h"

#include "lib/fixture.h"
#include "lib/power.h"

#define DELAY_MS 500
#define MS 1000000ull
#define PLAIN "kbtest_plain"
#define THREAD "kbtest_thread"

/* The unload that the daemon is asked for next; does it. */
#define FETCH_UNLOAD(record, module)                                      \
	do {                                                              \
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, record, SOON_MS)); \
		ASSERT_EQ(KEXTD_UNLOAD, (record)->head.kind);             \
		ASSERT_STREQ(module, (record)->name);                     \
	} while (0)
#define SERVE_UNLOAD(module)                                                 \
	do {                                                                 \
		struct kb_record unload_;                                    \
		FETCH_UNLOAD(&unload_, module);                              \
		EXPECT_EQ(0, kb_rmmod(module));                              \
		EXPECT_EQ(0, kb_reply(self->kb.daemon, unload_.head.id, 0)); \
	} while (0)

static int retain_release(struct kb *kb, uint32_t tag)
{
	return kb_kpi_retain(kb, tag) ?: kb_kpi_release(kb, tag);
}

TEST_F(kext, T_120_retain_own_tag)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kextbridge_kext kext;

	EXPECT_EQ(0, kb_kpi_retain(&self->kb, tag));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(1, kext.retains);
	EXPECT_EQ(KEXT_FLAG_AUTOUNLOAD, kext.flags & KEXT_FLAG_AUTOUNLOAD);
	EXPECT_EQ(0, kb_kpi_release(&self->kb, tag));
}

TEST_F(kext, T_121_retain_the_invalid_tag)
{
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_retain(&self->kb, TAG_INVALID));
}

TEST_F(kext, T_122_retain_an_unknown_tag)
{
	EXPECT_EQ(kOSKextReturnNotFound, kb_kpi_retain(&self->kb, 0x7ffffff0));
	EXPECT_EQ(kOSKextReturnNotFound, kb_kpi_retain(&self->kb, kb_tag(&self->kb, A) + 1));
}

TEST_F(kext, T_123_release_after_retain)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(0, kb_kpi_release(&self->kb, tag));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(0, kext.retains);
}

TEST_F(kext, T_124_release_the_invalid_tag)
{
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_release(&self->kb, TAG_INVALID));
}

TEST_F(kext, T_125_release_an_unknown_tag)
{
	EXPECT_EQ(kOSKextReturnNotFound, kb_kpi_release(&self->kb, 0x7ffffff0));
}

TEST_F(kext, T_126_tag_of_an_unloaded_kext)
{
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_EQ(0, kb_unload_served(&self->kb, A));
	EXPECT_EQ(kOSKextReturnNotFound, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(kOSKextReturnNotFound, kb_kpi_release(&self->kb, tag));
	EXPECT_EQ(kOSKextReturnNotFound, kb_unload(self->kb.control, tag, 0));
}

TEST_F(kext, T_127_reloaded_kext_has_a_new_tag)
{
	uint32_t old = kb_tag(&self->kb, A), new;

	ASSERT_EQ(0, kb_unload_served(&self->kb, A));
	ASSERT_EQ(0, kb_insmod(A));
	new = kb_tag(&self->kb, A);
	EXPECT_GT(new, old);
	EXPECT_NE(TAG_INVALID, new);
	EXPECT_EQ(kOSKextReturnNotFound, kb_kpi_retain(&self->kb, old));
	EXPECT_EQ(0, retain_release(&self->kb, new));
}

TEST_F(kext, T_128_retained_kext_stays)
{
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, tag, 0));
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(A));
	EXPECT_EQ(0, kb_kpi_release(&self->kb, tag));
	/* Nor does plain rmmod work without a retain. */
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(A));
}

TEST_F(bare, T_128_retained_kext_built_for_plain_rmmod)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(PLAIN));
	tag = kb_tag(&self->kb, PLAIN);
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(PLAIN));
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	/* Its reference is dropped once the releasing code has surely left. */
	for (int i = 0; i < 500 && kb_rmmod(PLAIN); i++)
		kb_sleep_ms(10);
	EXPECT_FALSE(kb_is_loaded(PLAIN));
}

TEST_F(kext, T_129_released_kext_leaves_by_itself)
{
	struct kextbridge_status before, after;
	struct kbtest_event event;
	uint64_t released;

	ASSERT_TRUE(kb_status(&self->kb, &before));
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	released = kb_now_ns();
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, 0));
	EXPECT_GE(event.time_ns, released + DELAY_MS * MS);
	EXPECT_FALSE(kb_is_loaded(A));
	EXPECT_EQ(TAG_INVALID, kb_tag(&self->kb, A));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.autounloads + 1, after.autounloads);
}

TEST_F(kext, T_130_not_before_the_delay)
{
	struct kbtest_event event;
	uint64_t released;

	ASSERT_EQ(0, kb_param("autounload_delay_ms", "3000"));
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, kb_tag(&self->kb, A)));
	kb_sleep_ms(100);
	released = kb_now_ns();
	ASSERT_EQ(0, kb_kpi_release(&self->kb, kb_tag(&self->kb, A)));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
	EXPECT_GE(event.time_ns, released + 3000 * MS);
}

TEST_F(bare, T_130_the_default_is_a_minute)
{
	char value[16] = "";
	int fd = open("/sys/module/kextbridge/parameters/autounload_delay_ms", O_RDONLY);

	ASSERT_GT(read(fd, value, sizeof(value) - 1), 0);
	EXPECT_STREQ("60000\n", value);
}

TEST_F(kext, T_131_as_many_releases_as_retains)
{
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 3 * DELAY_MS));
	EXPECT_EQ(tag, kb_tag(&self->kb, A));
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	SERVE_UNLOAD(A);
}

TEST_F(kext, T_132_kext_that_never_retained_stays)
{
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 200));
	ASSERT_EQ(0, kb_insmod(B));
	/* A scan, because B asks for one. */
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, B)));
	SERVE_UNLOAD(B);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 800));
	EXPECT_NE(TAG_INVALID, kb_tag(&self->kb, A));
	NOTHING_TO_FETCH();
}

TEST_F(kext, T_133_refused_autounload_is_tried_again)
{
	struct kbtest_plan refuse = {.kext = A, .stop_result = 5}, obey = {.kext = A};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	ASSERT_EQ(0, kb_plan(&self->kb, &refuse));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_EQ(5, event.result);
	ASSERT_EQ(0, kb_plan(&self->kb, &obey));
	/* Another kext's release is enough. */
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, B)));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
	for (int i = 0; i < 2; i++) {
		struct kb_record record;

		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
		EXPECT_EQ(0, kb_rmmod(record.name));
		EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	}
	EXPECT_FALSE(kb_is_loaded(A));
	EXPECT_FALSE(kb_is_loaded(B));
}

TEST_F(kext, T_134_releases_postpone_the_scan)
{
	struct kbtest_event stop;
	uint64_t released;
	uint32_t b;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 6 * DELAY_MS));
	ASSERT_EQ(0, kb_insmod(B));
	b = kb_tag(&self->kb, B);
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	kb_sleep_ms(DELAY_MS);
	/* B stays retained: it is only its release that moves the scan for A. */
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, b));
	released = kb_now_ns();
	ASSERT_EQ(0, retain_release(&self->kb, b));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &stop, SOON_MS));
	EXPECT_GE(stop.time_ns - released, 6 * DELAY_MS * MS) TH_LOG("not postponed");
	EXPECT_EQ(0, kb_kpi_release(&self->kb, b));
}

TEST_F(kext, T_134_releases_do_not_postpone_for_ever)
{
	uint64_t first;
	uint32_t b;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 200));
	ASSERT_EQ(0, kb_insmod(B));
	b = kb_tag(&self->kb, B);
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, b));
	first = kb_now_ns();
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	while (!kb_poll(self->kb.daemon, POLLIN, 100) && kb_now_ns() - first < 10 * 1000 * MS)
		ASSERT_EQ(0, retain_release(&self->kb, b));
	EXPECT_LT(kb_now_ns() - first, 8 * 1000 * MS) TH_LOG("five delays are the limit");
	SERVE_UNLOAD(A);
	EXPECT_EQ(0, kb_kpi_release(&self->kb, b));
}

TEST_F(kext, T_135_request_postpones_the_scan)
{
	struct kbtest_event stop;
	uint64_t requested;
	uint32_t tag;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 3000));
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	kb_sleep_ms(DELAY_MS);
	requested = kb_now_ns();
	ASSERT_EQ(0, kb_request(&self->kb, B, "of b", 1, &tag));
	ASSERT_EQ(0, kb_cancel(&self->kb, B, tag, NULL));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &stop, SOON_MS));
	EXPECT_GE(stop.time_ns - requested, 3000 * MS);
}

TEST_F(kext, T_136_scan_covers_all_kexts)
{
	struct kb_record record;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, B)));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
		EXPECT_EQ(0, kb_rmmod(record.name));
		EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	}
	EXPECT_FALSE(kb_is_loaded(A));
	EXPECT_FALSE(kb_is_loaded(B));
}

/* kbtest_user calls a function of kbtest_base. */
TEST_F(bare, T_138_one_scan_unloads_a_chain)
{
	struct kbtest_event event;
	uint64_t released;

	ASSERT_EQ(0, kb_param("autounload_delay_ms", "2000"));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod("kbtest_base"));
	ASSERT_EQ(0, kb_insmod("kbtest_user"));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, "kbtest_base")));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, "kbtest_user")));
	released = kb_now_ns();
	SERVE_UNLOAD("kbtest_user");
	SERVE_UNLOAD("kbtest_base");
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_STREQ("kbtest_base", event.kext);
	EXPECT_LT(event.time_ns, released + 2 * 2000 * MS) TH_LOG("it took a second delay");
}

TEST_F(bare, T_139_kext_stays_while_another_depends_on_it)
{
	struct kb_server server = {};

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 200));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod("kbtest_base"));
	ASSERT_EQ(0, kb_insmod("kbtest_user"));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, "kbtest_base")));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 1000));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kb_tag(&self->kb, "kbtest_base"), 0));
	EXPECT_TRUE(kb_is_loaded("kbtest_base"));
	/* Until that one goes. */
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	EXPECT_EQ(0, kb_unload(self->kb.control, kb_tag(&self->kb, "kbtest_user"), 0));
	for (int i = 0; i < 500 && kb_is_loaded("kbtest_base"); i++)
		kb_sleep_ms(10);
	EXPECT_FALSE(kb_is_loaded("kbtest_base"));
	kb_serve_end(&server);
}

static int instances(struct kb *kb, const char *module, uint32_t op, uint32_t count)
{
	struct kbtest_call call = {.op = op, .load_tag = kb_tag(kb, module), .count = count};

	return kb_call(kb, &call);
}

/* In C and in C++. */
static const char *const classes[] = {A, "kbtest_cxx"};

TEST_F(bare, T_137_instances_keep_their_kext)
{
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, kb_insmod(classes[i]));
		ASSERT_EQ(0, instances(&self->kb, classes[i], KBTEST_CREATE, 3));
		ASSERT_TRUE(kb_kext(&self->kb, classes[i], &kext));
		EXPECT_EQ(3, kext.instances);
		EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kext.load_tag, 0));
		ASSERT_EQ(0, instances(&self->kb, classes[i], KBTEST_DESTROY, 2));
		EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kext.load_tag, 0));
		ASSERT_TRUE(kb_kext(&self->kb, classes[i], &kext));
		EXPECT_EQ(1, kext.instances);
		EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
		ASSERT_EQ(0, instances(&self->kb, classes[i], KBTEST_DESTROY, 1));
		EXPECT_EQ(0, kb_unload_served(&self->kb, classes[i])) TH_LOG("%s", classes[i]);
		EXPECT_FALSE(kb_is_loaded(classes[i]));
	}
}

TEST_F(bare, T_137_instances_keep_their_kext_from_leaving_by_itself)
{
	struct kbtest_event event;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 100));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, kb_insmod(classes[i]));
		ASSERT_EQ(0, instances(&self->kb, classes[i], KBTEST_CREATE, 1));
		while (kb_event(&self->kb, 0, &event, 0))
			;
		ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, classes[i])));
		NOTHING_TO_FETCH();
		EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 500));
		ASSERT_EQ(0, instances(&self->kb, classes[i], KBTEST_DESTROY, 1));
		SERVE_UNLOAD(classes[i]);
		EXPECT_FALSE(kb_is_loaded(classes[i]));
	}
}

/* Exactly one scan leaves it alone, of those that would unload it. */
TEST_F(kext, T_140_delay_autounload_skips_one_scan)
{
	struct kextbridge_kext kext;
	struct kbtest_event stop;
	uint64_t released;
	uint32_t tag = kb_tag(&self->kb, A);

	/* A machine that stands still for as long as one delay must not look like another scan. */
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 2000));
	ASSERT_EQ(0, kb_load(self->kb.control, ID_A, KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_FLAG_DELAYED, kext.flags & KEXT_FLAG_DELAYED);
	/* A scan that would not have unloaded it does not use the flag up. */
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, B)));
	SERVE_UNLOAD(B);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_FLAG_DELAYED, kext.flags & KEXT_FLAG_DELAYED);
	while (kb_event(&self->kb, 0, &stop, 0))
		;
	released = kb_now_ns();
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &stop, SOON_MS));
	EXPECT_GE(stop.time_ns - released, 2 * 2000 * MS);
	EXPECT_LT(stop.time_ns - released, 3 * 2000 * MS) TH_LOG("it took another scan");
}

/* One that the daemon has to load first. */
TEST_F(bare, T_140_delay_autounload_of_a_kext_that_is_loaded_for_it)
{
	struct kextbridge_kext kext;
	struct kb_record record;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, ID_A, KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(KEXTD_LOAD, record.head.kind);
	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_FLAG_DELAYED, kext.flags & KEXT_FLAG_DELAYED);
}

TEST_F(kext, T_140_list_postpones_a_scan)
{
	struct kextbridge_list list = {.size = sizeof(list), .flags = KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD};
	struct kbtest_event stop;
	uint64_t listed;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 4 * DELAY_MS));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	kb_sleep_ms(DELAY_MS / 2);
	listed = kb_now_ns();
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_LIST, &list));
	EXPECT_GE(list.total, 2);
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &stop, SOON_MS));
	EXPECT_GE(stop.time_ns - listed, 4 * DELAY_MS * MS);
}

TEST_F(kext, T_141_release_without_retain)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kextbridge_kext kext;

	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_release(&self->kb, tag));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(0, kext.retains);
	EXPECT_EQ(1, kext.module_refcount);
	EXPECT_EQ(0, kext.flags & KEXT_FLAG_AUTOUNLOAD);
	EXPECT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(0, kb_kpi_release(&self->kb, tag));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_release(&self->kb, tag));
}

TEST_F_TIMEOUT(kext, T_142_a_million_retains, 120)
{
	const uint32_t count = kb_rounds(1 << 20);
	struct kbtest_call call = {.op = KBTEST_RETAIN, .load_tag = kb_tag(&self->kb, A), .count = count};
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_call(&self->kb, &call));
	EXPECT_EQ(count, call.done);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(count, kext.retains);
	EXPECT_EQ(1, kext.module_refcount);
	call.op = KBTEST_RELEASE;
	ASSERT_EQ(0, kb_call(&self->kb, &call));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_release(&self->kb, call.load_tag));
}

TEST_F(bare, T_143_retain_in_start)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_START_RETAIN};
	struct kextbridge_kext kext;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(0, event.inner_result);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(1, kext.retains);
	EXPECT_EQ(0, kb_kpi_release(&self->kb, kext.load_tag));
}

TEST_F(kext, T_144_retain_in_stop)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_STOP_RETAIN};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	EXPECT_EQ(0, kb_unload_served(&self->kb, A));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnNotFound, event.inner_result);
	EXPECT_FALSE(kb_is_loaded(A));
}

TEST_F(bare, T_145_stop_waits_for_the_thread_that_released)
{
	struct kbtest_event event, stop;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 200));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod(THREAD));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_THREAD, &event, SOON_MS));
	EXPECT_EQ(0, event.result);
	/* The scan has come, and the stop function waits: the thread is still in the kext's text. */
	NOTHING_TO_FETCH();
	kb_sleep_ms(800);
	NOTHING_TO_FETCH();
	EXPECT_TRUE(kb_is_loaded(THREAD));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, 0));
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_THREAD));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_THREAD, &event, SOON_MS));
	SERVE_UNLOAD(THREAD);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &stop, SOON_MS));
	EXPECT_GE(stop.time_ns, event.time_ns);
	EXPECT_FALSE(kb_is_loaded(THREAD));
}

/* Suspended, as far as to the freezer, until the delay has long passed: how long each time is up to the kernel. */
TEST_F(kext, T_147_suspend_cancels_the_scan)
{
	uint32_t tag = kb_tag(&self->kb, A);
	uint64_t released, resumed;
	struct kbtest_event event;
	unsigned int times = 0;

	ASSERT_EQ(0, keep_freezing_possible(true));
	ASSERT_EQ(0, put("/sys/power/pm_test", "freezer"));
	ASSERT_EQ(0, put("/sys/module/suspend/parameters/pm_test_delay", "2"));
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 3000));
	released = kb_now_ns();
	ASSERT_EQ(0, retain_release(&self->kb, tag));
	do {
		ASSERT_EQ(0, put("/sys/power/state", "freeze"));
		resumed = kb_now_ns();
		times++;
	} while (resumed - released < 3500 * MS);
	TH_LOG("suspended %u times in %.1f s", times, (resumed - released) / 1e9);
	EXPECT_EQ(0, kb_retain(self->kb.control, tag)) TH_LOG("it has left, or is leaving");
	ASSERT_EQ(0, kb_release(self->kb.control, tag));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
	EXPECT_GE(event.time_ns - resumed, 3000 * MS);
	EXPECT_EQ(0, put("/sys/power/pm_test", "none"));
	EXPECT_EQ(0, keep_freezing_possible(false));
}

/* Nothing is lost: without another release it waits for a full delay from then on. */
TEST_F(kext, T_147_what_was_to_leave_leaves_after_a_suspend)
{
	struct kbtest_event event;
	uint64_t began;

	ASSERT_EQ(0, keep_freezing_possible(true));
	ASSERT_EQ(0, put("/sys/power/pm_test", "freezer"));
	ASSERT_EQ(0, put("/sys/module/suspend/parameters/pm_test_delay", "1"));
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 3000));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	/* What is left of the first delay is surely less than a full one. */
	kb_sleep_ms(DELAY_MS);
	began = kb_now_ns();
	ASSERT_EQ(0, put("/sys/power/state", "freeze"));
	SERVE_UNLOAD(A);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
	EXPECT_GE(event.time_ns - began, 3000 * MS);
	EXPECT_EQ(0, put("/sys/power/pm_test", "none"));
	EXPECT_EQ(0, keep_freezing_possible(false));
}

TEST_F(bare, T_148_without_a_daemon_the_scan_waits)
{
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 200));
	ASSERT_EQ(0, retain_release(&self->kb, kb_tag(&self->kb, A)));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 1000));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	/* It is made up for. */
	ASSERT_EQ(0, kb_daemon(&self->kb));
	SERVE_UNLOAD(A);
}

/* The daemon dies with the unload in hand: the kext starts again, and another daemon unloads it. */
TEST_F(kext, T_148_daemon_dies_with_the_unload)
{
	struct kb_record record;
	struct kbtest_event event;
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 200));
	ASSERT_EQ(0, retain_release(&self->kb, tag));
	FETCH_UNLOAD(&record, A);
	while (kb_event(&self->kb, 0, &event, 0))
		;
	kb_daemon_leave(&self->kb);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(tag, event.load_tag);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	SERVE_UNLOAD(A);
}

TEST_HARNESS_MAIN
