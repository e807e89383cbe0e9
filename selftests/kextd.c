// SPDX-License-Identifier: GPL-2.0-only
/* The real daemon, on a folder of bundles that the test has prepared: files, names, rights, loads, autounload. */
#include <sys/prctl.h>
#include <sys/stat.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

#define KEXTS "/run/kb-kexts"
#define RESOURCES KEXTS "/A.kext/Contents/Resources"
#define LOG "/tmp/kb-kextd.log"
#define DELAY_MS 1000

static int make_file(const char *path, const void *data, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int err = fd < 0 || write(fd, data, length) != (ssize_t)length ? errno : 0;

	close(fd);
	return err;
}

static int make_text(const char *path, const char *text)
{
	return make_file(path, text, strlen(text));
}

/* Bundle NAME.kext with this identifier. */
static int make_bundle(const char *name, const char *identifier)
{
	static const char *const folders[] = {"", "/Contents", "/Contents/Resources"};
	char path[256], plist[1024];

	mkdir(KEXTS, 0755);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), KEXTS "/%s.kext%s", name, folders[i]);
		if (mkdir(path, 0755))
			return errno;
	}
	snprintf(path, sizeof(path), KEXTS "/%s.kext/Contents/Info.plist", name);
	snprintf(plist, sizeof(plist),
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>"
		 "<key>CFBundleIdentifier</key><string>%s</string>"
		 "<key>CFBundleVersion</key><string>1.0</string></dict></plist>\n",
		 identifier);
	return make_text(path, plist);
}

/* The seconds that a busy machine may need. 0 or an errno. */
static int start_kextd(struct kb *kb, pid_t *kextd)
{
	struct kextbridge_status status;
	char modules[4200];

	snprintf(modules, sizeof(modules), "%s/modules", kb_program_dir());
	*kextd = fork();
	if (!*kextd) {
		int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, 1);
		dup2(log, 2);
		if (access(modules, F_OK))
			execlp("kextd", "kextd", "-f", "-v", "-b", KEXTS, NULL);
		else
			execlp("kextd", "kextd", "-f", "-v", "-b", KEXTS, "-m", modules, NULL);
		_exit(127);
	}
	for (int i = 0; i < 2000; i++) {
		if (kb_status(kb, &status) && status.daemon_pid == *kextd)
			return 0;
		if (waitpid(*kextd, NULL, WNOHANG))
			return ECHILD;
		kb_sleep_ms(10);
	}
	return ETIME;
}

static bool logged(const char *text)
{
	static char log[1 << 16];
	int fd = open(LOG, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, log, sizeof(log) - 1);

	close(fd);
	log[length < 0 ? 0 : length] = 0;
	return strstr(log, text);
}

static bool logged_soon(const char *text)
{
	for (int i = 0; i < SOON_MS / 20 && !logged(text); i++)
		kb_sleep_ms(20);
	return logged(text);
}

FIXTURE(kextd)
{
	struct kb kb;
	pid_t kextd;
};

FIXTURE_SETUP(kextd)
{
	unlink(LOG);
	ASSERT_EQ(0, system("rm -rf " KEXTS));
	ASSERT_EQ(0, make_bundle("A", ID_A));
	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, start_kextd(&self->kb, &self->kextd));
}

FIXTURE_TEARDOWN(kextd)
{
	int status = -1;

	kill(self->kextd, SIGTERM);
	waitpid(self->kextd, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, kb_teardown(&self->kb));
	EXPECT_EQ(0, system("rm -rf " KEXTS));
}

/* Asks for a resource of A's bundle; the callback's event. */
#define GET(resource, event)                                                                                  \
	do {                                                                                                  \
		struct kbtest_request get_ = {A, .identifier = KB_STRING(ID_A), .name = KB_STRING(resource)}; \
		ASSERT_EQ(0, kb_request_with(&self->kb, &get_));                                              \
		ASSERT_TRUE(kb_event(&self->kb, KBTEST_CALLBACK, event, 100000));                             \
		ASSERT_EQ(get_.tag, (event)->tag);                                                            \
	} while (0)

