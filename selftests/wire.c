// SPDX-License-Identifier: GPL-2.0-only
/* A daemon that is broken or hostile, and programs that are: what is refused, with what, and that nothing is lost. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

/* A request is in hand; after what a test does to it, it can still be answered. */
FIXTURE(reply)
{
	struct kb kb;
	uint64_t id;
};

FIXTURE_SETUP(reply)
{
	struct kbtest_request request = {A, .max_length = 100000};
	struct kb_record record;

	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	EXPECT_EQ(100000, record.head.max_length);
	self->id = record.head.id;
}

FIXTURE_TEARDOWN(reply)
{
	struct kbtest_event event;

	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 0));
	EXPECT_EQ(0, kb_reply_data(self->kb.daemon, self->id, 0, "at last", 7));
	EXPECT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kb_crc32("at last", 7), event.crc);
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

#define EXPECT_STATUS(expected, ...)                                       \
	do {                                                               \
		struct kextd_reply bad_ = {.id = self->id, __VA_ARGS__};   \
		EXPECT_EQ(expected, kb_reply_raw(self->kb.daemon, &bad_)); \
	} while (0)

TEST_F(reply, T_085_unknown_id)
{
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, self->id + 1, 0));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply_data(self->kb.daemon, self->id + 1, 0, "x", 1));
	/* The same lower half is another request. */
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, self->id + (1ull << 32), 0));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, ~0ull, 0));
}

TEST_F(reply, T_085_not_fetched)
{
	struct kb_record record;

	ASSERT_EQ(0, kb_request(&self->kb, A, "second", 2, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, self->id + 1, 0));
	FETCH(&record, "second");
	EXPECT_EQ(self->id + 1, record.head.id);
	self->kb.seen = 0;
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 0));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, (uint32_t)record.head.id, NULL));
}

TEST_F(reply, T_086_no_id_or_no_result)
{
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply(self->kb.daemon, 0, 0));
	EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = 0);
	EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = KEXTD_REPLY_DATA, .data = KB_STRING("x"), .length = 1);
}

TEST_F(kext, T_087_second_reply)
{
	struct kextd_reply both[2] = {};
	struct kextd_exchange args = {.replies = KB_STRING(both), .reply_count = 2};
	struct kb_record record;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	FETCH(&record, "one");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record.head.id, 0));
	/* Two in one call. */
	ASSERT_EQ(0, kb_request(&self->kb, A, "two", 1, NULL));
	FETCH(&record, "two");
	both[0].id = both[1].id = record.head.id;
	both[0].flags = both[1].flags = KEXTD_REPLY_RESULT;
	ASSERT_EQ(0, kb_exchange(self->kb.daemon, &args));
	EXPECT_EQ(2, args.reply_count);
	EXPECT_EQ(0, both[0].status);
	EXPECT_EQ(kOSKextReturnNotFound, both[1].status);
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

struct twin {
	pthread_barrier_t *barrier;
	int daemon;
	uint64_t id;
	int status;
};

static void *reply_as_twin(void *arg)
{
	static const char data[5000];
	struct twin *twin = arg;

	pthread_barrier_wait(twin->barrier);
	twin->status = kb_reply_data(twin->daemon, twin->id, 0, data, sizeof(data));
	return NULL;
}

TEST_F(kext, T_087_replies_from_two_threads)
{
	pthread_barrier_t barrier;
	struct kbtest_event event;
	struct kb_record record;

	pthread_barrier_init(&barrier, NULL, 2);
	for (unsigned int i = 0; i < 500; i++) {
		struct twin twins[2];
		pthread_t thread;

		ASSERT_EQ(0, kb_request(&self->kb, A, "one", i, NULL));
		FETCH(&record, "one");
		for (int j = 0; j < 2; j++)
			twins[j] = (struct twin){&barrier, self->kb.daemon, record.head.id, 1};
		ASSERT_EQ(0, pthread_create(&thread, NULL, reply_as_twin, &twins[0]));
		reply_as_twin(&twins[1]);
		pthread_join(thread, NULL);
		ASSERT_EQ(kOSKextReturnNotFound, twins[0].status + twins[1].status);
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		ASSERT_EQ(i, event.context);
		ASSERT_EQ(5000, event.length);
	}
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(reply, T_090_unknown_flags_and_reserved_fields)
{
	for (int bit = 3; bit < 32; bit++)
		EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = KEXTD_REPLY_RESULT | 1u << bit);
	for (int bit = 0; bit < 32; bit++)
		EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = KEXTD_REPLY_RESULT, .reserved = 1u << bit);
	EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = KEXTD_REPLY_FLAGS, .data = KB_STRING("x"), .length = 1);
	EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = KEXTD_REPLY_RESULT, .data = KB_STRING("x"), .length = 1);
	EXPECT_STATUS(kOSKextReturnInvalidArgument, .flags = KEXTD_REPLY_RESULT, .length = 1);
}

