// SPDX-License-Identifier: GPL-2.0-only
/* What an operand stands for: ids that somebody has seen, their near misses, the ends of ranges. */
#include "fuzz.h"

static uint64_t own_state;
uint64_t *random_state = &own_state;

/* splitmix64 */
uint64_t random_next(void)
{
	uint64_t x = *random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

void ring_add(struct ring *ring, uint64_t id)
{
	ring->ids[ring->next++ % RING] = id;
}

/* Mostly one of the last few: they are still there. */
static uint64_t ring_get(struct ring *ring, uint32_t op)
{
	uint32_t back = op % 4 ? op / 4 % 6 : op / 4 % RING;

	return ring->ids[(ring->next - 1 - back) % RING];
}

uint32_t pick(uint32_t op, uint32_t n)
{
	return (op >> 8) % n;
}

static const uint32_t ends[] = {0,       1,          2,          0x7f,       0xff,       0x100,      0xffff,
				0x10000, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff};

static uint32_t end_of_range(uint32_t at)
{
	return ends[at % (sizeof(ends) / sizeof(ends[0]))];
}

uint32_t number(uint32_t op, uint32_t max)
{
	if (often(op, 140))
		return pick(op, 20);
	if (often(op, 180))
		return max ? pick(op, max) : 0;
	if (often(op, 220))
		return max - 2 + pick(op, 5);
	return end_of_range(op >> 8);
}

uint32_t small(uint32_t op, uint32_t max)
{
	return often(op, 240) ? pick(op, max + 1) : end_of_range(op >> 8);
}

uint32_t reserved(uint32_t op)
{
	return often(op, 250) ? 0 : 1u << pick(op, 32);
}

uint32_t any_tag(uint32_t op, bool kexts)
{
	uint32_t at = op >> 8;

	if (often(op, 180))
		return ring_get(kexts ? &shared->kext_tags : &shared->tags, at);
	if (often(op, 200)) /* of the other kind */
		return ring_get(kexts ? &shared->tags : &shared->kext_tags, at);
	if (often(op, 225)) /* may just be being given to somebody */
		return ring_get(kexts ? &shared->kext_tags : &shared->tags, 0) + at % 4;
	if (often(op, 235))
		return ring_get(&shared->load_tags, at);
	if (often(op, 245))
		return ring_get(&shared->wire_ids, at) ^ 1u << at % 32;
	return end_of_range(at);
}

uint64_t any_wire_id(uint32_t op)
{
	uint32_t at = op >> 8;

	if (often(op, 190))
		return ring_get(&shared->wire_ids, at);
	if (often(op, 205)) /* with other wrap bits */
		return ring_get(&shared->wire_ids, at) + (1ull << (32 + at % 32));
	if (often(op, 225)) /* not fetched */
		return ring_get(at % 2 ? &shared->tags : &shared->kext_tags, at);
	if (often(op, 240))
		return ring_get(&shared->wire_ids, at) + 1;
	if (often(op, 248))
		return end_of_range(at);
	return (uint64_t)end_of_range(at) << 32 | end_of_range(at / 16);
}

uint32_t any_load_tag(uint32_t op)
{
	uint32_t at = op >> 8;

	if (often(op, 225))
		return ring_get(&shared->load_tags, at);
	if (often(op, 240))
		return ring_get(&shared->load_tags, at) + at % 8;
	return often(op, 248) ? ring_get(&shared->tags, at) : end_of_range(at);
}

uint32_t any_timeout(uint32_t op)
{
	static const uint32_t common[] = {0, 0, 1, 1, 2, 5, 20, 60, 300, 1000, 60000};

	return often(op, 240) ? common[pick(op, 11)] : end_of_range(op >> 8);
}

uint32_t any_length(uint32_t op)
{
	if (often(op, 150))
		return pick(op, 600);
	if (often(op, 225))
		return pick(op, 9000);
	if (often(op, 235))
		return pick(op, 70000);
	return often(op, 240) ? pick(op, PAYLOAD_ROOM) : number(op >> 4, PAYLOAD_ROOM);
}
