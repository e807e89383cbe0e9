// SPDX-License-Identifier: GPL-2.0-only
/*
 * Circumstances that are against us: buffers that stall or change while the kernel copies, storms of signals, a frozen
 * system, a memory limit, a root who is none, structures full of what was there before.
 */
#include <linux/userfaultfd.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"
#include "lib/power.h"

#define BUNDLE "com.example.hostile"
#define PATTERN 0x5a

/* A program's request. An errno, or 0 with the OSReturn in args->result. */
static int ask(int control, struct kextbridge_request *args, const char *name)
{
	args->size = sizeof(*args);
	args->identifier = KB_STRING(BUNDLE);
	args->identifier_size = strlen(BUNDLE);
	if (name) {
		args->name = KB_STRING(name);
		args->name_size = strlen(name);
	}
	return ioctl(control, KEXTBRIDGE_IOC_REQUEST, args) < 0 ? errno : 0;
}

/* Waits for the result of `tag` and lets go of it: its outcome, or minus an errno. Restarts are the caller's. */
static int collect(int control, uint32_t tag)
{
	struct kextbridge_result args = {.size = sizeof(args), .tag = tag, .flags = KEXTBRIDGE_RESULT_RELEASE};

	if (ioctl(control, KEXTBRIDGE_IOC_RESULT, &args) < 0)
		return -errno;
	return args.status ? args.status : args.outcome;
}

/* Until the process has ended: at once, or the test's own time limit strikes. */
static int status_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* ---- a buffer that nobody fills */

struct stalled {
	int uffd;
	char *page; /* whoever touches it sleeps until stalled_go_on() */
};

static int stall(struct stalled *stalled)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};

	stalled->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stalled->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (stalled->page == MAP_FAILED || stalled->uffd < 0)
		return errno;
	range.range.start = KB_STRING(stalled->page);
	range.range.len = 4096;
	return ioctl(stalled->uffd, UFFDIO_API, &api) || ioctl(stalled->uffd, UFFDIO_REGISTER, &range) ? errno : 0;
}

/* Somebody has touched the page and sleeps. */
static bool is_touched(struct stalled *stalled)
{
	struct uffd_msg message;

	return kb_poll(stalled->uffd, POLLIN, SOON_MS) &&
	       read(stalled->uffd, &message, sizeof(message)) == sizeof(message) &&
	       message.event == UFFD_EVENT_PAGEFAULT;
}

static int go_on(struct stalled *stalled, const char *contents)
{
	static char page[4096] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {.dst = KB_STRING(stalled->page), .src = KB_STRING(page), .len = 4096};

	snprintf(page, sizeof(page), "%s", contents);
	return ioctl(stalled->uffd, UFFDIO_COPY, &copy) ? errno : 0;
}

struct asker {
	pthread_t thread;
	int control;
	struct kextbridge_request args;
	int err;
};

static void *ask_on_a_thread(void *arg)
{
	struct asker *asker = arg;

	asker->err = ask(asker->control, &asker->args, NULL);
	return NULL;
}

/* Others are served while one program's name does not come. */
TEST_F(kext, stalled_name_holds_up_nobody)
{
	struct stalled stalled;
	struct asker asker = {.control = self->kb.control};
	struct kb_record record;
	struct kbtest_event event;
	int other = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
	struct kextbridge_request request = {};

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, stall(&stalled));
	asker.args.name = KB_STRING(stalled.page);
	asker.args.name_size = 4;
	ASSERT_EQ(0, pthread_create(&asker.thread, NULL, ask_on_a_thread, &asker));
	ASSERT_TRUE(is_touched(&stalled));

	ASSERT_EQ(0, kb_request(&self->kb, A, "driver", 1, NULL));
	FETCH(&record, "driver");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	ASSERT_EQ(0, ask(other, &request, "program"));
	FETCH(&record, "program");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, collect(other, request.tag));
	/* The file's other threads too. */
	ASSERT_EQ(0, ask(self->kb.control, &request, "same file"));
	FETCH(&record, "same file");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, collect(self->kb.control, request.tag));

	ASSERT_EQ(0, go_on(&stalled, "late"));
	pthread_join(asker.thread, NULL);
	ASSERT_EQ(0, asker.err);
	ASSERT_EQ(0, asker.args.result);
	FETCH(&record, "late");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, collect(self->kb.control, asker.args.tag));
	close(other);
	close(stalled.uffd);
}

