/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every fault of one call: the call is made again and again with another of its allocations and copies failing, until
 * none is left; after each the books are balanced and the same call works. Included once, after kselftest_harness.h.
 */
#ifndef _SWEEP_H
#define _SWEEP_H

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "inject.h"
#include "kb.h"

#define A "kbtest_a"
#define LARGE (5u << 20) /* more than kmalloc() has: pages, one by one */

/* What a 32-bit call can name: it lies below 4 GiB. */
struct low {
	union {
		struct kextd_exchange exchange;
		struct kextbridge_list list;
		struct kextbridge_status status;
		struct kextbridge_request request;
		struct kextbridge_result result;
		struct kextbridge_tag tag;
		struct kextbridge_load load;
		struct kextbridge_load_requests asked;
		char raw[512];
	};
	struct kextd_reply reply;
	uint64_t records[4096];
	struct kextbridge_kext kexts[16];
	char identifier[64];
	char name[64];
	char data[LARGE];
};

#define MAX_ROUND 48 /* requests of one round */

struct sweep {
	struct kb kb;
	struct low *low;
	bool wire32; /* the node is called as a 32-bit program does */

	/* the round that runs */
	const char *name;
	enum inject_kind kind;
	unsigned int point;
	bool hit;                               /* something has failed in the call */
	int err;                                /* of the call: 0 or an errno */
	struct kextbridge_status before, after; /* the call */

	/* what prepare leaves for call and check */
	int file;
	long value;
	uint32_t tags[MAX_ROUND];
	uint32_t issued;
	struct kextd_request got[MAX_ROUND];
	uint32_t got_count;
	struct kb_unload unload;
};

typedef void sweep_step(struct __test_metadata *_metadata, struct sweep *s);

struct entry {
	const char *name;
	sweep_step *prepare;
	int (*call)(struct sweep *s);
	sweep_step *check;     /* what must hold, and everything undone */
	unsigned int least;    /* points that there must be */
	int expected;          /* errno without a fault */
	bool arms_itself;      /* the call injects (s->kind, s->point) and sets s->hit */
	bool module_is_absent; /* no books to look at between the calls */
	bool one_only;         /* not with INJECT_REST */
	bool slow;             /* in a short run not every point */
};

/* Over all tests, each of which is a process. */
static struct {
	unsigned int entries, points;
} * sweep_total;

