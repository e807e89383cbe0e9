// SPDX-License-Identifier: GPL-2.0-only
// Registration, callbacks, retain counts. How a kext leaves is in unload.cpp.
#include "kext.hpp"

#include "base/new.hpp"
#include "core.hpp"
#include "daemon.hpp"
#include "in_flight.hpp"
#include "load.hpp"
#include "payload.hpp"
#include "text.hpp"
#include "unload.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kCallbacksPerRun = 64; // then the worker lets others in
constexpr u32 kMaxRetains = 0x7fffffff;

static constinit lock_class_key callback_key = {};
static constinit lock_class_key life_key = {};

Kext::Kext(kmod_info_t *ki, struct module *owner, u32 kext_flags) : info(ki), module(owner), flags(kext_flags)
{
	unsigned long size;

	// The texts only: programs see all of these arrays.
	__builtin_memcpy(identifier, ki->name, text_length(ki->name, sizeof(identifier) - 1));
	__builtin_memcpy(version, ki->version, text_length(ki->version, sizeof(version) - 1));
	// A Kext may outlive its module.
	const char *name = shim_module_name(owner);

	__builtin_memcpy(module_name, name, text_length(name, sizeof(module_name) - 1));
	shim_module_text(owner, &text_start, &size);
	text_end = text_start + size;
	callback_work_.init(callback_fn, this, "kextbridge_callback", &callback_key);
	life_work_.init(life_fn, this, "kextbridge_life", &life_key);
}

void Kext::dispose()
{
	shim_kfree(this);
}

// ---- registration

Kext *find_kext_locked(u32 load_tag)
{
	return static_cast<Kext *>(core.kexts_by_tag.load(load_tag));
}

Kext *find_kext_locked(const char *identifier)
{
	for (Kext *kext = core.kexts.front(); kext; kext = core.kexts.next(*kext))
		if (text_equal(kext->identifier, identifier))
			return kext;
	return nullptr;
}

// Tags are given before this lock is taken: the older one may come later.
void Kext::list_by_tag_locked()
{
	Kext *before = core.kexts.back();

	while (before && before->tag > tag)
		before = core.kexts.previous(*before);
	if (before)
		core.kexts.insert_after(*this, *before);
	else
		core.kexts.push_front(*this);
}

// Success, InUse (the identifier is taken), NoResources (load tags are used up), NoMemory.
OSReturn Kext::register_kext()
{
	int err;

	{
		Guard guard(core.kexts_by_tag);

		// The counter never wraps: a tag is never given twice.
		if (core.next_load_tag == kOSKextInvalidLoadTag)
			return kOSKextReturnNoResources;
		tag = core.next_load_tag++;
		err = core.kexts_by_tag.insert_locked(tag, nullptr);
	}
	if (err < 0)
		return kOSKextReturnNoMemory;
	void *room = nullptr;
	OSReturn result = kOSKextReturnNoMemory;

	for (u32 capacity = 0;;) {
		void *unused = room;

		{
			Guard guard(core.requests);

			if (room)
				unused = core.texts.grow_locked(room, capacity);
			if (!core.texts.full_locked()) {
				if (find_kext_locked(identifier)) {
					result = kOSKextReturnInUse;
				} else {
					Guard nested(core.kexts_by_tag);

					// The index is reserved: this allocates nothing.
					core.kexts_by_tag.store_reserved_locked(tag, this);
					list_by_tag_locked();
					core.texts.insert_locked(*this);
					core.stats.kexts++;
					changed_locked();
					result = kOSReturnSuccess;
				}
				capacity = 0;
			} else {
				capacity = core.texts.count_locked() * 2 + 8;
			}
		}
		shim_kvfree(unused);
		if (!capacity)
			break;
		room = TextMap::allocate(capacity);
		if (!room)
			break;
	}
	if (result) {
		Guard guard(core.kexts_by_tag);

		core.kexts_by_tag.erase_locked(tag);
	} else {
		get(); // OWNERSHIP: the registry's, given back by unregister_locked()
	}
	return result;
}

void Kext::set_state_locked(KextState next)
{
	state = next;
	changed_locked();
	core.done.wake_all(); // module exit may wait for it
}

// A class of another kext, which this one was the first to use, is to be known again by its next object.
static void forget_classes_locked(Kext &kext) KEXTBRIDGE_REQUIRES(core.requests)
{
	while (kextbridge_class *cls = kext.classes) {
		kext.classes = cls->next;
		cls->next = nullptr;
		__atomic_store_n(&cls->known, 0, __ATOMIC_RELEASE);
	}
}

// OWNERSHIP: gives back the registry's reference.
static Ref<Kext> unregister_locked(Kext &kext) KEXTBRIDGE_REQUIRES(core.requests)
{
	kext.set_state_locked(KextState::Gone);
	forget_classes_locked(kext);
	kext.node.unlink();
	core.texts.remove_locked(kext);
	core.stats.kexts--;
	changed_locked();
	Guard nested(core.kexts_by_tag);

	core.kexts_by_tag.erase_locked(kext.tag);
	return Ref<Kext>::adopt(&kext);
}