struct replier {
	pthread_t thread;
	int daemon;
	uint64_t id;
	const char *payload;
	int status;
};

static void *reply_on_a_thread(void *arg)
{
	struct replier *replier = arg;

	replier->status = kb_reply_data(replier->daemon, replier->id, 0, replier->payload, 4);
	return NULL;
}

/* A payload that does not come: other threads of the daemon go on, and a cancel wins. */
TEST_F(kext, stalled_payload_loses_to_a_cancel)
{
	struct stalled stalled;
	struct replier replier = {.daemon = self->kb.daemon};
	struct kb_record record;
	struct kbtest_event event;
	uint64_t context = 0;
	uint32_t tag;

	ASSERT_EQ(0, stall(&stalled));
	ASSERT_EQ(0, kb_request(&self->kb, A, "slow", 7, &tag));
	FETCH(&record, "slow");
	replier.id = record.head.id;
	replier.payload = stalled.page;
	ASSERT_EQ(0, pthread_create(&replier.thread, NULL, reply_on_a_thread, &replier));
	ASSERT_TRUE(is_touched(&stalled));

	ASSERT_EQ(0, kb_request(&self->kb, A, "quick", 8, NULL));
	FETCH(&record, "quick");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(8, event.context);
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
	EXPECT_EQ(7, context);

	ASSERT_EQ(0, go_on(&stalled, "late"));
	pthread_join(replier.thread, NULL);
	EXPECT_EQ(kOSKextReturnNotFound, replier.status);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	close(stalled.uffd);
}

/* What a fetch that never gets through had taken is there for the next one; SIGKILL ends it. */
TEST_F(kext, stalled_fetch_is_killed_and_loses_nothing)
{
	struct stalled stalled;
	struct kb_record record;
	struct kbtest_event event;
	pid_t pid;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, stall(&stalled));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct kextd_exchange args = {
			.max_requests = 8, .requests = KB_STRING(stalled.page), .requests_size = 4096};

		/* The page is stalled in the parent's address space only: here it is again. */
		if (stall(&stalled))
			_exit(3);
		args.requests = KB_STRING(stalled.page);
		_exit(kb_exchange(kb_open_daemon(), &args) ? 1 : 2);
	}
	/* In the child's hands, in the middle of the copy. */
	for (struct kextbridge_status status = {}; !status.fetched;) {
		ASSERT_TRUE(kb_status(&self->kb, &status));
		sched_yield();
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(SIGKILL, status_of(pid));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH(&record, "one");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(0, event.result);
	close(stalled.uffd);
}

/* ---- what changes while it is read */

struct flipper {
	pthread_t thread;
	volatile uint32_t *word;
	uint32_t values[2];
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *flipper = arg;

	for (unsigned int i = 0; !__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED); i++)
		*flipper->word = flipper->values[i & 1];
	return NULL;
}

static void flip_end(struct flipper *flipper)
{
	__atomic_store_n(&flipper->stop, true, __ATOMIC_RELAXED);
	pthread_join(flipper->thread, NULL);
}

