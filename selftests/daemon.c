// SPDX-License-Identifier: GPL-2.0-only
/* The daemon that comes late, hangs, dies, or is not allowed to be one. */
#include <grp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

#define MS 1000000ull

/* A daemon in a process of its own that fetches `count` requests, each by itself, and then hangs. */
static pid_t hanging_daemon(int count)
{
	static struct kb_record record;
	int ready[2], fd;
	char byte;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = kb_open_daemon();
		if (fd < 0)
			_exit(1);
		while (count--)
			if (kb_fetch(fd, &record, SOON_MS))
				_exit(2);
		if (write(ready[1], "r", 1) != 1)
			_exit(3);
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(ready[0]);
	return pid;
}

static void kill_daemon(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(bare, T_080_request_waits_for_a_daemon)
{
	struct kbtest_request request = {.kext = A};
	struct kextbridge_status status;
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_EQ(0, status.flags & KEXTBRIDGE_STATUS_DAEMON);
	EXPECT_EQ(1, status.pending);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_TRUE(kb_poll(self->kb.daemon, POLLIN, 0));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(0, event.result);
}

TEST_F(bare, T_081_deadline_runs_without_a_daemon)
{
	struct kbtest_request request = {A, .timeout_ms = 300};
	struct kbtest_event event;
	uint64_t before;

	ASSERT_EQ(0, kb_insmod(A));
	before = kb_now_ns();
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnTimeout, event.result);
	EXPECT_GE(event.time_ns, before + 300 * MS);
}

/* More than one hold of the lock handles. */
TEST_F(bare, T_081_many_deadlines_at_once)
{
	struct kbtest_request request = {A};
	struct kbtest_event event;
	uint64_t began, elapsed;
	bool seen[200] = {};

	ASSERT_EQ(0, kb_insmod(A));
	for (began = kb_now_ns(); request.context < 200; request.context++) {
		elapsed = (kb_now_ns() - began) / MS;
		ASSERT_LT(elapsed, 2000) TH_LOG("the machine is too slow");
		request.timeout_ms = 2001 - elapsed;
		ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	}
	for (int i = 0; i < 200; i++) {
		ASSERT_TRUE(kb_event(&self->kb, KBTEST_CALLBACK, &event, 2000 + SOON_MS));
		EXPECT_EQ(kOSKextReturnTimeout, event.result);
		EXPECT_GE(event.time_ns, began + 2000 * MS);
		ASSERT_LT(event.context, 200);
		EXPECT_FALSE(seen[event.context]);
		seen[event.context] = true;
	}
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 0));
}

TEST_F(bare, T_081_default_deadline_is_the_parameter)
{
	struct kbtest_event event;
	uint64_t before;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_param("request_timeout_ms", "200"));
	before = kb_now_ns();
	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 1, NULL));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnTimeout, event.result);
	EXPECT_GE(event.time_ns, before + 200 * MS);
}

/*
 * One after the other they would take 3.5 s. The slack is for a machine that is slow and shared; the host ring measures
 * with a clock of its own.
 */
TEST_F(kext, T_082_hanging_daemon_costs_one_timeout)
{
	struct kbtest_request request = {A, .timeout_ms = 600, .context = 1};
	struct kb_record records[5];
	struct kbtest_event event;

	for (int i = 0; i < 5; i++, request.timeout_ms += 50, request.context++)
		ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	for (int i = 0; i < 5; i++)
		FETCH(&records[i], "resource");
	for (unsigned int i = 0; i < 5; i++) {
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(kOSKextReturnTimeout, event.result);
		EXPECT_EQ(i + 1, event.context);
		EXPECT_GE(event.time_ns, records[i].head.deadline_ns);
		EXPECT_LE(event.time_ns, records[i].head.deadline_ns + 1500 * MS);
	}
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 500));
}

TEST_F(kext, T_082_earlier_deadline_behind_a_later_one)
{
	struct kbtest_request late = {A, .timeout_ms = 5000, .context = 1},
			      early = {A, .timeout_ms = 200, .context = 2};
	struct kbtest_event event;
	uint64_t before = kb_now_ns();

	ASSERT_EQ(0, kb_request_with(&self->kb, &late));
	ASSERT_EQ(0, kb_request_with(&self->kb, &early));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(2, event.context);
	EXPECT_GE(event.time_ns, before + 200 * MS);
	EXPECT_LT(event.time_ns, before + 2000 * MS);
	ASSERT_EQ(0, kb_cancel(&self->kb, A, late.tag, NULL));
}

