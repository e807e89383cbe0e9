// SPDX-License-Identifier: GPL-2.0-only
// Threads that meet on purpose. Each test prints its seed; KEXTBRIDGE_SEED repeats it as far as a scheduler allows.
#include "kit.hpp"
#include "shim/entry.h"

namespace {

using host::Balance;
using host::Contestants;
using host::Random;
using host::wait_turns;

constexpr u32 kBatch = 16;

// So many clients, each with a file of its own, so that one can be cancelled by KMDF_IOC_CANCEL.
struct Crowd : Simple {
	std::vector<std::unique_ptr<File>> files;
	std::vector<std::unique_ptr<Aio>> clients;
	WDFREQUEST requests[kBatch] = {};
	std::atomic<u32> calls[kBatch]; // of EvtRequestCancel

	static u32 index_of(WDFREQUEST request) { return static_cast<u32>(context_of(request)->value); }

	explicit Crowd(WDF_SYNCHRONIZATION_SCOPE scope = WdfSynchronizationScopeNone)
	{
		driver.with_request_context = true;
		queue.attributes.SynchronizationScope = scope;
		queue.on_cancel = [this](WDFREQUEST request) {
			calls[index_of(request)]++;
			WdfRequestComplete(request, STATUS_CANCELLED);
		};
	}
	void start()
	{
		Simple::start();
		for (u32 i = 0; i < kBatch; i++)
			files.push_back(std::make_unique<File>(driver));
	}
	~Crowd()
	{
		clients.clear();
		files.clear();
	}
	// New requests for a round: presented, and known by their number.
	void submit(bool mark)
	{
		clients.clear();
		for (u32 i = 0; i < kBatch; i++) {
			calls[i] = 0;
			clients.push_back(std::make_unique<Aio>(*files[i]));
			clients[i]->submit_read(8);
			requests[i] = queue.take();
			context_of(requests[i])->value = i;
			if (mark && queue.mark(requests[i]) != STATUS_SUCCESS)
				fake::bug("mark");
		}
	}
	void cancel(u32 i) { files[i]->cancel(); }
};

// Of each request exactly one: unmarked and not called back, or called back once.
struct Tally {
	u32 unmarked = 0;
	u32 called = 0;
	u32 both = 0;
	u32 neither = 0;