#define EXPECT_NO_DATA(event)                                  \
	do {                                                   \
		EXPECT_EQ(0, (event)->flags &KBTEST_HAS_DATA); \
		EXPECT_EQ(0, (event)->length);                 \
	} while (0)

TEST_F_TIMEOUT(kextd, T_040_files_of_all_sizes, 240)
{
	static const uint32_t sizes[] = {1, 4096, 70105, 64 << 20};
	struct kbtest_event event;

	for (int i = 0; i < 4; i++) {
		uint32_t *data = malloc(sizes[i] + 4);

		ASSERT_NE(NULL, data);
		for (uint32_t word = 0; word <= sizes[i] / 4; word++)
			data[word] = word * 2654435761u;
		ASSERT_EQ(0, make_file(RESOURCES "/firmware.bin", data, sizes[i]));
		GET("firmware.bin", &event);
		EXPECT_EQ(0, event.result);
		EXPECT_EQ(sizes[i], event.length);
		EXPECT_EQ(kb_crc32(data, sizes[i]), event.crc);
		free(data);
	}
}

TEST_F(kextd, T_040_resource_in_a_folder)
{
	struct kbtest_event event;

	ASSERT_EQ(0, mkdir(RESOURCES "/en.lproj", 0755));
	ASSERT_EQ(0, make_text(RESOURCES "/en.lproj/a name", "text"));
	GET("en.lproj/a name", &event);
	EXPECT_EQ(0, event.result);
	EXPECT_EQ(kb_crc32("text", 4), event.crc);
}

TEST_F(kextd, T_041_empty_file)
{
	struct kbtest_event event;

	ASSERT_EQ(0, make_text(RESOURCES "/empty", ""));
	GET("empty", &event);
	EXPECT_EQ(0, event.result);
	EXPECT_NO_DATA(&event);
}

TEST_F(kextd, T_042_missing_file)
{
	struct kbtest_event event;
	uint64_t began = kb_now_ns();

	GET("missing", &event);
	EXPECT_EQ(kOSKextReturnNotFound, event.result);
	EXPECT_NO_DATA(&event);
	EXPECT_LT(event.time_ns - began, 2000 * 1000000ull);
}

TEST_F(kextd, T_034_unknown_bundle)
{
	struct kbtest_request request = {A, .identifier = KB_STRING("org.nobody.knows"), .name = KB_STRING("x")};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnNotFound, event.result);
	EXPECT_NO_DATA(&event);
}

TEST_F(kextd, T_035_resource_of_another_bundle)
{
	struct kbtest_request request = {A, .identifier = KB_STRING(ID_B), .name = KB_STRING("of b")};
	struct kbtest_event event;

	ASSERT_EQ(0, make_bundle("B", ID_B));
	ASSERT_EQ(0, make_text(KEXTS "/B.kext/Contents/Resources/of b", "b's"));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_STREQ(A, event.kext);
	EXPECT_EQ(0, event.result);
	EXPECT_EQ(kb_crc32("b's", 3), event.crc);
}

TEST_F(kextd, T_043_name_of_the_finders_file)
{
	struct kbtest_event event;

	ASSERT_EQ(0, make_text(RESOURCES "/.DS_Store", "x"));
	GET(".DS_Store", &event);
	EXPECT_EQ(kOSKextReturnInvalidArgument, event.result);
	EXPECT_NO_DATA(&event);
}

TEST_F(kextd, T_044_names_that_lead_outside)
{
	static const char *const names[] = {
		"../Info.plist",
		"..",
		"../..",
		"/etc/passwd",
		KEXTS "/secret",
		"folder/../../Info.plist",
		"./../Info.plist",
		"link-out",
		"link-folder/secret",
		"link-absolute",
		"folder/link-up",
		"",
		".",
		"folder",
		"folder/",
		"/",
	};
	struct kbtest_event event;

	ASSERT_EQ(0, make_text(KEXTS "/secret", "secret"));
	ASSERT_EQ(0, mkdir(RESOURCES "/folder", 0755));
	ASSERT_EQ(0, symlink("../Info.plist", RESOURCES "/link-out"));
	ASSERT_EQ(0, symlink("../../..", RESOURCES "/link-folder"));
	ASSERT_EQ(0, symlink(KEXTS "/secret", RESOURCES "/link-absolute"));
	ASSERT_EQ(0, symlink("../../Info.plist", RESOURCES "/folder/link-up"));
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		GET(names[i], &event);
		EXPECT_TRUE(event.result == kOSKextReturnInvalidArgument || event.result == kOSKextReturnNotFound ||
			    event.result == kOSKextReturnAuthentication)
		TH_LOG("\"%s\": 0x%08x", names[i], event.result);
		EXPECT_NO_DATA(&event);
	}
}

