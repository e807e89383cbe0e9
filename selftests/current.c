// SPDX-License-Identifier: GPL-2.0-only
/* What a kext knows of itself, its identity, and the constants. */
#include "kselftest_harness.h"

#include "lib/constants.h"
#include "lib/fixture.h"
#include "lib/versions.h"

#define CXX "kbtest_cxx"

static bool info_of(struct kb *kb, const char *module, struct kbtest_kext_info *info)
{
	memset(info, 0, sizeof(*info));
	strcpy(info->kext, module);
	return !ioctl(kb->bench, KBTEST_IOC_KEXT, info) && info->present;
}

TEST_F(kext, T_160_load_tag_is_the_kexts_own)
{
	struct kbtest_kext_info a, b;
	struct kbtest_event event;

	self->kb.seen = 0;
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_START, &event, SOON_MS));
	ASSERT_TRUE(info_of(&self->kb, A, &a));
	EXPECT_EQ(a.load_tag, event.context) TH_LOG("ki->id");
	EXPECT_EQ(a.load_tag, kb_tag(&self->kb, A));
	EXPECT_EQ(0, kb_kpi_retain(&self->kb, a.load_tag));
	EXPECT_EQ(0, kb_kpi_release(&self->kb, a.load_tag));
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_TRUE(info_of(&self->kb, B, &b));
	EXPECT_EQ(b.load_tag, kb_tag(&self->kb, B));
	EXPECT_NE(a.load_tag, b.load_tag);
}

TEST_F(kext, T_160_load_tag_for_identifier)
{
	static const char *const others[] = {ID_B, "com.example", "com.example.kbtest_aa", "", "__kernel", "0"};
	char identifier[5000] = "";

	EXPECT_EQ(kb_tag(&self->kb, A), kb_kpi_lookup(&self->kb, ID_A));
	EXPECT_EQ(kb_tag(&self->kb, "kbtest"), kb_kpi_lookup(&self->kb, "com.example.kbtest"));
	EXPECT_EQ(0, kb_kpi_lookup(&self->kb, "__kernel__"));
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(TAG_INVALID, kb_kpi_lookup(&self->kb, others[i])) TH_LOG("\"%s\"", others[i]);
	}
	memset(identifier, 'a', sizeof(identifier) - 1);
	EXPECT_EQ(TAG_INVALID, kb_kpi_lookup(&self->kb, identifier));
	EXPECT_EQ(TAG_INVALID, kb_kpi_lookup(&self->kb, NULL));
	ASSERT_EQ(0, kb_insmod(B));
	EXPECT_EQ(kb_tag(&self->kb, B), kb_kpi_lookup(&self->kb, ID_B));
	EXPECT_EQ(0, kb_unload_served(&self->kb, B));
	EXPECT_EQ(TAG_INVALID, kb_kpi_lookup(&self->kb, ID_B));
	EXPECT_EQ(kb_tag(&self->kb, A), kb_kpi_lookup(&self->kb, ID_A));
}

TEST_F(kext, T_161_identifier_and_version)
{
	struct kextbridge_kext kext;
	struct kbtest_kext_info info;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_TRUE(info_of(&self->kb, A, &info));
	EXPECT_STREQ(ID_A, info.identifier);
	EXPECT_STREQ("1.0", info.version);
	EXPECT_EQ(info.load_tag, info.atomic_load_tag);
	ASSERT_TRUE(info_of(&self->kb, B, &info));
	EXPECT_STREQ(ID_B, info.identifier);
	EXPECT_STREQ("1.2.3b4", info.version);
	ASSERT_TRUE(kb_kext(&self->kb, B, &kext));
	EXPECT_STREQ(ID_B, kext.identifier);
	EXPECT_STREQ("1.2.3b4", kext.version);
}

TEST_F(bare, T_161_driver_in_cxx)
{
	struct kb_record record;
	struct kbtest_kext_info info;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_insmod(CXX));
	ASSERT_TRUE(info_of(&self->kb, CXX, &info));
	EXPECT_STREQ("com.example.kbtest_cxx", info.identifier);
	EXPECT_STREQ("2.1.3", info.version);
	EXPECT_EQ(kb_tag(&self->kb, CXX), info.load_tag);
	/* And it is served as any other. */
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_request(&self->kb, CXX, "for C++", 3, NULL));
	FETCH(&record, "for C++");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_STREQ(CXX, event.kext);
	EXPECT_EQ(3, event.context);
	EXPECT_EQ(0, kb_unload_served(&self->kb, CXX));
}

TEST_F(bare, T_162_length_of_an_identifier)
{
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_insmod("kbtest_id63"));
	ASSERT_TRUE(kb_kext(&self->kb, "kbtest_id63", &kext));
	EXPECT_EQ(63, strlen(kext.identifier));
	EXPECT_EQ(EINVAL, kb_insmod("kbtest_id64"));
	EXPECT_FALSE(kb_is_loaded("kbtest_id64"));
}

TEST_F(bare, T_162_identifier_that_is_taken)
{
	/* A's identity in another module. */
	ASSERT_EQ(0, kb_insmod(A));
	EXPECT_EQ(EEXIST, kb_insmod("kbtest_twin"));
	EXPECT_FALSE(kb_is_loaded("kbtest_twin"));
	EXPECT_NE(TAG_INVALID, kb_tag(&self->kb, A));
}

