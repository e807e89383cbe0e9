// SPDX-License-Identifier: GPL-2.0-only
#include "kmdf_machine.hpp"

namespace fuzz {

constexpr u32 kMostOperations = 60;
constexpr int kFuel = 24;
constexpr int kMostRounds = 2000; // until all has ended

KmdfMachine *kmdf_machine;

// ---- setup

KmdfMachine::KmdfMachine(Input &in, bool hostile) : in_(in), hostile_(hostile), others_(WdfIoQueueDispatchParallel)
{
	static const bool ready = [] {
		fake::set_test_name("fuzz");
		fake::add_bad_range(reinterpret_cast<void *>(1), 1 << 16);
		return true;
	}();

	(void)ready;
	kmdf_machine = this;
	fake::reset_kmdf();
	fake::reset();
	fake::add_bad_range(nullptr, 1 << 16);
	fake::add_bad_range(reinterpret_cast<void *>(0xffff800000000000), 0x7fff00000000);
	fake::be_io_worker(false);
	host_kmdf_reset();
	if (kmdf_core_init_c())
		wrong("kmdf does not start");
	configure();
	driver_.must_load();
	other_.must_load();
	add_handle(driver_.handle, Kind::Driver);
	add_handle(other_.device, Kind::Device);
	add_handle(others_.handle, Kind::Queue);
	add_handle(manual_.handle, Kind::Queue);
	add_handle(reads_.handle, Kind::Queue);
	add_handle(first_.handle, Kind::Queue);
	add_handle(driver_.device, Kind::Device);
}

KmdfMachine::~KmdfMachine()
{
	kmdf_machine = nullptr;
}

void KmdfMachine::add_hooks(Queue &queue)
{
	queue.on_cancel = [this](WDFREQUEST request) {
		if (hostile_)
			act(At::Cancel, request);
		else
			cancelled(request);
	};
	if (queue.config.DispatchType != WdfIoQueueDispatchManual)
		queue.on_io = [this](WDFREQUEST request) {
			if (hostile_)
				act(At::Io, request);
			else
				present(request);
		};
	if (!hostile_) {
		// Requests that are kept are nobody's who suspends.
		queue.config.PowerManaged = WdfFalse;
		return;
	}
	u32 how = in_.byte();

	if (how & 1)
		queue.on_canceled_on_queue = [this](WDFREQUEST request) { act(At::OnQueue, request); };
	if (how & 2)
		queue.on_stop = [this](WDFREQUEST request, ULONG) { act(At::Stop, request); };
	if (how & 4)
		queue.on_resume = [this](WDFREQUEST request) { act(At::Resume, request); };
	queue.config.PowerManaged = static_cast<WDF_TRI_STATE>(how >> 3 & 1);
	queue.config.AllowZeroLengthRequests = how >> 4 & 1;
	queue.attributes.SynchronizationScope = static_cast<WDF_SYNCHRONIZATION_SCOPE>(1 + (how >> 5 & 3));
}

// The driver as the first bytes say: its queues' scopes and callbacks.
void KmdfMachine::configure()
{
	u32 how = in_.byte();

	first_.config.Settings.Parallel.NumberOfPresentedRequests = how & 1 ? 2 : ~0u;
	for (Queue *queue : {&first_, &reads_, &manual_})
		add_hooks(*queue);
	others_.on_cancel = [](WDFREQUEST request) { WdfRequestComplete(request, STATUS_CANCELLED); };
	others_.on_io = [this](WDFREQUEST request) {
		add_handle(request, Kind::Request);
		if (finishing_)
			WdfRequestComplete(request, STATUS_SUCCESS);
		else
			others_.mark_plain(request);
	};
	driver_.queues = {&first_, &reads_, &manual_};
	other_.queues = {&others_};
	driver_.in_add = [this](WDFDEVICE device) {
		return WdfDeviceConfigureRequestDispatching(device, reads_.handle, WdfRequestTypeRead);
	};
	if (!hostile_)
		return;
	driver_.device_attributes.SynchronizationScope = static_cast<WDF_SYNCHRONIZATION_SCOPE>(1 + (how >> 1 & 3));
	if (how & 16) {
		driver_.with_request_context = true;
		driver_.on_request_cleanup = [this](WDFREQUEST request) { act(At::Cleanup, request); };
		driver_.on_request_destroy = [this](WDFREQUEST request) { act(At::Destroy, request); };
	}
	if (how & 32)
		driver_.on_create = [this](WDFREQUEST request, WDFFILEOBJECT file) {
			add_handle(file, Kind::File);
			act(At::FileCreate, request);
		};
	if (how & 64) {
		driver_.on_cleanup = [this](WDFFILEOBJECT file) { act(At::FileEnd, file); };
		driver_.on_close = [this](WDFFILEOBJECT file) { act(At::FileEnd, file); };
	}
	if (how & 128)
		driver_.in_caller_context = [this](WDFREQUEST request) { act(At::InCaller, request); };
}

// ---- callbacks

void KmdfMachine::note_request(WDFREQUEST request)
{
	add_handle(request, Kind::Request);
	if (finishing_)
		WdfRequestComplete(request, STATUS_CANCELLED);
}

// What the script of that callback says; when its fuel is used up, nothing: scripts call each other.
void KmdfMachine::act(At at, WDFOBJECT own)
{
	std::string bytes;
	bool is_request = at != At::QueueState && at != At::Timer && at != At::Work && at != At::FileEnd &&
			  at != At::Cleanup && at != At::Destroy;

	if (is_request && at != At::Completion)
		add_handle(own, Kind::Request);
	if (finishing_) {
		if (at == At::Stop && host_kmdf_request_state(own) == owned)
			WdfRequestStopAcknowledge(static_cast<WDFREQUEST>(own), FALSE);
		else if (is_request && at != At::Resume && at != At::Completion)
			WdfRequestComplete(static_cast<WDFREQUEST>(own), STATUS_CANCELLED);
		return;
	}
	{
		std::lock_guard lock(mutex_);

		if (fuel_ <= 0)
			return;
		fuel_--;
		bytes = scripts_[static_cast<size_t>(at)];
	}
	Input in(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());

	for (u32 left = 3; left && !in.empty(); left--)
		call(in, own, true);
}

void KmdfMachine::script()
{
	At at = static_cast<At>(in_.below(static_cast<u32>(At::Ats)));
	std::string bytes = in_.text(1 + in_.below(20));
	std::lock_guard lock(mutex_);

	scripts_[static_cast<size_t>(at)] = bytes;
}

// ---- what waits

struct Waiter::Thread {
	std::mutex mutex;
	std::condition_variable changed;
	std::function<void()> what;
	std::atomic<fake::Task *> task{nullptr};
	std::atomic<int> tid{0};
	std::atomic<bool> finished{true};

