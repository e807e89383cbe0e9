// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit program that asks for a resource and serves it as the daemon, over the same structures. It needs no 32-bit
 * C library. Exit status: 0, or the number of the step that failed.
 */
#include <libkern/OSReturn.h>
#include <uapi/kextbridge.h>

_Static_assert(sizeof(void *) == 4, "this is the 32-bit one");
_Static_assert(sizeof(struct kextd_request) == 48, "no holes");
_Static_assert(sizeof(struct kextd_reply) == 40, "no holes");

#define NR_exit 1
#define NR_open 5
#define NR_ioctl 54
#define O_RDWR 2

static int call(int number, int first, int second, int third)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
	return result;
}

static __u64 address(const void *pointer)
{
	return (unsigned long)pointer;
}

static int control, daemon;
static __u64 buffer[512];

static int ask(const char *name, __u32 size, __u32 *tag)
{
	struct kextbridge_request request = {
		.size = sizeof(request),
		.identifier = address("com.example.compat"),
		.identifier_size = 18,
		.name = address(name),
		.name_size = size,
	};
	int err = call(NR_ioctl, control, KEXTBRIDGE_IOC_REQUEST, (int)&request);

	*tag = request.tag;
	return err ? err : request.result;
}

/* Fetches the one request that there is, and answers it with the bytes of its name. */
static int serve(void)
{
	struct kextd_exchange args = {
		.size = sizeof(args),
		.flags = KEXTD_EXCHANGE_NOWAIT,
		.max_requests = 4,
		.requests = address(buffer),
		.requests_size = sizeof(buffer),
	};
	struct kextd_request *head = (struct kextd_request *)buffer;
	struct kextd_reply reply = {.flags = KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA, .status = 1};
	int err = call(NR_ioctl, daemon, KEXTD_IOC_EXCHANGE, (int)&args);

	if (err || args.request_count != 1 || head->size != args.requests_used || head->kind != KEXTD_RESOURCE ||
	    head->load_tag || head->identifier_size != 19)
		return 1;
	reply.id = head->id;
	reply.data = address(head + 1) + head->identifier_size;
	reply.length = head->name_size - 1;
	args.max_requests = 0;
	args.replies = address(&reply);
	args.reply_count = 1;
	err = call(NR_ioctl, daemon, KEXTD_IOC_EXCHANGE, (int)&args);
	return err || args.reply_count != 1 || reply.status;
}

static int collect(__u32 tag, const char *name, __u32 size)
{
	char data[32] = {};
	struct kextbridge_result result = {
		.size = sizeof(result),
		.flags = KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE,
		.tag = tag,
		.data = address(data),
		.count = sizeof(data),
	};
	int err = call(NR_ioctl, control, KEXTBRIDGE_IOC_RESULT, (int)&result);

	if (err || result.status || result.outcome || result.length != size || result.count != size)
		return 1;
	for (__u32 i = 0; i < size; i++)
		if (data[i] != name[i])
			return 1;
	return 0;
}

static int run(void)
{
	struct kextbridge_list list = {.size = sizeof(list)};
	struct kextbridge_tag cancel = {.size = sizeof(cancel)};
	__u32 tag;

	control = call(NR_open, (int)"/dev/kextbridge", O_RDWR, 0);
	daemon = call(NR_open, (int)"/dev/kextd", O_RDWR, 0);
	if (control < 0 || daemon < 0)
		return 1;
	if (call(NR_ioctl, control, KEXTBRIDGE_IOC_LIST, (int)&list) || !list.total)
		return 2;
	if (ask("firmware", 8, &tag))
		return 3;
	if (serve())
		return 4;
	if (collect(tag, "firmware", 8))
		return 5;
	if (ask("never", 5, &tag))
		return 6;
	cancel.tag = tag;
	if (call(NR_ioctl, control, KEXTBRIDGE_IOC_CANCEL, (int)&cancel) || cancel.result)
		return 7;
	return 0;
}

void _start(void);
__attribute__((force_align_arg_pointer)) void _start(void)
{
	call(NR_exit, run(), 0, 0);
	__builtin_unreachable();
}