	void count(bool success, u32 calls)
	{
		both += (success && calls) || calls > 1;
		neither += !success && !calls;
		unmarked += success && !calls;
		called += !success && calls == 1;
	}
	bool broken() const { return both || neither; }
	bool seen() const { return unmarked >= 100 && called >= 100; }
	void expect_one_each() const
	{
		EXPECT_EQ(both, 0u);
		EXPECT_EQ(neither, 0u);
		EXPECT_GE(unmarked, 100u);
		EXPECT_GE(called, 100u);
		printf("unmarked %u, called back %u, both %u, neither %u\n", unmarked, called, both, neither);
	}
};

Tally unmark_against_cancel(u64 seed, u32 count, WDF_SYNCHRONIZATION_SCOPE scope, u32 chaos)
{
	Crowd d(scope);
	Random random(seed);
	Balance balance;
	Tally tally;
	NTSTATUS status[kBatch] = {};
	u32 unmark_wait[kBatch];
	u32 cancel_wait[kBatch];

	d.start();
	fake::chaos(chaos, seed);
	Contestants contestants({[&] {
					 for (u32 i = 0; i < kBatch; i++) {
						 wait_turns(unmark_wait[i]);
						 status[i] = WdfRequestUnmarkCancelable(d.requests[i]);
					 }
				 },
				 [&] {
					 for (u32 i = 0; i < kBatch; i++) {
						 wait_turns(cancel_wait[i]);
						 d.cancel(i);
					 }
				 }});

	for (u32 i = 0; host::one_more(i, count, tally.seen()) && !tally.broken(); i += kBatch) {
		u32 jitter = 1u << random.below(11);
		u32 won = 0;

		for (u32 k = 0; k < kBatch; k++) {
			unmark_wait[k] = balance.first(random, jitter);
			cancel_wait[k] = balance.second(random, jitter);
		}
		d.submit(true);
		// The handle stays one, whoever completes the request.
		for (WDFREQUEST request : d.requests)
			WdfObjectReference(request);
		contestants.run();
		fake::settle();
		for (u32 k = 0; k < kBatch; k++) {
			if (status[k] != STATUS_SUCCESS && status[k] != STATUS_CANCELLED)
				fake::bug("unmark gave %08x", static_cast<u32>(status[k]));
			won += status[k] == STATUS_SUCCESS;
			tally.count(status[k] == STATUS_SUCCESS, d.calls[k]);
			if (status[k] == STATUS_SUCCESS)
				WdfRequestCompleteWithInformation(d.requests[k], STATUS_SUCCESS, 4);
			if (d.clients[k]->wait() != (status[k] == STATUS_SUCCESS ? 4 : -SHIM_ECANCELED))
				fake::bug("the client got another result");
			WdfObjectDereference(d.requests[k]);
		}
		balance.first_won(won > kBatch / 2);
	}
	fake::chaos(0, 0);
	return tally;
}

TEST_F(KmdfRaces, W_009_unmark_against_cancel)
{
	unmark_against_cancel(seed_, host::rounds(40000), WdfSynchronizationScopeNone, 0).expect_one_each();
}

TEST_F(KmdfRaces, W_009_with_the_queues_lock)
{
	unmark_against_cancel(seed_, host::rounds(15000), WdfSynchronizationScopeQueue, 0).expect_one_each();
}

TEST_F(KmdfRaces, W_009_with_chaos)
{
	unmark_against_cancel(seed_, host::rounds(15000), WdfSynchronizationScopeNone, 100).expect_one_each();
}

// A timer completes what it can unmark, a client cancels: DriverSync's and AutoSync's race.
std::atomic<Crowd *> of_timer;
std::atomic<u32> by_timer;

void expire(WDFTIMER)
{
	Crowd &d = *of_timer.load();

	for (u32 i = 0; i < kBatch; i++) {
		if (WdfRequestUnmarkCancelable(d.requests[i]) != STATUS_SUCCESS)
			continue;
		by_timer++;
		WdfRequestCompleteWithInformation(d.requests[i], STATUS_SUCCESS, 4);
	}
}

void timer_against_cancel(u64 seed, u32 count, WDF_SYNCHRONIZATION_SCOPE scope, bool interrupts)
{
	Crowd d(scope);
	Random random(seed);
	Balance balance;
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFTIMER timer;
	u32 timers = 0;
	u32 cancels = 0;
	u32 wrong = 0;
	u32 wait_first = 0;
	u32 wait_second = 0;

	d.start();
	of_timer = &d;
	WDF_TIMER_CONFIG_INIT(&config, expire);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.queue.handle;
	if (WdfTimerCreate(&config, &attributes, &timer) != STATUS_SUCCESS)
		fake::bug("WdfTimerCreate");
	fake::let_softirq_in(interrupts);
	Contestants contestants({[&] {
					 wait_turns(wait_first);
					 WdfTimerStart(timer, 0);
				 },
				 [&] {
					 wait_turns(wait_second);
					 for (u32 i = 0; i < kBatch; i++)
						 d.cancel(i);
				 }});

	for (u32 i = 0; host::one_more(i, count, timers >= 100 && cancels >= 100) && !wrong; i += kBatch) {
		u32 jitter = 1u << random.below(14);
		u32 won = 0;

		wait_first = balance.first(random, jitter);
		wait_second = balance.second(random, jitter);
		by_timer = 0;
		d.submit(true);
		for (WDFREQUEST request : d.requests)
			WdfObjectReference(request);
		contestants.run();
		for (u32 k = 0; k < kBatch; k++) {
			s64 result = d.clients[k]->wait();

			won += result == 4;
			wrong += result != 4 && result != -SHIM_ECANCELED;
			wrong += (result == 4) != (d.calls[k] == 0) || d.calls[k] > 1;
		}
		WdfTimerStop(timer, TRUE);
		wrong += won != by_timer;
		timers += won;
		cancels += kBatch - won;
		for (WDFREQUEST request : d.requests)
			WdfObjectDereference(request);
		balance.first_won(won > kBatch / 2);
	}
	fake::let_softirq_in(false);
	EXPECT_EQ(wrong, 0u);
	EXPECT_GE(timers, 100u);
	EXPECT_GE(cancels, 100u);
	printf("completed by the timer %u, cancelled %u, both or neither %u\n", timers, cancels, wrong);
}

TEST_F(KmdfRaces, W_104_timer_against_unmark_against_cancel)
{
	timer_against_cancel(seed_, host::rounds(8000), WdfSynchronizationScopeNone, false);
}

TEST_F(KmdfRaces, W_103_timer_against_cancel_under_one_lock)
{
	timer_against_cancel(seed_, host::rounds(8000), WdfSynchronizationScopeQueue, false);
}

TEST_F(KmdfRaces, W_104_timers_that_interrupt_whoever_runs)
{
	timer_against_cancel(seed_, host::rounds(8000), WdfSynchronizationScopeNone, true);
}

// Forwarded to a queue that nobody looks into: cancelled before, meanwhile or after, the client hears CANCELLED.
TEST_F(KmdfRaces, W_052_forward_against_cancel)
{
	Crowd d;
	Queue parking(WdfIoQueueDispatchManual, false);
	Random random(seed_);
	Balance balance;
	u32 flagged = 0;
	u32 finished = 0;
	u32 wait_first = 0;
	u32 wait_second = 0;
	NTSTATUS status[kBatch] = {};
	kmdf_cancel cancels[kBatch] = {};
	u32 count = host::rounds(12000);

	d.driver.queues = {&d.queue, &parking};
	d.start();
	Contestants contestants({[&] {
					 for (u32 i = 0; i < kBatch; i++) {
						 wait_turns(wait_first);
						 status[i] = WdfRequestForwardToIoQueue(d.requests[i], parking.handle);
					 }
				 },
				 [&] {
					 for (u32 i = 0; i < kBatch; i++) {
						 wait_turns(wait_second);
						 cancels[i] = d.files[i]->cancel();
					 }
				 }});

	for (u32 i = 0; host::one_more(i, count, flagged >= 100 && finished >= 100); i += kBatch) {
		u32 jitter = 1u << random.below(11);
		u32 before = finished;

		wait_first = balance.first(random, jitter);
		wait_second = balance.second(random, jitter);
		d.submit(false);
		contestants.run();
		for (u32 k = 0; k < kBatch; k++) {
			if (status[k] != STATUS_SUCCESS || d.clients[k]->wait() != -SHIM_ECANCELED)
				fake::bug("forward gave %08x", static_cast<u32>(status[k]));
			flagged += cancels[k].flagged;
			finished += cancels[k].finished;
		}
		balance.first_won(finished - before > kBatch / 2);
		if (parking.queued() || parking.owned() || d.queue.owned())
			fake::bug("something is left in a queue");
	}
	EXPECT_GE(flagged, 100u);
	EXPECT_GE(finished, 100u);
	EXPECT_EQ(parking.arrived.total(), 0u);
	printf("cancelled before %u, in the queue %u\n", flagged, finished);
}

TEST_F(KmdfRaces, W_057_purge_against_complete)
{
	Crowd d;
	Random random(seed_);
	u32 completed = 0;
	u32 cancelled = 0;
	u32 wait_first = 0;
	u32 wait_second = 0;
	u32 count = host::rounds(8000);
	Balance balance;

	d.start();
	Contestants contestants({[&] {
					 wait_turns(wait_first);
					 for (WDFREQUEST request : d.requests) {
						 if (WdfRequestUnmarkCancelable(request) == STATUS_SUCCESS)
							 WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 4);
					 }
				 },
				 [&] {
					 wait_turns(wait_second);
					 WdfIoQueuePurgeSynchronously(d.queue.handle);
				 }});

