// SPDX-License-Identifier: GPL-2.0-only
// The core and all who use it in one input, with the model. program.cpp runs the input; the calls on the nodes are in
// nodes.cpp, those of drivers in drivers.cpp.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "../host/kit.hpp"
#include "kextbridge/instance.h"

#include "input.hpp"
#include "target.hpp"
#include "user_memory.hpp"

extern "C" const char *fuzz_check_file(void *data);
extern "C" u32 fuzz_answered_reads();

namespace fuzz {

// Every payload is a piece of this, from its beginning.
inline unsigned char pattern(u64 at)
{
	return static_cast<unsigned char>(at * 131 + (at >> 8) + 7);
}
void check_pattern(const void *data, u64 length, u64 offset, const char *what);

struct InHand {
	u32 kind;
	u32 max_length;
	std::string name;
};

struct DaemonFile {
	::file file;
	void *data = nullptr;
	pid *process = nullptr;
	std::map<u64, InHand> hand; // what it has fetched and not answered
	bool notify = false;        // it may have asked for announcements
	bool told_exit = false;
	bool is_open() const { return data; }
};

struct ControlFile {
	::file file;
	void *data = nullptr;
	u32 uid = 0;
	std::set<u32> tags; // of its requests whose results are not released
	bool is_open() const { return data; }
};

// What a kext does when it is called: the input's numbers.
enum class InStop : u32 { Succeed, Fail, Request, kCount };
enum class InCallback : u32 { Nothing, Request, CancelLast, CancelAll, Release, Retain, CancelScope, Unload, kCount };

struct Behaviour {
	bool start_fails = false;
	bool start_requests = false;
	InStop stop = InStop::Succeed;
	InCallback callback = InCallback::Nothing;
	u32 left = 0; // how often its callback acts

	bool ends_others() const
	{
		switch (callback) {
		case InCallback::CancelLast:
		case InCallback::CancelAll:
		case InCallback::CancelScope:
		case InCallback::Unload:
			return true;
		case InCallback::Nothing:
		case InCallback::Request:
		case InCallback::Release:
		case InCallback::Retain:
		case InCallback::kCount:
			break;
		}
		return false;
	}
};

// The driver's contexts of requests that have not ended: each ends once, by a callback or a cancel, or with a start function
// that fails.
class Contexts {
	std::mutex mutex_;
	std::map<u64, const host::Kext *> pending_;
	u64 next_ = 1;

      public:
	void *add(const host::Kext &kext);
	void remove(void *context); // its request was refused
	void end(void *context, const host::Kext *kext, const char *how);
	size_t size();
};

// A driver's thread that reads.
struct Read {
	std::atomic<fake::Task *> task{nullptr};
	std::atomic<bool> done{false};
	std::atomic<bool> joined{false};
	std::thread thread;
};

class Machine {
      public:
	explicit Machine(Input &input);
	~Machine();
	Machine(const Machine &) = delete;

	void check();
	void finish();

	// ---- operations, in the order of Op
	void daemon_open();
	void daemon_close();
	void daemon_dies();
	void exchange();
	void serve();
	void daemon_ioctl();
	void daemon_poll();
	void control_open();
	void control_close();
	void request();
	void result();
	void cancel();
	void tag_call(unsigned int cmd);
	void load();
	void list();
	void status();
	void control_ioctl();
	void control_poll();
	void kext_load();
	void kext_remove();
	void kext_request();
	void kext_cancel();
	void kext_cancel_all();
	void kext_retain();
	void kext_release();
	void kext_load_other();
	void kext_behave();
	void kext_ask();
	void kext_allocate();
	void fail_allocation();
	void fail_copy();
	void clock();
	void parameter();
	void caller();
	void load_requests();
	void kext_read();
	void kext_scope();
	void kext_unload_other();
	void kext_instance();
	void shutdown();
	void sleep();

      private:
	static constexpr size_t kFiles = 2;
	static constexpr size_t kKexts = 3;
	static constexpr size_t kScopes = 3; // the last is never made
	static constexpr size_t kReads = 2;

	// operands
	DaemonFile *open_daemon();
	ControlFile *open_control();
	u32 tag();
	u64 id();
	u32 load_tag();
	s32 os_return();
	std::unique_ptr<char[]> text(bool *null);
	u64 user_text(u32 *size);
	kextd_reply make_reply();

	// calls on nodes
	void close(DaemonFile &daemon);
	void close(ControlFile &control);
	long exchange(DaemonFile &daemon, kextd_exchange args, unsigned char *replies, u32 count, unsigned char *buffer,
		      u32 size, bool exact);
	void judge(DaemonFile &daemon, const kextd_reply &reply, s32 status, bool fetched);
	void take_records(DaemonFile &daemon, const unsigned char *buffer, u32 used, u32 count);
	template <typename T, typename F> long call(ControlFile &control, unsigned int cmd, T args, F copy_out, T *out);
	bool injected() const { return injected_; }
	bool may_manage(const ControlFile &control) const;

	kern_return_t start(host::Kext &kext, Behaviour &behaviour);
	void act(host::Kext &kext, Behaviour &behaviour, const host::Call &call);
	OSReturn request_of(host::Kext &kext);
	kextbridge_scope *scope_of(u32 which) { return which ? &scopes_[which - 1] : nullptr; }
	void judge_scope(u32 which, OSReturn result) const;
	u32 cancel_scope(size_t which);
	void announced(DaemonFile &daemon, const host::Record &record);
	void end_reads(bool all);

	Input &in_;
	UserMemory &user_;
	Contexts contexts_;
	DaemonFile daemons_[kFiles];
	ControlFile controls_[kFiles];
	DaemonFile *active_ = nullptr;
	Behaviour behaviours_[kKexts];
	std::unique_ptr<host::Kext> kexts_[kKexts];
	kextbridge_class classes_[kKexts] = {};
	kextbridge_scope scopes_[kScopes] = {};
	bool made_[kScopes] = {};
	std::atomic<bool> cancelled_[kScopes] = {};
	std::vector<std::unique_ptr<Read>> reads_;
	std::set<std::pair<u32, u32>> announced_; // kinds and load tags
	bool shutdown_ = false;
	std::atomic<bool> forced_{false}; // a module's exit stops it, whatever it has
	std::mutex tags_mutex_;
	std::vector<u32> tags_; // all that requests were given
	std::vector<u64> ids_;  // all that were fetched
	std::vector<int> fds_;
	std::map<u64, u64> ranges_; // of kext_alloc: their sizes, rounded up
	bool injected_ = false;     // since a failure was asked for, calls may fail for no reason of their own
};

} // namespace fuzz
