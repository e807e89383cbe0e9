// SPDX-License-Identifier: GPL-2.0-only
// An input as a program against kmdf.ko: clients of a device and of /dev/kmdf/control, and its driver, which either keeps to
// the rules (kmdf_client) or makes whatever calls the input says (kmdf_driver). kmdf_program.cpp runs the input; the clients
// are in kmdf_clients.cpp, the calls of drivers in kmdf_calls.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "../host/kmdf/kit.hpp"

#include "input.hpp"
#include "target.hpp"

namespace fuzz {

enum class KmdfOp : uint8_t {
	Open,
	Close,
	Read,
	Write,
	Control,
	Cancel,
	AioCancel,
	Kill,
	BadIoctl,
	List,
	CancelOne,
	LastStatus,
	Poll,
	Serve,   // the driver ends one of the requests that it has
	Call,    // of a hostile driver
	Script,  // what it does in a callback
	Waiting, // a call of it that may wait for others
	Power,
	Clock,
	FailAllocation,
	FailCopy,
	Parameter,
	Ops,
};

// What an operation's byte means.
using KmdfTable = std::span<const KmdfOp>;

// hostile: the driver makes mistakes; else none may be reported.
void run_kmdf_program(KmdfTable table, bool hostile, const uint8_t *data, size_t size);
int kmdf_code(KmdfTable table, KmdfOp op);

// What a request is about, which its client tells the driver in its first bytes.
struct Plan {
	uint8_t way; // below Ways
	uint8_t result;
	uint16_t information;
};
enum Way : uint8_t { AtOnce, Keep, Mark, Forward, MarkAndKeepCancelled, Ways };
inline constexpr NTSTATUS kResults[] = {STATUS_SUCCESS, STATUS_SUCCESS, STATUS_BUFFER_OVERFLOW, STATUS_UNSUCCESSFUL};
inline NTSTATUS result_of(const Plan &plan)
{
	return kResults[plan.result % std::size(kResults)];
}

// In which of its callbacks a hostile driver does something.
enum class At : uint8_t {
	Io,
	Cancel,
	OnQueue,
	Stop,
	Resume,
	QueueState,
	Completion,
	Cleanup,
	Destroy,
	Timer,
	Work,
	FileCreate,
	FileEnd,
	InCaller,
	Ats,
};

// A program's or a driver's thread in a call. Threads are used again: with sanitizers a new one takes a millisecond.
class Waiter {
	struct Thread;
	Thread *thread_;

	static std::vector<Thread *> &idle();

      public:
	Waiter(bool ours, std::function<void()> what);
	~Waiter(); // it has finished
	Waiter(const Waiter &) = delete;

	const bool ours; // the driver's: it is not killed
	fake::Task &task() const;
	int tid() const;
	bool finished() const;
};

class KmdfMachine {
      public:
	KmdfMachine(Input &in, bool hostile);
	~KmdfMachine();
	KmdfMachine(const KmdfMachine &) = delete;

	void step(KmdfOp op);
	// Nothing runs any more that does not wait.
	void check();
	// All is ended, closed and unloaded: nothing may be left.
	void finish();

	// ---- a callback has begun; own: the object that it is about
	void act(At at, WDFOBJECT own);
	void note_request(WDFREQUEST request);

      private:
	static constexpr size_t kFiles = 3;
	static constexpr size_t kWaiters = 4;
	static constexpr size_t kAios = 8;
	static constexpr size_t kHandles = 64;

	enum class Kind : uint8_t {
		Driver,
		Device,
		Queue,
		Request,
		OwnRequest,
		File,
		Timer,
		Work,
		SpinLock,
		WaitLock,
		Memory,
		Target,
		String,
		Collection,
		General,
	};
	struct Handle {
		WDFOBJECT value;
		Kind kind;
	};

	// ---- clients
	File *open_file();
	void open();
	void close();
	void read_or_write(bool is_read);
	void control();
	void control_on(File &file, const std::shared_ptr<struct ControlCall> &call);
	void cancel();
	void kill();
	void bad_ioctl();
	void list();
	void cancel_one();
	void last_status();
	void forget_finished();
	u64 some_id();
	void judge_error(s64 error, const char *what) const;

	// ---- the driver that keeps to the rules
	void present(WDFREQUEST request);
	void cancelled(WDFREQUEST request);
	void serve();
	void end(WDFREQUEST request);
	static bool plan_of(WDFREQUEST request, Plan *plan);

	// ---- the hostile one
	friend struct DriverCalls;
	WDFOBJECT handle(Input &in, Kind kind, WDFOBJECT own);
	void add_handle(WDFOBJECT value, Kind kind);
	void call(Input &in, WDFOBJECT own, bool may_wait);
	void locked_calls(Input &in, WDFOBJECT own);
	bool call_request(Input &in, u32 which, WDFOBJECT own);
	bool call_queue(Input &in, u32 which, WDFOBJECT own);
	bool call_send(Input &in, u32 which, WDFOBJECT own);
	bool call_object(Input &in, u32 which, WDFOBJECT own);
	void waiting_call(Input &in, WDFOBJECT own);
	void script();
	void waiting();

	void add_hooks(Queue &queue);
	void configure();
	void power();
	void clock();
	void parameter();
	void on_thread(bool ours, std::function<void()> what);
	void drop_references();
	bool end_requests();
	[[noreturn]] void say_what_is_left();
	void check_reports();

	Input &in_;
	const bool hostile_;
	std::atomic<bool> finishing_{false};
	bool injected_ = false;
	std::atomic<bool> power_moves_{false}; // by one thread at a time, as the kernel has it
	Queue first_;
	Queue reads_{WdfIoQueueDispatchSequential, false};
	Queue manual_{WdfIoQueueDispatchManual, false};
	Queue others_;
	Driver driver_{"fuzzed"};
	Driver other_{"foreign"};
	std::array<std::unique_ptr<File>, kFiles> files_;
	std::vector<std::unique_ptr<File>> closed_;
	std::vector<std::unique_ptr<Aio>> aios_;
	std::vector<std::unique_ptr<Waiter>> waiters_;
	std::mutex mutex_; // of all below
	std::vector<WDFREQUEST> kept_;
	std::vector<WDFREQUEST> called_; // whose EvtRequestCancel has been called
	std::vector<Handle> handles_;
	std::set<WDFOBJECT> referenced_;
	std::array<std::string, static_cast<size_t>(At::Ats)> scripts_;
	int fuel_ = 0; // how many scripts may still run in this operation
};

// The one that callbacks belong to.
extern KmdfMachine *kmdf_machine;

} // namespace fuzz