	for (u32 i = 0; host::one_more(i, count, completed >= 100 && cancelled >= 100); i += kBatch) {
		u32 jitter = 1u << random.below(13);
		u32 won = 0;

		wait_first = balance.first(random, jitter);
		wait_second = balance.second(random, jitter);
		d.submit(true);
		for (WDFREQUEST request : d.requests)
			WdfObjectReference(request);
		contestants.run();
		if (d.queue.owned() || d.queue.queued())
			fake::bug("the purge has returned too early");
		for (u32 k = 0; k < kBatch; k++) {
			s64 result = d.clients[k]->wait();

			won += result == 4;
			if ((result == 4) != (d.calls[k] == 0) || d.calls[k] > 1)
				fake::bug("both, or neither");
			WdfObjectDereference(d.requests[k]);
		}
		completed += won;
		cancelled += kBatch - won;
		balance.first_won(won > kBatch / 2);
		WdfIoQueueStart(d.queue.handle);
	}
	EXPECT_GE(completed, 100u);
	EXPECT_GE(cancelled, 100u);
	printf("completed %u, purged %u\n", completed, cancelled);
}

// The system, the switch and a removal change a device's power: one of them at a time, and what is entered is left.
std::atomic<u32> changing;
std::atomic<bool> in_d0;
std::atomic<u32> left_d0;