TEST_F(reply, T_090_too_long)
{
	static char data[100001];

	EXPECT_EQ(kOSKextReturnNoResources, kb_reply_data(self->kb.daemon, self->id, 0, data, sizeof(data)));
	EXPECT_EQ(kOSKextReturnNoResources, kb_reply_data(self->kb.daemon, self->id, 0, data, 0xffffffff));
}

TEST_F(reply, T_090_bad_address)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply_data(self->kb.daemon, self->id, 0, (void *)8, 100));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply_data(self->kb.daemon, self->id, 0, page + 4000, 200));
	EXPECT_EQ(kOSKextReturnInvalidArgument,
		  kb_reply_data(self->kb.daemon, self->id, 0, (void *)0xffffffff81000000, 100));
}

static int temporary(const char *path, int flags, off_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd >= 0 && ftruncate(fd, size))
		return -1;
	close(fd);
	return open(path, flags);
}

/* Refuses the descriptor, and closes it. */
#define EXPECT_FD_STATUS(expected, fd)                                            \
	do {                                                                      \
		int fd_ = fd;                                                     \
		ASSERT_GE(fd_, 0);                                                \
		EXPECT_EQ(expected, kb_reply_fd(self->kb.daemon, self->id, fd_)); \
		close(fd_);                                                       \
	} while (0)

TEST_F(reply, T_090_descriptors_that_are_no_payload)
{
	static const char path[] = "/tmp/kb-payload";
	int ends[2];

	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply_fd(self->kb.daemon, self->id, -1));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply_fd(self->kb.daemon, self->id, 999));
	ASSERT_EQ(0, pipe(ends));
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, ends[0]);
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, ends[1]);
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, open("/dev/zero", O_RDONLY));
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, open("/tmp", O_RDONLY | O_DIRECTORY));
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, temporary(path, O_WRONLY, 10));
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, temporary(path, O_RDWR, 10));
	EXPECT_FD_STATUS(kOSKextReturnInvalidArgument, temporary(path, O_PATH, 10));
	EXPECT_FD_STATUS(kOSKextReturnNoResources, temporary(path, O_RDONLY, 100001));
	EXPECT_FD_STATUS(kOSKextReturnNoResources, temporary(path, O_RDONLY, 5ll << 30));
	/* Says that it is 4096 bytes long, and holds less. */
	EXPECT_FD_STATUS(kOSKextReturnBadData, open("/sys/module/kextbridge/parameters/max_name", O_RDONLY));
	/* Its own descriptor. */
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply_fd(self->kb.daemon, self->id, self->kb.daemon));
	unlink(path);
}

TEST_F(kext, T_094_file_of_4_GiB)
{
	static const char path[] = "/tmp/kb-large";
	struct kbtest_event event;
	struct kb_record record;
	int fd = temporary(path, O_RDONLY, (4ll << 30) + 5);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, NULL));
	FETCH(&record, "one");
	EXPECT_EQ(kOSKextReturnNoResources, kb_reply_fd(self->kb.daemon, record.head.id, fd));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNoResources));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnNoResources, event.result);
	close(fd);
	unlink(path);
}

static volatile bool stop_shrinking;

static void *shrink(void *arg)
{
	int fd = *(int *)arg;

	while (!stop_shrinking) {
		if (ftruncate(fd, 3 << 20) || ftruncate(fd, 100))
			break;
	}
	return NULL;
}

