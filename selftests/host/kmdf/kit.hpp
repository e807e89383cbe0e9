// SPDX-License-Identifier: GPL-2.0-only
// Drivers and programs for the tests of kmdf.ko: drivers over wdf.h, programs over the extern "C" entry points.
#pragma once

#include "wdf.hpp"

namespace kmdf_test {

// Until it holds, which must not take long; in real time.
void until(const std::function<bool()> &condition, const char *what);
// Long enough for what must not happen to happen.
void a_while();

// Requests that a driver was given, in their order.
class Mail {
	mutable std::mutex mutex_;
	std::condition_variable changed_;
	std::deque<WDFREQUEST> requests_;
	std::atomic<u32> total_{0};

      public:
	void push(WDFREQUEST request);
	WDFREQUEST take(); // waits
	u32 total() const { return total_; }
	size_t waiting() const;
};

// A queue: what it is to be, and what its callbacks do. What is set before it is made is registered.
struct Queue {
	explicit Queue(WDF_IO_QUEUE_DISPATCH_TYPE type = WdfIoQueueDispatchParallel, bool is_default = true);
	Queue(const Queue &) = delete;

	WDF_IO_QUEUE_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;

	// Of none but manual ones: keep everything, in `arrived`.
	std::function<void(WDFREQUEST)> on_io;
	std::function<void(WDFREQUEST, size_t)> on_read;
	std::function<void(WDFREQUEST, size_t)> on_write;
	std::function<void(WDFREQUEST, size_t, size_t, ULONG)> on_control; // out, in, code
	std::function<void(WDFREQUEST)> on_canceled_on_queue;
	std::function<void(WDFREQUEST, ULONG)> on_stop;
	std::function<void(WDFREQUEST)> on_resume;
	// EvtRequestCancel of what mark() has marked; unset: completes with STATUS_CANCELLED.
	std::function<void(WDFREQUEST)> on_cancel;

	WDFQUEUE handle = nullptr;
	Mail arrived;
	Mail cancelled; // EvtRequestCancel has been called

	NTSTATUS make(WDFDEVICE device);
	NTSTATUS mark(WDFREQUEST request); // Ex
	void mark_plain(WDFREQUEST request);
	WDFREQUEST take() { return arrived.take(); }
	// STATUS_SUCCESS is expected.
	WDFREQUEST retrieve();

	ULONG queued() const;
	ULONG owned() const;
	ULONG bits() const;
};
EVT_WDF_REQUEST_CANCEL evt_cancel; // calls on_cancel

// A module with one driver; devices by EvtDriverDeviceAdd.
class Driver {
      public:
	explicit Driver(const std::string &name = "kdrv");
	~Driver();
	Driver(const Driver &) = delete;

	// Before load().
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_OBJECT_ATTRIBUTES device_attributes;
	bool exclusive = false;
	std::string node; // the name of the device; "": the framework's
	WDF_PNPPOWER_EVENT_CALLBACKS pnp;
	std::function<void(WDFREQUEST, WDFFILEOBJECT)> on_create;
	std::function<void(WDFFILEOBJECT)> on_cleanup;
	std::function<void(WDFFILEOBJECT)> on_close;
	std::function<void(WDFREQUEST)> in_caller_context;
	// Of all requests; they have a RequestContext then.
	bool with_request_context = false;
	std::function<void(WDFREQUEST)> on_request_cleanup;
	std::function<void(WDFREQUEST)> on_request_destroy;
	std::function<NTSTATUS(WDFDRIVER)> in_entry; // after WdfDriverCreate()
	std::function<NTSTATUS(WDFDEVICE)> in_add;   // after the queues
	std::function<void()> in_unload;
	std::vector<Queue *> queues; // made with the device

	int load(unsigned int instances = 1);
	void must_load();
	void unload();
	const char *node_name() const;

	WDFDRIVER handle = nullptr;
	WDFDEVICE device = nullptr; // the youngest
	::module module;

	NTSTATUS entry(DRIVER_OBJECT *object, UNICODE_STRING *path);
	NTSTATUS add(PWDFDEVICE_INIT init);

      private:
	struct Glue {
		struct kmdf_driver_glue glue; // the first
		Driver *driver;
	};
	static NTSTATUS driver_entry(DRIVER_OBJECT *object, UNICODE_STRING *path);
	std::string name_;
	bool loaded_ = false;
	Glue glue_{};
};

struct RequestContext {
	u64 value;
	std::atomic<u32> *counter;
	void *pointer;
};
RequestContext *context_of(WDFOBJECT request);

struct IoctlResult {
	s64 error; // the transport's
	s32 status;
	u64 information;
	std::string data;
};

// An open file of a device.
class File {
      public:
	explicit File(Driver &driver, bool may_fail = false);
	~File();
	File(const File &) = delete;

	int error() const { return error_; }
	bool is_open() const { return data_; }
	void close(); // close(2) of its one descriptor

	s64 read(size_t bytes, std::string *data = nullptr, s64 pos = 0);
	s64 write(const std::string &data, s64 pos = 0);
	IoctlResult control(ULONG code, const std::string &in = "", size_t out = 0, u64 tag = 0);
	kmdf_cancel cancel(u32 what = KMDF_CANCEL_FILE, u64 tag = 0);
	kmdf_last_status last_status();
	long ioctl(unsigned int cmd, void *arguments);
	unsigned int poll();

