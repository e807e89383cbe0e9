// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drivers as they are written for macOS (drivers/kbpattern), one per way in which drivers use the KPI, and the locks that
 * they use it with.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"
#include "lib/kbpattern.h"

#define WAIT "kbpattern_wait"
#define ASYNC "kbpattern_async"
#define MOUNT "kbpattern_mount"
#define PIN "kbpattern_pin"
#define LATER "kbpattern_later"
#define VETO "kbpattern_veto"
#define LOCKS "kbpattern_locks"

#define DELAY_MS 500

/* As of IOKit/IOLocks.h, which programs do not include. */
#define UNINT 0
#define INTERRUPTIBLE 1
#define ABORTSAFE 2
#define AWAKENED 0
#define TIMED_OUT 1
#define INTERRUPTED 2
#define kIOReturnBadMedia ((OSReturn)0xe00002d1)

/* The driver's node is open during the call only: its module is in use meanwhile. 0 or an errno. */
static int run(const char *module, struct kbpattern_call *call)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/dev/%s", module);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = ioctl(fd, KBPATTERN_RUN, call) ? errno : 0;
	close(fd);
	return err;
}

#define RUN(module, ...)                                        \
	({                                                      \
		struct kbpattern_call call_ = {__VA_ARGS__};    \
		int err_ = run(module, &call_);                 \
		ASSERT_EQ(0, err_)                              \
		{                                               \
			TH_LOG("%s %s", module, call_.command); \
		}                                               \
		call_;                                          \
	})

/* A call on a thread of its own. */
struct caller {
	pthread_t thread;
	const char *module;
	struct kbpattern_call call;
	int err;
	int done;
};

static void *call_thread(void *arg)
{
	struct caller *caller = arg;

	caller->err = run(caller->module, &caller->call);
	__atomic_store_n(&caller->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int begin(struct caller *caller, const char *module, struct kbpattern_call call)
{
	*caller = (struct caller){.module = module, .call = call};
	return pthread_create(&caller->thread, NULL, call_thread, caller);
}

static bool has_ended(struct caller *caller)
{
	return __atomic_load_n(&caller->done, __ATOMIC_ACQUIRE);
}

static int end(struct caller *caller)
{
	pthread_join(caller->thread, NULL);
	return caller->err;
}

#define BEGIN(caller, module, ...) ASSERT_EQ(0, begin(caller, module, (struct kbpattern_call){__VA_ARGS__}))

static void wake(int signal __attribute__((unused))) {}

static bool is_gone_within(const char *module, unsigned int ms)
{
	for (uint64_t until = kb_now_ns() + ms * 1000000ull; kb_now_ns() < until; kb_sleep_ms(10))
		if (!kb_is_loaded(module))
			return true;
	return !kb_is_loaded(module);
}

FIXTURE(pattern)
{
	struct kb kb;
};

FIXTURE_SETUP(pattern)
{
	/* For a signal that ends a sleep. */
	struct sigaction action = {.sa_handler = wake};

	sigaction(SIGUSR1, &action, NULL);
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
}

FIXTURE_TEARDOWN(pattern)
{
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

/* ---- waiting for the resource -------------------------------------------------------------------------------- */

TEST_F(pattern, T_050_requester_holds_the_lock_that_the_callback_takes)
{
	static unsigned char data[70105];
	struct kb_record record;
	struct caller caller;

	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = i * 7 + (i >> 8);
	ASSERT_EQ(0, kb_insmod(WAIT));
	BEGIN(&caller, WAIT, "load", "firmware.zhx");
	FETCH(&record, "firmware.zhx");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, data, sizeof(data)));
	ASSERT_EQ(0, end(&caller));
	EXPECT_EQ(0, caller.call.result);
	EXPECT_EQ(sizeof(data), caller.call.length);
	EXPECT_EQ(kbpattern_sum(data, sizeof(data)), caller.call.sum);
	EXPECT_EQ(0, kb_unload_served(&self->kb, WAIT));
}

TEST_F(pattern, T_041_waits_for_an_empty_file)
{
	struct kb_record record;
	struct caller caller;

	ASSERT_EQ(0, kb_insmod(WAIT));
	BEGIN(&caller, WAIT, "load", "empty");
	FETCH(&record, "empty");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_EQ(0, end(&caller));
	EXPECT_EQ(0, caller.call.result);
	EXPECT_EQ(0, caller.call.length);
}

/* Several names are tried until one is there; each miss comes at once. */
TEST_F(pattern, T_042_misses_before_the_hit)
{
	static const char *const names[] = {"0a5c_216f.zhx", "0a5c_216f.hex", "key.zhx", "key.hex"};
	struct kb_record record;
	struct caller caller;

	ASSERT_EQ(0, kb_insmod(WAIT));
	for (int i = 0; i < 4; i++) {
		struct kbpattern_call call = {"load"};
		OSReturn result = i < 3 ? kOSKextReturnNotFound : 0;

		strcpy(call.name, names[i]);
		ASSERT_EQ(0, begin(&caller, WAIT, call));
		FETCH(&record, names[i]);
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, result));
		ASSERT_EQ(0, end(&caller));
		EXPECT_EQ(result, caller.call.result);
	}
}