TEST_F(kext, T_090_file_that_changes_its_size_meanwhile)
{
	static const char path[] = "/tmp/kb-shrinks";
	int writable = open(path, O_RDWR | O_CREAT, 0600), fd = open(path, O_RDONLY);
	int bad = 0, good = 0;
	struct kbtest_event event;
	struct kb_record record;
	pthread_t thread;

	ASSERT_GE(writable, 0);
	ASSERT_EQ(0, ftruncate(writable, 3 << 20));
	ASSERT_EQ(0, pthread_create(&thread, NULL, shrink, &writable));
	for (int i = 0; i < 2000 && bad < 20; i++) {
		int status;

		ASSERT_EQ(0, kb_request(&self->kb, A, "one", i, NULL));
		FETCH(&record, "one");
		status = kb_reply_fd(self->kb.daemon, record.head.id, fd);
		if (status == kOSKextReturnBadData) {
			bad++;
			ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
			ASSERT_TRUE(kb_callback(&self->kb, &event));
		} else {
			good++;
			ASSERT_EQ(0, status);
			ASSERT_TRUE(kb_callback(&self->kb, &event));
			ASSERT_TRUE(event.length == 3 << 20 || event.length == 100) TH_LOG("%u bytes", event.length);
		}
	}
	stop_shrinking = true;
	pthread_join(thread, NULL);
	TH_LOG("%d refused, %d taken", bad, good);
	EXPECT_GE(bad, 1);
	unlink(path);
}

TEST_F(kext, T_090_payload_for_a_load)
{
	struct kb_record record;

	ASSERT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.nothing"));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(KEXTD_LOAD, record.head.kind);
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
}

/* ---- the structures themselves */

/*
 * A structure of `known` bytes, given with another size: smaller is EINVAL, larger is fine when the rest is zero and
 * E2BIG otherwise. `fine` is the errno of the call when its size is fine.
 */
static int check_sizes(int fd, unsigned long command, const void *good, uint32_t known, int fine)
{
	static unsigned char page[8192];
	uint32_t size;
	int err;

#define TRY(given, tail, expected)                                                                  \
	do {                                                                                        \
		memset(page, 0, sizeof(page));                                                      \
		memcpy(page, good, known);                                                          \
		page[(given)-1 > known ? (given)-1 : known] = tail;                                 \
		size = given;                                                                       \
		memcpy(page, &size, 4);                                                             \
		err = ioctl(fd, command, page) ? errno : 0;                                         \
		if (err != (expected)) {                                                            \
			printf("# size %u of %u, tail %d: %s\n", size, known, tail, strerror(err)); \
			return 1;                                                                   \
		}                                                                                   \
	} while (0)

	for (uint32_t smaller = 1; smaller < known; smaller++)
		TRY(smaller, 0, EINVAL);
	TRY(known, 0, fine);
	TRY(known + 8, 0, fine);
	TRY(4096, 0, fine);
	TRY(known + 8, 1, E2BIG);
	TRY(4096, 1, E2BIG);
	memset(page, 0, sizeof(page));
	memcpy(page, good, known);
	size = 0;
	memcpy(page, &size, 4);
	if (!ioctl(fd, command, page) || errno != EINVAL)
		return 1;
	size = 0xffffffff;
	memcpy(page, &size, 4);
	return !ioctl(fd, command, page) || (errno != E2BIG && errno != EINVAL);
#undef TRY
}

/* Each bit of a field that must not be set is EINVAL. */
static int check_bits(int fd, unsigned long command, const void *good, uint32_t size, uint32_t offset, uint32_t allowed)
{
	unsigned char args[512];

	for (int bit = 0; bit < 32; bit++) {
		uint32_t value = 1u << bit;

		if (allowed & value)
			continue;
		memcpy(args, good, size);
		memcpy(args + offset, &value, 4);
		if (!ioctl(fd, command, args) || errno != EINVAL) {
			printf("# ioctl %lx offset %u bit %d is not refused\n", command & 0xff, offset, bit);
			return 1;
		}
	}
	return 0;
}

#define EXPECT_REFUSED_BITS(fd, command, good, field, allowed) \
	EXPECT_EQ(0, check_bits(fd, command, &good, sizeof(good), offsetof(typeof(good), field), allowed))

