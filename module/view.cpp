// SPDX-License-Identifier: GPL-2.0-only
#include "view.hpp"

#include "daemon.hpp"
#include "unload.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kListBatch = 7; // entries copied per hold of the lock: on the stack

static u32 state_on_wire(KextState state)
{
	switch (state) {
	case KextState::Starting:
	case KextState::Failed:
		return KEXT_STATE_STARTING;
	case KextState::Started:
		return KEXT_STATE_STARTED;
	case KextState::Flushing:
	case KextState::Stopping:
		return KEXT_STATE_STOPPING;
	case KextState::Stopped:
	case KextState::Gone:
		return KEXT_STATE_STOPPED;
	case KextState::Loaded:
		return KEXT_STATE_LOADED;
	}
	return 0;
}

static void describe_locked(const Kext &kext, kextbridge_kext &entry) KEXTBRIDGE_REQUIRES(core.requests)
{
	entry = {};
	entry.load_tag = kext.tag;
	entry.state = state_on_wire(kext.state);
	entry.retains = kext.retains;
	entry.module_refcount = shim_module_refcount(kext.module);
	entry.pending = kext.pending;
	entry.instances = kext.instances_locked(nullptr);
	entry.refused = kext.refused;
	entry.flags = (kext.autounload ? KEXT_FLAG_AUTOUNLOAD : 0) | (kext.plain_rmmod() ? KEXT_FLAG_PLAIN_RMMOD : 0) |
		      (kext.running ? KEXT_FLAG_IN_CALLBACK : 0) | (kext.delayed ? KEXT_FLAG_DELAYED : 0);
	__builtin_memcpy(entry.identifier, kext.identifier, sizeof(kext.identifier));
	__builtin_memcpy(entry.version, kext.version, sizeof(kext.version));
	__builtin_memcpy(entry.module, kext.module_name, sizeof(kext.module_name));
}

int list_kexts(kextbridge_list &args)
{
	u32 room = args.count;
	u32 from = args.from;

	if ((args.flags & ~KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD) || args.reserved)
		return -SHIM_EINVAL;
	args.count = 0;
	if (args.flags & KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD) {
		Guard guard(core.requests);

		postpone_scan_locked(shim_ktime_get_ns());
	}
	for (bool more = true; more;) {
		kextbridge_kext entries[kListBatch];
		u32 filled = 0;
		{
			Guard guard(core.requests);

			args.total = core.stats.kexts;
			while (filled < kListBatch && args.count + filled < room) {
				Kext *kext = static_cast<Kext *>(core.kexts_by_tag.find(from));

				if (!kext)
					break;
				describe_locked(*kext, entries[filled++]);
				from = kext->tag + 1;
			}
		}
		int err = shim_copy_to_user(args.kexts + args.count * sizeof(entries[0]), entries,
					    filled * sizeof(entries[0]));

		if (err)
			return err;
		args.count += filled;
		more = filled == kListBatch;
	}
	return 0;
}

// The one behind `at`, or the one with number `from` when that is null.
static AskedLoad *next_asked_locked(AskedLoad *at, u32 from) KEXTBRIDGE_REQUIRES(core.requests)
{
	if (at)
		return core.asked_loads.next(*at);
	at = core.asked_loads.front();
	while (at && from--)
		at = core.asked_loads.next(*at);
	return at;
}

// Copied in pieces: entries are only ever added.
int list_asked_loads(kextbridge_load_requests &args)
{
	u32 room = args.count;

	if (args.flags || args.reserved)
		return -SHIM_EINVAL;
	args.count = 0;
	AskedLoad *at = nullptr;

	for (bool more = true; more;) {
		char identifiers[kListBatch][KEXTBRIDGE_IDENTIFIER_SIZE];
		u32 filled = 0;
		{
			Guard guard(core.requests);

			args.total = core.asked_load_count;
			for (AskedLoad *next = next_asked_locked(at, args.from);
			     next && filled < kListBatch && args.count + filled < room;
			     next = core.asked_loads.next(*next)) {
				__builtin_memcpy(identifiers[filled++], next->identifier, sizeof(identifiers[0]));
				at = next;
			}
		}
		int err = shim_copy_to_user(args.identifiers + args.count * sizeof(identifiers[0]), identifiers,
					    filled * sizeof(identifiers[0]));

		if (err)
			return err;
		args.count += filled;
		more = filled == kListBatch;
	}
	return 0;
}

static void snapshot_locked(kextbridge_status &status) KEXTBRIDGE_REQUIRES(core.requests)
{
	status = core.stats;
	status.flags = (core.session ? KEXTBRIDGE_STATUS_DAEMON : 0) | (core.shutdown ? KEXTBRIDGE_STATUS_SHUTDOWN : 0);
	status.daemon_pid = core.session ? shim_pid_vnr(core.session->process) : 0;
}

int read_status(ControlFile &file, kextbridge_status &args)
{
	u32 size = args.size;

	if (args.reserved)
		return -SHIM_EINVAL;
	Guard guard(core.requests);

	snapshot_locked(args);
	args.size = size;
	file.seen_generation = args.generation;
	return 0;
}

} // namespace kextbridge

using namespace kextbridge;

extern "C" void kextbridge_stats_c(struct kextbridge_status *status)
{
	Guard guard(core.requests);

	snapshot_locked(*status);
}
