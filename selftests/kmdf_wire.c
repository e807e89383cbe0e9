// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: the wire of uapi/kmdf.h, what it refuses, and what it says about devices, queues and requests. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

static int control(int fd, struct kmdf_device_control *args)
{
	return ioctl(fd, KMDF_IOC_DEVICE_CONTROL, args) ? errno : 0;
}

TEST_F(driver, W_106_wire_has_no_holes)
{
	EXPECT_EQ(56, sizeof(struct kmdf_device_control));
	EXPECT_EQ(32, sizeof(struct kmdf_cancel));
	EXPECT_EQ(16, sizeof(struct kmdf_last_status));
	EXPECT_EQ(8, sizeof(struct kmdf_record));
	EXPECT_EQ(160, sizeof(struct kmdf_device));
	EXPECT_EQ(40, sizeof(struct kmdf_queue));
	EXPECT_EQ(80, sizeof(struct kmdf_request));
	EXPECT_EQ(24, sizeof(struct kmdf_list));
	EXPECT_EQ(16, sizeof(struct kmdf_cancel_request));
	EXPECT_EQ(0xc038b701u, (uint32_t)KMDF_IOC_DEVICE_CONTROL);
}

TEST_F(driver, W_106_sizes_of_the_future_and_of_the_past)
{
	struct {
		struct kmdf_device_control args;
		uint64_t more;
	} longer = {.args = {.size = sizeof(longer), .code = KMTEST_CODE(99)}};
	struct kmdf_device_control args = {.size = 8, .code = KMTEST_CODE(99)};

	EXPECT_EQ(EINVAL, control(self->km.fd, &args));
	args.size = 0;
	EXPECT_EQ(EINVAL, control(self->km.fd, &args));
	EXPECT_EQ(0, control(self->km.fd, &longer.args));
	longer.more = 1;
	EXPECT_EQ(E2BIG, control(self->km.fd, &longer.args));
	args.size = sizeof(args);
	args.reserved = 1;
	EXPECT_EQ(EINVAL, control(self->km.fd, &args));
	EXPECT_EQ(-1, ioctl(self->km.fd, _IOWR(0xb7, 0x77, struct kmdf_cancel), &args));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(driver, W_106_addresses_that_are_none)
{
	struct kmtest_script script = {.slot = R, .ops = {AT(IO, FILL, .value = 8), AT(IO, COMPLETE_WITH, .value = 8)}};
	struct kmdf_device_control args = {
		.size = sizeof(args),
		.code = KMTEST_REQUEST,
		.in = 8,
		.in_length = 8,
		.out = 8,
		.out_length = 8,
	};
	/* Not for the compiler to see. */
	void *volatile nowhere = (void *)8;

	EXPECT_EQ(-1, ioctl(self->km.fd, KMDF_IOC_DEVICE_CONTROL, (void *)8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(EFAULT, control(self->km.fd, &args));
	EXPECT_TRUE(NEVER(IO, R));
	/* The request is completed, but its answer cannot be written. */
	args.in = (uintptr_t)&script;
	args.in_length = sizeof(script);
	EXPECT_EQ(EFAULT, control(self->km.fd, &args));
	EXPECT_TRUE(SEEN(IO, R));
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R1, 1, AT(IO, COMPLETE_WITH, .value = 8));
	EXPECT_EQ(-1, read(self->km.fd, nowhere, 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(self->km.fd, nowhere, 8));
	EXPECT_EQ(EFAULT, errno);
}

/* Nobody answers: what is read-only memory, or goes, while the driver has the request. */
TEST_F(driver, W_106_memory_that_goes)
{
	struct km_client client = {
		.fd = self->km.fd,
		.kind = KM_CONTROL,
		.script = {.slot = R, .ops = {AT(IO, NOTE)}},
		.code = KMTEST_REQUEST,
		.length = 4096,
	};

	client.data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, client.data);
	ASSERT_EQ(0, km_begin(&client));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ASSERT_EQ(0, munmap(client.data, 4096));
	EXPECT_EQ(STATUS_SUCCESS, DO(FILL, R, .value = 4096));
	DO(COMPLETE_WITH, R, .value = 4096);
	EXPECT_EQ(KM_ERRNO(EFAULT), km_end(&client));
}

FIXTURE(limited)
{
	struct km km;
};

FIXTURE_SETUP(limited)
{
	ASSERT_EQ(0, km_setup(&self->km, "max_pending_per_file=4 max_buffer_bytes=65536"));
}

FIXTURE_TEARDOWN(limited)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(limited, W_106_buffers_that_are_too_long)
{
	static char buffer[65537];
	struct kmdf_device_control args = {
		.size = sizeof(args),
		.code = KMTEST_CODE(99),
		.in = (uintptr_t)buffer,
		.in_length = sizeof(buffer),
	};

	EXPECT_EQ(EMSGSIZE, control(self->km.fd, &args));
	args.in_length = 65536;
	EXPECT_EQ(0, control(self->km.fd, &args));
	args.out = (uintptr_t)buffer;
	args.out_length = sizeof(buffer);
	EXPECT_EQ(EMSGSIZE, control(self->km.fd, &args));
	args.out_length = args.in_length = 0xffffffff;
	EXPECT_EQ(EMSGSIZE, control(self->km.fd, &args));
}

TEST_F(limited, W_106_requests_that_are_too_many)
{
	struct km_client clients[5];
	int other;

	for (int i = 0; i < 4; i++)
		DELIVERED(&clients[i], 30 + i, AT(IO, NOTE));
	REQUEST(&clients[4], 34, AT(IO, COMPLETE));
	EXPECT_EQ(KM_ERRNO(ENOSPC), km_end(&clients[4]));
	/* Another file has its own. */
	other = km_open("kmtest");
	ASSERT_LE(0, other);
	clients[4] = (struct km_client){.fd = other,
					.kind = KM_CONTROL,
					.code = KMTEST_REQUEST,
					.script = {.slot = 34, .ops = {AT(IO, COMPLETE)}}};
	ASSERT_EQ(0, km_begin(&clients[4]));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[4]));
	close(other);
	for (int i = 0; i < 4; i++) {
		DO(COMPLETE, 30 + i);
		EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[i]));
	}
	REQUEST(&clients[4], 34, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[4]));
}