TEST_F(kext, T_090_exchange_structure)
{
	struct kextd_exchange good = {.size = sizeof(good), .flags = KEXTD_EXCHANGE_NOWAIT};
	struct kextd_exchange args;

	EXPECT_EQ(0, check_sizes(self->kb.daemon, KEXTD_IOC_EXCHANGE, &good, sizeof(good), 0));
	EXPECT_REFUSED_BITS(self->kb.daemon, KEXTD_IOC_EXCHANGE, good, flags,
			    KEXTD_EXCHANGE_NOWAIT | KEXTD_EXCHANGE_NOTIFY);
	EXPECT_REFUSED_BITS(self->kb.daemon, KEXTD_IOC_EXCHANGE, good, reserved, 0);
	args = good;
	args.reply_count = KEXTD_EXCHANGE_MAX + 1;
	EXPECT_EQ(EINVAL, kb_exchange(self->kb.daemon, &args));
	args = good;
	args.max_requests = KEXTD_EXCHANGE_MAX + 1;
	EXPECT_EQ(EINVAL, kb_exchange(self->kb.daemon, &args));
	args = good;
	args.requests = 0x10004;
	EXPECT_EQ(EINVAL, kb_exchange(self->kb.daemon, &args));
	args = good;
	args.reply_count = 1;
	args.replies = 8;
	EXPECT_EQ(EFAULT, kb_exchange(self->kb.daemon, &args));
	EXPECT_EQ(0, args.reply_count);
	EXPECT_EQ(-1, ioctl(self->kb.daemon, KEXTD_IOC_EXCHANGE, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->kb.daemon, _IOWR(0xb6, 0x02, struct kextd_exchange), &good));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(self->kb.daemon, KEXTBRIDGE_IOC_LIST, &good));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(kext, T_090_list_and_status_structures)
{
	struct kextbridge_list list = {.size = sizeof(list)};
	struct kextbridge_status status = {.size = sizeof(status)};

	EXPECT_EQ(0, check_sizes(self->kb.control, KEXTBRIDGE_IOC_LIST, &list, sizeof(list), 0));
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_LIST, list, flags, KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD);
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_LIST, list, reserved, 0);
	EXPECT_EQ(0, check_sizes(self->kb.control, KEXTBRIDGE_IOC_STATUS, &status, sizeof(status), 0));
	list.kexts = 8;
	list.count = 10;
	EXPECT_EQ(-1, ioctl(self->kb.control, KEXTBRIDGE_IOC_LIST, &list));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->kb.control, _IO(0xb6, 0x77), &list));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(kext, T_090_load_requests_structure)
{
	struct kextbridge_load_requests asked = {.size = sizeof(asked)};

	EXPECT_EQ(0, check_sizes(self->kb.control, KEXTBRIDGE_IOC_LOAD_REQUESTS, &asked, sizeof(asked), 0));
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_LOAD_REQUESTS, asked, flags, 0);
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_LOAD_REQUESTS, asked, reserved, 0);
	ASSERT_EQ(0, kb_kpi_load(&self->kb, ID_A));
	asked.identifiers = 8;
	asked.count = 10;
	EXPECT_EQ(-1, ioctl(self->kb.control, KEXTBRIDGE_IOC_LOAD_REQUESTS, &asked));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(kext, T_090_request_and_result_structures)
{
	struct kextbridge_request request = {.size = sizeof(request)};
	struct kextbridge_result result = {.size = sizeof(result), .flags = KEXTBRIDGE_RESULT_NOWAIT, .tag = 12345};

	/* Empty strings: the call is fine, its result is InvalidArgument. */
	EXPECT_EQ(0, check_sizes(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request, sizeof(request), 0));
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_REQUEST, request, flags, KEXTBRIDGE_REQUEST_HOLD);
	EXPECT_EQ(0, check_sizes(self->kb.control, KEXTBRIDGE_IOC_RESULT, &result, sizeof(result), 0));
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_RESULT, result, flags,
			    KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE);
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_RESULT, result, reserved, 0);
	request.identifier_size = request.name_size = 3;
	request.identifier = request.name = 8;
	EXPECT_EQ(-1, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
	EXPECT_EQ(EFAULT, errno);
	request.identifier = request.name = KB_STRING("a\0b");
	EXPECT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
	EXPECT_EQ(kOSKextReturnInvalidArgument, request.result);
	EXPECT_EQ(TAG_INVALID, request.tag);
	request.identifier_size = 0xffffffff;
	EXPECT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
	EXPECT_EQ(kOSKextReturnInvalidArgument, request.result);
}