/* In a call that sleeps; false: gone instead. */
static bool falls_asleep(pid_t pid, pid_t tid)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		const char *state;

		if (fd >= 0)
			close(fd);
		if (length <= 0)
			return false;
		text[length] = 0;
		state = strrchr(text, ')');
		if (!state || state[2] == 'Z')
			return false;
		if (state[2] == 'S' || state[2] == 'D')
			return true;
		sched_yield();
	}
}

/* Whoever waits for a daemon that never answers dies at once when he is killed, and what he asked for goes on. */
TEST_F(kext, T_082_who_waits_for_a_hanging_daemon_can_be_killed)
{
	enum { RESULT, ANY_RESULT, LOAD, UNLOAD, POLL, FETCH, CALLS };
	struct kextbridge_request ask = {.size = sizeof(ask),
					 .identifier = KB_STRING("a"),
					 .identifier_size = 1,
					 .name = KB_STRING("b"),
					 .name_size = 1};
	struct kextbridge_status before, after;
	uint64_t load = 0, unload = 0;
	struct kb_record record;
	pid_t pids[CALLS];
	int status;

	ASSERT_TRUE(kb_status(&self->kb, &before));
	for (int call = 0; call < FETCH; call++) {
		pids[call] = fork();
		ASSERT_GE(pids[call], 0);
		if (pids[call])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A file of its own, which its death closes. */
		int control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
		struct kextbridge_result result = {.size = sizeof(result), .tag = TAG_INVALID};

		switch (call) {
		case LOAD:
			kb_load(control, "com.example.none", KEXTBRIDGE_LOAD_WAIT);
			break;
		case UNLOAD:
			kb_unload(control, kb_tag(&self->kb, A), 0);
			break;
		default:
			if (ioctl(control, KEXTBRIDGE_IOC_REQUEST, &ask) || ask.result)
				_exit(1);
			if (call == RESULT)
				result.tag = ask.tag;
			if (call == POLL)
				kb_poll(control, POLLIN, -1);
			else
				ioctl(control, KEXTBRIDGE_IOC_RESULT, &result);
		}
		_exit(2);
	}
	/* All of them are in our hands, and that is all we do. */
	for (int i = 0; i < FETCH; i++) {
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		if (record.head.kind == KEXTD_LOAD)
			load = record.head.id;
		if (record.head.kind == KEXTD_UNLOAD)
			unload = record.head.id;
	}
	ASSERT_NE(0, load);
	ASSERT_NE(0, unload);
	for (int call = 0; call < FETCH; call++) {
		EXPECT_TRUE(falls_asleep(pids[call], pids[call])) TH_LOG("call %d", call);
		ASSERT_EQ(0, kill(pids[call], SIGKILL));
		ASSERT_EQ(pids[call], waitpid(pids[call], &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) TH_LOG("call %d: %x", call, status);
	}
	/* The requests went with their files; the load and the unload are still wanted. */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		EXPECT_EQ(KEXTD_CANCEL, record.head.kind);
	}
	EXPECT_EQ(0, kb_reply(self->kb.daemon, load, kOSKextReturnNotFound));
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, unload, 0));
	/* The daemon itself, while there is nothing to do. */
	kb_daemon_leave(&self->kb);
	pids[FETCH] = fork();
	if (!pids[FETCH]) {
		uint64_t buffer[64];
		struct kextd_exchange args = {
			.max_requests = 1, .requests = KB_STRING(buffer), .requests_size = sizeof(buffer)};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		kb_exchange(kb_open_daemon(), &args);
		_exit(2);
	}
	do {
		ASSERT_TRUE(kb_status(&self->kb, &after));
	} while (after.daemon_pid != pids[FETCH]);
	EXPECT_TRUE(falls_asleep(pids[FETCH], pids[FETCH]));
	ASSERT_EQ(0, kill(pids[FETCH], SIGKILL));
	ASSERT_EQ(pids[FETCH], waitpid(pids[FETCH], &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) TH_LOG("%x", status);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.submitted + 3, after.submitted);
	EXPECT_EQ(before.discarded + 3, after.discarded);
	EXPECT_EQ(before.unloads + 1, after.unloads);
	EXPECT_EQ(0, after.pending + after.fetched + after.answered);
}