TEST_F(pattern, request_that_is_refused_leaves_the_lock_free)
{
	struct kb_server server = {};

	ASSERT_EQ(0, kb_insmod(WAIT));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(kOSKextReturnInvalidArgument, RUN(WAIT, "refused").result);
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	EXPECT_EQ(0, RUN(WAIT, "load", "after").result);
	kb_serve_end(&server);
}

/* A daemon that answers as fast as it can would find a sleeper that is not on its event yet. */
TEST_F_TIMEOUT(pattern, fast_daemon_loses_no_sleeper, 300)
{
	uint32_t rounds = kb_rounds(10000);
	struct kb_server server = {};
	struct kbpattern_call call;

	ASSERT_EQ(0, kb_insmod(WAIT));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	call = RUN(WAIT, "rounds", "fast", rounds);
	EXPECT_EQ(0, call.result);
	EXPECT_EQ(rounds, call.count);
	EXPECT_EQ(kbpattern_sum("fast", 4), call.sum);
	kb_serve_end(&server);
	EXPECT_EQ(rounds, server.resources);
}

/* The same with four requesters, whose callbacks take one lock. */
TEST_F_TIMEOUT(pattern, fast_daemon_loses_none_of_many_sleepers, 300)
{
	uint32_t rounds = kb_rounds(2500);
	struct kb_server server = {};
	struct caller callers[4];

	ASSERT_EQ(0, kb_insmod(WAIT));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (int i = 0; i < 4; i++)
		BEGIN(&callers[i], WAIT, "rounds", "many", rounds);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, end(&callers[i]));
		EXPECT_EQ(0, callers[i].call.result);
		EXPECT_EQ(rounds, callers[i].call.count);
	}
	kb_serve_end(&server);
	EXPECT_EQ(4 * rounds, server.resources);
}

TEST_F(pattern, killed_requester_takes_its_request_back)
{
	struct kextbridge_status before, after;
	struct kb_record record;
	pid_t child;
	int status;

	ASSERT_EQ(0, kb_insmod(WAIT));
	ASSERT_TRUE(kb_status(&self->kb, &before));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct kbpattern_call call = {"load_or_signal", "hopeless"};

		close(self->kb.daemon);
		run(WAIT, &call);
		_exit(1);
	}
	FETCH(&record, "hopeless");
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.cancelled + 1, after.cancelled);
	EXPECT_EQ(before.callbacks, after.callbacks);
	EXPECT_EQ(0, kb_unload_served(&self->kb, WAIT));
}