NTSTATUS change_power(bool enters)
{
	if (changing++)
		fake::bug("two changes at once");
	if (in_d0.exchange(enters) == enters)
		fake::bug(enters ? "D0 is entered twice" : "D0 is left twice");
	left_d0 += !enters;
	std::this_thread::yield();
	changing--;
	return STATUS_SUCCESS;
}

TEST_F(KmdfRaces, W_070_changes_of_power)
{
	std::optional<Simple> d;
	Random random(seed_);
	u32 slept = 0;
	u32 removed = 0;
	u32 count = host::rounds(3000);
	u32 waits[3] = {};
	Balance balance;

	Contestants contestants({[&] {
					 wait_turns(waits[0]);
					 kextbridge_sleep_c(true);
					 kextbridge_sleep_c(false);
				 },
				 [&] {
					 wait_turns(waits[1]);
					 kmdf_power_c(d->driver.node_name(), "suspend");
					 kmdf_power_c(d->driver.node_name(), "resume");
				 },
				 [&] {
					 wait_turns(waits[2]);
					 kmdf_power_c(d->driver.node_name(), "remove");
				 }});

	for (u32 i = 0; host::one_more(i, count, slept >= 20 && removed >= 20); i++) {
		d.emplace();
		d->driver.pnp.EvtDeviceD0Entry = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) { return change_power(true); };
		d->driver.pnp.EvtDeviceD0Exit = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) { return change_power(false); };
		d->queue.on_stop = [](WDFREQUEST request, ULONG flags) {
			if (flags & WdfRequestStopActionPurge)
				WdfRequestComplete(request, STATUS_CANCELLED);
			else
				WdfRequestStopAcknowledge(request, FALSE);
		};
		d->start();
		Aio client(*d->file);

		client.submit_read(8);
		d->take();
		left_d0 = 0;
		waits[0] = balance.first(random, 1 << random.below(8));
		waits[1] = random.below(1 << random.below(8));
		waits[2] = balance.second(random, 1 << random.below(8));
		contestants.run();
		if (client.wait() != -SHIM_ECANCELED)
			fake::bug("the removal has not ended the request");
		if (in_d0 || !left_d0)
			fake::bug("a removed device is in D0");
		(left_d0 > 1 ? slept : removed)++;
		balance.first_won(left_d0 > 1);
		d.reset();
	}
	EXPECT_GE(slept, 20u);
	EXPECT_GE(removed, 20u);
	printf("slept before %u, removed first %u\n", slept, removed);
}

