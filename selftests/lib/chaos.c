// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chaos.h"

#define CAP_MS 60000
#define KMEMLEAK "/sys/kernel/debug/kmemleak"

/* ---- delays */

static int delays(unsigned int permille, unsigned int us, unsigned int points)
{
	char seed[16];

	snprintf(seed, sizeof(seed), "%u", kb_random());
	return kb_param("chaos_seed", seed)                ?:
		       kb_param_ms("chaos_us", us)         ?:
		       kb_param_ms("chaos_points", points) ?:
							     kb_param_ms("chaos_permille", permille);
}

/* Few and long, many and short; everywhere, or at what belongs together (enum test_point of shim/test.h). */
int chaos_delays(void)
{
	enum {
		LOCK = 0x3,
		QUEUE = 0x4,
		WORK = 0x18,
		SYNC = 0x20,
		WAIT = 0xc0,
		PUT = 0x100,
		MODULE = 0x200,
		COPY = 0x400,
		ALL = 0x7ff
	};
	static const struct {
		unsigned int permille, us, points;
	} mixtures[] = {
		{5, 500, ALL},           {20, 200, ALL},           {100, 40, ALL},
		{300, 20, ALL},          {100, 100, LOCK},         {300, 300, WORK},
		{200, 300, WORK | COPY}, {200, 200, QUEUE | WAIT}, {200, 200, PUT | MODULE | SYNC},
	};
	unsigned int i = kb_random() % (sizeof(mixtures) / sizeof(mixtures[0]));

	return delays(mixtures[i].permille, mixtures[i].us, mixtures[i].points);
}

int chaos_calm(void)
{
	return kb_param_ms("chaos_permille", 0);
}

void chaos_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int chaos_insmod(const char *module)
{
	uint64_t until = kb_now_ns() + CAP_MS * 1000000ull;
	int err;

	while ((err = kb_insmod(module)) == EBUSY || (err == EEXIST && !kb_is_loaded(module))) {
		if (kb_now_ns() > until)
			break;
		kb_sleep_ms(1);
	}
	return err;
}

/* ---- the books */

static bool read_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return false;
	length = read(fd, buffer, size - 1);
	close(fd);
	if (length < 0)
		return false;
	buffer[length] = 0;
	return true;
}

static bool read_stats(char *text, size_t size)
{
	text[0] = '\n';
	return read_file("/sys/class/misc/kextbridge/stats", text + 1, size - 1);
}

static uint64_t stat_in(const char *text, const char *name)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(text, line);
	return at ? strtoull(at + strlen(line), NULL, 10) : UINT64_MAX;
}

uint64_t chaos_stat(const char *name)
{
	char text[4096];

	return read_stats(text, sizeof(text)) ? stat_in(text, name) : UINT64_MAX;
}

/* Without the identifiers that were asked for, which stay. */
long chaos_live(void)
{
	struct kb own = {};
	char text[32];
	long live;

	if (!read_file("/sys/module/kextbridge/parameters/live_allocations", text, sizeof(text)))
		return -1;
	live = atol(text);
	own.control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
	if (own.control < 0)
		return live;
	live -= kb_asked_loads(&own);
	close(own.control);
	return live;
}

static bool balanced(long live, bool tell)
{
	static const char *const now[] = {"pending", "fetched", "answered"};
	uint64_t submitted, ended;
	char text[4096];
	bool good = true;

	if (!read_stats(text, sizeof(text)))
		return false;
	for (int i = 0; i < 3; i++)
		if (stat_in(text, now[i])) {
			good = false;
			if (tell)
				fprintf(stderr, "# books: %" PRIu64 " %s\n", stat_in(text, now[i]), now[i]);
		}
	submitted = stat_in(text, "submitted");
	ended = stat_in(text, "callbacks") + stat_in(text, "cancelled") + stat_in(text, "discarded");
	if (submitted != ended) {
		good = false;
		if (tell)
			fprintf(stderr, "# books: %" PRIu64 " submitted, %" PRIu64 " ended\n", submitted, ended);
	}
	if (chaos_live() != live) {
		good = false;
		if (tell)
			fprintf(stderr, "# books: %ld allocations, %ld at the beginning\n", chaos_live(), live);
	}
	return good;
}

bool chaos_balanced(long live)
{
	uint64_t until = kb_now_ns() + CAP_MS * 1000000ull;

	while (!balanced(live, false) && kb_now_ns() < until)
		kb_sleep_ms(5);
	return balanced(live, true);
}

static bool kmemleak(const char *command)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);
	bool there = fd >= 0 && write(fd, command, strlen(command)) > 0;

	if (fd >= 0)
		close(fd);
	return there;
}

void chaos_leaks_clear(void)
{
	if (kmemleak("scan"))
		kmemleak("clear");
}

/* What is found once may be on its way from one pointer to another: only what is found twice is lost. */
bool chaos_no_leaks(void)
{
	char text[4096] = "";

	if (!kmemleak("scan") || !read_file(KMEMLEAK, text, sizeof(text)) || !text[0])
		return true;
	kmemleak("scan");
	if (!read_file(KMEMLEAK, text, sizeof(text)) || !text[0])
		return true;
	fprintf(stderr, "# kmemleak:\n%s\n", text);
	return false;
}

bool chaos_totals(struct kb *kb, struct kbtest_totals *totals)
{
	return !ioctl(kb->bench, KBTEST_IOC_TOTALS, totals);
}

/* ---- a page that is not there */