TEST_F(kext, T_090_tag_structure)
{
	static const unsigned long commands[] = {KEXTBRIDGE_IOC_CANCEL, KEXTBRIDGE_IOC_RETAIN, KEXTBRIDGE_IOC_RELEASE,
						 KEXTBRIDGE_IOC_UNLOAD};
	struct kextbridge_tag nothing = {.size = sizeof(nothing), .tag = 0x7ffffff0};
	struct kextbridge_tag mine = {.size = sizeof(mine), .tag = kb_tag(&self->kb, A)};
	struct kextbridge_kext kext;

	for (int i = 0; i < 4; i++) {
		uint32_t allowed = commands[i] == KEXTBRIDGE_IOC_UNLOAD ?
					   KEXTBRIDGE_UNLOAD_IF_IDLE | KEXTBRIDGE_UNLOAD_STOP_ONLY :
					   0;

		EXPECT_EQ(0, check_sizes(self->kb.control, commands[i], &nothing, sizeof(nothing), 0));
		EXPECT_REFUSED_BITS(self->kb.control, commands[i], nothing, flags, allowed);
		EXPECT_REFUSED_BITS(self->kb.control, commands[i], mine, flags, allowed);
	}
	/* What was refused has not been done. */
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	EXPECT_EQ(0, kext.retains);
	EXPECT_EQ(0, kext.flags & KEXT_FLAG_AUTOUNLOAD);
}

TEST_F(kext, T_090_load_structure)
{
	struct kextbridge_load load = {.size = sizeof(load)};

	EXPECT_EQ(0, check_sizes(self->kb.control, KEXTBRIDGE_IOC_LOAD, &load, sizeof(load), 0));
	EXPECT_REFUSED_BITS(self->kb.control, KEXTBRIDGE_IOC_LOAD, load, flags,
			    KEXTBRIDGE_LOAD_WAIT | KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD);
	load.identifier = 8;
	load.identifier_size = 5;
	EXPECT_EQ(-1, ioctl(self->kb.control, KEXTBRIDGE_IOC_LOAD, &load));
	EXPECT_EQ(EFAULT, errno);
	NOTHING_TO_FETCH();
}

/* The nodes have calls and poll, and nothing that a file has besides. */
TEST_F(kext, T_090_nodes_have_no_position_no_bytes_no_memory)
{
	const int nodes[] = {self->kb.daemon, self->kb.control};
	char byte = 'b';

#define EXPECT_ERRNO(expected, call)                                   \
	do {                                                           \
		errno = 0;                                             \
		EXPECT_TRUE((long)(call) == -1 && errno == (expected)) \
		TH_LOG("node %d, " #call ": %s", i, strerror(errno));  \
	} while (0)

	for (int i = 0; i < 2; i++) {
		EXPECT_ERRNO(ESPIPE, lseek(nodes[i], 0, SEEK_CUR));
		EXPECT_ERRNO(ESPIPE, lseek(nodes[i], 100, SEEK_SET));
		EXPECT_ERRNO(EINVAL, read(nodes[i], &byte, 1));
		EXPECT_ERRNO(EINVAL, write(nodes[i], &byte, 1));
		EXPECT_ERRNO(ESPIPE, pread(nodes[i], &byte, 1, 1));
		EXPECT_ERRNO(ESPIPE, pwrite(nodes[i], &byte, 1, 1));
		EXPECT_ERRNO(ENODEV, mmap(NULL, 4096, PROT_READ, MAP_SHARED, nodes[i], 0));
		EXPECT_ERRNO(ENODEV, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, nodes[i], 0));
		EXPECT_ERRNO(EINVAL, ftruncate(nodes[i], 0));
	}
#undef EXPECT_ERRNO
	EXPECT_EQ('b', byte);
}

/* ---- fetching into buffers that are not what they seem */

#define EXPECT_IN_ORDER(count)                                                       \
	do {                                                                         \
		for (int i_ = 0; i_ < (count); i_++) {                               \
			struct kb_record record_;                                    \
			char name_[8];                                               \
			snprintf(name_, sizeof(name_), "%d", i_);                    \
			FETCH(&record_, name_);                                      \
			ASSERT_EQ(0, kb_reply(self->kb.daemon, record_.head.id, 0)); \
		}                                                                    \
		NOTHING_TO_FETCH();                                                  \
	} while (0)