// kill -9 of a client whose request is completed at the same moment, marked or not.
TEST_F(KmdfRaces, W_106_kill_against_complete)
{
	Simple d;
	Random random(seed_);
	u32 served = 0;
	u32 killed = 0;
	u32 count = host::rounds(1500);
	Balance balance;

	WDFREQUEST request = nullptr;
	fake::Task *task = nullptr;
	bool marked = false;
	u32 wait = 0;
	u32 delay = 0;

	d.start();
	Contestants contestants({[&] {
					 wait_turns(wait);
					 if (!marked || WdfRequestUnmarkCancelable(request) == STATUS_SUCCESS)
						 WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 64);
				 },
				 [&] {
					 wait_turns(delay);
					 fake::kill(*task);
				 }});
	for (u32 i = 0; host::one_more(i, count, served >= 20 && killed >= 20); i++) {
		Call call = Call::read(*d.file, 64);

		request = d.take();
		marked = random.below(2);
		wait = balance.first(random, 1 << random.below(12));
		delay = balance.second(random, 1 << random.below(12));
		if (marked)
			d.queue.mark(request);
		WdfObjectReference(request);
		task = &call.task();
		contestants.run();
		s64 result = call.result();

		WdfObjectDereference(request);
		if (result != 64 && result != -SHIM_EINTR)
			fake::bug("read gave %lld", result);
		served += result == 64;
		killed += result != 64;
		balance.first_won(result == 64);
	}
	fake::settle();
	EXPECT_EQ(d.queue.owned(), 0u);
	EXPECT_GE(served, 20u);
	EXPECT_GE(killed, 20u);
	printf("served %u, killed %u\n", served, killed);
}

// The same of a client that has cancelled it, so that its end is only found by a look.
TEST_F(KmdfRaces, W_106_kill_after_a_cancel_against_complete)
{
	Simple d;
	Random random(seed_);
	u32 served = 0;
	u32 killed = 0;
	u32 count = host::rounds(4000);
	Balance balance;

	WDFREQUEST request = nullptr;
	Aio *dying = nullptr;
	u32 wait = 0;
	u32 delay = 0;

	d.start();
	Contestants contestants({[&] {
					 wait_turns(wait);
					 WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 64);
				 },
				 [&] {
					 wait_turns(delay);
					 EXPECT_FALSE(dying->die());
					 fake::jump_ms(200);
				 }});
	for (u32 i = 0; host::one_more(i, count, served >= 20 && killed >= 20); i++) {
		Aio client(*d.file, &new_process());

		client.submit_read(64);
		request = d.take();
		dying = &client;
		EXPECT_TRUE(client.cancel());
		fake::settle();
		wait = balance.first(random, 1 << random.below(12));
		delay = balance.second(random, 1 << random.below(12));
		contestants.run();
		s64 result = client.wait();

		if (result != 64 && result != -SHIM_EINTR)
			fake::bug("read gave %lld", result);
		served += result == 64;
		killed += result != 64;
		balance.first_won(result == 64);
	}
	fake::settle();
	EXPECT_EQ(d.queue.owned(), 0u);
	EXPECT_GE(served, 20u);
	EXPECT_GE(killed, 20u);
	printf("served %u, killed %u\n", served, killed);
}

// ---- sent, cancelled, timed out

struct SendRace {
	Queue below;
	Driver lower{"lower"};
	Queue queue;
	Driver upper{"upper"};
	WDFIOTARGET target = nullptr;
	WDFSPINLOCK lock = nullptr;
	// The sender's list: under the lock.
	WDFREQUEST sent[kBatch] = {};
	std::atomic<u32> back[kBatch];

	SendRace()
	{
		UNICODE_STRING name;
		WDF_IO_TARGET_OPEN_PARAMS parameters;
		WDF_OBJECT_ATTRIBUTES attributes;

		lower.queues = {&below};
		upper.queues = {&queue};
		lower.must_load();
		upper.must_load();
		WdfIoTargetCreate(upper.device, nullptr, &target);
		RtlInitUnicodeString(&name, u"\\DosDevices\\lower0");
		WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&parameters, &name, GENERIC_READ);
		if (WdfIoTargetOpen(target, &parameters) != STATUS_SUCCESS)
			fake::bug("WdfIoTargetOpen");
		WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
		attributes.ParentObject = upper.device;
		WdfSpinLockCreate(&attributes, &lock);
	}
	WDFREQUEST make()
	{
		WDF_OBJECT_ATTRIBUTES attributes;
		WDFREQUEST request;

		WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
		attributes.ParentObject = upper.device;
		if (WdfRequestCreate(&attributes, target, &request) != STATUS_SUCCESS)
			fake::bug("WdfRequestCreate");
		return request;
	}
};
SendRace *send_race;

