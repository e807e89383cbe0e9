// SPDX-License-Identifier: GPL-2.0-only
/* User memory as a hostile program hands it in: not there, not ours, half there, read-only, changing while it is read. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define PAGE 4096u
#define FILL 0x5a         /* what the kernel's SLUB writes into new memory with slub_debug=P, too */
#define FLIPS 400         /* at most, for one call */
#define LONGEST_NAME 5000 /* longer than any limit */

/*
 * SAFETY: an address that changes while the kernel reads it is an address that the kernel writes to. All that it may be
 * told to write to lies here, a room to a slot, far from libraries, stacks and heaps: whatever flip() makes of the address of one room is
 * in that room, or nothing is there. It changes bits 0 to 3, 8, 16 and 31 of an address and such of its upper half, and
 * may complement either half; a slot's number is in bits 24 to 30, and that of its complement is no slot's.
 */
#define ROOMS ((uint8_t *)(1ul << 44))
#define ROOMS_SIZE (1ul << 32)
#define SLOT_SIZE (1ul << 24)
#define SLOTS 64

static uint8_t *payload;                               /* PAYLOAD_ROOM bytes, then nothing; read-only */
static uint8_t *read_only, *read_only_ours;            /* the same page, for the kernel and for us */
static uint8_t *hot;                                   /* a page that the other thread changes */
static char *names;                                    /* read-only */
static __thread uint8_t *args_room, *buffer, *replies; /* each followed by nothing */

static const uint64_t not_ours[] = {
	0,
	1,
	0x1000,
	0xffff888000001000,
	0xffffffff81000000,
	0xffffc90000000000,
	0x7ffffffff000,
	0x7ffffffffff8,
	0x800000000000,
	0xdead000000000100,
	0xfffffffffffff000,
	0xfffffffffffffff8,
	0xffffffffffffffff,
};

static uint64_t bad_address(uint32_t at)
{
	return not_ours[at % (sizeof(not_ours) / sizeof(not_ours[0]))];
}

static uint8_t *next_slot(void)
{
	static _Atomic size_t used;
	size_t slot = used++;

	if (slot >= SLOTS)
		abort();
	return ROOMS + slot * SLOT_SIZE;
}

/* `size` bytes, whole pages, with a hole behind them that nobody else fills. */
static uint8_t *room_with_hole(size_t size)
{
	uint8_t *at = next_slot();

	if (mprotect(at, size, PROT_READ | PROT_WRITE))
		abort();
	return at;
}

static uint8_t *own_room(uint8_t **room, size_t size)
{
	if (!*room)
		*room = room_with_hole(size);
	return *room;
}

static uint8_t *own_args(void)
{
	return own_room(&args_room, ARGS_ROOM);
}

static uint8_t *own_buffer(void)
{
	return own_room(&buffer, BUFFER_ROOM);
}

struct kextd_reply *own_replies(void)
{
	return (void *)own_room(&replies, REPLIES_ROOM);
}

/* None of them is what the kernel fills memory with, new or freed. */
static void fill_payload(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = 0xc0 | (i * 7 & 0xf);
}

bool is_payload(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] && (bytes[i] & 0xf0) != 0xc0)
			return false;
	return true;
}

bool is_poison32(uint32_t value)
{
	return value == 0x5a5a5a5au || value == 0x6b6b6b6bu;
}

bool is_poison64(uint64_t value)
{
	return is_poison32(value) || is_poison32(value >> 32);
}

void memory_init(void)
{
	int fd = memfd_create("read-only", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, PAGE))
		abort();
	if (mmap(ROOMS, ROOMS_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		 0) != ROOMS)
		abort();
	read_only_ours = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	read_only = mmap(next_slot(), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	if (read_only_ours == MAP_FAILED || read_only == MAP_FAILED)
		abort();
	close(fd);
	payload = room_with_hole(PAYLOAD_ROOM);
	fill_payload(payload, PAYLOAD_ROOM);
	hot = room_with_hole(PAGE);
	names = (char *)room_with_hole(2 * PAGE);
	memset(names, 'n', 2 * PAGE);
	if (mprotect(payload, PAYLOAD_ROOM, PROT_READ) || mprotect(names, 2 * PAGE, PROT_READ))
		abort();
}

/* ---- what changes while the kernel reads it */

static sem_t flip_go;
static _Atomic uint32_t flip_size; /* 0: nothing is to be changed */

static void *flip(void *unused)
{
	static const uint32_t changes[] = {1, 2, 4, 8, 0x100, 0x10000, 0x80000000, 0xffffffff};
	uint32_t state = 1;

	for (;;) {
		while (sem_wait(&flip_go))
			;
		for (int i = 0; i < FLIPS; i++) {
			uint32_t size = flip_size;

			if (size < 4)
				break;
			state = state * 1664525 + 1013904223;
			((volatile uint32_t *)hot)[(state >> 20) % (size / 4)] ^= changes[(state >> 9) % 8];
			if (i % 8 == 0) {
				files_disturb();
				sched_yield();
			}
		}
	}
	return unused;
}

void memory_start_thread(void)
{
	pthread_t thread;

	/* Before any allocation can be made to fail. */
	own_args();
	own_buffer();
	own_replies();

	sem_init(&flip_go, 0, 0);
	start_thread(flip, &thread);
}

static void begin_flips(uint32_t size)
{
	flip_size = size;
	sem_post(&flip_go);
}

/* ---- arguments */