__attribute__((constructor)) static void sweep_make_total(void)
{
	sweep_total = mmap(NULL, sizeof(*sweep_total), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline long sweep_parameter(const char *name)
{
	char path[256], text[32] = {};
	long value = -1;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		value = strtol(text, NULL, 10);
	close(fd);
	return value;
}

/* But for the identifiers that the core remembers as asked for. */
static inline long sweep_live(struct sweep *s)
{
	return sweep_parameter("live_allocations") - kb_asked_loads(&s->kb);
}

static inline bool sweep_books(struct sweep *s, long live)
{
	struct kextbridge_status now;

	return kb_status(&s->kb, &now) && !now.pending && !now.fetched && !now.answered &&
	       now.submitted == now.callbacks + now.cancelled + now.discarded && sweep_live(s) == live;
}

/* What a worker has to do yet is waited for. */
static inline void sweep_settle(struct __test_metadata *_metadata, struct sweep *s, long live)
{
	uint64_t until = kb_now_ns() + 20000000000ull;
	struct kextbridge_status now;

	while (!sweep_books(s, live)) {
		if (kb_now_ns() > until)
			break;
		kb_sleep_ms(1);
	}
	if (kb_now_ns() <= until)
		return;
	kb_status(&s->kb, &now);
	EXPECT_EQ(live, sweep_live(s))
	{
		TH_LOG("the books: %u pending, %u fetched, %u answered; %llu submitted, %llu called back, %llu "
		       "cancelled, %llu discarded",
		       now.pending, now.fetched, now.answered, (unsigned long long)now.submitted,
		       (unsigned long long)now.callbacks, (unsigned long long)now.cancelled,
		       (unsigned long long)now.discarded);
	}
	EXPECT_EQ(now.submitted, now.callbacks + now.cancelled + now.discarded);
	EXPECT_EQ(0, now.pending + now.fetched + now.answered);
}

static inline void sweep_round(struct __test_metadata *_metadata, struct sweep *s, const struct entry *entry)
{
	long live = 0;

	s->issued = s->got_count = 0;
	memset(&s->after, 0, sizeof(s->after));
	if (!entry->module_is_absent) {
		live = sweep_live(s);
		ASSERT_EQ(0, ioctl(s->kb.bench, KBTEST_IOC_RESET));
		ASSERT_EQ(0, kb_gates(&s->kb, ~0u));
		s->kb.seen = 0;
	}
	if (entry->prepare)
		entry->prepare(_metadata, s);
	if (!entry->module_is_absent)
		ASSERT_TRUE(kb_status(&s->kb, &s->before));
	s->hit = false;
	if (!entry->arms_itself)
		inject_arm(s->kind, s->point);
	s->err = entry->call(s);
	if (!entry->arms_itself)
		s->hit = inject_disarm(s->kind);
	if (!entry->module_is_absent)
		ASSERT_TRUE(kb_status(&s->kb, &s->after));
	EXPECT_TRUE(s->err == entry->expected ||
		    (s->hit && (!s->err || s->err == ENOMEM || s->err == EFAULT || s->err == ENFILE)))
	{
		TH_LOG("%s", strerror(s->err));
	}
	entry->check(_metadata, s);
	if (!entry->module_is_absent)
		sweep_settle(_metadata, s, live);
}

static inline void sweep(struct __test_metadata *_metadata, struct sweep *s, const struct entry *entry)
{
	/* Rounds differ: now and then a cache or a pool is filled up, and what came after it is a point later. */
	enum { MISSES = 3 };
	static const char *const kinds[] = {"", ", the rest", ", again"};
	unsigned int points[3] = {};
	const unsigned int stride = entry->slow ? 100 / kb_rounds(100) : 1;

	s->name = entry->name;
	for (int pass = 0; pass < 3; pass++) {
		s->kind = pass == 1 ? INJECT_REST : INJECT_ONE;
		if (pass && (entry->one_only || (pass == 2 && !points[1])))
			break;
		s->point = stride > 1 ? 1 + kb_random() % stride : 1;
		for (int misses = 0; misses < MISSES; s->point += stride) {
			sweep_round(_metadata, s, entry);
			misses = s->hit ? 0 : misses + 1;
			points[pass] += s->hit;
			ASSERT_EQ(KSFT_PASS, _metadata->exit_code)
			{
				TH_LOG("%s%s: at point %u", entry->name, kinds[pass], s->point);
			}
		}
	}
	sweep_total->entries++;
	sweep_total->points += points[0] + points[1];
	printf("# %s%s: %u points, ", entry->name, s->wire32 ? ", 32-bit" : "", points[0]);
	printf(stride > 1 ? "every %u. swept" : "all swept", stride);
	printf(points[1] ? "; %u where the rest fails too\n" : "\n", points[1]);
	fflush(stdout);
	EXPECT_LE(entry->least / stride, points[0]) TH_LOG("%s: too few points", entry->name);
}

#define SWEEP_ALL(s, list)                                          \
	do {                                                        \
		for (size_t at_ = 0; at_ < ARRAY_SIZE(list); at_++) \
			sweep(_metadata, s, &(list)[at_]);          \
	} while (0)

/* 0 or an errno. A 64-bit program may use the 32-bit way in: the kernel then takes it for one. */
static inline int sweep_ioctl(struct sweep *s, int fd, unsigned long command, void *args)
{
	long result;

	if (!s->wire32)
		return ioctl(fd, command, args) ? errno : 0;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(54 /* ioctl */), "b"(fd), "c"(command), "d"(args)
			 : "memory", "r8", "r9", "r10", "r11");
	return -(int)result;
}

static inline void sweep_begin(struct __test_metadata *_metadata, struct sweep *s)
{
	int err = inject_begin();

	if (err == ENOENT)
		SKIP(exit(KSFT_SKIP), "this kernel has no fault injection");
	ASSERT_EQ(0, err) TH_LOG("%s", strerror(err));
	s->low = mmap(NULL, sizeof(*s->low), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, s->low);
	/* The program's own page faults would be points too. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	s->kb = (struct kb){.bench = -1, .control = -1, .daemon = -1};
	s->file = -1;
}

/* Kext A is loaded, and the test is the daemon. */
static inline void sweep_setup(struct __test_metadata *_metadata, struct sweep *s)
{
	sweep_begin(_metadata, s);
	ASSERT_EQ(0, kb_setup(&s->kb, A, NULL));
	ASSERT_EQ(0, kb_daemon(&s->kb));
	ASSERT_LE(0, sweep_parameter("live_allocations")) TH_LOG("not the test build of kextbridge.ko");
	/* Slow machines: nothing but what a test does ends a request, and no kext leaves by itself. */
	ASSERT_EQ(0, kb_param("request_timeout_ms", "600000"));
	ASSERT_EQ(0, kb_param("autounload_delay_ms", "3600000"));
}

#endif