// OWNERSHIP: the caller holds its own reference, so that the kext survives the registry's.
void Kext::leave_registry()
{
	Ref<Kext> registered;
	Ref<Request> notice;
	{
		Guard guard(core.requests);

		registered = unregister_locked(*this);
		unload_gone_locked();
		release_loads_locked(*this);
		if (unloaded_notice) {
			notice = Ref<Request>::adopt(unloaded_notice);
			unloaded_notice = nullptr;
			announce_locked(notice, *this);
		}
	}
	discard_requests();
	// Cancelled, not flushed: a run of callbacks may queue it again after its last one.
	callback_work_.cancel();
	life_work_.flush();
	{
		Guard guard(core.requests);

		// The registry has forgotten the kext: nobody can release it any more.
		if (plain_rmmod() && retains)
			shim_module_put(module);
		retains = 0;
	}
	// A thread that was preempted on its way out of the kext's text, which the kernel frees next, leaves it now.
	shim_synchronize_rcu_tasks();
}

static Ref<Request> make_announcement(Kind kind, const Kext &kext) KEXTBRIDGE_EXCLUDES(core.requests)
{
	return Request::make(kind, kext.identifier, text_length(kext.identifier, sizeof(kext.identifier)),
			     kext.module_name, text_length(kext.module_name, sizeof(kext.module_name)),
			     SHIM_GFP_KERNEL);
}

int Kext::load(kmod_info_t *ki, struct module *module, u32 flags)
{
	if (ki->info_version != KMOD_INFO_VERSION || !identifier_is_valid(ki->name, sizeof(ki->name)) ||
	    !version_is_valid(ki->version, sizeof(ki->version)) || !ki->start || !ki->stop) {
		shim_pr_warn_ratelimited("%s: kmod_info is malformed: identifier \"%.63s\", version \"%.63s\"",
					 shim_module_name(module), ki->name, ki->version);
		return -SHIM_EINVAL;
	}
	void *memory = shim_kzalloc(sizeof(Kext), SHIM_GFP_KERNEL);

	if (!memory)
		return -SHIM_ENOMEM;
	Ref<Kext> kext = Ref<Kext>::adopt(new (Placement{memory}) Kext(ki, module, flags));
	Ref<Request> loaded = make_announcement(Kind::Loaded, *kext);
	Ref<Request> unloaded = make_announcement(Kind::Unloaded, *kext);
	OSReturn result = loaded && unloaded ? kext->register_kext() : kOSKextReturnNoMemory;

	if (result == kOSKextReturnInUse)
		shim_pr_warn_ratelimited("%s: %s is loaded already", shim_module_name(module), kext->identifier);
	if (result)
		return result == kOSKextReturnInUse    ? -SHIM_EEXIST :
		       result == kOSKextReturnNoMemory ? -SHIM_ENOMEM :
							 -SHIM_ENOSPC;
	ki->id = kext->tag;
	// The base reference: plain rmmod finds the module in use. During module init this cannot fail.
	bool based = !kext->plain_rmmod() && shim_try_module_get(module);

	result = kext->start();
	if (!result) {
		// SAFETY: it cannot be Gone yet: its module cannot be deleted before this returns.
		Guard guard(core.requests);

		announce_locked(loaded, *kext);
		kext->unloaded_notice = unloaded.release();
		return 0;
	}
	shim_pr_warn_ratelimited("%s: start function failed: 0x%08x", kext->identifier, result);
	kext->leave_registry();
	ki->id = kOSKextInvalidLoadTag;
	if (based)
		shim_module_put(module);
	return -SHIM_EIO;
}

// In state Starting, on the thread that loads, restarts or concludes an unload. Success: Started. Else the caller
// has no more requests accepted, discards those that there are, and makes it Loaded or Gone.
OSReturn Kext::start()
{
	OSReturn result = info->start(info, nullptr);

	shim_trace_start(tag, identifier, result);
	if (result)
		return result;
	Guard guard(core.requests);

	set_state_locked(KextState::Started);
	if (!answered.empty())
		answered_locked();
	if (autounload)
		arm_next_scan_locked(shim_ktime_get_ns());
	return kOSReturnSuccess;
}

// Without a callback: for a start function that failed, in a state that accepts no more requests.
void Kext::discard_requests()
{
	for (;;) {
		Ref<Request> discarded;
		Guard guard(core.requests);
		Request *request = live.front();

		if (!request)
			return;
		if (take_locked(*request)) {
			core.stats.discarded++;
			discarded = forget_locked(*request);
		}
	}
}

// ---- callbacks

void Kext::answered_locked()
{
	if (callbacks_allowed_locked())
		callback_work_.queue(core.workqueue);
}

void Kext::callback_fn(void *kext)
{
	static_cast<Kext *>(kext)->run_callbacks();
}

