// SPDX-License-Identifier: GPL-2.0-only
/* Programs: made anew, or from those that have reached code which had not been reached before. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static uint32_t kind_of(int (*make)(const struct call *call))
{
	uint32_t kind = 0;

	while (kinds[kind].make != make)
		kind++;
	return kind;
}

static void new_call(struct call *call)
{
	static uint32_t total;
	uint32_t at, kind = 0;

	if (!total)
		for (uint32_t i = 0; i < kind_count; i++)
			total += kinds[i].weight;
	for (at = random_next() % total; at >= kinds[kind].weight; kind++)
		at -= kinds[kind].weight;
	/* It is alone in this, and all others depend on it. */
	if (daemon_of(0) >= 0 && one_in(2))
		kind = one_in(3) ? kind_of(make_serve) : kind_of(make_exchange);
	*call = (struct call){.kind = kind, .nobody = one_in(20)};
	for (int i = 0; i < OPERANDS; i++)
		call->op[i] = random_next() >> 16;
}

void program_new(struct program *program)
{
	program->count = 1 + random_next() % MAX_CALLS;
	for (uint32_t i = 0; i < program->count; i++)
		new_call(&program->calls[i]);
}

static void change_operand(struct call *call)
{
	uint32_t *op = &call->op[random_next() % OPERANDS];

	switch (random_next() % 4) {
	case 0: /* another class of value */
		*op ^= random_next() & 0xff;
		break;
	case 1: /* another of the same class */
		*op += 0x100 * (1 + random_next() % 8);
		break;
	case 2:
		*op ^= 1u << random_next() % 32;
		break;
	default:
		*op = random_next() >> 16;
	}
}

static void insert(struct program *program, uint32_t at, const struct call *calls, uint32_t count)
{
	if (program->count + count > MAX_CALLS)
		count = MAX_CALLS - program->count;
	memmove(&program->calls[at + count], &program->calls[at], (program->count - at) * sizeof(*calls));
	memcpy(&program->calls[at], calls, count * sizeof(*calls));
	program->count += count;
}

void program_change(struct program *program)
{
	const struct program *other;
	struct call call;
	uint32_t at;

	if (!me->kept) {
		program_new(program);
		return;
	}
	*program = me->corpus[random_next() % me->kept];
	do {
		at = random_next() % program->count;
		switch (random_next() % 8) {
		case 0:
			new_call(&call);
			insert(program, at, &call, 1);
			break;
		case 1:
			if (program->count > 1)
				memmove(&program->calls[at], &program->calls[at + 1],
					(--program->count - at) * sizeof(call));
			break;
		case 2:
			new_call(&program->calls[at]);
			break;
		case 3:
			other = &me->corpus[random_next() % me->kept];
			insert(program, at, other->calls, 1 + random_next() % other->count);
			break;
		case 4: /* the same again */
			call = program->calls[at];
			insert(program, at, &call, 1);
			break;
		default:
			change_operand(&program->calls[at]);
		}
	} while (random_next() % 3);
}

void program_keep(const struct program *program)
{
	me->corpus[me->kept < KEPT ? me->kept++ : random_next() % KEPT] = *program;
}

uint32_t reached_points(void)
{
	static int fd = -1;
	char text[16] = "";

	/* The module may be another one by now. */
	for (int i = 0; i < 2; i++) {
		if (pread(fd, text, sizeof(text) - 1, 0) > 0)
			return strtoul(text, NULL, 10);
		close(fd);
		fd = open("/sys/module/kextbridge/parameters/coverage_points", O_RDONLY | O_CLOEXEC);
	}
	return 0;
}
