// SPDX-License-Identifier: GPL-2.0-only
// Drivers, daemons and programs for the tests, over the extern "C" entry points of the core.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fake_shim.hpp"
#include "harness.hpp"
#include "host_core.hpp"
#include "kextbridge/kext.h"
#include "kextbridge/client.h"
#include "shim/entry.h"
#include "uapi/kextbridge.h"

namespace host {

// One run of a completion routine, its payload copied.
struct Call {
	u32 tag;
	OSReturn result;
	std::optional<std::string> data; // nullopt: NULL
	u32 length;
	void *context;
	std::thread::id thread;
};

// A driver module. Its one completion routine, its start and its stop function are at addresses of their own, and
// check on each run what every kext may rely on: one callback at a time, none before start has returned or from
// stop on, none in a module that is gone, no lock held.
class Kext {
      public:
	static constexpr int max_kexts = 40;

	explicit Kext(const std::string &identifier = "", u32 flags = 0, const char *version = "1.0");
	// A module that is still there is removed by force; its routines do nothing more of their own then, because what
	// they refer to may be gone.
	~Kext();
	Kext(const Kext &) = delete;

	int insmod();
	int rmmod(); // as the daemon's delete_module()
	int rmmod_force();
	static Kext *by_module(const std::string &name);

	OSKextRequestResourceCallback callback() const;
	OSReturn request(const char *name = "resource", OSKextRequestTag *tag = nullptr, void *context = nullptr,
			 u32 timeout_ms = 0, u32 max_length = 0);
	// Success is expected.
	OSKextRequestTag must_request(const char *name = "resource", void *context = nullptr, u32 timeout_ms = 0);
	OSReturn cancel(OSKextRequestTag tag, void **context = nullptr);
	OSReturn cancel_nowait(OSKextRequestTag tag, void **context = nullptr);
	OSReturn request_under(kextbridge_scope *scope, void *context = nullptr, OSKextRequestTag *tag = nullptr,
			       const char *name = "resource");
	// OWNERSHIP: *data is the caller's, to be freed with kextbridge_free_resource().
	OSReturn read(void **data, u32 *length, const char *name = "resource", u32 timeout_ms = 0,
		      kextbridge_scope *scope = nullptr);
	u32 cancel_all(void (*cancelled)(OSKextRequestTag, void *, void *) = nullptr, void *arg = nullptr);
	OSReturn retain() { return OSKextRetainKextWithLoadTag(tag()); }
	OSReturn release() { return OSKextReleaseKextWithLoadTag(tag()); }
	u32 tag() const { return load_tag; }
	int state() const { return host_kext_state(load_tag); }
	bool is_loaded() const { return loaded_; }

	std::vector<Call> calls();
	size_t call_count() const { return finished_calls; }
	// Until so many callbacks have returned; then checks that it is not one more.
	std::vector<Call> wait_for_calls(size_t count);

	// Set before insmod() or while nothing runs.
	std::function<kern_return_t()> start;
	std::function<kern_return_t()> stop;
	std::function<void(const Call &)> on_callback;
	bool keep_calls = true;

	std::atomic<int> starts{0};
	std::atomic<int> stops{0};
	std::atomic<int> in_callback{0};
	std::atomic<bool> in_start{false};
	std::atomic<bool> in_stop{false};
	std::atomic<size_t> finished_calls{0};

	kmod_info_t info{};
	// The last one it had. (info.id is the core's to change while the module leaves.)
	std::atomic<u32> load_tag{kOSKextInvalidLoadTag};
	::module module;
	const u32 flags;

	// From the routines at their addresses.
	void run_callback(OSKextRequestTag tag, OSReturn result, const void *data, u32 length, void *context);
	kern_return_t run_start();
	kern_return_t run_stop();

      private:
	int remove(bool force);
	void wait_for_removal();

	int slot_;
	std::atomic<bool> loaded_{false};
	std::atomic<int> removers_{0};
	std::atomic<bool> closing_{false};
	std::mutex mutex_;
	std::condition_variable changed_;
	std::vector<Call> calls_;
};

// One record of the daemon's buffer.
struct Record {
	u32 kind;
	u64 id;
	u64 deadline_ns;
	u32 max_length;
	u32 load_tag;
	u32 attempt;
	std::string identifier;
	std::string name;

	u32 tag() const { return static_cast<u32>(id); }
};
std::vector<Record> parse(const void *buffer, u32 used);
std::vector<u32> tags_of(const std::vector<Record> &records);

kextd_reply reply_with(u64 id, s32 result);
kextd_reply reply_with(u64 id, s32 result, std::string_view data); // the bytes must stay
kextd_reply reply_with_fd(u64 id, s32 result, int fd);

// An open /dev/kextd.
class Daemon {
      public:
	explicit Daemon(bool open_now = true, pid *process = nullptr);
	~Daemon() { close(); }
	Daemon(const Daemon &) = delete;

	int open();
	void close();
	bool is_open() const { return data_; }

	// The raw call. 0 or negative errno.
	long ioctl(kextd_exchange &args, unsigned int cmd = KEXTD_IOC_EXCHANGE);
	long ioctl_at(u64 address, unsigned int cmd);
	// What is there now, at most `count`; `error` is the ioctl's result.
	std::vector<Record> fetch(u32 count = KEXTD_EXCHANGE_MAX, long *error = nullptr);
	// Sleeps until there is something. Empty: interrupted or not the daemon any more.
	std::vector<Record> wait(u32 count = KEXTD_EXCHANGE_MAX, long *error = nullptr);
	// The next one, which must be there.
	Record fetch_one();
	s32 reply(u64 id, s32 result);
	s32 reply(u64 id, s32 result, std::string_view data);
	s32 reply(const kextd_reply &reply);
	unsigned int poll(fake::Poll *poll = nullptr);