static uint32_t choose_size(uint32_t op, uint32_t known, bool *tail)
{
	static const uint32_t odd[] = {0, 1, 4, 4095, 4096, 4097, 8192, 0x7fffffff, 0x80000000, 0xffffffff};

	*tail = false;
	if (often(op, 205))
		return known;
	if (often(op, 218))
		return known + 8 * (1 + pick(op, 40));
	*tail = often(op, 230);
	if (*tail)
		return known + 8 * (1 + pick(op, 40));
	return often(op, 240) ? known - 4 * (1 + pick(op, 2)) : odd[pick(op, 10)];
}

struct args place(uint32_t place_op, uint32_t size_op, void *structure, uint32_t known)
{
	bool tail;
	uint32_t size = choose_size(size_op, known, &tail);
	uint32_t room = size <= ARGS_ROOM - 64 && size > known ? size : known;
	uint8_t *at = own_args(), *end = at + ARGS_ROOM;
	struct args args = {.size = size, .writable = true};

	memcpy(structure, &size, sizeof(size));
	if (often(place_op, 222)) {
		at += pick(place_op, 8) ? 0 : pick(place_op, 64);
	} else if (often(place_op, 228)) {
		args.address = bad_address(place_op >> 8);
		return args;
	} else if (often(place_op, 234)) {
		at = read_only_ours;
		room = room > PAGE ? PAGE : room;
		args.writable = false;
	} else if (!often(place_op, 242)) {
		at = hot;
		room = room > PAGE ? PAGE : room;
		args.hot = true;
	} else {
		/* Ends where the mapping ends, or a little later. */
		uint32_t beyond = place_op & 0x10000 ? 1 + pick(place_op, known) : 0;

		at = end - room + beyond;
		memcpy(at, structure, (size_t)(end - at) < known ? (size_t)(end - at) : known);
		memset(at + known < end ? at + known : end, 0, at + known < end ? end - (at + known) : 0);
		args.address = (uintptr_t)at;
		args.readable = beyond ? NULL : at;
		return args;
	}
	memcpy(at, structure, known < room ? known : room);
	if (room > known)
		memset(at + known, 0, room - known);
	if (tail && room > known)
		at[room - 1 - pick(size_op, room - known)] = 1;
	args.readable = at;
	args.address = (uintptr_t)(at == read_only_ours ? read_only : at);
	if (args.hot)
		begin_flips(known);
	return args;
}

bool fetch_args(const struct args *args, void *structure, uint32_t known)
{
	if (args->hot)
		flip_size = 0;
	if (!args->readable || args->hot || !args->writable)
		return false;
	memcpy(structure, args->readable, known);
	return true;
}

/* ---- payloads, buffers, strings */

uint64_t any_payload(uint32_t op)
{
	if (often(op, 200))
		return (uintptr_t)payload;
	if (often(op, 215)) /* runs into the hole */
		return (uintptr_t)payload + PAYLOAD_ROOM - pick(op, 300);
	return often(op, 235) ? bad_address(op >> 8) : (uintptr_t)payload + pick(op, 8);
}

uint64_t any_nothing(uint32_t op)
{
	return op & 0x10000 ? (uintptr_t)read_only : bad_address(op >> 8);
}

uint64_t any_output(uint32_t op, uint32_t room, uint8_t **readable)
{
	uint8_t *at = own_buffer();

	*readable = NULL;
	if (room > BUFFER_ROOM)
		room = BUFFER_ROOM;
	if (often(op, 225)) {
		/* Also right before the hole. */
		at += op & 0x10000 ? BUFFER_ROOM - ((room + 7) & ~7u) : 0;
		memset(at, FILL, room);
		*readable = at;
		return (uintptr_t)at;
	}
	if (often(op, 232)) /* half of it */
		return (uintptr_t)at + BUFFER_ROOM - (pick(op, 600) & ~7u);
	if (often(op, 238))
		return (uintptr_t)read_only;
	if (often(op, 244))
		return (uintptr_t)at + 1 + pick(op, 7);
	return bad_address(op >> 8);
}

uint64_t any_string(uint32_t op, bool identifier, uint32_t *length)
{
	static const char *const identifiers[] = {ID_A,
						  ID_B,
						  "com.example.kbtest_plain",
						  "com.example.kbtest_id64",
						  "com.example.kbtest",
						  "com.example.nobody"};
	static const char *const common[] = {"resource", "a", "firmware.bin", "dir/file", "start"};
	static const char *const odd[] = {
		"..", "/", "../../etc/passwd", "a/../../b", "\001\033[2J", "\n", "\xff\xfe", "%s%n", "", " "};
	static const uint32_t lengths[] = {1, 31, 32, 63, 64, 255, 256, 1022, 1023, 1024, 3071, 3072, 3073, 4096, 4999};
	const char *text;

	if (often(op, 170)) {
		text = identifier ? identifiers[pick(op, 6)] : common[pick(op, 5)];
		*length = strlen(text);
		return (uintptr_t)text;
	}
	if (often(op, 200)) {
		text = odd[pick(op, 10)];
		*length = strlen(text);
		return (uintptr_t)text;
	}
	*length = lengths[pick(op, 15)];
	if (often(op, 225)) /* with its end, wherever that is, at the hole */
		return (uintptr_t)names + 2 * PAGE - *length;
	if (often(op, 235)) /* a byte longer than there is memory */
		return (uintptr_t)names + 2 * PAGE - *length + 1;
	if (often(op, 240)) { /* a NUL inside */
		*length = sizeof("in\0side") - 1;
		return (uintptr_t) "in\0side";
	}
	if (often(op, 248)) {
		*length = number(op >> 8, LONGEST_NAME);
		return (uintptr_t)names;
	}
	return bad_address(op >> 8);
}
