// SPDX-License-Identifier: GPL-2.0-only
/* Calls on /dev/kextd: of a daemon that lies, and of one that does its work, without which nothing would go deep. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define MOST_REPLIES 1100

_Static_assert(MOST_REPLIES * sizeof(struct kextd_reply) <= REPLIES_ROOM, "all replies have room");

/* Nothing but what it is about: one of the kexts that there are, or none. */
static bool is_announcement(const struct kextd_request *head)
{
	bool kext = head->kind != KEXTD_EXIT;

	return !head->id && !head->deadline_ns && !head->max_length && !head->attempt && kext == !!head->load_tag &&
	       kext == (head->identifier_size > sizeof("com.example.kbtest") - 1) && kext == (head->name_size > 1);
}

static bool is_record(const struct kextd_request *head, uint32_t left)
{
	const char *strings = (const char *)(head + 1);
	uint32_t used;

	if (left < sizeof(*head) || head->size > left || head->size % 8 || head->reserved || !head->identifier_size ||
	    !head->name_size || head->kind < KEXTD_RESOURCE || head->kind > KEXTD_EXIT)
		return false;
	if (head->kind <= KEXTD_CANCEL ? !head->id : !is_announcement(head))
		return false;
	used = head->identifier_size + head->name_size;
	if (used > head->size - sizeof(*head) || head->size - sizeof(*head) - used > 7 ||
	    strnlen(strings, head->identifier_size) != head->identifier_size - 1 ||
	    strnlen(strings + head->identifier_size, head->name_size) != head->name_size - 1)
		return false;
	for (; used < head->size - sizeof(*head); used++)
		if (strings[used])
			return false;
	return true;
}

/* Looks at what was fetched, and remembers the ids. */
static void see_records(const uint8_t *buffer, const struct kextd_exchange *args)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < args->request_count; i++) {
		struct kextd_request head = {};

		if (args->requests_used - at >= sizeof(head))
			memcpy(&head, buffer + at, sizeof(head));
		if (!is_record((const void *)(buffer + at), args->requests_used - at)) {
			failed("exchange: record %u of %u, at %u of %u: size %u, kind %u", i, args->request_count, at,
			       args->requests_used, head.size, head.kind);
			return;
		}
		if (head.id)
			ring_add(&shared->wire_ids, head.id);
		at += head.size;
	}
	if (at != args->requests_used)
		failed("exchange: %u records are %u bytes, not %u", args->request_count, at, args->requests_used);
}

static uint32_t any_flags(uint32_t op)
{
	if (often(op, 80))
		return KEXTD_REPLY_RESULT;
	if (often(op, 165))
		return KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA;
	if (often(op, 245))
		return KEXTD_REPLY_RESULT | KEXTD_REPLY_FD;
	return op >> 8;
}

static struct kextd_reply any_reply(uint32_t op)
{
	uint32_t other = op * 2654435761u, third = other * 40503u ^ op >> 3;
	struct kextd_reply reply = {
		.id = any_wire_id(op),
		.result = often(third, 200) ? 0 : (int32_t)number(third, 1000),
		.flags = any_flags(other),
		.status = 0x5a5a5a5a,
		.reserved = reserved(third >> 4),
	};

	if ((reply.flags & KEXTD_REPLY_DATA) || often(other >> 3, 5)) {
		reply.data = any_payload(third >> 2);
		reply.length = any_length(other >> 5);
	}
	if (reply.flags & KEXTD_REPLY_FD)
		reply.fd = any_file(third >> 1);
	return reply;
}

/* The statuses that the kernel has written are those it may write. */
static int see_replies(const struct kextd_reply *replies, uint32_t count)
{
	int last = 0;

	for (uint32_t i = 0; i < count; i++) {
		last = replies[i].status;
		if (last && last != kOSKextReturnNotFound && last != kOSKextReturnInvalidArgument &&
		    last != kOSKextReturnNoResources && last != kOSKextReturnBadData && last != kOSKextReturnNoMemory)
			failed("exchange: reply %u of %u has status %#x", i, count, last);
		/* The tags have not wrapped around, so nothing has such an id. */
		if (!last && replies[i].id >> 32)
			failed("exchange: reply %u of %u, to %#llx, was taken", i, count,
			       (unsigned long long)replies[i].id);
	}
	return last;
}

