// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's timerqueue: a list in the order of time; new ones are mostly the latest.
#include "fake_inside.hpp"

namespace {

struct TimerNode {
	TimerNode *next;
	TimerNode *prev;
	u64 expires;
	struct TimerHead *head; // whose queue it is on
};

struct TimerHead {
	TimerNode *first;
	TimerNode *last;
};

} // namespace

extern "C" void shim_timerqueue_init_head(struct timerqueue_head *head)
{
	*fake::as<TimerHead>(head) = {};
}

extern "C" void shim_timerqueue_init(struct timerqueue_node *node, u64 expires_ns)
{
	if (fake::as<TimerNode>(node)->head)
		fake::bug("timerqueue_init of a queued node");
	*fake::as<TimerNode>(node) = {nullptr, nullptr, expires_ns, nullptr};
}

extern "C" void shim_timerqueue_add(struct timerqueue_head *opaque_head, struct timerqueue_node *opaque)
{
	TimerHead *head = fake::as<TimerHead>(opaque_head);
	TimerNode *node = fake::as<TimerNode>(opaque);
	TimerNode *after = head->last;

	if (!fake::atomic_depth())
		fake::bug("timerqueue_add without a lock");
	if (node->head)
		fake::bug("timerqueue_add of a queued node");
	while (after && after->expires > node->expires)
		after = after->prev;
	node->head = head;
	node->prev = after;
	node->next = after ? after->next : head->first;
	(node->next ? node->next->prev : head->last) = node;
	(after ? after->next : head->first) = node;
}

extern "C" void shim_timerqueue_del(struct timerqueue_head *opaque_head, struct timerqueue_node *opaque)
{
	TimerHead *head = fake::as<TimerHead>(opaque_head);
	TimerNode *node = fake::as<TimerNode>(opaque);

	if (!fake::atomic_depth())
		fake::bug("timerqueue_del without a lock");
	if (node->head != head)
		fake::bug("timerqueue_del of a node that is not queued");
	(node->prev ? node->prev->next : head->first) = node->next;
	(node->next ? node->next->prev : head->last) = node->prev;
	node->head = nullptr;
}

extern "C" struct timerqueue_node *shim_timerqueue_getnext(struct timerqueue_head *head)
{
	return reinterpret_cast<timerqueue_node *>(fake::as<TimerHead>(head)->first);
}

extern "C" u64 shim_timerqueue_expires(const struct timerqueue_node *node)
{
	return fake::as<TimerNode>(node)->expires;
}