	// A description has users besides its descriptor: asynchronous requests.
	void hold();
	void drop();

	::file file;
	void *data() { return data_; }

      private:
	int error_ = 0;
	void *data_ = nullptr;
	bool closed_ = false;
	std::atomic<bool> released_{false};
};

// A program's thread in a call.
class Call {
	std::string data_;
	s64 result_ = 0x7777;
	IoctlResult control_{};
	std::atomic<fake::Task *> task_{nullptr};
	std::atomic<int> tid_{0};
	std::atomic<bool> finished_{false};
	std::mutex mutex_;
	std::condition_variable leave_;
	bool may_leave_ = false;
	std::thread thread_;

      public:
	explicit Call(const std::function<s64(Call &)> &what);
	~Call() { result(); }
	static Call read(File &file, size_t bytes);
	static Call write(File &file, const std::string &data);
	static Call control(File &file, ULONG code, const std::string &in = "", size_t out = 0, u64 tag = 0);

	fake::Task &task();
	int tid();
	void kill() { fake::kill(task()); }
	void wait_until_asleep() { fake::wait_until_asleep(task()); }
	bool finished() const { return finished_; }
	s64 result(); // waits
	const std::string &data()
	{
		result();
		return data_;
	}
	const IoctlResult &outcome()
	{
		result();
		return control_;
	}
};

// An asynchronous request.
class Aio {
	File &file_;
	pid *const process_; // null: the test's
	kiocb iocb_;
	iov_iter iter_{};
	std::vector<char> buffer_;
	mutable std::mutex mutex_;
	std::condition_variable changed_;
	bool done_ = false;
	s64 result_ = 0x7777;

      public:
	explicit Aio(File &file, pid *process = nullptr) : file_(file), process_(process) {}
	~Aio();
	Aio(const Aio &) = delete;
	s64 read(size_t bytes);
	s64 write(const std::string &data);
	void submit_read(size_t bytes); // -EIOCBQUEUED is expected
	void submit_write(const std::string &data);
	pid *process() { return process_; }
	bool cancel() { return fake::io_cancel(iocb_); }
	// Its process, which has exited, takes its requests along.
	bool die()
	{
		process_->gone = true;
		return fake::io_cancel(iocb_);
	}
	bool finished() const;
	s64 wait();
	std::string data() const { return {buffer_.begin(), buffer_.end()}; }

      private:
	s64 submit(const std::function<s64()> &what);
};

// A driver with one queue, and a program that has its device open.
struct Simple {
	Queue queue;
	Driver driver;
	std::optional<File> file;

	explicit Simple(WDF_IO_QUEUE_DISPATCH_TYPE type = WdfIoQueueDispatchParallel) : queue(type)
	{
		driver.queues = {&queue};
	}
	void start()
	{
		driver.must_load();
		file.emplace(driver);
	}
	WDFREQUEST take() { return queue.take(); }
};

constexpr ULONG kBuffered = 0x00222000; // CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
constexpr ULONG kInDirect = 0x00222001;
constexpr ULONG kOutDirect = 0x00222002;
constexpr ULONG kNeither = 0x00222003;

inline constexpr s64 kQueued = -SHIM_EIOCBQUEUED;

// kmdf.ko, loaded for one test. After it nothing may be left, and no rule of the verifier may have been broken that the
// test has not asked for.
class Kmdf : public testing::Test {
	std::set<std::string> asked_;

      protected:
	void SetUp() override;
	void TearDown() override;
	// How often; and it may be.
	u64 reports(const char *rule);
	void expect_any(const char *rule) { reports(rule); }
	bool memory_was_short_ = false;
};

class KmdfRaces : public Kmdf {
      protected:
	u64 seed_ = 0;
	void SetUp() override
	{
		Kmdf::SetUp();
		seed_ = host::race_seed();
	}
	void TearDown() override
	{
		fake::chaos(0, 0);
		Kmdf::TearDown();
	}
};

void check_invariants(bool quiet);

// A process that has not exited yet.
pid &new_process();

// The records of KMDF_IOC_LIST.
struct Listing {
	std::vector<kmdf_device> devices;
	std::vector<kmdf_queue> queues;
	std::vector<kmdf_request> requests;
};
Listing list();
long cancel_request(u64 id, u32 *state = nullptr);

// In units of 100 ns, relative.
inline LONGLONG in_ms(u32 ms)
{
	return WDF_REL_TIMEOUT_IN_MS(ms);
}

// So many asynchronous reads of one file.
struct Readers {
	std::vector<std::unique_ptr<Aio>> all;

	Readers(File &file, u32 count)
	{
		for (u32 i = 0; i < count; i++) {
			all.push_back(std::make_unique<Aio>(file));
			all.back()->submit_read(8 + i);
		}
	}
	Aio &operator[](size_t i) { return *all[i]; }
};

inline void complete(WDFREQUEST request, u64 information = 0)
{
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, information);
}

// Counts the calls of an EVT_WDF_IO_QUEUE_STATE.
inline void count_state(WDFQUEUE, WDFCONTEXT context)
{
	(*static_cast<std::atomic<u32> *>(context))++;
}

} // namespace kmdf_test

using namespace kmdf_test;