	Thread()
	{
		std::thread([this] { run(); }).detach();
		until([this] { return task.load(); }, "a thread has begun");
	}
	void run()
	{
		tid = fake::tid();
		task = &fake::current();
		for (;;) {
			std::unique_lock lock(mutex);

			changed.wait(lock, [this] { return !finished; });
			lock.unlock();
			what();
			fake::clear_signal();
			lock.lock();
			finished = true;
			changed.notify_all();
		}
	}
};

std::vector<Waiter::Thread *> &Waiter::idle()
{
	static auto *all = new std::vector<Thread *>;

	return *all;
}

Waiter::Waiter(bool ours, std::function<void()> what) : ours(ours)
{
	if (idle().empty())
		idle().push_back(new Thread);
	thread_ = idle().back();
	idle().pop_back();
	std::lock_guard lock(thread_->mutex);

	thread_->what = std::move(what);
	thread_->finished = false;
	thread_->changed.notify_all();
}

Waiter::~Waiter()
{
	thread_->what = nullptr;
	idle().push_back(thread_);
}

fake::Task &Waiter::task() const
{
	return *thread_->task;
}

int Waiter::tid() const
{
	return thread_->tid;
}

bool Waiter::finished() const
{
	std::lock_guard lock(thread_->mutex);

	return thread_->finished;
}

void KmdfMachine::on_thread(bool ours, std::function<void()> what)
{
	waiters_.push_back(std::make_unique<Waiter>(ours, std::move(what)));
}

void KmdfMachine::waiting()
{
	std::string bytes = in_.text(8);

	forget_finished();
	if (waiters_.size() >= kWaiters)
		return;
	on_thread(true, [this, bytes] {
		Input in(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());

		waiting_call(in, nullptr);
	});
}

void KmdfMachine::power()
{
	static const char *const words[] = {"suspend", "resume", "remove", "suspend", "resume", "jump"};
	const char *what = words[in_.below(std::size(words))];

	forget_finished();
	if (waiters_.size() >= kWaiters || power_moves_ || (!hostile_ && !strcmp(what, "remove")))
		return;
	power_moves_ = true;
	on_thread(true, [this, what] {
		kmdf_power_c(driver_.node_name(), what);
		power_moves_ = false;
	});
}

void KmdfMachine::forget_finished()
{
	waiters_.erase(
		std::remove_if(waiters_.begin(), waiters_.end(), [](auto &waiter) { return waiter->finished(); }),
		waiters_.end());
	aios_.erase(std::remove_if(aios_.begin(), aios_.end(), [](auto &aio) { return aio->finished(); }), aios_.end());
}

// ---- the environment

void KmdfMachine::clock()
{
	static constexpr u64 steps[] = {0, 1, 20, 200, 1000, 10001};

	fake::advance_ms(steps[in_.below(std::size(steps))]);
}

void KmdfMachine::parameter()
{
	static constexpr unsigned int few[] = {0, 1, 2, 1024};

	switch (in_.below(7)) {
	case 0:
		kmdf_params.max_pending_per_file = few[in_.below(4)];
		break;
	case 1:
		kmdf_params.max_buffer_bytes = few[in_.below(4)] * 32;
		break;
	case 2:
		kmdf_params.stuck_ms = hostile_ ? few[in_.below(4)] : 0;
		break;
	case 3:
		kmdf_params.forgotten_ms = hostile_ ? few[in_.below(4)] : 0;
		break;
	case 4:
		kmdf_params.verifier = in_.flag() ? KMDF_VERIFIER_WARN : KMDF_VERIFIER_OFF;
		break;
	case 5:
		kmdf_params.prompt_cancel = in_.flag();
		break;
	case 6:
		kmdf_params.cancel_on_close = in_.flag();
		break;
	}
}

// ---- the program

void KmdfMachine::step(KmdfOp op)
{
	{
		std::lock_guard lock(mutex_);

		fuel_ = kFuel;
	}
	switch (op) {
	case KmdfOp::Open:
		return open();
	case KmdfOp::Close:
		return close();
	case KmdfOp::Read:
	case KmdfOp::Write:
		return read_or_write(op == KmdfOp::Read);
	case KmdfOp::Control:
		return control();
	case KmdfOp::Cancel:
		return cancel();
	case KmdfOp::AioCancel:
		if (!aios_.empty())
			aios_[in_.byte() % aios_.size()]->cancel();
		return;
	case KmdfOp::Kill:
		return kill();
	case KmdfOp::BadIoctl:
		return bad_ioctl();
	case KmdfOp::List:
		return list();
	case KmdfOp::CancelOne:
		return cancel_one();
	case KmdfOp::LastStatus:
		return last_status();
	case KmdfOp::Poll:
		if (File *file = open_file(); file && file->is_open())
			file->poll();
		return;
	case KmdfOp::Serve:
		return serve();
	case KmdfOp::Call:
		return call(in_, nullptr, true);
	case KmdfOp::Script:
		return script();
	case KmdfOp::Waiting:
		return waiting();
	case KmdfOp::Power:
		return power();
	case KmdfOp::Clock:
		return clock();
	case KmdfOp::FailAllocation:
		injected_ = true;
		fake::fail_allocation(1 + in_.below(8));
		return;
	case KmdfOp::FailCopy:
		injected_ = true;
		fake::fail_user_copy(1 + in_.below(8));
		return;
	case KmdfOp::Parameter:
		return parameter();
	case KmdfOp::Ops:
		return;
	}
}

// Threads wait, or are gone; what else was begun is done.
void KmdfMachine::check()
{
	auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);