TEST_F(bare, T_083_killed_daemons_requests_go_to_the_next)
{
	struct kbtest_event event;
	struct kb_record record;
	uint32_t tag;
	pid_t pid;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_request(&self->kb, A, "precious", 5, &tag));
	pid = hanging_daemon(1);
	ASSERT_GT(pid, 0);
	kill_daemon(pid);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH(&record, "precious");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(tag, event.tag);
	EXPECT_EQ(0, event.result);
}

/* Of those that a daemon died with each is handed out alone, in the old order; the others follow together. */
TEST_F(bare, T_083_suspects_are_handed_out_alone_and_in_order)
{
	static const char *const names[] = {"1", "2", "3", "4", "5"};
	static uint64_t buffer[1024];
	struct kextd_exchange fetch = {
		.flags = KEXTD_EXCHANGE_NOWAIT,
		.max_requests = 16,
		.requests = KB_STRING(buffer),
		.requests_size = sizeof(buffer),
	};
	struct kbtest_event event;
	struct kb_record record;
	pid_t pid;

	ASSERT_EQ(0, kb_insmod(A));
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, kb_request(&self->kb, A, names[i], i + 1, NULL));
	pid = hanging_daemon(3);
	ASSERT_GT(pid, 0);
	kill_daemon(pid);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (int i = 0; i < 3; i++) {
		FETCH(&record, names[i]);
		EXPECT_FALSE(kb_poll(self->kb.daemon, POLLIN, 0));
		NOTHING_TO_FETCH();
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	}
	ASSERT_EQ(0, kb_exchange(self->kb.daemon, &fetch));
	EXPECT_EQ(2, fetch.request_count);
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	for (int i = 3; i < 5; i++) {
		FETCH(&record, names[i]);
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	}
	for (unsigned int i = 0; i < 5; i++) {
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(i + 1, event.context);
	}
}

TEST_F(bare, T_083_three_deaths_with_one_alone_are_its_end)
{
	struct kbtest_event event;
	struct kextbridge_status before, after;
	struct kb_record record;
	pid_t pid;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_TRUE(kb_status(&self->kb, &before));
	ASSERT_EQ(0, kb_request(&self->kb, A, "poison", 1, NULL));
	ASSERT_EQ(0, kb_request(&self->kb, A, "neighbour", 2, NULL));
	/* The first death blames nobody in particular; three more are the poisoned one's. */
	for (int deaths = 0; deaths < 4; deaths++) {
		EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 0));
		pid = hanging_daemon(deaths ? 1 : 2);
		ASSERT_GT(pid, 0);
		kill_daemon(pid);
	}
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(1, event.context);
	EXPECT_EQ(kOSKextReturnInternalError, event.result);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH(&record, "neighbour");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(2, event.context);
	EXPECT_EQ(0, event.result);
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.poisoned + 1, after.poisoned);
	EXPECT_EQ(before.requeued + 2 + 2, after.requeued)
	TH_LOG("both at first, and then one that was given up the third time");
}

TEST_F(bare, T_083_cancel_and_deadline_work_after_a_death)
{
	struct kbtest_request timed = {A, .timeout_ms = 2000, .context = 2};
	struct kbtest_event event;
	uint32_t tag;
	pid_t pid;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 1, &tag));
	ASSERT_EQ(0, kb_request_with(&self->kb, &timed));
	pid = hanging_daemon(2);
	ASSERT_GT(pid, 0);
	kill_daemon(pid);
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(2, event.context);
	EXPECT_EQ(kOSKextReturnTimeout, event.result);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	NOTHING_TO_FETCH();
}