static int numbered(struct kb *kb, int count)
{
	char name[8];
	int err = 0;

	for (int i = 0; i < count && !err; i++) {
		snprintf(name, sizeof(name), "%d", i);
		err = kb_request(kb, A, name, i, NULL);
	}
	return err;
}

TEST_F(kext, T_089_buffer_too_small_for_the_first_record)
{
	static uint64_t buffer[512];
	struct kextd_exchange args = {
		.flags = KEXTD_EXCHANGE_NOWAIT, .max_requests = 10, .requests = KB_STRING(buffer), .requests_size = 8};
	uint32_t needed;

	ASSERT_EQ(0, numbered(&self->kb, 3));
	EXPECT_EQ(ENOBUFS, kb_exchange(self->kb.daemon, &args));
	EXPECT_EQ(0, args.request_count);
	needed = args.requests_used;
	EXPECT_GE(needed, sizeof(struct kextd_request) + sizeof("com.example.kbtest") + 2);
	args.requests_size = needed - 1;
	EXPECT_EQ(ENOBUFS, kb_exchange(self->kb.daemon, &args));
	/* Room for two and a half. */
	args.requests_size = needed * 5 / 2;
	EXPECT_EQ(0, kb_exchange(self->kb.daemon, &args));
	EXPECT_EQ(2, args.request_count);
	EXPECT_EQ(2 * needed, args.requests_used);
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_IN_ORDER(3);
}

TEST_F(kext, T_089_fault_puts_everything_back_in_order)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kextd_exchange args = {.flags = KEXTD_EXCHANGE_NOWAIT, .max_requests = 40, .requests_size = 4096};

	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + 4096, 4096));
	ASSERT_EQ(0, numbered(&self->kb, 40));
	/* At once, after a few, and at last after a first batch, which is then all that this call fetches. */
	for (int room = 0; room <= 2400; room += 240) {
		int err;

		args.requests = KB_STRING(pages + 4096 - room);
		args.max_requests = 40;
		err = kb_exchange(self->kb.daemon, &args);
		if (!err) {
			EXPECT_LT(0, args.request_count);
			EXPECT_GT(40, args.request_count);
			EXPECT_EQ(room / args.requests_used, 1);
			break;
		}
		EXPECT_EQ(EFAULT, err);
		EXPECT_EQ(0, args.request_count);
	}
	/* What is in our hands goes to the next daemon. */
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_daemon(&self->kb));
	EXPECT_IN_ORDER(40);
}

TEST_F(kext, T_089_structure_that_cannot_be_written)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint64_t buffer[512];
	struct kextd_exchange *args = (void *)page;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, numbered(&self->kb, 5));
	*args = (struct kextd_exchange){.size = sizeof(*args),
					.flags = KEXTD_EXCHANGE_NOWAIT,
					.max_requests = 5,
					.requests = KB_STRING(buffer),
					.requests_size = sizeof(buffer)};
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	EXPECT_EQ(-1, ioctl(self->kb.daemon, KEXTD_IOC_EXCHANGE, args));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_IN_ORDER(5);
}

/* ---- poll */

TEST_F(kext, T_091_poll_of_the_daemons_node)
{
	struct kb_record record;
	uint32_t tag;

	EXPECT_FALSE(kb_poll(self->kb.daemon, POLLIN | POLLHUP | POLLERR, 0));
	ASSERT_EQ(0, kb_request(&self->kb, A, "0", 1, &tag));
	EXPECT_TRUE(kb_poll(self->kb.daemon, POLLIN, 0));
	FETCH(&record, "0");
	EXPECT_FALSE(kb_poll(self->kb.daemon, POLLIN, 0));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	EXPECT_TRUE(kb_poll(self->kb.daemon, POLLIN, 0)) TH_LOG("a notice is something to fetch");
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, 0));
	EXPECT_FALSE(kb_poll(self->kb.daemon, POLLIN, 0));
}