/* A signal against the answer: the context is on the stack of a function that returns either way. */
TEST_F_TIMEOUT(pattern, signal_against_the_answer, 300)
{
	uint32_t rounds = kb_rounds_from(50, 2000), aborted = 0, answered = 0;
	struct kb_record record;
	struct caller caller;

	ASSERT_EQ(0, kb_insmod(WAIT));
	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t spin = kb_random() % 2000;

		BEGIN(&caller, WAIT, "load_or_signal", "raced");
		FETCH(&record, "raced");
		if (kb_random() & 1) {
			pthread_kill(caller.thread, SIGUSR1);
			while (spin--)
				__asm__ __volatile__("pause");
			kb_reply_data(self->kb.daemon, record.head.id, 0, "raced", 5);
		} else {
			kb_reply_data(self->kb.daemon, record.head.id, 0, "raced", 5);
			while (spin--)
				__asm__ __volatile__("pause");
			pthread_kill(caller.thread, SIGUSR1);
		}
		ASSERT_EQ(0, end(&caller));
		if (caller.call.result == kIOReturnAborted) {
			aborted++;
			ASSERT_EQ(0, caller.call.length);
			/* The notice of it, which a reply in time has made needless. */
			kb_fetch(self->kb.daemon, &record, 0);
		} else {
			answered++;
			ASSERT_EQ(0, caller.call.result);
			ASSERT_EQ(kbpattern_sum("raced", 5), caller.call.sum);
		}
	}
	TH_LOG("%u aborted, %u answered", aborted, answered);
	EXPECT_LT(0, aborted);
	EXPECT_LT(0, answered);
}

/* ---- not waiting ------------------------------------------------------------------------------------------------ */

TEST_F(pattern, T_040_package_comes_without_waiting)
{
	enum { length = 4 << 20 };
	unsigned char *data = malloc(length);
	struct kbpattern_call call;
	struct kb_record record;

	ASSERT_NE(NULL, data);
	for (int i = 0; i < length; i++)
		data[i] = i * 13 + (i >> 12);
	ASSERT_EQ(0, kb_insmod(ASYNC));
	call = RUN(ASYNC, "fetch", "gsp.bin", 1);
	EXPECT_EQ(0, call.result);
	EXPECT_EQ(1, call.count);
	FETCH(&record, "gsp.bin");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, data, length));
	for (int i = 0; i < 1000 && RUN(ASYNC, "jobs").count; i++)
		kb_sleep_ms(5);
	call = RUN(ASYNC, "last");
	EXPECT_EQ(0, call.result);
	EXPECT_EQ(length, call.length);
	EXPECT_EQ(kbpattern_sum(data, length), call.sum);
	EXPECT_EQ(0, RUN(ASYNC, "jobs").count);
	EXPECT_EQ(0, kb_unload_served(&self->kb, ASYNC));
	free(data);
}

TEST_F(pattern, T_020_refused_request_leaves_its_context)
{
	struct kbpattern_call call;

	ASSERT_EQ(0, kb_insmod(ASYNC));
	call = RUN(ASYNC, "refused");
	EXPECT_EQ(kOSKextReturnInvalidArgument, call.result);
	EXPECT_EQ(0, call.count);
}

TEST_F(pattern, many_contexts_are_freed_by_their_callbacks)
{
	struct kb_server server = {};
	struct kbpattern_call call;

	ASSERT_EQ(0, kb_insmod(ASYNC));
	call = RUN(ASYNC, "fetch", "many", 1000);
	EXPECT_EQ(0, call.result);
	EXPECT_EQ(1000, call.count);
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (int i = 0; i < 2000 && RUN(ASYNC, "jobs").count; i++)
		kb_sleep_ms(5);
	kb_serve_end(&server);
	call = RUN(ASYNC, "jobs");
	EXPECT_EQ(0, call.count);
	EXPECT_EQ(1000, call.length);
}

/* The stop function refuses when one is left: it was called back before. */
TEST_F(pattern, T_062_contexts_are_freed_before_stop)
{
	ASSERT_EQ(0, kb_insmod(ASYNC));
	EXPECT_EQ(100, RUN(ASYNC, "fetch", "pending", 100).count);
	ASSERT_EQ(0, kb_unload_served(&self->kb, ASYNC));
	EXPECT_FALSE(kb_is_loaded(ASYNC));
}