TEST_F(kext, T_084_reply_after_the_timeout)
{
	struct kbtest_request request = {A, .timeout_ms = 400};
	struct kextbridge_status before, after;
	struct kb_record record, notice;
	struct kbtest_event event;

	ASSERT_TRUE(kb_status(&self->kb, &before));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnTimeout, event.result);
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply_data(self->kb.daemon, record.head.id, 0, "late", 4));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &notice, SOON_MS));
	EXPECT_EQ(KEXTD_CANCEL, notice.head.kind);
	EXPECT_EQ(record.head.id, notice.head.id);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.timeouts + 1, after.timeouts);
	EXPECT_EQ(before.late_replies + 1, after.late_replies);
}

TEST_F(kext, T_089_what_was_fetched_is_not_fetched_again)
{
	struct kb_record record;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	FETCH(&record, "one");
	NOTHING_TO_FETCH();
	EXPECT_FALSE(kb_poll(self->kb.daemon, POLLIN, 0));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	NOTHING_TO_FETCH();
}

struct fetcher {
	pthread_t thread;
	pid_t tid;
	int daemon;
	struct kextd_exchange args;
	uint64_t buffer[1024];
	uint64_t done_ns;
	int err;
};

static void *fetch_sleeping(void *arg)
{
	struct fetcher *fetcher = arg;

	fetcher->args.requests = KB_STRING(fetcher->buffer);
	fetcher->args.requests_size = sizeof(fetcher->buffer);
	fetcher->args.max_requests = 4;
	__atomic_store_n(&fetcher->tid, gettid(), __ATOMIC_RELEASE);
	fetcher->err = kb_exchange(fetcher->daemon, &fetcher->args);
	fetcher->done_ns = kb_now_ns();
	return NULL;
}

TEST_F(kext, T_089_fetch_sleeps_until_there_is_something)
{
	static struct fetcher fetcher;
	const struct kextd_request *head = (const void *)fetcher.buffer;
	uint64_t requested;

	fetcher.daemon = self->kb.daemon;
	ASSERT_EQ(0, pthread_create(&fetcher.thread, NULL, fetch_sleeping, &fetcher));
	kb_sleep_ms(100);
	requested = kb_now_ns();
	EXPECT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	pthread_join(fetcher.thread, NULL);
	ASSERT_EQ(0, fetcher.err);
	EXPECT_GE(fetcher.done_ns, requested);
	ASSERT_EQ(1, fetcher.args.request_count);
	EXPECT_EQ(head->size, fetcher.args.requests_used);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, head->id, 0));
}

/* One thread sleeps in the call, another answers by the same descriptor. */
TEST_F(kext, T_089_sleeping_fetch_holds_up_no_reply)
{
	static struct fetcher fetcher;
	const struct kextd_request *head = (const void *)fetcher.buffer;
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	FETCH(&record, "one");
	fetcher.daemon = self->kb.daemon;
	ASSERT_EQ(0, pthread_create(&fetcher.thread, NULL, fetch_sleeping, &fetcher));
	while (!__atomic_load_n(&fetcher.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	ASSERT_TRUE(falls_asleep(getpid(), fetcher.tid));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(1, event.context);
	ASSERT_EQ(0, kb_request(&self->kb, A, "two", 2, NULL));
	pthread_join(fetcher.thread, NULL);
	ASSERT_EQ(0, fetcher.err);
	ASSERT_EQ(1, fetcher.args.request_count);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, head->id, 0));
}

static void on_signal(int signal)
{
	(void)signal;
}

/* Interrupted with replies taken is success; without, it is EINTR. */
TEST_F(kext, T_089_signal_ends_the_sleep)
{
	struct sigaction action = {.sa_handler = on_signal};
	static uint64_t buffer[64];
	struct kextd_reply reply = {.flags = KEXTD_REPLY_RESULT};
	struct kextd_exchange args = {.size = sizeof(args), .replies = KB_STRING(&reply)};
	struct kb_record record;

	sigaction(SIGALRM, &action, NULL);
	for (int with_reply = 0; with_reply < 2; with_reply++) {
		ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
		FETCH(&record, "one");
		reply.id = record.head.id;
		args.reply_count = with_reply;
		args.max_requests = 1;
		args.requests = KB_STRING(buffer);
		args.requests_size = sizeof(buffer);
		ualarm(100000, 0);
		if (with_reply) {
			EXPECT_EQ(0, ioctl(self->kb.daemon, KEXTD_IOC_EXCHANGE, &args));
			EXPECT_EQ(0, reply.status);
			EXPECT_EQ(1, args.reply_count);
			EXPECT_EQ(0, args.request_count);
		} else {
			EXPECT_EQ(-1, ioctl(self->kb.daemon, KEXTD_IOC_EXCHANGE, &args));
			EXPECT_EQ(EINTR, errno);
			ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
		}
	}
}