TEST_F(bare, T_163_versions)
{
	static const char *const good[] = {VERSIONS};
	static const char *const bad[] = {NO_VERSIONS};
	struct kextbridge_kext kext;
	char parameters[100];

	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(parameters, sizeof(parameters), "version=\"%s\"", good[i]);
		ASSERT_EQ(0, kb_insmod_with(A, parameters)) TH_LOG("\"%s\"", good[i]);
		ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
		EXPECT_STREQ(good[i], kext.version);
		ASSERT_EQ(0, kb_unload_served(&self->kb, A));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(parameters, sizeof(parameters), "version=\"%s\"", bad[i]);
		ASSERT_EQ(EINVAL, kb_insmod_with(A, parameters)) TH_LOG("bad[%u]", i);
		EXPECT_FALSE(kb_is_loaded(A));
		EXPECT_EQ(TAG_INVALID, kb_tag(&self->kb, A));
	}
}

/* Through the KPI of a kernel, with interrupts off. */
TEST_F(bare, T_164_versions_have_numbers)
{
	static const struct version_vector vectors[] = {VERSION_VECTORS(VERSION_VECTOR)};
	static const char *const bad[] = {NO_VERSIONS, ONLY_NO_NUMBERS};
	static const long long numbers[] = {NO_VERSION_NUMBERS};
	struct kbtest_version args;

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		args = (struct kbtest_version){
			.text = KB_STRING(vectors[i].text), .number = vectors[i].number, .size = 20};
		ASSERT_EQ(0, kb_version(&self->kb, &args));
		EXPECT_EQ(vectors[i].number, args.parsed) TH_LOG("\"%s\"", vectors[i].text);
		EXPECT_EQ(1, args.result);
		EXPECT_STREQ(vectors[i].printed, args.printed);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		args = (struct kbtest_version){.text = KB_STRING(bad[i]), .size = 20};
		ASSERT_EQ(0, kb_version(&self->kb, &args));
		EXPECT_EQ(-1, args.parsed) TH_LOG("\"%s\"", bad[i]);
		EXPECT_STREQ("(missing)", args.printed);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		args = (struct kbtest_version){.number = numbers[i], .size = 20};
		ASSERT_EQ(0, kb_version(&self->kb, &args));
		EXPECT_EQ(-1, args.parsed) TH_LOG("NULL");
		EXPECT_STREQ("(invalid)", args.printed) TH_LOG("%lld", numbers[i]);
	}
}

TEST_F(bare, T_164_room_for_a_version)
{
	for (uint32_t size = 0; size <= 21; size++) {
		struct kbtest_version args = {.number = 9999999999997255, .size = size};

		memset(args.printed, '#', sizeof(args.printed));
		ASSERT_EQ(0, kb_version(&self->kb, &args));
		EXPECT_EQ(size >= 20, args.result) TH_LOG("%u bytes", size);
		EXPECT_EQ(0, memcmp(args.printed, size >= 20 ? "9999.9999.9999f255" : "####################",
				    size >= 20 ? 19 : 20));
		EXPECT_EQ('#', args.printed[20]);
	}
}

TEST_F(bare, registration_refuses_what_is_no_kmod_info)
{
	static const char *const bad[] = {
		"info_version=0",     "info_version=2",     "version_without_end=1", "identifier=\"\"",
		"identifier=\"a b\"", "identifier=a/b",     "identifier=a\\b",       "identifier=com.example.\377",
		"identifier=a\177b",  "identifier=\"a\tb\""};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(EINVAL, kb_insmod_with(A, bad[i])) TH_LOG("bad[%u]", i);
		EXPECT_FALSE(kb_is_loaded(A));
	}
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod_with(A, "identifier=com.example.another"));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, "com.example.another"));
	EXPECT_EQ(0, kb_unload_served(&self->kb, A));
}

/* Its list of text ranges has room for eight at first. */
TEST_F(bare, T_035_each_of_many_kexts_is_found_by_its_callback)
{
	static const char *const modules[] = {
		"kbtest_a",    "kbtest_b",     "kbtest_base", "kbtest_user",
		"kbtest_id63", "kbtest_plain", "kbtest_cxx",  "kbtest_thread",
	};
	struct kbtest_request request = {};
	struct kbtest_event event;
	struct kb_record record;
	unsigned int i;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (i = 0; i < ARRAY_SIZE(modules); i++)
		ASSERT_EQ(0, kb_insmod(modules[i])) TH_LOG("%s", modules[i]);
	for (i = 0; i < ARRAY_SIZE(modules); i++) {
		strcpy(request.kext, modules[i]);
		ASSERT_EQ(0, kb_request_with(&self->kb, &request)) TH_LOG("%s", modules[i]);
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		EXPECT_EQ(kb_tag(&self->kb, modules[i]), record.head.load_tag);
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_STREQ(modules[i], event.kext);
	}
	EXPECT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_THREAD));
}

/* The compilers have checked each value in drivers in C and in C++, and here; this asks once more at run time. */
TEST_F(kext, T_176_constants)
{
	struct kbtest_kext_info info;

	EXPECT_EQ(KBTEST_CONSTANT_COUNT, kbtest_right_constants());
	ASSERT_TRUE(info_of(&self->kb, A, &info));
	EXPECT_EQ(KBTEST_CONSTANT_COUNT, info.constants);
	ASSERT_EQ(0, kb_insmod(CXX));
	ASSERT_TRUE(info_of(&self->kb, CXX, &info));
	EXPECT_EQ(KBTEST_CONSTANT_COUNT, info.constants);
	TH_LOG("%u values in C, in C++ and in user space", info.constants);
}

TEST_HARNESS_MAIN