TEST_F(driver, W_034_method_neither_is_refused)
{
	struct kmdf_device_control args = {.size = sizeof(args), .code = KMTEST_CODE(0) | 3};

	EXPECT_EQ(0, control(self->km.fd, &args));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, args.status);
}

TEST_F(driver, W_034_direct_methods_are_copied)
{
	struct km_client client;

	/* Out: the output buffer is the second one, and is filled by the driver. */
	client = (struct km_client){
		.fd = self->km.fd,
		.kind = KM_CONTROL,
		.code = KMTEST_REQUEST | 2,
		.length = 32,
		.script = {.slot = R},
	};
	QUEUE_SCRIPT(KMTEST_DEFAULT, R, 1, AT(IO, FILL, .value = 8), AT(IO, INPUT, .value = 1),
		     AT(IO, COMPLETE_WITH, .value = 8));
	ASSERT_EQ(0, km_begin(&client));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(7, client.data[7]);
	EXPECT_EQ(sizeof(struct kmtest_script), FIRST_OP(INPUT, R).value);
}

/* METHOD_IN_DIRECT: the second buffer is one more input. */
TEST_F(driver, W_034_in_direct_brings_both_buffers)
{
	uint8_t bytes[16] = {11, 12, 13, 14};
	struct kmdf_device_control args = {
		.size = sizeof(args), .code = KMTEST_REQUEST | 1, .out = (uintptr_t)bytes, .out_length = sizeof(bytes)};

	QUEUE_SCRIPT(KMTEST_DEFAULT, R, 1, AT(IO, OUTPUT, .value = 1), AT(IO, OUT_MEMORY, .other = R2),
		     AT(IO, MEMORY_READ, .slot = R2, .value = 3ull << 32 | 1), AT(IO, COMPLETE));
	EXPECT_EQ(0, control(self->km.fd, &args));
	EXPECT_EQ(STATUS_SUCCESS, args.status);
	EXPECT_EQ(sizeof(bytes), FIRST_OP(OUTPUT, R).value);
	EXPECT_EQ(14, FIRST_OP(MEMORY_READ, R2).value);
	args.out = 8;
	EXPECT_EQ(EFAULT, control(self->km.fd, &args));
}

TEST_F(driver, W_106_nonblocking_read)
{
	int fd = open("/dev/kmdf/kmtest", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	char byte;

	ASSERT_LE(0, fd);
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R1, 1, AT(IO, COMPLETE_WITH, .value = 1));
	EXPECT_EQ(1, read(fd, &byte, 1));
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R2, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(1, COUNT(CANCEL, R2));
	/* In the queue. */
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R3, 1, AT(IO, COMPLETE));
	DO(QUEUE_STOP, KMTEST_SEQUENTIAL, .flags = KMTEST_SYNC);
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EAGAIN, errno);
	DO(QUEUE_START, KMTEST_SEQUENTIAL);
	EXPECT_TRUE(NEVER(IO, R3));
	close(fd);
}

