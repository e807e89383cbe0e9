// SPDX-License-Identifier: GPL-2.0-only
/*
 * Daemons that die, with the delays of the test build: processes that are killed under load, and some that leave their
 * file to a child. KEXTBRIDGE_ROUNDS and KEXTBRIDGE_SEED as for chaos.c.
 */
#include <inttypes.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/chaos_fixture.h"

static void futex_wait(const uint32_t *at, uint32_t value)
{
	syscall(SYS_futex, at, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(uint32_t *at, uint32_t value)
{
	advance(at, value);
	syscall(SYS_futex, at, FUTEX_WAKE, 1000, NULL, NULL, 0);
}

/* Until *at is not 0, or the cap. */
static bool await_flag(const uint32_t *at, unsigned int cap_ms)
{
	uint64_t until = kb_now_ns() + cap_ms * 1000000ull;

	while (!__atomic_load_n(at, __ATOMIC_ACQUIRE)) {
		if (kb_now_ns() > until)
			return false;
		sched_yield();
	}
	return true;
}

/* ---- T-083: daemons die under load, and nothing is lost, doubled, or charged to the innocent */

#define HAND 16
#define STANDBY 3
#define POSTS 8
#define POISON "poison"

enum death { BY_KILL, BY_SEGV, BY_STOP, BY_CLOSE, BY_EXIT_IN_REPLY, DEATHS };

/* What a daemon process shares with us, also when it is dead: the kernel writes what it fetches right into it. */
struct post {
	pid_t pid;
	uint32_t go; /* 1: be the daemon */
	uint32_t opened, fetched;
	uint32_t leave; /* walk away at the next fetch, with all that is in hand */
	uint32_t exit_in_reply;
	uint32_t random;
	uint64_t first_ns; /* when it had fetched for the first time */
	uint32_t replied, refused;
	struct kextd_exchange exchange;
	struct kextd_reply replies[HAND];
	uint64_t buffer[HAND * 40];
};

static struct post *posts;

static uint32_t post_random(struct post *post)
{
	post->random = post->random * 1664525u + 1013904223u;
	return post->random >> 8;
}

/* Replies for all that was fetched. False: there is one that kills. */
static bool make_replies(struct post *post, int file)
{
	const char *at = (const char *)post->buffer;
	uint32_t count = 0;
	bool poison = false;

	for (uint32_t i = 0; i < post->exchange.request_count; i++) {
		const struct kextd_request *head = (const void *)at;
		const char *name = at + sizeof(*head) + head->identifier_size;
		struct kextd_reply *reply = &post->replies[count];

		at += head->size;
		if (head->kind != KEXTD_RESOURCE)
			continue;
		poison |= !strcmp(name, POISON);
		*reply = (struct kextd_reply){.id = head->id, .flags = KEXTD_REPLY_RESULT, .status = 1};
		switch (post_random(post) % 3) {
		case 0:
			reply->flags |= KEXTD_REPLY_DATA;
			reply->data = KB_STRING(name);
			reply->length = head->name_size - 1;
			break;
		case 1:
			reply->flags |= KEXTD_REPLY_FD;
			reply->fd = file;
		}
		count++;
	}
	post->exchange.reply_count = count;
	return !poison;
}

static void *serve_posts(void *arg)
{
	struct post *post = arg;
	int daemon, file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	while ((daemon = kb_open_daemon()) == -EBUSY)
		usleep(100);
	if (daemon < 0)
		_exit(1);
	advance(&post->opened, 1);
	for (;;) {
		struct kextd_exchange *exchange = &post->exchange;
		uint32_t replies = exchange->reply_count;

		*exchange = (struct kextd_exchange){
			.size = sizeof(*exchange),
			.replies = KB_STRING(post->replies),
			.reply_count = replies,
			.max_requests = 1 + post_random(post) % HAND,
			.requests = KB_STRING(post->buffer),
			.requests_size = sizeof(post->buffer),
		};
		if (ioctl(daemon, KEXTD_IOC_EXCHANGE, exchange) && errno != EINTR)
			_exit(2);
		for (uint32_t i = 0; i < replies; i++)
			if (post->replies[i].status)
				post->refused++;
			else
				post->replied++;
		if (!post->first_ns)
			post->first_ns = kb_now_ns();
		advance(&post->fetched, post->fetched + exchange->request_count);
		if (!make_replies(post, file))
			raise(SIGSEGV);
		if (__atomic_load_n(&post->leave, __ATOMIC_ACQUIRE)) {
			close(daemon);
			_exit(0);
		}
	}
}

static void daemon_process(struct post *post)
{
	pthread_t thread;

	signal(SIGSEGV, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!__atomic_load_n(&post->go, __ATOMIC_ACQUIRE))
		futex_wait(&post->go, 0);
	if (!post->exit_in_reply)
		serve_posts(post);
	/* The whole process goes while its other thread is in a call. */
	pthread_create(&thread, NULL, serve_posts, post);
	while (!__atomic_load_n(&post->leave, __ATOMIC_ACQUIRE))
		futex_wait(&post->leave, 0);
	usleep(post_random(post) % 400);
	_exit(0);
}

static int stand_by(struct post *post, bool exit_in_reply)
{
	pid_t pid;

	memset(post, 0, sizeof(*post));
	post->random = kb_random();
	post->exit_in_reply = exit_in_reply;
	pid = fork();
	if (!pid) {
		daemon_process(post);
		_exit(3);
	}
	post->pid = pid;
	return pid < 0 ? errno : 0;
}

/* The request that a dead daemon had in hand with nothing else beside it; 0: none. */
static uint64_t was_alone(const struct post *post)
{
	const struct kextd_request *head = (const void *)post->buffer;

	return post->exchange.request_count == 1 && head->kind == KEXTD_RESOURCE ? head->id : 0;
}

/* Ids of requests: what ended with InternalError; and with each daemon that died what it had alone in hand. */
struct ids {
	uint64_t ids[4096];
	uint32_t count;
};

static struct ids failed, alone;

static void remember(struct ids *ids, uint64_t id)
{
	uint32_t at = __atomic_fetch_add(&ids->count, 1, __ATOMIC_ACQ_REL);

	if (at < 4096)
		ids->ids[at] = id;
}

static unsigned int times(const struct ids *ids, uint64_t id)
{
	unsigned int found = 0;

	for (uint32_t i = 0; i < ids->count && i < 4096; i++)
		found += ids->ids[i] == id;
	return found;
}

/* A client: keeps so many requests going until it is told to stop, and then until all have ended. */
struct client {
	struct kb *kb;
	pthread_t thread;
	const bool *stop;
	uint32_t made, succeeded, failed, poisons;
	uint32_t want_poison;
	const char *wrong;
	int error;
};

#define WINDOW 96

static int make_requests(struct client *client, uint32_t *next, uint64_t *ids)
{
	uint32_t tags[8];
	bool poison = __atomic_exchange_n(&client->want_poison, 0, __ATOMIC_ACQUIRE);
	struct kbtest_request request = {
		A,
		.name = KB_STRING(poison ? POISON : "resource of a kext"),
		.callback = KBTEST_COUNT,
		.context = KBTEST_BY_RESULT | (*next % KBTEST_COUNTS),
		.count = 1 + (poison ? 0 : kb_random() % 8),
		.tags = KB_STRING(tags),
	};
	int err;

	if (*next % KBTEST_COUNTS + request.count > KBTEST_COUNTS)
		request.count = KBTEST_COUNTS - *next % KBTEST_COUNTS;
	err = kb_request_with(client->kb, &request);
	for (uint32_t i = 0; i < request.count; i++)
		ids[(*next + i) % KBTEST_COUNTS] = tags[i];
	*next += request.count;
	client->made += request.count;
	client->poisons += poison;
	return err;
}

/* Takes the outcomes of [from, to); those that have come go into got. */
static int take_outcomes(struct kb *kb, uint32_t from, uint32_t to, uint32_t *got)
{
	uint32_t counts[WINDOW + 8];

	while (from != to) {
		uint32_t at = from % KBTEST_COUNTS;
		struct kbtest_counts take = {.counts = KB_STRING(counts), .from = at, .count = to - from};

		if (at + take.count > KBTEST_COUNTS)
			take.count = KBTEST_COUNTS - at;
		if (ioctl(kb->bench, KBTEST_IOC_COUNTS, &take))
			return errno;
		for (uint32_t i = 0; i < take.count; i++)
			got[at + i] += counts[i];
		from += take.count;
	}
	return 0;
}

static void *be_a_kext(void *arg)
{
	static uint64_t ids[KBTEST_COUNTS];
	static uint32_t got[KBTEST_COUNTS];
	struct client *client = arg;
	uint32_t first = 0, next = 0;
	int err = 0;

	while (!err && !client->wrong && (!__atomic_load_n(client->stop, __ATOMIC_ACQUIRE) || first != next)) {
		uint32_t before = first;

		while (!err && next - first < WINDOW - 8 && !__atomic_load_n(client->stop, __ATOMIC_ACQUIRE))
			err = make_requests(client, &next, ids);
		err = err ?: take_outcomes(client->kb, first, next, got);
		for (; first != next && got[first % KBTEST_COUNTS]; first++) {
			uint32_t *outcome = &got[first % KBTEST_COUNTS];

			if (*outcome == 1u << (8 * KBTEST_BYTE_INTERNAL)) {
				client->failed++;
				remember(&failed, ids[first % KBTEST_COUNTS]);
			} else if (*outcome == 1u << (8 * KBTEST_BYTE_SUCCESS)) {
				client->succeeded++;
			} else {
				client->wrong = "outcome of a kext's request";
				client->error = *outcome;
			}
			*outcome = 0;
		}
		if (first == before)
			usleep(500);
	}
	if (err) {
		client->wrong = "a kext's calls";
		client->error = err;
	}
	return NULL;
}

static const char program_name[] = "resource of a program";

static int program_result(int control)
{
	char data[sizeof(program_name) - 1];
	struct kextbridge_result result = {
		.size = sizeof(result),
		.flags = KEXTBRIDGE_RESULT_RELEASE,
		.tag = TAG_INVALID,
		.data = KB_STRING(data),
		.count = sizeof(data),
	};

	while (ioctl(control, KEXTBRIDGE_IOC_RESULT, &result))
		if (errno != EINTR)
			return errno;
	if (result.outcome == kOSKextReturnInternalError)
		remember(&failed, result.tag);
	/* By a descriptor another file has come. */
	if (!result.outcome && result.length == sizeof(data) && memcmp(data, program_name, sizeof(data)))
		return EBADMSG;
	return result.status ?: result.outcome;
}

static void *be_a_program(void *arg)
{
	struct client *client = arg;
	int control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);

	while (!__atomic_load_n(client->stop, __ATOMIC_ACQUIRE) && !client->wrong) {
		uint32_t count = 1 + kb_random() % 6;

		for (uint32_t i = 0; i < count; i++) {
			struct kextbridge_request request = {
				.size = sizeof(request),
				.identifier = KB_STRING("com.example.program"),
				.identifier_size = strlen("com.example.program"),
				.name = KB_STRING(program_name),
				.name_size = strlen(program_name),
			};

			if (ioctl(control, KEXTBRIDGE_IOC_REQUEST, &request) || request.result) {
				client->wrong = "a program's request";
				client->error = request.result ?: errno;
				break;
			}
			client->made++;
		}
		while (count-- && !client->wrong) {
			int result = program_result(control);

			if (!result) {
				client->succeeded++;
			} else if (result == kOSKextReturnInternalError) {
				client->failed++;
			} else {
				client->wrong = "outcome of a program's request";
				client->error = result;
			}
		}
	}
	close(control);
	return NULL;
}

/* The daemon dies in one way or another, when it has something in hand. */
static void put_down(struct post *post, enum death how)
{
	uint32_t before = __atomic_load_n(&post->fetched, __ATOMIC_ACQUIRE);

	for (int i = 0; i < 1000 && __atomic_load_n(&post->fetched, __ATOMIC_ACQUIRE) == before &&
			!waitid(P_PID, post->pid, &(siginfo_t){}, WEXITED | WNOHANG | WNOWAIT);
	     i++)
		sched_yield();
	usleep(kb_random() % 800);
	switch (how) {
	case BY_SEGV:
		kill(post->pid, SIGSEGV);
		break;
	case BY_STOP:
		kill(post->pid, SIGSTOP);
		usleep(kb_random() % 10000);
		if (kb_random() % 2) {
			kill(post->pid, SIGCONT);
			usleep(kb_random() % 400);
		}
		kill(post->pid, SIGKILL);
		break;
	case BY_CLOSE:
	case BY_EXIT_IN_REPLY:
		futex_wake(&post->leave, 1);
		break;
	default:
		kill(post->pid, SIGKILL);
	}
}

TEST_F_TIMEOUT(chaos, T_083_daemons_die_under_load, 1800)
{
	static const enum death ways[] = {BY_KILL, BY_KILL, BY_KILL,  BY_KILL,         BY_KILL,
					  BY_SEGV, BY_STOP, BY_CLOSE, BY_EXIT_IN_REPLY};
	uint32_t kills = kb_rounds(2000), number, wanted = 0, died[DEATHS] = {}, by_poison = 0, slow = 0;
	uint64_t began = kb_now_ns(), requeued = chaos_stat("requeued"), poisoned = chaos_stat("poisoned");
	uint64_t longest_ns = 0;
	struct client clients[2] = {};
	bool stop = false;

	posts = mmap(NULL, POSTS * sizeof(*posts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
		     -1, 0);
	ASSERT_NE(MAP_FAILED, posts);
	ASSERT_EQ(0, kb_insmod(A));
	for (int i = 0; i < STANDBY; i++)
		ASSERT_EQ(0, stand_by(&posts[i], false));
	for (int i = 0; i < 2; i++) {
		clients[i] = (struct client){.kb = &self->kb, .stop = &stop};
		ASSERT_EQ(0, pthread_create(&clients[i].thread, NULL, i ? be_a_program : be_a_kext, &clients[i]));
	}
	futex_wake(&posts[0].go, 1);
	/* The last daemon would not survive a poison that is left, and nobody comes after it. */
	for (number = 0; (number < kills || __atomic_load_n(&failed.count, __ATOMIC_ACQUIRE) < wanted) &&
			 !clients[0].wrong && !clients[1].wrong;
	     number++) {
		struct post *post = &posts[number % POSTS], *next = &posts[(number + 1) % POSTS];
		enum death how = post->exit_in_reply ? BY_EXIT_IN_REPLY : ways[kb_random() % 8];
		uint64_t at;
		int status;

		if (number % 64 == 0)
			EXPECT_EQ(0, chaos_delays());
		if (number % 40 == 20 && number < kills)
			wanted += !__atomic_exchange_n(&clients[0].want_poison, 1, __ATOMIC_RELEASE);
		ASSERT_EQ(0, stand_by(&posts[(number + STANDBY) % POSTS], kb_random() % 9 == 0));
		put_down(post, how);
		at = kb_now_ns();
		futex_wake(&next->go, 1);
		ASSERT_EQ(post->pid, waitpid(post->pid, &status, 0));
		post->pid = 0;
		if (was_alone(post))
			remember(&alone, was_alone(post));
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && how != BY_SEGV) {
			by_poison++;
			how = BY_SEGV;
		}
		died[how]++;
		ASSERT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) != SIGBUS) || !WEXITSTATUS(status));
		ASSERT_TRUE(await_flag(&next->fetched, CAP_MS))
		TH_LOG("what daemon %u had in hand is not served", number);
		slow += next->first_ns > at + 1000000000ull;
		if (next->first_ns > at && next->first_ns - at > longest_ns)
			longest_ns = next->first_ns - at;
	}
	/* The last one lives until all is answered. */
	EXPECT_EQ(0, chaos_calm());
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++) {
		pthread_join(clients[i].thread, NULL);
		EXPECT_EQ(NULL, clients[i].wrong) TH_LOG("%s: 0x%08x", clients[i].wrong, clients[i].error);
	}
	for (int i = 0; i < POSTS; i++)
		if (posts[i].pid > 0)
			kill(posts[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	requeued = chaos_stat("requeued") - requeued;
	poisoned = chaos_stat("poisoned") - poisoned;
	TH_LOG("%u daemons died in %.1f s: %u SIGKILL, %u SIGSEGV (%u of a request), %u SIGSTOP first, %u close, %u exit in a "
	       "reply; %u requests, %u answered, %" PRIu64
	       " requeued, %u InternalError of %u poisons; next fetch after at most "
	       "%.3f s, %u times more than 1 s",
	       number, (kb_now_ns() - began) / 1e9, died[BY_KILL], died[BY_SEGV], by_poison, died[BY_STOP],
	       died[BY_CLOSE], died[BY_EXIT_IN_REPLY], clients[0].made + clients[1].made,
	       clients[0].succeeded + clients[1].succeeded, requeued, failed.count, clients[0].poisons,
	       longest_ns / 1e9, slow);
	for (int i = 0; i < DEATHS; i++)
		EXPECT_GE(died[i], kills / 50);
	EXPECT_EQ(clients[0].made, clients[0].succeeded + clients[0].failed);
	EXPECT_EQ(clients[1].made, clients[1].succeeded + clients[1].failed);
	EXPECT_GE(requeued, kills);
	EXPECT_EQ(poisoned, failed.count);
	EXPECT_GE(poisoned, kills / 200);
	for (uint32_t i = 0; i < failed.count; i++) {
		EXPECT_GE(times(&alone, failed.ids[i]), 3) TH_LOG("request %" PRIu64 " is innocent", failed.ids[i]);
	}
	EXPECT_LT(longest_ns, CAP_REQUEUE_MS * 1000000ull);
	munmap(posts, POSTS * sizeof(*posts));
}

/* ---- T-083: the file outlives the daemon in a child, and is worth nothing */

#define STALE_TRIES 4

/* Shared by us, a daemon and its child. */
struct heir {
	uint32_t fetched; /* the daemon has them in hand, and its child is there */
	uint32_t after;   /* another daemon has what was in hand */
	uint32_t done;
	uint32_t quit;
	uint64_t ids[2];
	uint32_t stalls;         /* the child's reply is to stand still from before its parent's death until after it */
	uint32_t early, refused; /* replies before that: taken, not taken */
	uint32_t gone;           /* replies and fetches after it that were refused as they must be */
	int32_t wrong;           /* the first that was not */
};

static void heir_tries(struct heir *heir, int daemon, uint64_t id, bool after)
{
	struct kb_record record;
	int err = kb_reply(daemon, id, 0);

	if (!after) {
		if (err)
			heir->refused++;
		else
			heir->early++;
		return;
	}
	if (err == EOWNERDEAD || err == kOSKextReturnNotFound)
		heir->gone++;
	else if (!heir->wrong)
		heir->wrong = err ?: 1;
	err = kb_fetch(daemon, &record, 0);
	if (err == EOWNERDEAD)
		heir->gone++;
	else if (!heir->wrong)
		heir->wrong = err ?: 2;
}

struct across {
	int daemon;
	uint64_t id;
	const char *data;
	int status;
};

static void *reply_slowly(void *arg)
{
	struct across *across = arg;

	across->status = kb_reply_data(across->daemon, across->id, 0, across->data, 16);
	return NULL;
}

/* The call was the daemon's when it began; when it ends another one has the request in hand. */
static void reply_across_the_death(struct heir *heir, int daemon)
{
	struct across across = {.daemon = daemon, .id = heir->ids[0]};
	struct chaos_hole hole;
	pthread_t thread;

	if (chaos_hole(&hole))
		_exit(1);
	across.data = hole.at;
	if (pthread_create(&thread, NULL, reply_slowly, &across) || !chaos_hole_hit(&hole))
		_exit(1);
	advance(&heir->fetched, 1);
	while (!__atomic_load_n(&heir->after, __ATOMIC_ACQUIRE))
		futex_wait(&heir->after, 0);
	chaos_hole_fill(&hole);
	pthread_join(thread, NULL);
	if (across.status != EOWNERDEAD && across.status != kOSKextReturnNotFound)
		heir->wrong = across.status ?: 3;
}

/* The child: answers for its parent until that dies, and goes on although it is told that it is over. */
static void inherit(struct heir *heir, int daemon)
{
	if (heir->stalls)
		reply_across_the_death(heir, daemon);
	else
		advance(&heir->fetched, 1);
	while (!__atomic_load_n(&heir->after, __ATOMIC_ACQUIRE)) {
		if (heir->early + heir->refused < 8)
			heir_tries(heir, daemon, heir->ids[0], false);
		sched_yield();
	}
	for (int i = 0; i < STALE_TRIES; i++)
		heir_tries(heir, daemon, heir->ids[i % 2], true);
	advance(&heir->done, 1);
	while (!__atomic_load_n(&heir->quit, __ATOMIC_ACQUIRE))
		futex_wait(&heir->quit, 0);
	_exit(0);
}

static void bequeath(struct heir *heir)
{
	struct kb_record record;
	int daemon;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((daemon = kb_open_daemon()) == -EBUSY)
		sched_yield();
	for (int i = 0; i < 2; i++) {
		if (kb_fetch(daemon, &record, CAP_MS))
			_exit(1);
		heir->ids[i] = record.head.id;
	}
	if (!fork())
		inherit(heir, daemon);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(chaos, T_083_children_of_a_dead_daemon, 900)
{
	uint32_t rounds = kb_rounds_from(100, 500), early = 0, refused = 0, gone = 0, stalls = 0, counts[2];
	uint64_t began = kb_now_ns();
	struct heir *heir = mmap(NULL, sizeof(*heir), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, heir);
	ASSERT_EQ(0, kb_insmod(A));
	for (uint32_t round = 0; round < rounds; round++) {
		struct kbtest_request request = {A, .callback = KBTEST_COUNT, .context = KBTEST_BY_RESULT, .count = 2};
		struct kbtest_counts take = {.counts = KB_STRING(counts), .count = 2};
		uint32_t ended = 0;
		struct kb_record record;
		pid_t pid;

		if (round % 16 == 0)
			ASSERT_EQ(0, chaos_delays());
		memset(heir, 0, sizeof(*heir));
		heir->stalls = kb_random() % 2;
		pid = fork();
		if (!pid)
			bequeath(heir);
		ASSERT_EQ(0, kb_request_with(&self->kb, &request));
		ASSERT_TRUE(await_flag(&heir->fetched, CAP_MS));
		usleep(kb_random() % 400);
		kill(pid, SIGKILL);
		/* The next open takes over although the child has the file. */
		ASSERT_EQ(0, kb_daemon(&self->kb));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		for (bool first = true; ended < 2; first = false) {
			int err = kb_fetch(self->kb.daemon, &record, 0);

			ASSERT_TRUE(!err || err == EAGAIN);
			if (first) {
				futex_wake(&heir->after, 1);
				ASSERT_TRUE(await_flag(&heir->done, CAP_MS));
			}
			if (!err)
				ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
			ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_COUNTS, &take));
			/* Success, and no more than once each. */
			ASSERT_EQ(0, (counts[0] | counts[1]) & ~1u);
			ended += counts[0] + counts[1];
			ASSERT_LT(kb_now_ns() - began, 900 * 1000000000ull);
		}
		ASSERT_EQ(0, heir->wrong) TH_LOG("round %u", round);
		stalls += heir->stalls;
		early += heir->early;
		refused += heir->refused;
		gone += heir->gone;
		futex_wake(&heir->quit, 1);
		kb_daemon_leave(&self->kb);
	}
	TH_LOG("%u daemons died in %.1f s and left their file to a child: %u replies taken before, %u refused before, %u stood "
	       "still across the death, %u calls refused after",
	       rounds, (kb_now_ns() - began) / 1e9, early, refused, stalls, gone);
	EXPECT_EQ(rounds * 2 * STALE_TRIES, gone);
	EXPECT_GE(stalls, rounds / 4);
	EXPECT_GE(early, rounds / 20);
	EXPECT_GE(refused, rounds / 20);
	munmap(heir, sizeof(*heir));
}

TEST_HARNESS_MAIN