TEST_F(kext, T_091_poll_of_the_programs_node)
{
	struct kextbridge_request request = {.size = sizeof(request),
					     .identifier = KB_STRING("x"),
					     .identifier_size = 1,
					     .name = KB_STRING("y"),
					     .name_size = 1};
	struct kextbridge_result result = {
		.size = sizeof(result), .flags = KEXTBRIDGE_RESULT_NOWAIT, .tag = TAG_INVALID};
	struct kextbridge_status status;
	struct kb_record record;
	char data[16] = "";

	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_FALSE(kb_poll(self->kb.control, POLLIN | POLLPRI, 0));
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
	ASSERT_EQ(0, request.result);
	EXPECT_TRUE(kb_poll(self->kb.control, POLLPRI, 0)) TH_LOG("something has changed");
	EXPECT_FALSE(kb_poll(self->kb.control, POLLIN, 0));
	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_FALSE(kb_poll(self->kb.control, POLLPRI, 0));
	EXPECT_EQ(-1, ioctl(self->kb.control, KEXTBRIDGE_IOC_RESULT, &result));
	EXPECT_EQ(EAGAIN, errno);
	FETCH(&record, "y");
	EXPECT_EQ(0, record.head.load_tag);
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 5, "payload", 7));
	EXPECT_TRUE(kb_poll(self->kb.control, POLLIN, SOON_MS));
	result.data = KB_STRING(data);
	result.count = sizeof(data);
	result.offset = 3;
	result.flags |= KEXTBRIDGE_RESULT_RELEASE;
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_RESULT, &result));
	EXPECT_EQ(0, result.status);
	EXPECT_EQ(5, result.outcome);
	EXPECT_EQ(request.tag, result.tag);
	EXPECT_EQ(7, result.length);
	EXPECT_EQ(4, result.count);
	EXPECT_STREQ("load", data);
	EXPECT_FALSE(kb_poll(self->kb.control, POLLIN, 0));
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_RESULT, &result));
	EXPECT_EQ(kOSKextReturnNotFound, result.status);
}

/* ---- anything at all */

static void random_bytes(void *to, size_t size)
{
	uint32_t *words = to;

	for (size_t i = 0; i < size / 4; i++)
		words[i] = kb_random() >> (kb_random() % 32);
}

TEST_F_TIMEOUT(kext, T_090_random_bytes, 60)
{
	static struct kextd_request buffer[512];
	static struct kextd_reply replies[8];
	uint64_t end = kb_now_ns() + 5 * 1000000000ull;
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};
	struct kbtest_event event;
	struct kb_record record;
	unsigned int calls = 0;

	ASSERT_EQ(0, kb_param("max_reply_bytes", "1000000"));
	for (; kb_now_ns() < end; calls++) {
		struct kextd_exchange args;

		if (!(calls & 15))
			kb_request(&self->kb, A, "fuzz", calls, NULL);
		random_bytes(&args, sizeof(args));
		random_bytes(replies, sizeof(replies));
		args.size = sizeof(args);
		args.flags = (args.flags & 3) | KEXTD_EXCHANGE_NOWAIT;
		args.reply_count %= 9;
		if (kb_random() & 7) {
			args.reserved = 0;
			args.flags = KEXTD_EXCHANGE_NOWAIT;
			args.max_requests %= 20;
			args.requests = KB_STRING(buffer);
			args.requests_size %= sizeof(buffer);
			args.replies = KB_STRING(replies);
		}
		for (int i = 0; i < 8; i++) {
			/* Near an id that exists, with flags that are taken, now and then. */
			if (kb_random() & 1)
				replies[i].id = buffer[0].id + kb_random() % 4;
			if (kb_random() & 1) {
				replies[i].flags &= KEXTD_REPLY_FLAGS;
				replies[i].reserved = 0;
			}
			if (kb_random() & 1)
				replies[i].data = KB_STRING(buffer);
		}
		ioctl(self->kb.daemon, KEXTD_IOC_EXCHANGE, &args);
	}
	TH_LOG("%u calls", calls);
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	while (!kb_fetch(self->kb.daemon, &record, 0))
		;
	while (kb_event(&self->kb, 0, &event, NEVER_MS))
		;
	ASSERT_EQ(0, kb_request(&self->kb, A, "sane", 1, NULL));
	FETCH(&record, "sane");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	self->kb.seen = 0;
	while (kb_event(&self->kb, KBTEST_CALLBACK, &event, SOON_MS) && event.context != 1)
		;
	EXPECT_EQ(1, event.context);
}

TEST_HARNESS_MAIN