/* A length is read once: what is answered has the length that was checked, whichever it was. */
TEST_F(kext, reply_whose_length_changes_meanwhile)
{
	static char payload[4096];
	struct kextd_reply reply = {.length = 16};
	struct flipper flipper = {.word = &reply.length, .values = {16, 0xfffffff0}};
	struct kb_record record;
	struct kbtest_event event;
	unsigned int taken = 0, refused = 0;

	ASSERT_EQ(0, pthread_create(&flipper.thread, NULL, flip, &flipper));
	while (taken < 200 || refused < 200) {
		int status;

		ASSERT_EQ(0, kb_request(&self->kb, A, "flip", 1, NULL));
		FETCH(&record, "flip");
		do {
			struct kextd_exchange args = {.replies = KB_STRING(&reply), .reply_count = 1};

			reply.id = record.head.id;
			reply.result = 0;
			reply.flags = KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA;
			reply.data = KB_STRING(payload);
			reply.fd = -1;
			reply.reserved = 0;
			ASSERT_EQ(0, kb_exchange(self->kb.daemon, &args));
			status = reply.status;
			refused += status != 0;
		} while (status);
		taken++;
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		ASSERT_EQ(16, event.length);
	}
	flip_end(&flipper);
	TH_LOG("%u taken, %u refused", taken, refused);
}

/* So are a name's size and the name: what the daemon gets is one string of the size that was checked. */
TEST_F(kext, name_that_changes_meanwhile)
{
	struct kextbridge_request args = {.name_size = 5};
	struct flipper flipper = {.word = &args.name_size, .values = {5, 1023}};
	struct kb_record record;
	char name[1024];
	unsigned int lengths[2] = {};

	memset(name, 'n', sizeof(name));
	ASSERT_EQ(0, pthread_create(&flipper.thread, NULL, flip, &flipper));
	while (lengths[0] < 100 || lengths[1] < 100) {
		args.size = sizeof(args);
		args.flags = args.timeout_ms = args.max_length = 0;
		args.identifier = KB_STRING(BUNDLE);
		args.identifier_size = strlen(BUNDLE);
		args.name = KB_STRING(name);
		ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &args));
		ASSERT_EQ(0, args.result);
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		ASSERT_EQ(strlen(record.name) + 1, record.head.name_size);
		ASSERT_TRUE(record.head.name_size == 6 || record.head.name_size == 1024);
		lengths[record.head.name_size == 1024]++;
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
		ASSERT_EQ(0, collect(self->kb.control, (uint32_t)record.head.id));
	}
	flip_end(&flipper);
}

/* ---- signals */

static void nothing(int signal)
{
	(void)signal;
}

/* A request, an answer, a result, each with a signal every millisecond: none is lost, none comes twice. */
TEST_F_TIMEOUT(kext, signals_every_millisecond, 300)
{
	struct sigaction action = {.sa_handler = nothing};
	struct itimerval storm = {{0, 1000}, {0, 1000}}, calm = {};
	struct kextbridge_status before, after;
	struct kb_server server = {};
	unsigned int interrupted = 0, rounds = 0;

	ASSERT_TRUE(kb_status(&self->kb, &before));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &storm, NULL));
	for (; interrupted < 10 || rounds < kb_rounds(200); rounds++) {
		struct kextbridge_request request = {};
		int outcome;

		ASSERT_EQ(0, ask(self->kb.control, &request, "storm"));
		ASSERT_EQ(0, request.result);
		while ((outcome = collect(self->kb.control, request.tag)) == -EINTR)
			interrupted++;
		ASSERT_EQ(0, outcome);
		ASSERT_EQ(kOSKextReturnNotFound, collect(self->kb.control, request.tag));
		/* Calls that wait killably are not disturbed at all. */
		ASSERT_EQ(kOSKextReturnNotFound, kb_load(self->kb.control, "com.example.none", KEXTBRIDGE_LOAD_WAIT));
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &calm, NULL));
	kb_serve_end(&server);
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.submitted + rounds, after.submitted);
	EXPECT_EQ(before.callbacks + rounds, after.callbacks);
	EXPECT_EQ(0, after.pending + after.fetched + after.answered);
	TH_LOG("%u rounds, %u interrupted", rounds, interrupted);
}

/* ---- the freezer */

