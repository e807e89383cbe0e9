// SPDX-License-Identifier: GPL-2.0-only
// What drivers call, and what is called in them.
#include <algorithm>
#include <cerrno>
#include <regex>
#include <utility>

#include "kern/kext_alloc.h"

#include "machine.hpp"

namespace fuzz {

// ---- in a driver

OSReturn Machine::request_of(host::Kext &kext)
{
	void *context = contexts_.add(kext);
	u32 tag = 0;
	OSReturn result = kext.request("resource", &tag, context);

	if (result) {
		contexts_.remove(context);
	} else {
		std::lock_guard lock(tags_mutex_);

		tags_.push_back(tag);
	}
	return result;
}

kern_return_t Machine::start(host::Kext &kext, Behaviour &behaviour)
{
	void *context = nullptr;

	if (behaviour.start_requests) {
		context = contexts_.add(kext);
		if (kext.request("early", nullptr, context)) {
			contexts_.remove(context);
			context = nullptr;
		}
	}
	// From now on its callback would be one too many.
	if (behaviour.start_fails && context)
		contexts_.end(context, &kext, "a start function that fails");
	return behaviour.start_fails ? KERN_FAILURE : KERN_SUCCESS;
}

void Machine::act(host::Kext &kext, Behaviour &behaviour, const host::Call &call)
{
	contexts_.end(call.context, &kext, "a callback");
	if (call.data)
		check_pattern(call.data->data(), call.length, 0, "a callback");
	if (!behaviour.left)
		return;
	behaviour.left--;
	switch (behaviour.callback) {
	case InCallback::Request:
		(void)request_of(kext);
		break;
	case InCallback::CancelLast: {
		u32 last;
		void *context = nullptr;
		{
			std::lock_guard lock(tags_mutex_);

			last = tags_.empty() ? 0 : tags_.back();
		}
		if (!kext.cancel(last, &context))
			contexts_.end(context, nullptr, "a cancel in a callback");
		break;
	}
	case InCallback::CancelAll:
		kext.cancel_all(
			[](OSKextRequestTag, void *context, void *machine) {
				static_cast<Machine *>(machine)->contexts_.end(context, nullptr, "cancel_all");
			},
			this);
		break;
	case InCallback::Release:
		(void)kext.release();
		break;
	case InCallback::Retain:
		(void)kext.retain();
		break;
	case InCallback::CancelScope:
		(void)cancel_scope(0);
		break;
	case InCallback::Unload:
		(void)kextbridge_unload_kext(&kext.info, kexts_[0]->tag());
		break;
	case InCallback::Nothing:
	case InCallback::kCount:
		break;
	}
}

// ---- modules come and go

static bool identifier_is_good(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	return length && length < size && std::all_of(text, text + length, [](char c) {
		       return c > ' ' && c <= '~' && c != '/' && c != '"' && c != '\\';
	       });
}

static bool version_is_good(const char *text, size_t size)
{
	static const std::regex form("[0-9]{1,4}(\\.[0-9]{1,4}){0,2}((d|a|b|f|fc)([0-9]{1,3}))?");
	size_t length = strnlen(text, size);
	std::string version(text, length);
	std::smatch match;

	version = version.substr(0, version.find_first_of(" \t\n\v\f\r"));
	if (length == size || !std::regex_match(version, match, form))
		return false;
	if (!match[2].matched)
		return true;
	int level = atoi(match[4].str().c_str());

	return level <= 255 && (level || match[3].str()[0] != 'f');
}

void Machine::kext_load()
{
	static const char *const identifiers[kKexts] = {"com.example.a", "com.example.b", "com.example.c"};
	size_t which = in_.below(kKexts);
	host::Kext &kext = *kexts_[which];
	u32 identity = in_.byte();

	if (kext.is_loaded())
		return;
	classes_[which] = {"class", 0, 0, nullptr};
	memset(kext.info.name, 0, sizeof(kext.info.name));
	memset(kext.info.version, 0, sizeof(kext.info.version));
	strcpy(kext.info.name, identifiers[which]);
	strcpy(kext.info.version, "1.0");
	kext.info.info_version = KMOD_INFO_VERSION;
	if (identity >= 0xe0) {
		char *field = identity & 1 ? kext.info.name : kext.info.version;
		std::string text = in_.text(in_.below(KMOD_MAX_NAME + 1));

		memset(field, identity & 2 ? 'a' : 0, KMOD_MAX_NAME);
		memcpy(field, text.data(), text.size());
		if (identity & 4)
			kext.info.info_version = in_.byte();
	}
	bool good = kext.info.info_version == KMOD_INFO_VERSION && identifier_is_good(kext.info.name, KMOD_MAX_NAME) &&
		    version_is_good(kext.info.version, KMOD_MAX_NAME);
	bool fails = behaviours_[which].start_fails;
	int err = kext.insmod();

	if (err != 0 && err != -EINVAL && err != -EEXIST && err != -ENOMEM && err != -ENOSPC && err != -EIO)
		wrong("insmod: %d", err);
	if ((err == -EINVAL) == good)
		wrong("insmod: %d, and the identifier and version are %s", err, good ? "good" : "malformed");
	if (!err && fails)
		wrong("a kext whose start function fails is loaded");
	if (err == -ENOMEM && !injected())
		wrong("insmod: no memory");
}

void Machine::kext_remove()
{
	host::Kext &kext = *kexts_[in_.below(kKexts)];
	bool force = in_.byte() >= 192;

	if (!kext.is_loaded())
		return;
	forced_ = true;
	int err = force ? kext.rmmod_force() : kext.rmmod();

	fake::settle();
	forced_ = false;
	if (err && (force || (err != -EAGAIN && err != -EBUSY)))
		wrong("rmmod: %d", err);
}

// ---- the KPI

// A string in the kernel, as long as it is: AddressSanitizer sees the first byte too many.
std::unique_ptr<char[]> Machine::text(bool *null)
{
	u32 how = in_.byte();
	std::string text;

	*null = how == 0xff;
	if (how < 0xa0)
		text = "com.example." + std::string(1, static_cast<char>('a' + how % 4));
	else if (how < 0xd0)
		text = in_.text(in_.byte());
	else
		text = std::string(in_.number() % 5000, 'n');
	text = text.substr(0, text.find('\0'));
	std::unique_ptr<char[]> copy(new char[text.size() + 1]);

	memcpy(copy.get(), text.c_str(), text.size() + 1);
	return copy;
}

void Machine::kext_request()
{
	host::Kext &kext = *kexts_[in_.below(kKexts)];
	bool no_identifier;
	bool no_name;
	std::unique_ptr<char[]> identifier = text(&no_identifier);
	std::unique_ptr<char[]> name = text(&no_name);
	u32 how = in_.byte();
	u32 timeout_ms = how & 1 ? static_cast<u32>(in_.number()) : 0;
	u32 max_length = how & 2 ? static_cast<u32>(in_.number()) : 0;
	bool no_tag = how & 4;
	unsigned long code = reinterpret_cast<unsigned long>(kext.callback());
	bool elsewhere = false;

	// In nobody's text, or nowhere.
	if (how >= 0xf0) {
		elsewhere = true;
		code = how & 8 ? 0 : code + 1;
	}
	if (!kext.is_loaded())
		elsewhere = true;
	u32 tag = 77;
	u32 scope = how < 0xf0 ? how / 16 % 4 : 0;
	void *context = contexts_.add(kext);
	kextbridge_resource_options options = {
		.timeout_ms = timeout_ms, .max_length = max_length, .scope = scope_of(scope)};
	OSReturn result = kextbridge_request_resource(
		no_identifier ? nullptr : identifier.get(), no_name ? nullptr : name.get(),
		reinterpret_cast<OSKextRequestResourceCallback>(code), context, no_tag ? nullptr : &tag, &options);

	judge_scope(scope, result);
	if (shutdown_ && result != kOSKextReturnDisabled && !injected())
		wrong("a request while the system goes down: 0x%08x", static_cast<unsigned int>(result));
	if (result) {
		contexts_.remove(context);
		if (!no_tag && tag != kOSKextRequestTagInvalid)
			wrong("a request was refused, and its tag is %u", tag);
		if (result == kOSKextReturnNoMemory && !injected())
			wrong("a request: no memory");
		return;
	}
	u32 limit = std::min(kextbridge_params.max_name, KEXTBRIDGE_NAME_LIMIT);

	if (no_identifier || no_name || elsewhere || strlen(identifier.get()) > limit || strlen(name.get()) > limit)
		wrong("a request with a bad argument was accepted");
	if (!no_tag) {
		std::lock_guard lock(tags_mutex_);

		tags_.push_back(tag);
	}
}

void Machine::kext_cancel()
{
	host::Kext &kext = *kexts_[in_.below(kKexts)];
	u32 tag = this->tag();
	u32 how = in_.byte();
	void *context = this;

	if (!kext.is_loaded())
		return;
	OSReturn result = how & 1 ? kext.cancel_nowait(tag, &context) : kext.cancel(tag, &context);

	if (!result)
		contexts_.end(context, kextbridge_params.strict_cancel ? &kext : nullptr, "a cancel");
	else if (result != kOSKextReturnNotFound && result != kOSKextReturnInUse)
		wrong("a cancel: 0x%08x", static_cast<unsigned int>(result));
	else if (context != this)
		wrong("a cancel that failed gave a context");
}

void Machine::kext_cancel_all()
{
	host::Kext &kext = *kexts_[in_.below(kKexts)];
	struct Cancelled {
		Contexts &contexts;
		host::Kext &kext;
		u32 count;
	} cancelled{contexts_, kext, 0};

	if (!kext.is_loaded())
		return;
	u32 count = kext.cancel_all(
		[](OSKextRequestTag, void *context, void *arg) {
			auto &cancelled = *static_cast<Cancelled *>(arg);

			cancelled.contexts.end(context, &cancelled.kext, "cancel_all");
			cancelled.count++;
		},
		&cancelled);

	// Reads are told by what they return.
	if (count < cancelled.count)
		wrong("cancel_all: %u, and %u were told", count, cancelled.count);
}

void Machine::kext_retain()
{
	OSReturn result = OSKextRetainKextWithLoadTag(load_tag());

	if (result && result != kOSKextReturnNotFound && result != kOSKextReturnInvalidArgument &&
	    result != kOSKextReturnNoResources)
		wrong("a retain: 0x%08x", static_cast<unsigned int>(result));
}

void Machine::kext_release()
{
	OSReturn result = OSKextReleaseKextWithLoadTag(load_tag());

	if (result && result != kOSKextReturnNotFound && result != kOSKextReturnInvalidArgument)
		wrong("a release: 0x%08x", static_cast<unsigned int>(result));
}

void Machine::kext_load_other()
{
	bool null;
	std::unique_ptr<char[]> identifier = text(&null);
	OSReturn result = OSKextLoadKextWithIdentifier(null ? nullptr : identifier.get());

	if (!result && null)
		wrong("a load of nothing");
}

void Machine::kext_ask()
{
	bool null;
	std::unique_ptr<char[]> identifier = text(&null);
	u32 tag = OSKextGetLoadTagForIdentifier(null ? nullptr : identifier.get());
	bool known = false;

	for (auto &kext : kexts_)
		known = known ||
			(kext->is_loaded() && kext->tag() == tag && !strcmp(kext->info.name, identifier.get()));
	if (tag != kOSKextInvalidLoadTag && !known && (tag || strcmp(identifier.get(), kOSKextKernelIdentifier)))
		wrong("the load tag of \"%s\": %u", identifier.get(), tag);

	std::string form = in_.text(in_.byte());
	OSKextVersion version = OSKextParseVersionString(form.c_str());
	u32 size = in_.below(40);
	std::unique_ptr<char[]> buffer(new char[size]);

	if ((version > 0) != version_is_good(form.c_str(), form.size() + 1))
		wrong("\"%s\" has the number %lld", form.c_str(), static_cast<long long>(version));
	if (version <= 0)
		version = static_cast<OSKextVersion>(in_.number());
	if (OSKextVersionGetString(version, buffer.get(), size) != (size >= kOSKextVersionMaxLength))
		wrong("%u bytes for a version", size);
	if (size < kOSKextVersionMaxLength)
		return;
	OSKextVersion again = OSKextParseVersionString(buffer.get());

	if (again != (buffer[0] == '(' ? -1 : version))
		wrong("%lld is printed %s", static_cast<long long>(version), buffer.get());
}

void Machine::kext_allocate()
{
	u64 size = in_.number();
	u32 how = in_.byte();
	vm_offset_t addr = in_.number();
	vm_offset_t before = addr;

	// What the fake would have to fill takes its time.
	if (size > 1 << 20 && size < 1ull << 33)
		size >>= 12;
	u64 whole = (size + 4095) / 4096 * 4096;

	if (how & 1) {
		// One of those that there are, mostly; or with something else of it.
		auto range = ranges_.lower_bound(before);

		if (range == ranges_.end())
			range = ranges_.begin();
		if (range != ranges_.end() && how & 2) {
			addr = range->first + (how & 4 ? 1 : 0);
			size = how & 8 ? size : range->second - how / 16;
		}
		whole = (size + 4095) / 4096 * 4096;
		range = ranges_.find(addr);
		bool right = range != ranges_.end() && range->second == whole && size;
		// Nobody else has such memory; of other memory, anybody may take and give back some meanwhile.
		u64 bytes = fake::vmalloced_bytes();

		kext_free(addr, size);
		if (fake::vmalloced_bytes() != bytes - (right ? whole : 0))
			wrong("kext_free of %llu bytes at 0x%llx", static_cast<unsigned long long>(size),
			      static_cast<unsigned long long>(addr));
		if (right)
			ranges_.erase(range);
		return;
	}
	bool fixed = how & 2 && how & 4;
	kern_return_t result = kext_alloc(how >= 0xf8 ? nullptr : &addr, size, fixed);
	kern_return_t expected = how >= 0xf8                           ? KERN_INVALID_ARGUMENT :
				 !size                                 ? KERN_SUCCESS :
				 !whole                                ? KERN_NO_SPACE :
				 !fixed                                ? KERN_SUCCESS :
				 before % 4096 || before >> 56 != 0xff ? KERN_INVALID_ADDRESS :
									 KERN_NO_SPACE;
	bool short_of_memory = size > 1ull << 32 || injected();

	if (result != expected && !(expected == KERN_SUCCESS && result == KERN_RESOURCE_SHORTAGE && short_of_memory))
		wrong("kext_alloc of %llu bytes: %d", static_cast<unsigned long long>(size), result);
	if (result ? addr != before : !addr != !size)
		wrong("kext_alloc: %d, and the address is 0x%llx", result, static_cast<unsigned long long>(addr));
	if (result || !size)
		return;
	for (u64 i = 0; i < whole; i++)
		if (std::exchange(reinterpret_cast<unsigned char *>(addr)[i], 0xa5))
			wrong("kext_alloc: byte %llu is not zero", static_cast<unsigned long long>(i));
	ranges_[addr] = whole;
}

void Machine::kext_behave()
{
	Behaviour &behaviour = behaviours_[in_.below(kKexts)];
	u32 how = in_.byte();

	behaviour.start_fails = how & 1;
	behaviour.start_requests = how & 2;
	behaviour.stop = static_cast<InStop>(how / 4 % static_cast<u32>(InStop::kCount));
	behaviour.callback = static_cast<InCallback>(how / 16 % static_cast<u32>(InCallback::kCount));
	behaviour.left = 3;
}

// ---- what goes beyond macOS's calls

void Machine::judge_scope(u32 which, OSReturn result) const
{
	if (!which) {
		if (result == kIOReturnAborted)
			wrong("a request without a scope is aborted");
		return;
	}
	if (!result && (!made_[which - 1] || cancelled_[which - 1]))
		wrong("a request under a scope that %s was accepted", made_[which - 1] ? "is cancelled" : "is none");
	if (result == kIOReturnAborted && !cancelled_[which - 1])
		wrong("a request under a scope that is not cancelled is aborted");
}

u32 Machine::cancel_scope(size_t which)
{
	struct Told {
		Contexts &contexts;
		u32 count;
	} told{contexts_, 0};

	u32 count = kextbridge_scope_cancel(
		&scopes_[which],
		[](OSKextRequestTag, void *context, void *arg) {
			auto &told = *static_cast<Told *>(arg);

			told.contexts.end(context, nullptr, "the cancel of a scope");
			told.count++;
		},
		&told);

	if (made_[which])
		cancelled_[which] = true;
	if (told.count > count || (!made_[which] && count))
		wrong("the cancel of a scope: %u, and %u were told", count, told.count);
	return count;
}

// A scope is made anew only when it has been cancelled: then it has no requests.
void Machine::kext_scope()
{
	size_t which = in_.below(kScopes);
	u32 how = in_.byte();
	kextbridge_scope &scope = scopes_[which];

	switch (how % 4) {
	case 0:
	case 1:
		if (which + 1 == kScopes || (made_[which] && !cancelled_[which]))
			return;
		kextbridge_scope_init(&scope);
		made_[which] = true;
		cancelled_[which] = false;
		break;
	case 2:
		(void)cancel_scope(which);
		break;
	case 3:
		if (kextbridge_scope_is_cancelled(&scope) != (!made_[which] || cancelled_[which]))
			wrong("a scope does not know whether it is cancelled");
		break;
	}
}

// On a thread of the driver's, which stays in it until somebody ends it; or on one that is being killed.
void Machine::kext_read()
{
	host::Kext &kext = *kexts_[in_.below(kKexts)];
	bool no_identifier;
	bool no_name;
	std::shared_ptr<char[]> identifier = text(&no_identifier);
	std::shared_ptr<char[]> name = text(&no_name);
	u32 how = in_.byte();
	u32 scope = how / 16 % 4;
	u32 limit = std::min(kextbridge_params.max_name, KEXTBRIDGE_NAME_LIMIT);
	bool bad = no_identifier || no_name || strlen(identifier.get()) > limit || strlen(name.get()) > limit;
	kextbridge_resource_options options = {.timeout_ms = how & 1 ? static_cast<u32>(in_.number()) : 0,
					       .max_length = how & 2 ? static_cast<u32>(in_.number()) : 0,
					       .scope = scope_of(scope)};
	bool cancelled = scope && cancelled_[scope - 1];

	if (!kext.is_loaded() || reads_.size() == kReads)
		return;
	auto read = [=, this, &kext](bool killed) {
		void *data = this;
		u32 length = 77;
		OSReturn result = kextbridge_read(&kext.info, no_identifier ? nullptr : identifier.get(),
						  no_name ? nullptr : name.get(), &options, &data, &length);

		if (result ? data || length : !data != !length)
			wrong("a read: 0x%08x, and %u bytes", static_cast<unsigned int>(result), length);
		if (options.max_length && length > options.max_length)
			wrong("a read of %u bytes, of at most %u", length, options.max_length);
		check_pattern(data, length, 0, "a read");
		kextbridge_free_resource(data);
		if (!result && (bad || killed || cancelled || (scope && !made_[scope - 1])))
			wrong("a read that was not to be has succeeded");
	};

	if (how & 4) {
		fake::kill(fake::current());
		read(true);
		fake::clear_signal();
		return;
	}
	Read &made = *reads_.emplace_back(std::make_unique<Read>());

	made.thread = std::thread([=, &made] {
		made.task = &fake::current();
		read(false);
		made.done = true;
		while (!made.joined)
			std::this_thread::yield();
	});
	for (bool asleep = false; !made.done && !asleep; std::this_thread::yield()) {
		fake::Task *task = made.task;

		if (!task)
			continue;
		std::lock_guard lock(task->mutex);

		asleep = task->sleeping;
	}
}

// Those that are over, or all of them.
void Machine::end_reads(bool all)
{
	for (auto &read : reads_) {
		if (!all && !read->done)
			continue;
		if (!read->done)
			fake::kill(*read->task);
		read->joined = true;
		read->thread.join();
	}
	std::erase_if(reads_, [](const auto &read) { return !read->thread.joinable(); });
}

void Machine::kext_unload_other()
{
	host::Kext &kext = *kexts_[in_.below(kKexts)];
	u32 tag = load_tag();

	if (!kext.is_loaded())
		return;
	// It would wait for the daemon, which is this thread.
	fake::kill(fake::current());
	OSReturn result = kextbridge_unload_kext(&kext.info, tag);

	fake::clear_signal();
	if (tag == kext.tag() && result != kOSKextReturnInvalidArgument)
		wrong("a kext unloads itself: 0x%08x", static_cast<unsigned int>(result));
	if (result == kOSKextReturnNoMemory && !injected())
		wrong("an unload by a kext: no memory");
}

void Machine::kext_instance()
{
	size_t which = in_.below(kKexts);
	bool create = in_.flag();
	kextbridge_class &cls = classes_[which];

	if (!kexts_[which]->is_loaded() || (!create && !cls.instances))
		return;
	// As kextbridge_instance_created() and its counterpart: those are of the kext that they are compiled into.
	cls.instances += create ? 1 : -1;
	if (create && !cls.known)
		kextbridge_class_register(&kexts_[which]->info, &cls);
}

} // namespace fuzz