	for (auto &waiter : waiters_) {
		fake::Task &task = waiter->task();

		while (!waiter->finished() && std::chrono::steady_clock::now() < until) {
			std::unique_lock lock(task.mutex);

			if (task.sleeping)
				break;
			lock.unlock();
			sched_yield();
		}
	}
	fake::settle();
	if (const char *broken = host_kmdf_check_invariants(false))
		wrong("kmdf's books: %s", broken);
	if (fake::atomic_depth())
		wrong("a call returned with a lock held");
	if (!hostile_)
		check_reports();
}

// A driver that keeps to the rules is not reported.
void KmdfMachine::check_reports()
{
	for (int i = 0; const char *rule = host_kmdf_rule(i); i++)
		if (host_kmdf_broken(rule))
			wrong("reported: %s", rule);
}

// ---- the end

static u64 refusals()
{
	return host_kmdf_broken("ObjectMisuse") + host_kmdf_broken("InvalidHandle") + host_kmdf_broken("NullParameter");
}

// References that the driver has taken; how many, the verifier says.
void KmdfMachine::drop_references()
{
	for (WDFOBJECT object : referenced_) {
		u64 before = refusals();

		while (refusals() == before)
			WdfObjectDereference(object);
	}
}

// What the driver has is completed. Whether something is left.
bool KmdfMachine::end_requests()
{
	std::vector<Handle> all;
	bool is_left = false;
	{
		std::lock_guard lock(mutex_);

		all = handles_;
		for (WDFREQUEST request : kept_)
			all.push_back({request, Kind::Request});
		for (WDFREQUEST request : called_)
			all.push_back({request, Kind::Request});
	}
	for (Handle &handle : all) {
		WDFREQUEST request = static_cast<WDFREQUEST>(handle.value);

		if (handle.kind == Kind::Queue)
			WdfIoQueueStart(static_cast<WDFQUEUE>(handle.value));
		if (handle.kind == Kind::Target)
			WdfIoTargetStart(static_cast<WDFIOTARGET>(handle.value));
		if (handle.kind == Kind::OwnRequest)
			WdfRequestCancelSentRequest(request);
		if (handle.kind == Kind::WaitLock)
			WdfWaitLockRelease(static_cast<WDFWAITLOCK>(handle.value));
		if (handle.kind != Kind::Request)
			continue;
		switch (host_kmdf_request_state(request)) {
		case cancelable:
			if (!NT_SUCCESS(WdfRequestUnmarkCancelable(request)))
				break;
			[[fallthrough]];
		case owned:
		case called:
			WdfRequestCancelSentRequest(request);
			WdfRequestComplete(request, STATUS_CANCELLED);
			break;
		case gone:
		case done:
			continue;
		}
		is_left = true;
	}
	// What waits in a manual queue nobody is called with.
	for (Handle &handle : all) {
		WDFREQUEST request;

		while (handle.kind == Kind::Queue &&
		       NT_SUCCESS(WdfIoQueueRetrieveNextRequest(static_cast<WDFQUEUE>(handle.value), &request)))
			WdfRequestComplete(request, STATUS_CANCELLED);
	}
	for (auto &waiter : waiters_)
		is_left |= !waiter->finished();
	for (auto &aio : aios_)
		is_left |= !aio->finished();
	return is_left;
}