/* A driver that does it all the same has its way. */
TEST_F(driver, W_106_nonblocking_read_that_succeeds_late)
{
	int fd = open("/dev/kmdf/kmtest", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	char byte = 9;

	ASSERT_LE(0, fd);
	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R1, 1, AT(IO, MARK_EX), AT(CANCEL, FILL, .value = 1),
		     AT(CANCEL, COMPLETE_WITH, .value = 1));
	EXPECT_EQ(1, read(fd, &byte, 1));
	EXPECT_EQ(0, byte);
	close(fd);
}

TEST_F(driver, W_036_errnos_of_statuses)
{
	static const struct {
		int32_t status;
		int err;
	} statuses[] = {
		{STATUS_CANCELLED, ECANCELED},
		{STATUS_INVALID_DEVICE_REQUEST, EOPNOTSUPP},
		{STATUS_INSUFFICIENT_RESOURCES, ENOMEM},
		{STATUS_BUFFER_OVERFLOW, EOVERFLOW},
		{STATUS_DEVICE_BUSY, EBUSY},
		{STATUS_WDF_BUSY, EBUSY},
		{STATUS_NOT_SUPPORTED, EOPNOTSUPP},
		{STATUS_NO_MORE_ENTRIES, ENOENT},
		{STATUS_NOT_FOUND, ENOENT},
		{STATUS_INVALID_PARAMETER, EINVAL},
		{STATUS_IO_TIMEOUT, ETIMEDOUT},
		{STATUS_ACCESS_DENIED, EACCES},
		{STATUS_DELETE_PENDING, ESHUTDOWN},
		{STATUS_UNSUCCESSFUL, EIO},
		{(int32_t)0xc0000123, EIO},
	};

	for (unsigned int i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct kmdf_last_status last;
		char byte;

		QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R + i, 1, AT(IO, COMPLETE, .status = statuses[i].status));
		EXPECT_EQ(-1, read(self->km.fd, &byte, 1));
		EXPECT_EQ(statuses[i].err, errno) TH_LOG("%#x", statuses[i].status);
		ASSERT_EQ(0, km_last_status(self->km.fd, &last));
		EXPECT_EQ(statuses[i].status == STATUS_WDF_BUSY ? STATUS_DEVICE_BUSY : statuses[i].status, last.status);
	}
}

TEST_F(driver, W_002_cancel_by_tag_by_thread_by_file)
{
	struct km_client tagged, twin, other;
	struct kmdf_cancel cancel;
	int fd;

	DELIVERED(&tagged, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	DELIVERED(&twin, R2, AT(IO, NOTE));
	/* A file of its own, with the same tag. */
	fd = km_open("kmtest");
	ASSERT_LE(0, fd);
	other = (struct km_client){.fd = fd,
				   .kind = KM_CONTROL,
				   .code = KMTEST_REQUEST,
				   .tag = R1,
				   .script = {.slot = R3, .ops = {AT(IO, NOTE)}}};
	ASSERT_EQ(0, km_begin(&other));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R3));
	EXPECT_EQ(0, km_cancel_what(self->km.fd, KMDF_CANCEL_TAG, 12345).found);
	EXPECT_EQ(0, km_cancel_what(self->km.fd, KMDF_CANCEL_THREAD, other.tid).found);
	cancel = CANCEL(R1);
	EXPECT_EQ(1, cancel.found);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&tagged));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R2));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R3));
	EXPECT_EQ(1, km_cancel_what(self->km.fd, KMDF_CANCEL_THREAD, twin.tid).flagged);
	EXPECT_EQ(1, VALUE(IS_CANCELED, R2));
	EXPECT_EQ(1, km_cancel_what(fd, KMDF_CANCEL_FILE, 0).flagged);
	EXPECT_EQ(1, VALUE(IS_CANCELED, R3));
	DO(COMPLETE, R2);
	DO(COMPLETE, R3);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&twin));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&other));
	close(fd);
	cancel = (struct kmdf_cancel){.size = sizeof(cancel), .what = 9};
	EXPECT_EQ(-1, ioctl(self->km.fd, KMDF_IOC_CANCEL, &cancel));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(driver, W_069_list_says_what_there_is)
{
	struct kmdf_request request = {};
	struct kmdf_device device = {};
	struct km_client client;
	struct kmdf_list list = {.size = sizeof(list)};

	ASSERT_TRUE(km_find_device(&self->km, "kmtest", &device));
	EXPECT_EQ(KMDF_DEVICE_WORKING, device.state);
	EXPECT_EQ(1, device.opens);
	EXPECT_EQ(0, device.requests);
	EXPECT_STREQ("kmtest", device.driver);
	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(KMDF_REQUEST_OWNED, km_state(&self->km, R, &request));
	EXPECT_EQ(14, request.type);
	EXPECT_EQ(KMTEST_REQUEST, request.code);
	EXPECT_EQ(64, request.length);
	EXPECT_EQ(sizeof(struct kmtest_script), request.in_length);
	EXPECT_EQ(getpid(), request.pid);
	EXPECT_EQ(0, request.flags);
	/* Some clocks tick no more often than the timer. */
	for (uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull; !request.owned_ns;) {
		ASSERT_LT(kb_now_ns(), until);
		km_state(&self->km, R, &request);
	}
	EXPECT_LE(request.owned_ns, request.age_ns);
	ASSERT_TRUE(km_find_device(&self->km, "kmtest", &device));
	EXPECT_EQ(1, device.requests);
	EXPECT_EQ(-1, ioctl(self->km.control, KMDF_IOC_LIST, &list));
	EXPECT_EQ(ENOBUFS, errno);
	EXPECT_LT(sizeof(device), list.used);
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	ASSERT_EQ(0, km_power("kmtest", "suspend"));
	ASSERT_TRUE(km_find_device(&self->km, "kmtest", &device));
	EXPECT_EQ(KMDF_DEVICE_LOW_POWER, device.state);
	ASSERT_EQ(0, km_power("kmtest", "resume"));
}