void Kext::run_callbacks()
{
	for (u32 i = 0; i < kCallbacksPerRun; i++) {
		Request *request;
		Payload payload;
		s32 result;
		{
			Guard guard(core.requests);

			request = callbacks_allowed_locked() ? answered.front() : nullptr;
			// The winner is decided here: from now on a cancel finds nothing to take.
			if (!request || !take_locked(*request))
				return;
			running = request;
			result = request->result;
			payload = request->take_payload_locked();
			core.stats.callbacks++;
		}
		shim_trace_callback(request->tag, tag, result, payload.length,
				    shim_ktime_get_ns() - request->issued_ns);
		request->callback(request->tag, result, payload.data, payload.length, request->context);
		payload_free(payload.data);
		Ref<Request> finished;
		{
			Guard guard(core.requests);

			running = nullptr;
			finished = forget_locked(*request);
			if (core.barrier.active())
				core.barrier.wake_all();
		}
	}
	// OWNERSHIP: leave_registry() cancels this work before it lets go of the kext.
	callback_work_.queue(core.workqueue);
}

void Kext::wait_for_callback(const Request &request)
{
	if (in_callback())
		return;
	core.barrier.wait([&] {
		Guard guard(core.requests);

		return running != &request;
	});
}

// ---- retain and release

OSReturn Kext::retain_locked()
{
	if (state != KextState::Starting && state != KextState::Started && state != KextState::Loaded)
		return kOSKextReturnNotFound;
	if (retains == kMaxRetains) {
		core.stats.limited++;
		return kOSKextReturnNoResources;
	}
	// A KEXT_PLAIN_RMMOD kext has no base reference: its first retain takes one.
	if (plain_rmmod() && !retains && !shim_try_module_get(module))
		return kOSKextReturnNotFound;
	retains++;
	autounload = true;
	core.stats.retains++;
	changed_locked();
	return kOSReturnSuccess;
}

u32 Kext::instances_locked(const char **name) const
{
	u32 count = 0;

	for (kextbridge_class *cls = classes; cls; cls = cls->next) {
		// ORDER: what is seen dead here is dead: its destructor has returned from all it did before.
		s32 instances = __atomic_load_n(&cls->instances, __ATOMIC_ACQUIRE);

		if (instances <= 0)
			continue;
		count += static_cast<u32>(instances);
		if (name)
			*name = cls->name;
	}
	return count;
}

void Kext::note_misuse_locked()
{
	refused++;
	changed_locked();
}

OSReturn Kext::release_locked()
{
	if (!retains)
		return kOSKextReturnInvalidArgument;
	retains--;
	core.stats.releases++;
	// SAFETY: by the kext's own code, too: leave_registry() waits until that has left.
	if (plain_rmmod() && !retains)
		shim_module_put(module);
	changed_locked();
	return kOSReturnSuccess;
}

// ---- text ranges

void *TextMap::allocate(u32 capacity)
{
	return shim_kvzalloc(capacity * sizeof(Range), SHIM_GFP_KERNEL);
}

void *TextMap::grow_locked(void *room, u32 capacity)
{
	if (capacity <= capacity_)
		return room;
	void *old = ranges_;

	if (count_)
		__builtin_memcpy(room, ranges_, count_ * sizeof(Range));
	ranges_ = static_cast<Range *>(room);
	capacity_ = capacity;
	return old;
}

void TextMap::insert_locked(Kext &kext)
{
	u32 at = count_++;

	for (; at > 0 && ranges_[at - 1].start > kext.text_start; at--)
		ranges_[at] = ranges_[at - 1];
	ranges_[at] = {kext.text_start, kext.text_end, &kext};
}

void TextMap::remove_locked(Kext &kext)
{
	u32 at = 0;

	while (at < count_ && ranges_[at].kext != &kext)
		at++;
	for (; at + 1 < count_; at++)
		ranges_[at] = ranges_[at + 1];
	count_--;
}

Kext *TextMap::find_locked(unsigned long address) const
{
	u32 low = 0;
	u32 high = count_;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (ranges_[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count_ && ranges_[low].start <= address ? ranges_[low].kext : nullptr;
}

void TextMap::destroy()
{
	shim_kvfree(ranges_);
	ranges_ = nullptr;
	count_ = capacity_ = 0;
}

} // namespace kextbridge

extern "C" int kextbridge_kext_init(kmod_info_t *ki, struct module *module, uint32_t flags)
{
	return kextbridge::Kext::load(ki, module, flags);
}

extern "C" void kextbridge_class_register(const kmod_info_t *caller, struct kextbridge_class *cls)
{
	using namespace kextbridge;
	Guard guard(core.requests);
	Kext *kext = find_kext_locked(caller->id);

	if (!kext || kext->info != caller || cls->known)
		return;
	cls->next = kext->classes;
	kext->classes = cls;
	__atomic_store_n(&cls->known, 1, __ATOMIC_RELEASE);
}

extern "C" void kextbridge_kext_exit(kmod_info_t *ki)
{
	kextbridge::Kext::unload_from_exit(ki);
}
