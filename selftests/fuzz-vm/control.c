// SPDX-License-Identifier: GPL-2.0-only
/* Calls on /dev/kextbridge, as a hostile program makes them, and a look at each answer. */
#include <string.h>
#include <sys/ioctl.h>

#include "fuzz.h"

#define MOST_INSTANCES 1000000u
#define MOST_ASKED_LOADS 4096u /* that the core remembers */

int call_ioctl(int fd, unsigned long command, uint64_t arg)
{
	return ioctl(fd, command, arg) < 0 ? errno : 0;
}

/* The size in the number is not what counts; the direction is. */
unsigned long command_of(uint32_t op, unsigned long command)
{
	if (often(op, 235))
		return command;
	if (often(op, 250))
		return (command & ~0x3fff0000ul) | ((unsigned long)pick(op, 0x4000) << 16);
	return command ^ (1ul + pick(op, 3)) << 30;
}

/* The same for all: the structure goes to where the kernel is to find it. fetched: what is in it now can be looked at. */
static int make(int fd, const struct call *call, unsigned long command, void *structure, uint32_t known, bool *fetched)
{
	struct args args;
	int err;

	if (fd < 0)
		return SKIPPED;
	args = place(call->op[6], call->op[7], structure, known);
	err = call_ioctl(fd, command_of(call->op[7] * 2654435761u, command), args.address);
	*fetched = fetch_args(&args, structure, known) && !err;
	return err;
}

/* Zeros behind a string, and a string at all. */
static bool is_field(const char *field, size_t size)
{
	size_t length = strnlen(field, size);

	for (size_t i = length; i < size; i++)
		if (field[i])
			return false;
	return length && length < size;
}

int make_list(const struct call *call)
{
	uint32_t room = number(call->op[0], 40);
	uint8_t *buffer;
	struct kextbridge_list args = {
		.flags = often(call->op[1], 200) ? 0 :
			 often(call->op[1], 246) ? KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD :
						   reserved(call->op[1] >> 4),
		.kexts = any_output(call->op[2], (room < 64 ? room : 64) * sizeof(struct kextbridge_kext), &buffer),
		.count = room,
		.total = 0x5a5a5a5a,
		.from = small(call->op[3], 300),
		.reserved = reserved(call->op[4]),
	};
	const struct kextbridge_kext *kexts;
	bool fetched;
	int err = make(control_of(call->op[5]), call, KEXTBRIDGE_IOC_LIST, &args, sizeof(args), &fetched);

	if (err || !fetched)
		return err;
	if (args.count > room || is_poison32(args.total))
		failed("list: %u entries for a room of %u, %u in all", args.count, room, args.total);
	kexts = (const void *)buffer;
	for (uint32_t i = 0; buffer && i < args.count && i < BUFFER_ROOM / sizeof(*kexts); i++) {
		const struct kextbridge_kext *kext = &kexts[i];

		if (kext->instances > MOST_INSTANCES || is_poison32(kext->refused) ||
		    !is_field(kext->identifier, sizeof(kext->identifier)) ||
		    !is_field(kext->version, sizeof(kext->version)) || !is_field(kext->module, sizeof(kext->module)) ||
		    !kext->state || kext->state > KEXT_STATE_LOADED || is_poison32(kext->retains) ||
		    is_poison32(kext->pending) || kext->flags > 15)
			failed("list: entry %u of %u: tag %u, state %u, flags %#x", i, args.count, kext->load_tag,
			       kext->state, kext->flags);
		ring_add(&shared->load_tags, kext->load_tag);
	}
	return 0;
}

int make_load_requests(const struct call *call)
{
	uint32_t room = number(call->op[0], 40);
	uint8_t *buffer;
	struct kextbridge_load_requests args = {
		.flags = reserved(call->op[1]),
		.identifiers = any_output(call->op[2], (room < 64 ? room : 64) * KEXTBRIDGE_IDENTIFIER_SIZE, &buffer),
		.count = room,
		.total = 0x5a5a5a5a,
		.from = small(call->op[3], 60),
		.reserved = reserved(call->op[4]),
	};
	bool fetched;
	int err = make(control_of(call->op[5]), call, KEXTBRIDGE_IOC_LOAD_REQUESTS, &args, sizeof(args), &fetched);

	if (err || !fetched)
		return err;
	if (args.count > room || args.total > MOST_ASKED_LOADS ||
	    args.count > (args.from < args.total ? args.total - args.from : 0))
		failed("load requests: %u entries for a room of %u, from %u on, %u in all", args.count, room, args.from,
		       args.total);
	for (uint32_t i = 0; buffer && i < args.count && i < BUFFER_ROOM / KEXTBRIDGE_IDENTIFIER_SIZE; i++)
		if (!is_field((const char *)buffer + i * KEXTBRIDGE_IDENTIFIER_SIZE, KEXTBRIDGE_IDENTIFIER_SIZE))
			failed("load requests: entry %u of %u is no identifier", i, args.count);
	return 0;
}

int make_status(const struct call *call)
{
	struct kextbridge_status args;
	uint64_t words[sizeof(args) / 8];
	bool fetched;
	int err;

	memset(&args, 0x5a, sizeof(args));
	args.reserved = reserved(call->op[0]);
	err = make(control_of(call->op[5]), call, KEXTBRIDGE_IOC_STATUS, &args, sizeof(args), &fetched);
	if (err || !fetched)
		return err;
	memcpy(words, &args, sizeof(args));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_poison64(words[i]))
			failed("status: byte %zu and on: %#llx", i * 8, (unsigned long long)words[i]);
	return 0;
}