// The recipe of the documentation: off the list under the lock, then deleted.
void came_back(WDFREQUEST request, WDFIOTARGET, PWDF_REQUEST_COMPLETION_PARAMS, WDFCONTEXT context)
{
	u32 i = static_cast<u32>(reinterpret_cast<unsigned long>(context));

	WdfSpinLockAcquire(send_race->lock);
	send_race->sent[i] = nullptr;
	WdfSpinLockRelease(send_race->lock);
	send_race->back[i]++;
	WdfObjectDelete(request);
}

void race_of_sent_ones(u64 seed, u32 count, bool timeouts)
{
	SendRace d;
	Random random(seed);
	u32 wait_first = 0;
	u32 wait_second = 0;
	u32 asked = 0;
	u32 late = 0;
	Balance balance;
	WDFREQUEST lowers[kBatch];
	bool marked[kBatch];

	send_race = &d;
	std::vector<std::function<void()>> threads = {
		[&] {
			wait_turns(wait_first);
			for (u32 i = 0; i < kBatch; i++) {
				if (!marked[i] || WdfRequestUnmarkCancelable(lowers[i]) == STATUS_SUCCESS)
					WdfRequestComplete(lowers[i], STATUS_SUCCESS);
			}
		},
		[&] {
			wait_turns(wait_second);
			for (u32 i = 0; i < kBatch; i++) {
				WdfSpinLockAcquire(d.lock);
				WDFREQUEST request = d.sent[i];
				if (request)
					WdfObjectReference(request);
				WdfSpinLockRelease(d.lock);
				if (!request)
					continue;
				(WdfRequestCancelSentRequest(request) ? asked : late)++;
				WdfObjectDereference(request);
			}
		}};
	if (timeouts)
		threads.emplace_back([&] { fake::jump_ms(10); });
	Contestants contestants(threads);

	for (u32 i = 0; host::one_more(i, count, asked >= 50); i += kBatch) {
		u32 jitter = 1u << random.below(12);
		u32 before = asked;

		wait_first = balance.first(random, jitter);
		wait_second = balance.second(random, jitter);
		for (u32 k = 0; k < kBatch; k++) {
			WDFREQUEST request = d.make();
			WDF_REQUEST_SEND_OPTIONS options;

			d.back[k] = 0;
			d.sent[k] = request;
			WdfIoTargetFormatRequestForIoctl(d.target, request, kBuffered, nullptr, nullptr, nullptr,
							 nullptr);
			WdfRequestSetCompletionRoutine(request, came_back,
						       reinterpret_cast<void *>(static_cast<unsigned long>(k)));
			WDF_REQUEST_SEND_OPTIONS_INIT(&options, 0);
			if (timeouts)
				WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, in_ms(5));
			if (!WdfRequestSend(request, d.target, &options))
				fake::bug("WdfRequestSend");
			lowers[k] = d.below.take();
			WdfObjectReference(lowers[k]);
			marked[k] = random.below(4);
			if (marked[k])
				d.below.mark(lowers[k]);
		}
		contestants.run();
		for (u32 k = 0; k < kBatch; k++) {
			until([&] { return d.back[k] != 0; }, "it comes back");
			WdfObjectDereference(lowers[k]);
		}
		balance.first_won(asked - before < kBatch / 4);
		fake::settle();
		for (u32 k = 0; k < kBatch; k++)
			if (d.back[k] != 1)
				fake::bug("the completion routine was called %u times", d.back[k].load());
	}
	EXPECT_EQ(d.below.owned(), 0u);
	EXPECT_GE(asked, 50u);
	printf("cancelled below %u, too late or unheard %u\n", asked, late);
}

TEST_F(KmdfRaces, W_090_list_lock_reference)
{
	race_of_sent_ones(seed_, host::rounds(12000), false);
}

TEST_F(KmdfRaces, W_079_complete_against_cancel_against_timeout)
{
	race_of_sent_ones(seed_, host::rounds(8000), true);
}