/* ---- retaining -------------------------------------------------------------------------------------------------- */

static uint32_t retains_of(struct kb *kb, const char *module)
{
	struct kextbridge_kext kext = {};

	return kb_kext(kb, module, &kext) ? kext.retains : ~0u;
}

TEST_F(pattern, T_131_each_mount_keeps_the_driver)
{
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	ASSERT_EQ(0, kb_insmod(MOUNT));
	for (uint32_t i = 1; i <= 40; i++) {
		EXPECT_EQ(0, RUN(MOUNT, "mount").result);
		EXPECT_EQ(i, retains_of(&self->kb, MOUNT));
	}
	EXPECT_EQ(kIOReturnBadMedia, RUN(MOUNT, "broken").result);
	EXPECT_EQ(40, retains_of(&self->kb, MOUNT));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kb_tag(&self->kb, MOUNT), 0));
	for (uint32_t i = 40; i-- > 1;) {
		EXPECT_EQ(0, RUN(MOUNT, "unmount").result);
		EXPECT_EQ(i, retains_of(&self->kb, MOUNT));
	}
	NOTHING_TO_FETCH();
	/* The last one: it leaves by itself. */
	EXPECT_EQ(0, RUN(MOUNT, "unmount").result);
	{
		struct kb_server server = {};

		ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
		EXPECT_TRUE(is_gone_within(MOUNT, 20 * DELAY_MS));
		kb_serve_end(&server);
		EXPECT_EQ(1, server.unloads);
	}
}

/* Drifts upwards, which is no error: the driver stays. */
TEST_F(pattern, update_of_a_mount_keeps_a_retain)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(MOUNT));
	tag = kb_tag(&self->kb, MOUNT);
	EXPECT_EQ(0, RUN(MOUNT, "mount").result);
	EXPECT_EQ(0, RUN(MOUNT, "update").result);
	EXPECT_EQ(0, RUN(MOUNT, "unmount").result);
	EXPECT_EQ(1, retains_of(&self->kb, MOUNT));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, tag, 0));
	EXPECT_EQ(0, kb_release(self->kb.control, tag));
	EXPECT_EQ(0, kb_unload_served(&self->kb, MOUNT));
}

TEST_F(pattern, T_128_driver_that_never_releases_stays)
{
	struct kb_server server = {};
	uint32_t tag;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 20));
	ASSERT_EQ(0, kb_insmod(PIN));
	tag = kb_tag(&self->kb, PIN);
	EXPECT_EQ(0, RUN(PIN, "retained").result);
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, tag, 0));
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(PIN));
	/* Nor does a scan that others bring about. */
	EXPECT_EQ(0, kb_retain(self->kb.control, tag));
	EXPECT_EQ(0, kb_release(self->kb.control, tag));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	EXPECT_FALSE(is_gone_within(PIN, 300));
	/* Somebody else's release lets it go. */
	EXPECT_EQ(0, kb_release(self->kb.control, tag));
	EXPECT_TRUE(is_gone_within(PIN, SOON_MS));
	kb_serve_end(&server);
}

TEST_F(pattern, T_129_retain_and_release_is_unload_me_later)
{
	struct kb_server server = {};
	uint64_t released;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", DELAY_MS));
	ASSERT_EQ(0, kb_insmod(LATER));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	released = kb_now_ns();
	EXPECT_EQ(0, RUN(LATER, "leave").result);
	EXPECT_TRUE(is_gone_within(LATER, 20 * DELAY_MS));
	EXPECT_LE(released + DELAY_MS * 1000000ull, kb_now_ns());
	kb_serve_end(&server);
	EXPECT_EQ(1, server.unloads);
}