/*
 * The system is frozen and thawed while processes wait in each call that waits, for a daemon that is frozen as well,
 * and while others are at work. A refusal is an error of the write.
 */
TEST_F(kext, freezing_with_waits_in_every_call)
{
	enum { RESULT, UNLOAD, LOAD, WORK, CALLS };
	struct kextbridge_status status;
	struct kextbridge_request request = {};
	pid_t pids[CALLS];
	struct kb_record record;
	uint64_t unload = 0, load = 0, resource = 0;

	ASSERT_EQ(0, keep_freezing_possible(true));
	ASSERT_EQ(0, put("/sys/power/pm_test", "freezer"));
	ASSERT_EQ(0, put("/sys/module/suspend/parameters/pm_test_delay", "0"));
	for (int call = 0; call < CALLS; call++) {
		pids[call] = fork();
		ASSERT_GE(pids[call], 0);
		if (pids[call])
			continue;
		switch (call) {
		case RESULT:
			_exit(ask(self->kb.control, &request, "frozen") ? 1 : collect(self->kb.control, request.tag));
		case UNLOAD:
			_exit(kb_unload(self->kb.control, kb_tag(&self->kb, A), 0) ? 1 : 0);
		case LOAD:
			_exit(kb_load(self->kb.control, "com.example.none", KEXTBRIDGE_LOAD_WAIT) ==
					      kOSKextReturnNotFound ?
				      0 :
				      1);
		case WORK:
			for (;;) {
				int own = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
				struct kextbridge_request held = {.flags = KEXTBRIDGE_REQUEST_HOLD};

				if (own < 0 || ask(own, &held, "work"))
					_exit(1);
				close(own);
			}
		}
	}
	/* All three messages are in our hands: everybody waits for us. */
	while (!unload || !load || !resource) {
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		*(record.head.kind == KEXTD_UNLOAD ? &unload :
		  record.head.kind == KEXTD_LOAD   ? &load :
						     &resource) = record.head.id;
	}
	for (int cycle = 0; cycle < 10; cycle++)
		ASSERT_EQ(0, put("/sys/power/state", "freeze"));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, resource, 0));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, load, kOSKextReturnNotFound));
	ASSERT_EQ(0, kb_rmmod(A));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, unload, 0));
	EXPECT_EQ(0, status_of(pids[RESULT]));
	EXPECT_EQ(0, status_of(pids[UNLOAD]));
	EXPECT_EQ(0, status_of(pids[LOAD]));
	ASSERT_EQ(0, kill(pids[WORK], SIGKILL));
	EXPECT_EQ(SIGKILL, status_of(pids[WORK]));
	EXPECT_EQ(0, keep_freezing_possible(false));
	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_EQ(status.submitted, status.callbacks + status.cancelled + status.discarded);
}

/* ---- memory */

static long long number_in(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -1;
	close(fd);
	return atoll(text);
}

#define GROUP "/tmp/cgroup/hostile"

/*
 * What a program makes the kernel hold is charged to it, and the limit of requests per file comes before the memory's:
 * the OOM killer is not needed.
 */