	::file file;
	u32 more_flags = 0; // of each fetch

      private:
	std::vector<Record> exchange(u32 count, u32 flags, long *error);
	void *data_ = nullptr;
	pid *process_;
};

// Threads that answer what a daemon fetches.
class Service {
      public:
	using Handler = std::function<kextd_reply(const Record &)>;

	// Without a handler: resources are answered with their own name, unloads delete the module, loads are not found.
	explicit Service(Daemon &daemon, int threads = 1, Handler handler = nullptr, u32 batch = 16);
	~Service() { finish(); }
	void finish();
	// Killed: what it has fetched and not answered stays so.
	void die();
	static kextd_reply usual(const Record &record);

	std::atomic<u64> records{0};
	std::atomic<u64> notices{0};
	std::atomic<u64> refused{0}; // replies that were not taken

      private:
	void run(size_t index);
	Daemon &daemon_;
	Handler handler_;
	u32 batch_;
	std::atomic<bool> stop_{false};
	std::atomic<bool> killed_{false};
	std::atomic<bool> interrupted_{false};
	std::vector<fake::Task *> tasks_;
	std::atomic<int> ready_{0};
	std::vector<std::thread> threads_;
};

// Deletes the module of an Unload record, as kextd does. OSReturn.
s32 delete_for(const Record &record);

// An open /dev/kextbridge.
class Control {
      public:
	// may_fail: where memory is short; then is_open() tells.
	explicit Control(u32 uid = 0, bool may_fail = false);
	~Control() { close(); }
	Control(const Control &) = delete;
	void close();
	bool is_open() const { return data_; }

	long ioctl(unsigned int cmd, void *args);

	struct Outcome {
		long error; // the ioctl's
		s32 result;
		u32 tag;
	};
	Outcome request(const std::string &identifier, const std::string &name, u32 flags = 0, u32 timeout_ms = 0,
			u32 max_length = 0);
	u32 must_request(const std::string &name = "resource", u32 flags = 0, u32 timeout_ms = 0);
	struct Result {
		long error;
		s32 status;
		s32 outcome;
		u32 tag;
		u32 out_flags;
		u32 length;
		std::string data;
	};
	Result result(u32 tag, u32 flags = KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE, u32 offset = 0,
		      u32 room = 65536);
	Outcome cancel(u32 tag) { return tag_call(KEXTBRIDGE_IOC_CANCEL, tag); }
	Outcome retain(u32 tag) { return tag_call(KEXTBRIDGE_IOC_RETAIN, tag); }
	Outcome release(u32 tag) { return tag_call(KEXTBRIDGE_IOC_RELEASE, tag); }
	Outcome unload(u32 tag, bool if_idle = false);
	Outcome stop(u32 tag) { return tag_call(KEXTBRIDGE_IOC_UNLOAD, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY); }
	Outcome load(const std::string &identifier, bool wait = false, u32 more_flags = 0);
	std::vector<std::string> asked_loads(u32 from = 0, u32 room = 64);
	std::vector<kextbridge_kext> list(u32 from = 0, u32 room = 64, kextbridge_list *out = nullptr);
	kextbridge_status status();
	unsigned int poll(fake::Poll *poll = nullptr);

	::file file;

      private:
	Outcome tag_call(unsigned int cmd, u32 tag, u32 flags = 0);
	void *data_ = nullptr;
};

kextbridge_status stats();

// An unload that somebody waits for, on a thread of its own.
class Unload {
	Control control_;
	s32 result_ = 0x7777;
	long error_ = 0;
	std::atomic<fake::Task *> task_{nullptr};
	std::atomic<bool> returned_{false};
	std::atomic<bool> joined_{false};
	std::thread thread_;

      public:
	explicit Unload(const Kext &kext, bool if_idle = false)
		: thread_([this, tag = kext.tag(), if_idle] {
			  task_ = &fake::current();
			  Control::Outcome outcome = control_.unload(tag, if_idle);

			  result_ = outcome.result;
			  error_ = outcome.error;
			  returned_ = true;
			  while (!joined_)
				  std::this_thread::yield();
		  })
	{
		while (!task_)
			std::this_thread::yield();
	}
	~Unload() { result(); }
	fake::Task &task() { return *task_; }
	bool has_returned() const { return returned_; }
	s32 result()
	{
		joined_ = true;
		if (thread_.joinable())
			thread_.join();
		return result_;
	}
	long error()
	{
		result();
		return error_;
	}
};

// The core, loaded for one test. After it nothing may be left.
class Core : public testing::Test {
      protected:
	void SetUp() override;
	void TearDown() override;
};

// The assertions T-nnn.
class Oskext : public Core {};

void check_invariants();

// A context that nobody looks into.
inline void *const X = reinterpret_cast<void *>(0x1234567);

} // namespace host

using host::Call;
using host::Control;
using host::Daemon;
using host::Kext;
using host::Oskext;
using host::Record;
using host::Service;
using host::Unload;
using host::X;
