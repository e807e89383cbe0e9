/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the races with delays share (chaos*.c): how many rounds, the delays of the test build, the books, a daemon of
 * several threads. chaos_fixture.h has the fixture.
 */
#ifndef _CHAOS_H
#define _CHAOS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kb.h"

/* What a machine that is busy with other things may take for a step; more is a failure. */
#define CAP_MS 60000
#define CAP_REQUEUE_MS 10000

/* Other delays from now on, of another seed. 0 or an errno. */
int chaos_delays(void);
/* No delays until the next chaos_delays(). */
int chaos_calm(void);
void chaos_pin(int cpu);
/* As kb_insmod(), and waits for a module of this name that is on its way out. */
int chaos_insmod(const char *module);

/* ---- the books */

/* A line of /sys/class/misc/kextbridge/stats; all ones: it cannot be read. */
uint64_t chaos_stat(const char *name);
/* Of the test build: allocations of the core that are not freed; -1: this is not the test build. */
long chaos_live(void);
/*
 * Nothing is pending, every request has ended once, and what is allocated is what was allocated at the beginning. Waits
 * for works on their way out. False, after lines on stderr that say why.
 */
bool chaos_balanced(long live);
/* kmemleak: forget what there is, and: nothing new is lost. True where the kernel has no kmemleak. */
void chaos_leaks_clear(void);
bool chaos_no_leaks(void);
bool chaos_totals(struct kb *kb, struct kbtest_totals *totals);
/* Unloads the bench and removes kextbridge.ko. 0 or an errno. */
int chaos_rmmod_all(struct kb *kb);

/* ---- a page that is not there: who copies from or to it stands still */

#define CHAOS_PAGE 4096

struct chaos_hole {
	int uffd;
	char *at; /* CHAOS_PAGE bytes; the page before it is there */
};
/* 0 or an errno. */
int chaos_hole(struct chaos_hole *hole);
void chaos_hole_end(struct chaos_hole *hole);
/* Waits until somebody stands still there. */
bool chaos_hole_hit(struct chaos_hole *hole);
/* Who stands still goes on, or fails with EFAULT. */
int chaos_hole_fill(struct chaos_hole *hole);
int chaos_hole_fail(struct chaos_hole *hole);
int chaos_hole_again(struct chaos_hole *hole);

/* ---- the daemon: several threads with one file */

#define CREW_MARKS 65536
#define CREW_FETCHED 1
#define CREW_ANSWERED 2 /* and the answer was taken */

struct crew {
	int daemon;
	int wake[2];
	unsigned int size;
	pthread_t threads[4];
	/* By tag, modulo CREW_MARKS. */
	uint8_t marks[CREW_MARKS];
	uint32_t resources, answered, late, loads, unloads, deleted, notices;
};

/*
 * Answers resources with the bytes of their name; one whose name begins with 'k' is kept, unanswered. Loads and deletes
 * test kexts.
 */
int chaos_crew(struct crew *crew, int daemon, unsigned int size);
void chaos_crew_end(struct crew *crew);

#endif