void KmdfMachine::say_what_is_left()
{
	std::string text;

	for (const kmdf_request &request : ::list().requests)
		text += " request in state " + std::to_string(request.state) + " flags " +
			std::to_string(request.flags);
	for (const Handle &handle : handles_)
		if (handle.kind == Kind::Request && host_kmdf_request_state(handle.value) != gone)
			text += " a request handle in state " + std::to_string(host_kmdf_request_state(handle.value));
	for (auto &waiter : waiters_)
		if (!waiter->finished())
			text += waiter->ours ? " a driver's thread" : " a client's thread";
	for (auto &aio : aios_)
		if (!aio->finished())
			text += " an asynchronous request";
	wrong("what never ends:%s", text.c_str());
}

void KmdfMachine::finish()
{
	int rounds = 0;

	finishing_ = true;
	fake::fail_allocation(0);
	fake::fail_user_copy(0);
	if (!hostile_) {
		// Before rules are broken to have an end.
		while (end_requests() && ++rounds < kMostRounds)
			check();
		check_reports();
	}
	kmdf_params.verifier = KMDF_VERIFIER_WARN;
	for (rounds = 0; end_requests(); rounds++) {
		if (rounds >= kMostRounds)
			say_what_is_left();
		if (hostile_ && !power_moves_)
			kmdf_power_c(driver_.node_name(), "resume");
		fake::settle();
		if (rounds > 10)
			std::this_thread::sleep_for(std::chrono::microseconds(100));
	}
	// Each holds the module of the device that it is open on.
	for (const Handle &handle : handles_)
		if (handle.kind == Kind::Target)
			WdfIoTargetClose(static_cast<WDFIOTARGET>(handle.value));
	forget_finished();
	closed_.clear();
	for (auto &file : files_)
		file.reset();
	fake::settle();
	for (const kmdf_device &device : ::list().devices)
		if (device.requests || device.opens)
			wrong("%s: %u requests and %u opens are left", device.name, device.requests, device.opens);
	drop_references();
	u64 left = host_kmdf_broken("ObjectMisuse");

	driver_.unload();
	other_.unload();
	fake::settle();
	if (host_kmdf_broken("ObjectMisuse") != left)
		wrong("objects are left");
	if (const char *broken = host_kmdf_check_invariants(true))
		wrong("kmdf's books: %s", broken);
	if (host_kmdf_drivers())
		wrong("a driver is left");
	kmdf_core_exit_c();
	fake::Live live = fake::live();

	if (live.allocations || (live.krefs && !injected_) || live.file_refs || live.pid_refs || live.sleepers)
		wrong("left: %ld allocations, %ld references, %ld files, %ld pids, %ld sleepers", live.allocations,
		      live.krefs, live.file_refs, live.pid_refs, live.sleepers);
	if (fake::kernel_timers() || fake::nodes() || fake::atomic_depth())
		wrong("left: %zu timers, %zu nodes, %d locks", fake::kernel_timers(), fake::nodes(),
		      fake::atomic_depth());
}

void run_kmdf_program(KmdfTable table, bool hostile, const uint8_t *data, size_t size)
{
	Input input(data, size);
	KmdfMachine machine(input, hostile);

	for (u32 left = kMostOperations; left && !input.empty(); left--) {
		machine.step(table[input.byte() % table.size()]);
		machine.check();
	}
	machine.finish();
}

int kmdf_code(KmdfTable table, KmdfOp op)
{
	auto found = std::find(table.begin(), table.end(), op);

	return found == table.end() ? -1 : static_cast<int>(found - table.begin());
}

} // namespace fuzz