TEST_F(pattern, T_067_driver_in_use_refuses_to_stop)
{
	struct kb_server server = {};
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(VETO));
	tag = kb_tag(&self->kb, VETO);
	EXPECT_EQ(0, RUN(VETO, "activate").result);
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (uint32_t i = 1; i <= 3; i++) {
		EXPECT_EQ(kOSKextReturnStartStopError, kb_unload(self->kb.control, tag, 0));
		EXPECT_EQ(0, RUN(VETO, "request", "still").result);
		for (int j = 0; j < 1000 && RUN(VETO, "request", "still").length < i; j++)
			kb_sleep_ms(5);
		EXPECT_EQ(i, RUN(VETO, "request", "still").count);
		EXPECT_EQ(tag, kb_tag(&self->kb, VETO));
	}
	EXPECT_EQ(0, server.unloads);
	EXPECT_EQ(0, RUN(VETO, "deactivate").result);
	EXPECT_EQ(0, kb_unload(self->kb.control, tag, 0));
	EXPECT_TRUE(is_gone_within(VETO, SOON_MS));
	kb_serve_end(&server);
}

/* ---- locks and events ------------------------------------------------------------------------------------------- */

#define WAKE_ONE(event) RUN(LOCKS, "wakeup", "", KBPATTERN_EVENT(event) | KBPATTERN_ONE)
#define WAKE_ALL(event) RUN(LOCKS, "wakeup", "", KBPATTERN_EVENT(event))
#define SLEEP(caller, event, how) BEGIN(caller, LOCKS, "sleep", "", KBPATTERN_EVENT(event) | KBPATTERN_HOW(how))
#define WAIT_ASLEEP(event, number)                                                                  \
	do {                                                                                        \
		for (int i_ = 0; i_ < 4000 && RUN(LOCKS, "asleep", "", event).count < number; i_++) \
			kb_sleep_ms(1);                                                             \
		ASSERT_EQ(number, RUN(LOCKS, "asleep", "", event).count);                           \
	} while (0)

TEST_F(pattern, wakeup_of_one_is_in_the_order_of_sleeping)
{
	struct caller callers[4];

	ASSERT_EQ(0, kb_insmod(LOCKS));
	for (int i = 0; i < 4; i++) {
		SLEEP(&callers[i], 3, i % 3);
		WAIT_ASLEEP(3, (uint32_t)i + 1);
	}
	for (int i = 0; i < 4; i++) {
		WAKE_ONE(3);
		ASSERT_EQ(0, end(&callers[i]));
		EXPECT_EQ(AWAKENED, callers[i].call.result);
		EXPECT_EQ((uint32_t)i + 1, callers[i].call.count);
		EXPECT_EQ(3 - (uint32_t)i, RUN(LOCKS, "asleep", "", 3).count);
	}
}

TEST_F(pattern, wakeup_is_for_its_event_and_not_kept)
{
	struct caller callers[3];

	ASSERT_EQ(0, kb_insmod(LOCKS));
	WAKE_ALL(5);
	for (int i = 0; i < 3; i++)
		SLEEP(&callers[i], 5, UNINT);
	WAIT_ASLEEP(5, 3);
	for (int other = 0; other < 16; other++)
		if (other != 5)
			WAKE_ALL(other);
	kb_sleep_ms(NEVER_MS);
	for (int i = 0; i < 3; i++)
		EXPECT_FALSE(has_ended(&callers[i]));
	WAKE_ALL(5);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, end(&callers[i]));
		EXPECT_EQ(AWAKENED, callers[i].call.result);
	}
}

TEST_F(pattern, signal_ends_an_interruptible_sleep_only)
{
	struct caller callers[3];

	ASSERT_EQ(0, kb_insmod(LOCKS));
	for (uint32_t how = UNINT; how <= ABORTSAFE; how++) {
		SLEEP(&callers[how], 7, how);
		WAIT_ASLEEP(7, how + 1);
	}
	for (int how = ABORTSAFE; how >= UNINT; how--)
		pthread_kill(callers[how].thread, SIGUSR1);
	for (int how = INTERRUPTIBLE; how <= ABORTSAFE; how++) {
		ASSERT_EQ(0, end(&callers[how]));
		EXPECT_EQ(INTERRUPTED, callers[how].call.result);
	}
	kb_sleep_ms(NEVER_MS);
	EXPECT_FALSE(has_ended(&callers[UNINT]));
	WAKE_ONE(7);
	ASSERT_EQ(0, end(&callers[UNINT]));
	EXPECT_EQ(AWAKENED, callers[UNINT].call.result);
}

