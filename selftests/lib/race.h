/* SPDX-License-Identifier: GPL-2.0-only */
/* Two threads that meet: one goes when the other is about to, after a delay that is steered so that both may win. */
#ifndef _RACE_H
#define _RACE_H

#include <sched.h>
#include <stdint.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kb.h"

/*
 * Until *at has come that far, or for so many clock ticks. Who waits lets the kernel's workers have the CPU; who waits
 * long leaves it idle, and a busy host then runs the other one.
 */
static inline void await_for(const uint32_t *at, uint32_t value, uint64_t ticks)
{
	uint64_t began = __rdtsc();

	for (unsigned int spins = 1; (int32_t)(__atomic_load_n(at, __ATOMIC_ACQUIRE) - value) < 0; spins++) {
		if (spins % 64 == 0)
			sched_yield();
		if (spins > 16384)
			usleep(20);
		if (__rdtsc() - began > ticks)
			return;
	}
}

static inline void await(const uint32_t *at, uint32_t value)
{
	await_for(at, value, ~0ull);
}

static inline void advance(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* For so many clock ticks. */
static inline void linger(uint64_t ticks)
{
	uint64_t until = __rdtsc() + ticks;

	while (__rdtsc() < until)
		if (ticks > 20000)
			sched_yield();
}

/* How long one side lingers: longer when it wins too often. */
struct steer {
	int64_t ticks;
};

static inline uint64_t steer_ticks(const struct steer *steer)
{
	int64_t noise = kb_random() % (steer->ticks / 2 + 4000);

	return steer->ticks + noise;
}

static inline void steer_later(struct steer *steer)
{
	steer->ticks += steer->ticks / 16 + 64;
	if (steer->ticks > 10000000)
		steer->ticks = 10000000;
}

static inline void steer_sooner(struct steer *steer)
{
	steer->ticks -= steer->ticks / 16 + 64;
	if (steer->ticks < 0)
		steer->ticks = 0;
}

#endif