int make_exchange(const struct call *call)
{
	struct kextd_reply *replies = own_replies();
	static const uint32_t many[] = {16, 17, 64, 1023, 1024, 1025, 0x7fffffff, 0xffffffff};
	uint32_t count = often(call->op[0], 252) ? pick(call->op[0], 4) : many[pick(call->op[0], 8)];
	uint32_t filled = count < MOST_REPLIES ? count : MOST_REPLIES;
	uint32_t room = often(call->op[3], 200) ? 4096 : number(call->op[3], BUFFER_ROOM);
	uint8_t *buffer;
	struct kextd_exchange args = {
		.flags = (may_wait() ? 0 : KEXTD_EXCHANGE_NOWAIT) | (call->op[5] & 0x300 ? 0 : KEXTD_EXCHANGE_NOTIFY) |
			 (often(call->op[1], 250) ? 0 : call->op[1] >> 8),
		.replies = often(call->op[2], 235) ? KB_STRING(replies) : any_nothing(call->op[2] * 77u),
		.reply_count = count,
		.max_requests = often(call->op[1] >> 4, 235) ? pick(call->op[1], 20) : many[pick(call->op[1], 8)],
		.requests = any_output(call->op[4], room < BUFFER_ROOM ? room : BUFFER_ROOM, &buffer),
		.requests_size = room,
		.requests_used = 0x5a5a5a5a,
		.request_count = 0x5a5a5a5a,
		.reserved = reserved(call->op[3] >> 3),
	};
	int fd = daemon_of(call->op[5]), err, status;
	bool fetched, own_replies = args.replies == KB_STRING(replies);
	struct args placed;

	if (fd < 0)
		return SKIPPED;
	err = !may_wait() && often(call->op[0] * 77u, 6) ? make_elsewhere(make_exchange, call, INTERRUPTIBLY) : SKIPPED;
	if (err != SKIPPED)
		return err;
	for (uint32_t i = 0; i < filled; i++)
		replies[i] = any_reply((call->op[2] >> 8) + i * 0x9e3779b9u + call->op[0]);
	placed = place(call->op[6], call->op[7], &args, sizeof(args));
	err = call_ioctl(fd, command_of(call->op[7] * 2654435761u, KEXTD_IOC_EXCHANGE), placed.address);
	fetched = fetch_args(&placed, &args, sizeof(args));
	if (err || !fetched)
		return err;
	if (args.reply_count > count || args.request_count > args.max_requests || args.requests_used > room)
		failed("exchange: %u of %u replies, %u of %u requests, %u of %u bytes", args.reply_count, count,
		       args.request_count, args.max_requests, args.requests_used, room);
	else if (buffer && args.requests_used <= BUFFER_ROOM)
		see_records(buffer, &args);
	status = own_replies ? see_replies(replies, args.reply_count) : 0;
	return status;
}

/* ---- the good daemon */

static struct kextd_reply good_reply(const struct kextd_request *head, uint32_t op)
{
	const char *identifier = (const char *)(head + 1), *module;
	struct kextd_reply reply = {.id = head->id, .flags = KEXTD_REPLY_RESULT};
	int err;

	switch (head->kind) {
	case KEXTD_RESOURCE:
		if (op % 4 == 0)
			reply.result = kOSKextReturnNotFound;
		else if (op % 4 == 1) {
			reply.flags |= KEXTD_REPLY_FD;
			reply.fd = any_file(0);
		} else {
			reply.flags |= KEXTD_REPLY_DATA;
			reply.data = any_payload(0);
			reply.length = op >> 2 & 0x1ff;
		}
		break;
	case KEXTD_LOAD:
		reply.result = kOSKextReturnNotFound;
		if (kext_of_identifier(identifier, &module)) {
			err = kb_insmod(module);
			reply.result = !err || err == EEXIST ? 0 : kOSKextReturnLinkError;
		}
		break;
	case KEXTD_UNLOAD:
		err = kb_rmmod(identifier + head->identifier_size);
		reply.result = !err || err == ENOENT ? 0 : kOSKextReturnInUse;
		break;
	}
	return reply;
}

/* Fetches a few and answers them: all, or but some. */
int make_serve(const struct call *call)
{
	struct kextd_exchange args = {.size = sizeof(args), .flags = KEXTD_EXCHANGE_NOWAIT};
	int fd = daemon_of(call->op[5]), err;
	struct kextd_reply replies[16];
	uint8_t *buffer;
	uint32_t at = 0;

	if (fd < 0)
		return SKIPPED;
	args.max_requests = 1 + pick(call->op[0], 16);
	args.requests_size = BUFFER_ROOM;
	args.requests = any_output(0, BUFFER_ROOM, &buffer);
	err = call_ioctl(fd, KEXTD_IOC_EXCHANGE, (uintptr_t)&args);
	if (err)
		return err;
	see_records(buffer, &args);
	args.replies = KB_STRING(replies);
	args.max_requests = 0;
	for (uint32_t i = 0; i < args.request_count && !shared->failed; i++) {
		const struct kextd_request *head = (const void *)(buffer + at);

		at += head->size;
		if (head->kind < KEXTD_CANCEL && (call->op[1] >> i) % 8)
			replies[args.reply_count++] = good_reply(head, call->op[2] >> i);
	}
	args.request_count = 0;
	return call_ioctl(fd, KEXTD_IOC_EXCHANGE, (uintptr_t)&args);
}