TEST_F(kextd, T_045_files_that_others_may_write)
{
	struct kbtest_event event;

	ASSERT_EQ(0, make_text(RESOURCES "/mine", "x"));
	GET("mine", &event);
	EXPECT_EQ(0, event.result);
	ASSERT_EQ(0, chmod(RESOURCES "/mine", 0664));
	GET("mine", &event);
	EXPECT_EQ(kOSKextReturnAuthentication, event.result);
	EXPECT_NO_DATA(&event);
	ASSERT_EQ(0, chmod(RESOURCES "/mine", 0644));
	ASSERT_EQ(0, chown(RESOURCES "/mine", 65534, 0));
	GET("mine", &event);
	EXPECT_EQ(kOSKextReturnAuthentication, event.result);
	EXPECT_NO_DATA(&event);
	/* The bundle's own folder. */
	ASSERT_EQ(0, chown(RESOURCES "/mine", 0, 0));
	ASSERT_EQ(0, chmod(RESOURCES, 0777));
	GET("mine", &event);
	EXPECT_EQ(kOSKextReturnAuthentication, event.result);
	EXPECT_NO_DATA(&event);
	ASSERT_EQ(0, chmod(RESOURCES, 0755));
	GET("mine", &event);
	EXPECT_EQ(0, event.result);
}

TEST_F_TIMEOUT(kextd, T_083_kextd_is_killed, 60)
{
	struct kbtest_request request = {A, .identifier = KB_STRING(ID_A), .name = KB_STRING("mine"), .context = 1};
	struct kbtest_event event;
	unsigned int asked = 0, answered = 0;

	ASSERT_EQ(0, make_text(RESOURCES "/mine", "x"));
	for (int i = 0; i < 5; i++) {
		request.count = 50;
		request.context = asked + 1;
		ASSERT_EQ(0, kb_request_with(&self->kb, &request));
		asked += request.count;
		kill(self->kextd, SIGKILL);
		waitpid(self->kextd, NULL, 0);
		ASSERT_EQ(0, start_kextd(&self->kb, &self->kextd));
	}
	while (answered < asked && kb_event(&self->kb, KBTEST_CALLBACK, &event, SOON_MS)) {
		answered++;
		ASSERT_EQ(answered, event.context);
		ASSERT_EQ(0, event.result);
		ASSERT_EQ(1, event.length);
	}
	EXPECT_EQ(asked, answered);
}

/* ---- loads */

static bool started(struct kb *kb, const char *kext)
{
	struct kbtest_event event;

	while (kb_event(kb, KBTEST_STARTED, &event, 10000))
		if (!strcmp(event.kext, kext))
			return true;
	return false;
}

TEST_F(kextd, T_100_load_of_a_started_kext)
{
	struct kbtest_event event;

	while (kb_event(&self->kb, 0, &event, 0))
		;
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_A));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, NEVER_MS));
}

TEST_F(kextd, T_101_load_of_an_unknown_kext)
{
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	ASSERT_TRUE(started(&self->kb, B));
	EXPECT_TRUE(kb_is_loaded(B));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_B));
}

TEST_F(kextd, T_102_many_loads_at_once)
{
	struct kbtest_event event;
	int starts = 0;

	for (int i = 0; i < 20; i++) {
		int result = kb_kpi_load(&self->kb, ID_B);

		EXPECT_TRUE(result == 0 || result == kOSKextReturnDeferred);
	}
	EXPECT_EQ(0, kb_load(self->kb.control, ID_B, KEXTBRIDGE_LOAD_WAIT));
	while (kb_event(&self->kb, KBTEST_STARTED, &event, NEVER_MS))
		starts += !strcmp(event.kext, B);
	EXPECT_EQ(1, starts);
}

