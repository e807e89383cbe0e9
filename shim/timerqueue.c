// SPDX-License-Identifier: GPL-2.0-only
#include <linux/timerqueue.h>

#include "shim/shim.h"

void shim_timerqueue_add(struct timerqueue_head *head, struct timerqueue_node *node)
{
	timerqueue_add(head, node);
}

void shim_timerqueue_del(struct timerqueue_head *head, struct timerqueue_node *node)
{
	timerqueue_del(head, node);
}

u64 shim_timerqueue_expires(const struct timerqueue_node *node)
{
	return node->expires;
}

struct timerqueue_node *shim_timerqueue_getnext(struct timerqueue_head *head)
{
	return timerqueue_getnext(head);
}

void shim_timerqueue_init(struct timerqueue_node *node, u64 expires_ns)
{
	timerqueue_init(node);
	node->expires = expires_ns;
}

void shim_timerqueue_init_head(struct timerqueue_head *head)
{
	timerqueue_init_head(head);
}