TEST_F(pattern, killed_sleeper_leaves_its_event)
{
	struct caller other;
	pid_t child;
	int status;

	ASSERT_EQ(0, kb_insmod(LOCKS));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct kbpattern_call call = {"sleep", "", KBPATTERN_EVENT(2) | KBPATTERN_HOW(INTERRUPTIBLE)};

		run(LOCKS, &call);
		_exit(1);
	}
	WAIT_ASLEEP(2, 1);
	SLEEP(&other, 2, UNINT);
	WAIT_ASLEEP(2, 2);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	/* A wake-up of one is not for the dead. */
	WAKE_ONE(2);
	ASSERT_EQ(0, end(&other));
	EXPECT_EQ(AWAKENED, other.call.result);
}

TEST_F(pattern, deadline_ends_a_sleep)
{
	struct caller never;

	ASSERT_EQ(0, kb_insmod(LOCKS));
	SLEEP(&never, 1, UNINT);
	for (int how = UNINT; how <= ABORTSAFE; how++) {
		struct kbpattern_call call =
			RUN(LOCKS, "sleep", "", KBPATTERN_EVENT(1) | KBPATTERN_HOW(how) | KBPATTERN_DEADLINE_MS(30));

		EXPECT_EQ(TIMED_OUT, call.result);
		EXPECT_EQ(0, call.sum); /* not before it */
		EXPECT_GT(1000000, call.length);
	}
	EXPECT_FALSE(has_ended(&never));
	WAIT_ASLEEP(1, 1);
	WAKE_ONE(1);
	ASSERT_EQ(0, end(&never));
}

TEST_F(pattern, long_uninterruptible_sleep_is_no_load)
{
	struct caller sleeper;
	char line[256], state = 0;
	FILE *file;

	ASSERT_EQ(0, kb_insmod(LOCKS));
	SLEEP(&sleeper, 4, UNINT);
	WAIT_ASLEEP(4, 1);
	/* "I" is TASK_IDLE: the hung task detector and the load do not count it. Of all threads one is in it. */
	for (int i = 0; i < 1000 && state != 'I'; i++) {
		file = popen(
			"cat /proc/self/task/*/stat /proc/$PPID/task/*/stat 2>/dev/null | grep -o ') I ' | head -n 1",
			"r");
		ASSERT_NE(NULL, file);
		state = fgets(line, sizeof(line), file) ? line[2] : 0;
		pclose(file);
	}
	EXPECT_EQ('I', state);
	WAKE_ONE(4);
	ASSERT_EQ(0, end(&sleeper));
}

TEST_F(pattern, T_176_calls_of_iolib_do_what_they_say)
{
	static const char *const parts[] = {"memory", "strings", "atomics", "locks", "delays"};

	ASSERT_EQ(0, kb_insmod(LOCKS));
	for (int i = 0; i < 5; i++) {
		struct kbpattern_call call = {};

		strcpy(call.command, parts[i]);
		ASSERT_EQ(0, run(LOCKS, &call));
		EXPECT_EQ(0, call.result)
		{
			TH_LOG("locks.c:%d", call.result);
		}
	}
}

TEST_F(pattern, mistakes_with_locks_do_no_harm)
{
	ASSERT_EQ(0, kb_insmod(LOCKS));
	EXPECT_EQ(0, RUN(LOCKS, "mistakes").result);
	EXPECT_EQ(0, RUN(LOCKS, "locks").result);
	EXPECT_EQ(0, kb_unload_served(&self->kb, LOCKS));
}

TEST_HARNESS_MAIN
