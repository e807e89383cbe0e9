// SPDX-License-Identifier: GPL-2.0-only
// shim/include/shim/kmdf.h on fibers, as far as it depends on who runs when: bottom halves, RCU, nodes, asynchronous
// clients. The rest is the host ring's own (host/kmdf/fake_plain.cpp); timers are in fiber_timer.cpp.
#include "fiber_kmdf.hpp"

#include <algorithm>

using namespace schedules;

struct kmdf_params kmdf_params;

// ---- bottom halves

namespace {

constexpr u16 kBhOff = 0x200; // as the kernel's preempt_count has it

void bh_off()
{
	running().softirq += kBhOff;
	running().locks++;
}

void bh_on(const char *who)
{
	if (running().softirq < kBhOff)
		fake::bug("%s with bottom halves on", who);
	if (running().irqs_off)
		fake::bug("WARNING: %s with interrupts off", who);
	running().softirq -= kBhOff;
	running().locks--;
}

} // namespace

extern "C" void shim_local_bh_disable(void)
{
	bh_off();
}

extern "C" void shim_local_bh_enable(void)
{
	bh_on("local_bh_enable");
}

extern "C" unsigned int shim_softirq_count(void)
{
	return running().softirq;
}

extern "C" bool shim_irqs_disabled(void)
{
	return running().irqs_off;
}

extern "C" void shim_spin_lock_bh(struct spinlock *lock)
{
	shim_spin_lock(lock);
	bh_off();
}

extern "C" void shim_spin_unlock_bh(struct spinlock *lock)
{
	bh_on("spin_unlock_bh");
	shim_spin_unlock(lock);
}

extern "C" void shim_spin_backoff(unsigned int)
{
	step("looks again");
}

// ---- RCU

extern "C" void shim_rcu_read_lock(void)
{
	running().rcu++;
	running().locks++;
}

extern "C" void shim_rcu_read_unlock(void)
{
	if (!running().rcu)
		fake::bug("rcu_read_unlock outside of a section");
	running().rcu--;
	running().locks--;
}

namespace {

bool no_readers(const void *)
{
	return std::none_of(fibers, fibers + kSlots, [](const Fiber &fiber) { return fiber.live && fiber.rcu; });
}

// The memory stays as long as somebody may see it.
void wait_for_readers()
{
	if (running().rcu)
		fake::bug("memory is freed in an RCU section");
	if (!no_readers(nullptr))
		step("waits for RCU readers", "", no_readers);
}

// ---- lock classes of their own

const void *lock_keys[8];

void lock_key(const void *key, bool registered)
{
	const void **found = std::find(std::begin(lock_keys), std::end(lock_keys), key);
	const void **room = std::find(std::begin(lock_keys), std::end(lock_keys), nullptr);

	if (registered == (found != std::end(lock_keys)))
		fake::bug("WARNING: %s of a key that is%s registered",
			  registered ? "lockdep_register_key" : "lockdep_unregister_key", registered ? "" : " not");
	if (registered && room == std::end(lock_keys))
		fake::bug("more lock classes than there is room for");
	*(registered ? room : found) = registered ? key : nullptr;
}

const fake::Extension kExtension = {wait_for_readers, check_timers, lock_key, next_timer, run_timers, [] {}};

} // namespace

// ---- who

extern "C" bool shim_fatal_signal_pending(void)
{
	return running().task.fatal;
}

extern "C" int shim_current_tid(void)
{
	return 1000 + running_slot();
}

extern "C" bool shim_current_is_io_worker(void)
{
	return false;
}

// ---- nodes

namespace {

struct Node {
	char name[16];
	void *owner; // null: there is none
	device node;
};

Node nodes[2];
u8 in_hold; // how many are between a node and its owner

Node *find_node(const char *name)
{
	Node *found = std::find_if(std::begin(nodes), std::end(nodes),
				   [name](const Node &node) { return node.owner && !strcmp(node.name, name); });

	return found == std::end(nodes) ? nullptr : found;
}

bool nobody_in_hold(const void *)
{
	return !in_hold;
}

} // namespace

extern "C" int shim_kmdf_node_create(const char *name, void *owner, u32 *minor, struct device **node)
{
	Node *room = std::find_if(std::begin(nodes), std::end(nodes), [](const Node &n) { return !n.owner; });

	fake::may_sleep("device_create");
	if (room == std::end(nodes) || strlen(name) >= sizeof(room->name))
		fake::bug("more nodes than there is room for");
	if (find_node(name))
		return -SHIM_EEXIST;
	strcpy(room->name, name);
	room->owner = owner;
	*minor = static_cast<u32>(room - nodes);
	*node = &room->node;
	return 0;
}

extern "C" void shim_kmdf_node_destroy(u32 minor, struct device *node)
{
	fake::may_sleep("device_destroy");
	step("device_destroy", nodes[minor].name, nobody_in_hold);
	if (!nodes[minor].owner || &nodes[minor].node != node)
		fake::bug("device_destroy of no node");
	nodes[minor].owner = nullptr;
}

// ---- asynchronous clients

namespace {

u8 aio_holder; // slot + 1 of who has the lock of the asynchronous context

void aio_lock(const char *who)
{
	if (aio_holder == running_slot() + 1)
		fake::bug("deadlock: %s under the lock of the asynchronous context", who);
	step(who, "", [](const void *) { return !aio_holder; });
	aio_holder = static_cast<u8>(running_slot() + 1);
	running().locks++;
	running().irqs_off++;
}

void aio_unlock()
{
	running().irqs_off--;
	running().locks--;
	aio_holder = 0;
}

} // namespace

extern "C" void shim_kiocb_set_cancel_fn(struct kiocb *iocb, void *owner)
{
	aio_lock("kiocb_set_cancel_fn");
	if (!iocb->aio || iocb->active)
		fake::bug("WARNING: kiocb_set_cancel_fn of what is none, or twice");
	iocb->owner = owner;
	iocb->active = true;
	aio_unlock();
}

extern "C" void shim_ki_complete(struct kiocb *iocb, s64 result)
{
	fake::may_sleep("ki_complete"); // only a work calls it
	aio_lock("ki_complete");
	if (iocb->completed)
		fake::bug("ki_complete twice");
	iocb->completed = true;
	iocb->active = false;
	aio_unlock();
	iocb->complete(result);
}

namespace fake {

bool io_cancel(kiocb &iocb)
{
	aio_lock("io_cancel");
	bool active = iocb.active;

	if (active)
		kmdf_aio_cancel_c(iocb.owner);
	iocb.active = false;
	aio_unlock();
	return active;
}

int open_node(const char *name, void **data)
{
	step("open", name);
	Node *node = find_node(name);

	if (!node)
		return -6; // ENXIO
	in_hold++;
	void *owner = node->owner;
	int err = kmdf_hold_c(owner);

	in_hold--;
	return err ? err : kmdf_open_c(owner, data);
}

size_t nodes()
{
	return static_cast<size_t>(
		std::count_if(std::begin(::nodes), std::end(::nodes), [](const Node &node) { return node.owner; }));
}

void reset_kmdf()
{
	extension = &kExtension;
	kmdf_params = {};
	kmdf_params.max_pending_per_file = 1024;
	kmdf_params.max_buffer_bytes = 4096;
	kmdf_params.stop_ms = 10000;
	kmdf_params.verifier = KMDF_VERIFIER_WARN;
}

} // namespace fake