TEST_F(kext, requests_are_charged_to_the_program)
{
	enum { REQUESTS = 1024, NAME = 1000 };
	char name[NAME + 1];
	int ready[2], end[2];
	long long before, after;
	pid_t pid;
	char count = 0;

	memset(name, 'n', NAME);
	name[NAME] = 0;
	ASSERT_EQ(0, mkdir("/tmp/cgroup", 0755));
	ASSERT_EQ(0, mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL));
	ASSERT_EQ(0, put("/tmp/cgroup/cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, mkdir(GROUP, 0755));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(end));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int control, refused = 0;
		unsigned int accepted = 0;
		struct kextbridge_request request;

		if (put(GROUP "/cgroup.procs", "0"))
			_exit(1);
		control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
		if (write(ready[1], "r", 1) != 1 || read(end[0], &count, 1) != 1)
			_exit(2);
		while (!refused) {
			request = (struct kextbridge_request){.flags = KEXTBRIDGE_REQUEST_HOLD};
			if (ask(control, &request, name))
				_exit(3);
			refused = request.result;
			accepted += !refused;
		}
		if (refused != kOSKextReturnNoResources || accepted != REQUESTS)
			_exit(4);
		if (write(ready[1], "r", 1) != 1 || read(end[0], &count, 1) != 1)
			_exit(5);
		_exit(0);
	}
	ASSERT_EQ(1, read(ready[0], &count, 1));
	before = number_in(GROUP "/memory.current");
	ASSERT_EQ(0, put(GROUP "/memory.max", "16M"));
	ASSERT_EQ(1, write(end[1], "g", 1));
	ASSERT_EQ(1, read(ready[0], &count, 1));
	after = number_in(GROUP "/memory.current");
	TH_LOG("%lld bytes charged for %d requests with names of %d bytes", after - before, REQUESTS, NAME);
	EXPECT_GE(after - before, (long long)REQUESTS * NAME);
	EXPECT_LE(after - before, (long long)REQUESTS * NAME * 6); /* KASAN has room around each */
	ASSERT_EQ(1, write(end[1], "g", 1));
	EXPECT_EQ(0, status_of(pid));
	ASSERT_EQ(0, rmdir(GROUP));
	ASSERT_EQ(0, umount("/tmp/cgroup"));
	ASSERT_EQ(0, rmdir("/tmp/cgroup"));
}

/* ---- a root who is none */

static int try_as_root_of_a_namespace(int daemon, int control, uint32_t load_tag)
{
	struct kextd_exchange args = {.flags = KEXTD_EXCHANGE_NOWAIT};

	if (unshare(CLONE_NEWUSER) || put("/proc/self/setgroups", "deny") || put("/proc/self/uid_map", "0 0 1") ||
	    put("/proc/self/gid_map", "0 0 1") || getuid())
		return 200;
	return (kb_exchange(daemon, &args) != EPERM) | (kb_open_daemon() != -EPERM) << 1 |
	       (kb_retain(control, load_tag) != EPERM) << 2 | (kb_release(control, load_tag) != EPERM) << 3 |
	       (kb_unload(control, load_tag, 0) != EPERM) << 4 | (kb_load(control, "com.example.x", 0) != EPERM) << 5;
}

TEST_F(kext, root_of_a_user_namespace_may_nothing)
{
	uint32_t tag = kb_tag(&self->kb, A);
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(try_as_root_of_a_namespace(self->kb.daemon, self->kb.control, tag));
	EXPECT_EQ(0, status_of(pid));
}

/* ---- what was in the buffer before */

static bool all(const void *bytes, size_t size, unsigned char value)
{
	for (size_t i = 0; i < size; i++)
		if (((const unsigned char *)bytes)[i] != value)
			return false;
	return true;
}