// Handlers, cancels and a timer of one lock never overlap.
void never_overlap(u64 seed, WDF_SYNCHRONIZATION_SCOPE scope, WDF_EXECUTION_LEVEL level)
{
	static std::atomic<u32> inside;
	static std::atomic<u32> overlaps;
	static std::atomic<u32> fired;
	struct Section {
		Section()
		{
			overlaps += inside++ != 0;
			for (int i = 0; i < 3; i++)
				sched_yield();
		}
		~Section() { inside--; }
	};
	Simple d;
	Random random(seed);
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFTIMER timer;
	u32 count = host::rounds(1500);

	inside = overlaps = fired = 0;
	d.driver.device_attributes.ExecutionLevel = level;
	d.queue.attributes.SynchronizationScope = scope;
	d.queue.on_io = [&](WDFREQUEST request) {
		Section here;

		d.queue.mark_plain(request);
		d.queue.arrived.push(request);
	};
	d.queue.on_cancel = [&](WDFREQUEST request) {
		Section here;

		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	WDF_TIMER_CONFIG_INIT(&config, [](WDFTIMER) {
		Section here;

		fired++;
	});
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.queue.handle;
	attributes.ExecutionLevel = level;
	ASSERT_EQ(WdfTimerCreate(&config, &attributes, &timer), STATUS_SUCCESS);
	for (u32 i = 0; i < count; i += 8) {
		std::vector<std::unique_ptr<Aio>> clients;
		std::thread other([&] {
			for (int k = 0; k < 8; k++) {
				WdfTimerStart(timer, 0);
				d.file->cancel();
			}
		});

		for (int k = 0; k < 8; k++) {
			clients.push_back(std::make_unique<Aio>(*d.file));
			clients.back()->submit_read(1);
		}
		other.join();
		for (auto &client : clients)
			while (!client->finished()) {
				d.file->cancel();
				sched_yield();
			}
	}
	WdfTimerStop(timer, TRUE);
	EXPECT_EQ(overlaps, 0u);
	EXPECT_GE(fired, 1u);
}

TEST_F(KmdfRaces, W_022_the_queues_lock)
{
	never_overlap(seed_, WdfSynchronizationScopeQueue, WdfExecutionLevelDispatch);
}

TEST_F(KmdfRaces, W_022_the_devices_lock)
{
	never_overlap(seed_, WdfSynchronizationScopeDevice, WdfExecutionLevelDispatch);
}

TEST_F(KmdfRaces, W_022_a_passive_lock)
{
	never_overlap(seed_, WdfSynchronizationScopeQueue, WdfExecutionLevelPassive);
}

// ---- W-69: a random sequence against a model of one manual queue

TEST_F(KmdfRaces, W_069_a_queue_and_its_model)
{
	Random random(seed_);
	u32 runs = std::max(host::rounds(100), 5u);

	for (u32 run = 0; run < runs; run++) {
		Simple d(WdfIoQueueDispatchManual);
		struct Entry {
			std::unique_ptr<Aio> client;
			std::unique_ptr<File> file;
			WDFREQUEST request = nullptr;
			bool marked = false;
			bool flagged = false;
		};
		std::deque<Entry *> queued;
		std::vector<Entry *> owned;
		std::vector<std::unique_ptr<Entry>> all;
		bool accepts = true;
		bool dispatches = true;
		bool purging = false;
		auto over = [&](Entry *entry, s64 result) {
			s64 got = entry->client->wait();

			EXPECT_EQ(got, result);
		};
		auto take = [&](size_t i) {
			Entry *entry = owned[i];

			owned.erase(owned.begin() + static_cast<long>(i));
			return entry;
		};

		d.start();
		for (u32 step = 0; step < 120 && !HasFailure(); step++) {
			u32 what = random.below(12);
			size_t pick = owned.empty() ? 0 : random.below(static_cast<u32>(owned.size()));

			if (what <= 2 && queued.size() + owned.size() < 12) {
				all.push_back(std::make_unique<Entry>());
				Entry *entry = all.back().get();

				entry->file = std::make_unique<File>(d.driver);
				entry->client = std::make_unique<Aio>(*entry->file);
				entry->client->submit_read(8);
				if (accepts)
					queued.push_back(entry);
				else
					over(entry, -SHIM_EBUSY);
			} else if (what == 3 || what == 4) {
				WDFREQUEST request;
				NTSTATUS status = WdfIoQueueRetrieveNextRequest(d.queue.handle, &request);

				EXPECT_EQ(status, !dispatches    ? STATUS_WDF_PAUSED :
						  queued.empty() ? STATUS_NO_MORE_ENTRIES :
								   STATUS_SUCCESS);
				if (NT_SUCCESS(status)) {
					queued.front()->request = request;
					owned.push_back(queued.front());
					queued.pop_front();
				}
			} else if (what == 5 && !owned.empty()) {
				Entry *entry = owned[pick];

				if (entry->marked) {
					EXPECT_EQ(WdfRequestUnmarkCancelable(entry->request), STATUS_SUCCESS);
				}
				take(pick);
				WdfRequestCompleteWithInformation(entry->request, STATUS_SUCCESS, 5);
				over(entry, 5);
			} else if (what == 6 && !owned.empty() && !owned[pick]->marked) {
				Entry *entry = owned[pick];
				NTSTATUS status = d.queue.mark(entry->request);

				EXPECT_EQ(status, entry->flagged || purging ? STATUS_CANCELLED : STATUS_SUCCESS);
				entry->marked = NT_SUCCESS(status);
				// What a purge refuses to mark is cancelled from then on.
				entry->flagged |= !entry->marked;
			} else if (what == 7 && !owned.empty() && !owned[pick]->marked) {
				Entry *entry = take(pick);

				EXPECT_EQ(WdfRequestRequeue(entry->request), STATUS_SUCCESS);
				if (entry->flagged || purging)
					over(entry, -SHIM_ECANCELED);
				else
					queued.push_front(entry);
			} else if (what == 8 && !owned.empty()) {
				Entry *entry = owned[pick];

				entry->file->cancel();
				if (entry->marked) {
					take(pick);
					over(entry, -SHIM_ECANCELED);
				} else {
					entry->flagged = true;
				}
			} else if (what == 9 && !queued.empty()) {
				size_t at = random.below(static_cast<u32>(queued.size()));
				Entry *entry = queued[at];

				queued.erase(queued.begin() + static_cast<long>(at));
				entry->file->cancel();
				over(entry, -SHIM_ECANCELED);
			} else if (what == 10) {
				WdfIoQueueStart(d.queue.handle);
				accepts = dispatches = true;
				purging = false;
			} else if (what == 11) {
				u32 kind = random.below(4);
				bool cancels = kind == 1 || kind == 3;

				if (kind == 0)
					WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
				else if (kind == 1)
					WdfIoQueueStopAndPurge(d.queue.handle, nullptr, nullptr);
				else if (kind == 2)
					WdfIoQueueDrain(d.queue.handle, nullptr, nullptr);
				else
					WdfIoQueuePurge(d.queue.handle, nullptr, nullptr);
				dispatches &= kind >= 2;
				accepts &= kind < 2;
				if (cancels) {
					purging = true;
					for (Entry *entry : queued)
						over(entry, -SHIM_ECANCELED);
					queued.clear();
					for (size_t i = owned.size(); i-- > 0;)
						if (owned[i]->marked)
							over(take(i), -SHIM_ECANCELED);
				}
			}
			fake::settle();
			ULONG bits = (accepts ? WdfIoQueueAcceptRequests : 0) |
				     (dispatches ? WdfIoQueueDispatchRequests : 0) |
				     (queued.empty() ? WdfIoQueueNoRequests : 0) |
				     (owned.empty() ? WdfIoQueueDriverNoRequests : 0);
			EXPECT_EQ(d.queue.queued(), queued.size()) << "step " << step << ", " << what;
			EXPECT_EQ(d.queue.owned(), owned.size()) << "step " << step << ", " << what;
			EXPECT_EQ(d.queue.bits(), bits) << "step " << step << ", " << what;
			check_invariants(true);
		}
		while (!owned.empty()) {
			Entry *entry = take(0);

			if (entry->marked)
				(void)WdfRequestUnmarkCancelable(entry->request);
			WdfRequestComplete(entry->request, STATUS_SUCCESS);
		}
		for (Entry *entry : queued)
			entry->file->cancel();
		all.clear();
		if (HasFailure())
			break;
	}
	printf("%u runs\n", runs);
}

} // namespace