TEST_F(kext, T_089_O_NONBLOCK_fetch)
{
	static uint64_t buffer[64];
	struct kextd_exchange args = {
		.max_requests = 1, .requests = KB_STRING(buffer), .requests_size = sizeof(buffer)};

	ASSERT_EQ(0, fcntl(self->kb.daemon, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(EAGAIN, kb_exchange(self->kb.daemon, &args));
}

/* ---- who may be the daemon */

TEST_F(kext, T_093_second_daemon_is_refused)
{
	EXPECT_EQ(-EBUSY, kb_open_daemon());
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_EQ(-EBUSY, kb_open_daemon());
}

/* Runs `body` in a child; its exit status is the result. */
#define IN_CHILD(body)                                          \
	({                                                      \
		int status_ = -1;                               \
		pid_t pid_ = fork();                            \
		if (!pid_) {                                    \
			prctl(PR_SET_PDEATHSIG, SIGKILL);       \
			_exit(({ body; }));                     \
		}                                               \
		waitpid(pid_, &status_, 0);                     \
		WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; \
	})

static int become_nobody(void)
{
	return setgroups(0, NULL) || setgid(65534) || setuid(65534);
}

static int exchange_nothing(int daemon)
{
	struct kextd_exchange args = {.flags = KEXTD_EXCHANGE_NOWAIT};

	return kb_exchange(daemon, &args);
}

TEST_F(kext, T_088_nobody_cannot_open_the_daemons_node)
{
	kb_daemon_leave(&self->kb);
	EXPECT_EQ(EACCES, IN_CHILD(become_nobody() ? 200 : -kb_open_daemon()));
	/* Nor when the node's mode lets it. */
	ASSERT_EQ(0, chmod("/dev/kextd", 0666));
	EXPECT_EQ(EPERM, IN_CHILD(become_nobody() ? 200 : -kb_open_daemon()));
	ASSERT_EQ(0, chmod("/dev/kextd", 0600));
}

TEST_F(kext, T_088_only_the_opener_is_privileged)
{
	struct kb_record record;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	FETCH(&record, "one");
	EXPECT_EQ(EPERM, IN_CHILD(become_nobody() ? 200 : exchange_nothing(self->kb.daemon)));
	EXPECT_EQ(EPERM, IN_CHILD(become_nobody() ? 200 : kb_reply(self->kb.daemon, record.head.id, 0)));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
}

/* A child of the daemon may work for it while it lives. */
TEST_F(kext, T_088_child_of_the_daemon)
{
	EXPECT_EQ(0, IN_CHILD(exchange_nothing(self->kb.daemon)));
}

/* What somebody with no rights at all can do once the node's mode lets him; a bit for each thing that went wrong. */
static int try_as_nobody(uint32_t load_tag)
{
	struct kextbridge_list list = {.size = sizeof(list)};
	struct kextbridge_request request = {.size = sizeof(request),
					     .identifier = KB_STRING("a"),
					     .identifier_size = 1,
					     .name = KB_STRING("b"),
					     .name_size = 1};
	int fd = become_nobody() ? -1 : open("/dev/kextbridge", O_RDWR);

	return (fd < 0) | (ioctl(fd, KEXTBRIDGE_IOC_LIST, &list) != 0) << 1 |
	       (ioctl(fd, KEXTBRIDGE_IOC_REQUEST, &request) || request.result) << 2 |
	       (kb_tag_call(fd, KEXTBRIDGE_IOC_CANCEL, request.tag, 0) != 0) << 3 |
	       (kb_retain(fd, load_tag) != EPERM) << 4 | (kb_release(fd, load_tag) != EPERM) << 5 |
	       (kb_unload(fd, load_tag, 0) != EPERM) << 6 | (kb_load(fd, "com.example.x", 0) != EPERM) << 7;
}

TEST_F(kext, T_088_nobody_and_the_programs_node)
{
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_EQ(EACCES, IN_CHILD(become_nobody() ? 200 : open("/dev/kextbridge", O_RDWR) < 0 ? errno : 0));
	ASSERT_EQ(0, chmod("/dev/kextbridge", 0666));
	EXPECT_EQ(0, IN_CHILD(try_as_nobody(tag)));
	ASSERT_EQ(0, chmod("/dev/kextbridge", 0660));
	/* Opened by root, called by nobody. */
	EXPECT_EQ(EPERM, IN_CHILD(become_nobody() ? 200 : kb_retain(self->kb.control, tag)));
	EXPECT_EQ(EPERM, IN_CHILD(become_nobody() ? 200 : kb_unload(self->kb.control, tag, 0)));
}

/* A request is cancelled by its own user or by an administrator. */
TEST_F(kext, T_088_nobody_cancels_nothing_of_root)
{
	struct kextbridge_request request = {.size = sizeof(request),
					     .identifier = KB_STRING("a"),
					     .identifier_size = 1,
					     .name = KB_STRING("b"),
					     .name_size = 1};
	uint32_t of_a;

	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
	ASSERT_EQ(0, kb_request(&self->kb, A, "of a", 1, &of_a));
	EXPECT_EQ(
		EPERM,
		IN_CHILD(become_nobody() ? 200 : kb_tag_call(self->kb.control, KEXTBRIDGE_IOC_CANCEL, request.tag, 0)));
	EXPECT_EQ(0, kb_tag_call(self->kb.control, KEXTBRIDGE_IOC_CANCEL, request.tag, 0));
	/* Nobody but the driver cancels a driver's. */
	EXPECT_EQ(kOSKextReturnNotPrivileged, kb_tag_call(self->kb.control, KEXTBRIDGE_IOC_CANCEL, of_a, 0));
	EXPECT_EQ(0, kb_cancel(&self->kb, A, of_a, NULL));
}

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 'f';
	struct iovec io = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(socket, &message, 0) == 1 ? 0 : errno;
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec io = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

/* A file that nobody opened, in root's hands. */
TEST_F(kext, T_088_only_the_caller_is_privileged)
{
	uint32_t tag = kb_tag(&self->kb, A);
	int pair[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, chmod("/dev/kextbridge", 0666));
	EXPECT_EQ(0, IN_CHILD(become_nobody() ? 200 : send_fd(pair[1], open("/dev/kextbridge", O_RDWR))));
	ASSERT_EQ(0, chmod("/dev/kextbridge", 0660));
	fd = receive_fd(pair[0]);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(EPERM, kb_retain(fd, tag));
	EXPECT_EQ(EPERM, kb_release(fd, tag));
	EXPECT_EQ(EPERM, kb_unload(fd, tag, 0));
	EXPECT_EQ(EPERM, kb_load(fd, "com.example.x", 0));
	EXPECT_EQ(0, kb_retain(self->kb.control, tag));
	EXPECT_EQ(0, kb_release(self->kb.control, tag));
	close(fd);
}

/* The opener has died, its child still has the descriptor. */
TEST_F(kext, T_088_child_of_a_dead_daemon_has_no_role)
{
	struct kbtest_event event;
	struct kb_record record;
	int told[2], go[2], child_errno = 0;
	pid_t pid;

	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	ASSERT_EQ(0, pipe(told));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		int fd = kb_open_daemon();
		char byte;

		if (fd < 0 || kb_fetch(fd, &record, SOON_MS))
			_exit(1);
		if (fork())
			_exit(0);
		/* The child: waits until its parent is gone, then tries, then lingers. */
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		child_errno = exchange_nothing(fd);
		if (write(told[1], &child_errno, sizeof(child_errno)) != sizeof(child_errno))
			_exit(1);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		child_errno = kb_poll(fd, POLLHUP, 0) ? exchange_nothing(fd) : 0;
		if (write(told[1], &child_errno, sizeof(child_errno)) != sizeof(child_errno))
			_exit(1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	ASSERT_EQ(1, write(go[1], "1", 1));
	ASSERT_EQ((ssize_t)sizeof(child_errno), read(told[0], &child_errno, sizeof(child_errno)));
	EXPECT_EQ(EOWNERDEAD, child_errno);
	/* The next open takes over, although the file is still open. */
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH(&record, "one");
	ASSERT_EQ(1, write(go[1], "2", 1));
	ASSERT_EQ((ssize_t)sizeof(child_errno), read(told[0], &child_errno, sizeof(child_errno)));
	EXPECT_EQ(EOWNERDEAD, child_errno);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(0, event.result);
}

/* ---- notices */

#define NEXT_NOTICE(expected, kext_identifier, module, tag)                     \
	do {                                                                    \
		struct kb_record notice_;                                       \
		ASSERT_EQ(0, kb_fetch_any(self->kb.daemon, &notice_, SOON_MS)); \
		ASSERT_EQ(expected, notice_.head.kind);                         \
		EXPECT_EQ(0, notice_.head.id);                                  \
		EXPECT_STREQ(kext_identifier, notice_.identifier);              \
		EXPECT_STREQ(module, notice_.name);                             \
		EXPECT_EQ(tag, notice_.head.load_tag);                          \
	} while (0)

#define NO_NOTICE()                                                                 \
	do {                                                                        \
		struct kb_record none_;                                             \
		ASSERT_EQ(EAGAIN, kb_fetch_any(self->kb.daemon, &none_, NEVER_MS)); \
	} while (0)

TEST_F(bare, T_110_each_load_and_unload_is_told_once)
{
	struct kb_record record;
	struct kb_unload unload;
	uint32_t tag;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	NO_NOTICE();
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, kb_insmod(A));
		tag = kb_tag(&self->kb, A);
		EXPECT_TRUE(kb_poll(self->kb.daemon, POLLIN, 0));
		NEXT_NOTICE(KEXTD_LOADED, ID_A, A, tag);
		NO_NOTICE();
		ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
		ASSERT_EQ(0, kb_fetch_any(self->kb.daemon, &record, SOON_MS));
		ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
		ASSERT_EQ(0, kb_rmmod(A));
		NEXT_NOTICE(KEXTD_UNLOADED, ID_A, A, tag);
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
		ASSERT_EQ(0, kb_unload_end(&unload));
		NO_NOTICE();
	}
}

/* A start function that fails is no load; stopped and started again is neither; a module that rmmod takes is gone, too. */
TEST_F(bare, T_110_what_is_no_load_and_no_unload)
{
	struct kbtest_plan fail = {.kext = A, .start_result = 5}, obey = {.kext = A};
	uint32_t tag;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	NO_NOTICE();
	ASSERT_EQ(0, kb_plan(&self->kb, &fail));
	EXPECT_EQ(EIO, kb_insmod(A));
	NO_NOTICE();
	ASSERT_EQ(0, kb_plan(&self->kb, &obey));
	ASSERT_EQ(0, kb_insmod(A));
	NEXT_NOTICE(KEXTD_LOADED, ID_A, A, kb_tag(&self->kb, A));
	EXPECT_EQ(0, kb_unload(self->kb.control, kb_tag(&self->kb, A), KEXTBRIDGE_UNLOAD_STOP_ONLY));
	EXPECT_EQ(0, kb_load(self->kb.control, ID_A, 0));
	NO_NOTICE();
	ASSERT_EQ(0, kb_insmod("kbtest_plain"));
	tag = kb_tag(&self->kb, "kbtest_plain");
	NEXT_NOTICE(KEXTD_LOADED, "com.example.kbtest_plain", "kbtest_plain", tag);
	ASSERT_EQ(0, kb_rmmod("kbtest_plain"));
	NEXT_NOTICE(KEXTD_UNLOADED, "com.example.kbtest_plain", "kbtest_plain", tag);
	NO_NOTICE();
}

/* Who does not ask for them does not get them, and who comes later has missed them. */
TEST_F(bare, T_110_only_a_daemon_that_wants_them_is_told)
{
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod(A));
	NOTHING_TO_FETCH();
	NO_NOTICE();
	ASSERT_EQ(0, kb_insmod(B));
	EXPECT_TRUE(kb_poll(self->kb.daemon, POLLIN, 0));
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	NO_NOTICE();
	EXPECT_EQ(0, kb_unload_served(&self->kb, B));
}

TEST_HARNESS_MAIN
