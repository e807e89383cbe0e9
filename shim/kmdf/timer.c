// SPDX-License-Identifier: GPL-2.0-only
#include <linux/jiffies.h>
#include <linux/timer.h>

#include "shim/kmdf.h"

/* timer_setup() with the caller's lock class: the macro would give all timers of this file one class. */
void shim_timer_setup(struct timer_list *timer, void (*function)(struct timer_list *timer), const char *name,
		      struct lock_class_key *key)
{
	init_timer_key(timer, function, 0, name, key);
}

bool shim_mod_timer(struct timer_list *timer, u64 delay_ns)
{
	/* Rounds up and adds the tick that is running: never early. */
	u64 ticks = nsecs_to_jiffies64(delay_ns) + (delay_ns ? 1 : 0);

	return mod_timer(timer, jiffies + min_t(u64, ticks, MAX_JIFFY_OFFSET));
}

bool shim_timer_pending(const struct timer_list *timer)
{
	return timer_pending(timer);
}

bool shim_del_timer(struct timer_list *timer)
{
	return del_timer(timer);
}

bool shim_del_timer_sync(struct timer_list *timer)
{
	return del_timer_sync(timer);
}