int make_request(const struct call *call)
{
	struct kextbridge_request args = {
		.flags = often(call->op[0], 180) ? 0 :
			 often(call->op[0], 240) ? KEXTBRIDGE_REQUEST_HOLD :
						   call->op[0],
		.timeout_ms = any_timeout(call->op[3]),
		.max_length = often(call->op[4], 180) ? 0 : any_length(call->op[4]),
		.tag = 0x5a5a5a5a,
		.result = 0x5a5a5a5a,
	};
	bool fetched, none;
	int err;

	args.identifier = any_string(call->op[1], true, &args.identifier_size);
	args.name = any_string(call->op[2], false, &args.name_size);
	err = make(control_of(call->op[5]), call, KEXTBRIDGE_IOC_REQUEST, &args, sizeof(args), &fetched);
	if (err || !fetched)
		return err;
	none = args.tag == TAG_INVALID;
	if (args.result == 0x5a5a5a5a || is_poison32(args.tag) || none == !args.result)
		failed("request: result %#x, tag %#x", args.result, args.tag);
	if (!args.result)
		ring_add(&shared->tags, args.tag);
	return args.result;
}

int make_result(const struct call *call)
{
	uint32_t room = often(call->op[2], 128) ? 600 : number(call->op[2], BUFFER_ROOM);
	uint8_t *buffer;
	struct kextbridge_result args = {
		/* Without NOWAIT only where it may wait. */
		.flags = (may_wait() ? 0 : KEXTBRIDGE_RESULT_NOWAIT) |
			 (often(call->op[0], 120) ? KEXTBRIDGE_RESULT_RELEASE : 0) |
			 (often(call->op[0], 250) ? 0 : pick(call->op[0], 16)),
		.tag = often(call->op[1], 90) ? TAG_INVALID : any_tag(call->op[1] * 40503u, false),
		.status = 0x5a5a5a5a,
		.data = any_output(call->op[3], room, &buffer),
		.offset = often(call->op[4], 200) ? 0 : number(call->op[4], 700),
		.count = room,
		.length = 0x5a5a5a5a,
	};
	bool fetched;
	int err;

	err = !may_wait() && often(call->op[0] * 77u, 12) ? make_elsewhere(make_result, call, INTERRUPTIBLY) : SKIPPED;
	if (err != SKIPPED)
		return err;
	err = make(control_of(call->op[5]), call, KEXTBRIDGE_IOC_RESULT, &args, sizeof(args), &fetched);
	if (err || !fetched)
		return err;
	if (args.status == 0x5a5a5a5a || args.count > room)
		failed("result: status %#x, %u bytes for a room of %u", args.status, args.count, room);
	if (args.status)
		return args.status;
	if (is_poison32(args.length) || args.count > args.length || (args.out_flags & ~KEXTBRIDGE_RESULT_CANCELLED))
		failed("result: %u of %u bytes, flags %#x", args.count, args.length, args.out_flags);
	if (buffer && args.count <= BUFFER_ROOM && !is_payload(buffer, args.count))
		failed("result: %u bytes that no daemon has given", args.count);
	return args.outcome ? args.outcome : 0;
}

static int tag_call(const struct call *call, unsigned long command, uint32_t tag, uint32_t good_flags)
{
	struct kextbridge_tag args = {
		.flags = often(call->op[1], 245) ? call->op[1] >> 8 & good_flags : call->op[1] >> 8,
		.tag = tag,
		.result = 0x5a5a5a5a,
	};
	bool fetched;
	int err = make(control_of(call->op[5]), call, command, &args, sizeof(args), &fetched);

	if (err || !fetched)
		return err;
	if (args.result == 0x5a5a5a5a)
		failed("call %#lx: no result", command);
	return args.result;
}

int make_cancel(const struct call *call)
{
	return tag_call(call, KEXTBRIDGE_IOC_CANCEL, any_tag(call->op[0], call->op[2] % 16 == 0), 0);
}

int make_retain(const struct call *call)
{
	return tag_call(call, KEXTBRIDGE_IOC_RETAIN, any_load_tag(call->op[0]), 0);
}

int make_release(const struct call *call)
{
	return tag_call(call, KEXTBRIDGE_IOC_RELEASE, any_load_tag(call->op[0]), 0);
}

/* What is only stopped can do little until it is started again. */
int make_unload(const struct call *call)
{
	uint32_t flags = KEXTBRIDGE_UNLOAD_IF_IDLE | (call->op[2] % 6 ? 0 : KEXTBRIDGE_UNLOAD_STOP_ONLY);

	if (!may_wait())
		return make_elsewhere(make_unload, call, KILLABLY);
	return tag_call(call, KEXTBRIDGE_IOC_UNLOAD, any_load_tag(call->op[0]), flags);
}

int make_load(const struct call *call)
{
	struct kextbridge_load args = {
		.flags = often(call->op[0], 128) ? 0 :
			 often(call->op[0], 248) ? KEXTBRIDGE_LOAD_WAIT :
						   call->op[0] >> 8,
		.result = 0x5a5a5a5a,
	};
	bool fetched;
	int err;

	args.flags |= call->op[3] % 4 ? 0 : KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD;
	if ((args.flags & KEXTBRIDGE_LOAD_WAIT) && !may_wait())
		return make_elsewhere(make_load, call, KILLABLY);
	args.identifier = any_string(call->op[1], true, &args.identifier_size);
	err = make(control_of(call->op[5]), call, KEXTBRIDGE_IOC_LOAD, &args, sizeof(args), &fetched);
	if (err || !fetched)
		return err;
	if (args.result == 0x5a5a5a5a)
		failed("load: no result");
	return args.result;
}