TEST_F(kextd, T_103_load_with_an_answer)
{
	EXPECT_EQ(0, kb_load(self->kb.control, ID_B, KEXTBRIDGE_LOAD_WAIT));
	EXPECT_NE(TAG_INVALID, kb_tag(&self->kb, B));
	EXPECT_EQ(kOSKextReturnNotFound, kb_load(self->kb.control, "com.example.nothing", KEXTBRIDGE_LOAD_WAIT));
}

TEST_F(kextd, T_104_load_while_there_is_no_daemon)
{
	kill(self->kextd, SIGKILL);
	waitpid(self->kextd, NULL, 0);
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, ID_B));
	EXPECT_FALSE(kb_is_loaded(B));
	ASSERT_EQ(0, start_kextd(&self->kb, &self->kextd));
	ASSERT_TRUE(started(&self->kb, B));
}

TEST_F(kextd, T_107_load_of_nothing)
{
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.no.such.kext"));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 500));
	EXPECT_TRUE(logged_soon("com.example.no.such.kext"));
}

TEST_F(kextd, T_110_loads_and_unloads_are_logged)
{
	ASSERT_TRUE(logged_soon("serving requests"));
	ASSERT_EQ(0, kb_insmod(B));
	EXPECT_TRUE(logged_soon(" " ID_B " (module " B ") has been loaded"));
	EXPECT_FALSE(logged(" " ID_B " (module " B ") has been unloaded"));
	ASSERT_EQ(0, kb_unload(self->kb.control, kb_tag(&self->kb, B), 0));
	EXPECT_TRUE(logged_soon(" " ID_B " (module " B ") has been unloaded"));
}

/* ---- unloads */

TEST_F(kextd, T_129_released_kext_leaves_by_itself)
{
	struct kbtest_event event;
	uint64_t released;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, kb_tag(&self->kb, A)));
	released = kb_now_ns();
	ASSERT_EQ(0, kb_kpi_release(&self->kb, kb_tag(&self->kb, A)));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, 10000));
	EXPECT_GE(event.time_ns, released + DELAY_MS * 1000000ull);
	for (int i = 0; i < 500 && kb_is_loaded(A); i++)
		kb_sleep_ms(10);
	EXPECT_FALSE(kb_is_loaded(A));
}

TEST_F(kextd, T_130_not_before_the_delay)
{
	struct kbtest_event event;
	uint64_t released;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 3 * DELAY_MS));
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, kb_tag(&self->kb, A)));
	released = kb_now_ns();
	ASSERT_EQ(0, kb_kpi_release(&self->kb, kb_tag(&self->kb, A)));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, 10000));
	EXPECT_GE(event.time_ns, released + 3 * DELAY_MS * 1000000ull);
}

TEST_F(kextd, T_131_as_many_releases_as_retains)
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
	for (int i = 0; i < 1000 && kb_is_loaded(A); i++)
		kb_sleep_ms(10);
	EXPECT_FALSE(kb_is_loaded(A));
}

TEST_F(kextd, T_065_controlled_unload)
{
	struct kbtest_request request = {A, .identifier = KB_STRING(ID_A), .count = 3, .timeout_ms = 60000};
	struct kbtest_event event;

	/* What kextd cannot answer while it is stopped. */
	ASSERT_EQ(0, kill(self->kextd, SIGSTOP));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kb_tag(&self->kb, A), KEXTBRIDGE_UNLOAD_IF_IDLE));
	{
		struct kb_unload unload;

		ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
		for (int i = 0; i < 3; i++) {
			EXPECT_TRUE(kb_callback(&self->kb, &event));
			EXPECT_EQ(kOSKextReturnTimeout, event.result);
		}
		EXPECT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
		ASSERT_EQ(0, kill(self->kextd, SIGCONT));
		EXPECT_EQ(0, kb_unload_end(&unload));
	}
	EXPECT_FALSE(kb_is_loaded(A));
}

TEST_HARNESS_MAIN