int chaos_hole(struct chaos_hole *hole)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register missing = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	char *pages = mmap(NULL, 2 * CHAOS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	hole->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (hole->uffd < 0 || pages == MAP_FAILED || ioctl(hole->uffd, UFFDIO_API, &api))
		return errno;
	memset(pages, 0, CHAOS_PAGE);
	hole->at = pages + CHAOS_PAGE;
	missing.range.start = KB_STRING(hole->at);
	missing.range.len = CHAOS_PAGE;
	return ioctl(hole->uffd, UFFDIO_REGISTER, &missing) ? errno : 0;
}

void chaos_hole_end(struct chaos_hole *hole)
{
	close(hole->uffd);
	munmap(hole->at - CHAOS_PAGE, 2 * CHAOS_PAGE);
}

bool chaos_hole_hit(struct chaos_hole *hole)
{
	return kb_poll(hole->uffd, POLLIN, CAP_MS);
}

int chaos_hole_fill(struct chaos_hole *hole)
{
	struct uffdio_zeropage zero = {.range = {.start = KB_STRING(hole->at), .len = CHAOS_PAGE}};

	return ioctl(hole->uffd, UFFDIO_ZEROPAGE, &zero) ? errno : 0;
}

int chaos_hole_fail(struct chaos_hole *hole)
{
	struct uffdio_range range = {.start = KB_STRING(hole->at), .len = CHAOS_PAGE};

	return mprotect(hole->at, CHAOS_PAGE, PROT_NONE) || ioctl(hole->uffd, UFFDIO_WAKE, &range) ? errno : 0;
}

int chaos_hole_again(struct chaos_hole *hole)
{
	struct uffd_msg message;

	while (read(hole->uffd, &message, sizeof(message)) > 0)
		;
	return mprotect(hole->at, CHAOS_PAGE, PROT_READ | PROT_WRITE) || madvise(hole->at, CHAOS_PAGE, MADV_DONTNEED) ?
		       errno :
		       0;
}

/* ---- the daemon */

static void mark(struct crew *crew, uint64_t id, uint8_t bit)
{
	__atomic_or_fetch(&crew->marks[id % CREW_MARKS], bit, __ATOMIC_RELAXED);
}

static void add(uint32_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void answer(struct crew *crew, const struct kb_record *record)
{
	int status;

	add(&crew->resources);
	mark(crew, record->head.id, CREW_FETCHED);
	if (record->name[0] == 'k')
		return;
	status = kb_reply_data(crew->daemon, record->head.id, 0, record->name, strlen(record->name));
	if (!status)
		mark(crew, record->head.id, CREW_ANSWERED);
	add(status ? &crew->late : &crew->answered);
}

static void load(struct crew *crew, const struct kb_record *record)
{
	const char *module = strrchr(record->identifier, '.');
	int err = module ? chaos_insmod(module + 1) : ENOENT;

	add(&crew->loads);
	kb_reply(crew->daemon, record->head.id, !err || err == EEXIST ? kOSReturnSuccess : kOSKextReturnNotFound);
}

static void delete (struct crew *crew, const struct kb_record *record)
{
	int err = kb_rmmod(record->name);

	add(&crew->unloads);
	if (!err)
		add(&crew->deleted);
	kb_reply(crew->daemon, record->head.id, !err || err == ENOENT ? kOSReturnSuccess : kOSKextReturnInUse);
}

static void *crew_member(void *arg)
{
	struct crew *crew = arg;
	struct kb_record *record = malloc(sizeof(*record));
	struct pollfd pollers[2] = {{.fd = crew->daemon, .events = POLLIN}, {.fd = crew->wake[0], .events = POLLIN}};

	while (record && poll(pollers, 2, -1) > 0 && !pollers[1].revents) {
		if (kb_fetch(crew->daemon, record, 0))
			continue;
		switch (record->head.kind) {
		case KEXTD_RESOURCE:
			answer(crew, record);
			break;
		case KEXTD_LOAD:
			load(crew, record);
			break;
		case KEXTD_UNLOAD:
			delete (crew, record);
			break;
		case KEXTD_CANCEL:
			add(&crew->notices);
			break;
		}
	}
	free(record);
	return NULL;
}

int chaos_crew(struct crew *crew, int daemon, unsigned int size)
{
	int err = 0;

	memset(crew, 0, sizeof(*crew));
	crew->daemon = daemon;
	if (pipe(crew->wake))
		return errno;
	for (crew->size = 0; !err && crew->size < size; crew->size++)
		err = pthread_create(&crew->threads[crew->size], NULL, crew_member, crew);
	return err;
}

void chaos_crew_end(struct crew *crew)
{
	close(crew->wake[1]);
	for (unsigned int i = 0; i < crew->size; i++)
		pthread_join(crew->threads[i], NULL);
	close(crew->wake[0]);
}

/* Everything off: the bench is a kext too, and goes as one. */
int chaos_rmmod_all(struct kb *kb)
{
	static struct crew crew;
	int err = kb->daemon < 0 ? kb_daemon(kb) : 0;

	err = err ?: chaos_crew(&crew, kb->daemon, 1);
	if (err)
		return err;
	close(kb->bench);
	err = kb_unload(kb->control, kb_tag(kb, "kbtest"), 0);
	chaos_crew_end(&crew);
	kb_daemon_leave(kb);
	close(kb->control);
	kb->bench = kb->control = -1;
	/* What is being closed keeps its reference for a moment. */
	for (int i = 0; !err && i < 1000 && (err = kb_rmmod("kextbridge")) == EAGAIN; i++) {
		kb_sleep_ms(10);
		err = 0;
	}
	return err ?: kb_is_loaded("kextbridge") ? EBUSY : 0;
}