/* Each field that the kernel writes has a value of its own, what it does not write is as it was, gaps are zero. */
TEST_F(kext, no_byte_of_the_kernels_leaks)
{
	struct {
		struct kextbridge_kext entries[2];
		char beyond[64];
	} kexts;
	struct kextbridge_list list = {
		.size = sizeof(list), .kexts = KB_STRING(&kexts), .count = 2, .from = kb_tag(&self->kb, A)};
	struct kextbridge_status status;
	union {
		struct kextd_request head;
		uint64_t words[64];
		char bytes[512];
	} fetched;
	struct kextd_exchange args = {
		.max_requests = 1, .requests = KB_STRING(&fetched), .requests_size = sizeof(fetched)};
	char data[64];
	struct kextbridge_result result = {.size = sizeof(result),
					   .data = KB_STRING(data),
					   .count = sizeof(data),
					   .flags = KEXTBRIDGE_RESULT_RELEASE};
	struct kextbridge_request request = {};
	struct kextbridge_kext *entry = &kexts.entries[0];

	memset(&kexts, PATTERN, sizeof(kexts));
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_LIST, &list));
	ASSERT_EQ(1, list.count);
	EXPECT_STREQ(ID_A, entry->identifier);
	EXPECT_EQ(0, entry->instances);
	EXPECT_TRUE(all(entry->identifier + strlen(entry->identifier),
			sizeof(entry->identifier) - strlen(entry->identifier), 0));
	EXPECT_TRUE(all(entry->version + strlen(entry->version), sizeof(entry->version) - strlen(entry->version), 0));
	EXPECT_TRUE(all(entry->module + strlen(entry->module), sizeof(entry->module) - strlen(entry->module), 0));
	EXPECT_TRUE(all(&kexts.entries[1], sizeof(kexts.entries[1]) + sizeof(kexts.beyond), PATTERN));

	memset(&status, PATTERN, sizeof(status));
	status.size = sizeof(status);
	status.reserved = 0;
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_STATUS, &status));
	for (size_t i = offsetof(struct kextbridge_status, flags); i < sizeof(status); i += 4)
		if (all((char *)&status + i, 4, PATTERN)) {
			TH_LOG("offset %zu is not written", i);
			ASSERT_TRUE(false);
		}

	memset(&fetched, PATTERN, sizeof(fetched));
	ASSERT_EQ(0, ask(self->kb.control, &request, "a"));
	ASSERT_EQ(0, kb_exchange(self->kb.daemon, &args));
	ASSERT_EQ(1, args.request_count);
	EXPECT_EQ(0, fetched.head.reserved);
	ASSERT_LE(args.requests_used, sizeof(fetched));
	EXPECT_EQ(fetched.head.size, args.requests_used);
	{
		size_t strings = sizeof(fetched.head) + fetched.head.identifier_size + fetched.head.name_size;

		EXPECT_TRUE(all(fetched.bytes + strings, args.requests_used - strings, 0));
		EXPECT_TRUE(all(fetched.bytes + args.requests_used, sizeof(fetched) - args.requests_used, PATTERN));
	}
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, fetched.head.id, 0, "12345", 5));
	memset(data, PATTERN, sizeof(data));
	result.tag = request.tag;
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_RESULT, &result));
	EXPECT_EQ(5, result.count);
	EXPECT_TRUE(!memcmp(data, "12345", 5) && all(data + 5, sizeof(data) - 5, PATTERN));
	EXPECT_EQ(0, result.reserved);
}

/* ---- epoll outlives what it watches */

TEST_F(kext, epoll_and_close_in_all_orders)
{
	for (unsigned int order = 0; order < 300; order++) {
		int nodes[2] = {open("/dev/kextbridge", O_RDWR | O_CLOEXEC), -1};
		int epolls[2] = {epoll_create1(EPOLL_CLOEXEC), epoll_create1(EPOLL_CLOEXEC)};
		struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | (order & 1 ? EPOLLET : 0)};
		pid_t pid;

		ASSERT_GE(nodes[0], 0);
		nodes[1] = dup(nodes[0]);
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, epoll_ctl(epolls[i], EPOLL_CTL_ADD, nodes[i], &event));
		ASSERT_EQ(0, ask(nodes[0], &(struct kextbridge_request){}, "watched"));
		pid = order % 8 ? 0 : fork();
		ASSERT_GE(pid, 0);
		if (order % 8 == 0 && !pid)
			_exit(epoll_wait(epolls[0], &event, 1, 0) < 0);
		if (order & 2)
			close(epolls[0]);
		close(nodes[order >> 2 & 1]);
		if (!(order & 2))
			close(epolls[0]);
		if (order & 8)
			close(epolls[1]);
		close(nodes[!(order >> 2 & 1)]);
		if (!(order & 8))
			close(epolls[1]);
		if (pid)
			EXPECT_EQ(0, status_of(pid));
	}
}

TEST_HARNESS_MAIN