TEST_F(driver, W_002_cancel_by_id)
{
	struct kmdf_cancel_request cancel = {.size = sizeof(cancel)};
	struct kmdf_request request = {};
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(KMDF_REQUEST_CANCELABLE, km_state(&self->km, R, &request));
	cancel.id = request.id + 1000;
	EXPECT_EQ(-1, ioctl(self->km.control, KMDF_IOC_CANCEL_REQUEST, &cancel));
	EXPECT_EQ(ENOENT, errno);
	cancel.id = request.id;
	EXPECT_EQ(0, ioctl(self->km.control, KMDF_IOC_CANCEL_REQUEST, &cancel));
	EXPECT_EQ(KMDF_REQUEST_CANCELABLE, cancel.state);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(-1, ioctl(self->km.control, KMDF_IOC_CANCEL_REQUEST, &cancel));
	EXPECT_EQ(ENOENT, errno);
}

/* In the second queue of its device; cancelled without having been presented. */
TEST_F(driver, W_002_cancel_by_id_in_a_queue)
{
	struct kmdf_cancel_request cancel = {.size = sizeof(cancel)};
	struct kmdf_request request = {};
	struct km_client first, second;

	USE_MANUAL();
	WAITING(&first, R1, 1);
	WAITING(&second, R2, 2);
	ASSERT_EQ(KMDF_REQUEST_QUEUED, km_state(&self->km, R2, &request));
	cancel.id = request.id;
	EXPECT_EQ(0, ioctl(self->km.control, KMDF_IOC_CANCEL_REQUEST, &cancel));
	EXPECT_EQ(KMDF_REQUEST_QUEUED, cancel.state);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&second));
	EXPECT_FALSE(km_done(&first));
	cancel.size = 4;
	EXPECT_EQ(-1, ioctl(self->km.control, KMDF_IOC_CANCEL_REQUEST, &cancel));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1, CANCEL(R1).finished);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&first));
}

/* Another user's request. */
TEST_F(driver, W_002_cancel_by_a_stranger)
{
	struct kmdf_cancel_request cancel = {.size = sizeof(cancel)};
	struct kmdf_request request = {};
	struct km_client client;
	int status;
	pid_t pid;

	DELIVERED(&client, R, AT(IO, NOTE));
	ASSERT_EQ(KMDF_REQUEST_OWNED, km_state(&self->km, R, &request));
	cancel.id = request.id;
	pid = fork();
	if (!pid) {
		if (setuid(1234))
			_exit(99);
		_exit(ioctl(self->km.control, KMDF_IOC_CANCEL_REQUEST, &cancel) ? errno : 0);
	}
	ASSERT_TRUE(km_reap(pid, &status, KM_SOON_MS));
	EXPECT_EQ(EPERM, WEXITSTATUS(status));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_HARNESS_MAIN
