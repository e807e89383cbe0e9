// SPDX-License-Identifier: GPL-2.0-only
// W-100 to W-108: files, processes that die, modules that go, memory that is short.
#include "kit.hpp"

namespace {

TEST_F(Kmdf, W_100_a_close_cancels_what_is_queued)
{
	for (bool all : {false, true}) {
		Simple d(WdfIoQueueDispatchSequential);

		kmdf_params.cancel_on_close = all;
		d.start();
		{
			File other(d.driver);
			Aio owned_one(*d.file);
			Aio queued_one(*d.file);
			Aio queued_other(other);

			owned_one.submit_read(1);
			WDFREQUEST request = d.take();

			EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
			// What the driver gives up would let the next one in, which is not queued any more.
			if (!all)
				queued_one.submit_read(1);
			queued_other.submit_read(1);
			d.file->close();
			if (!all) {
				EXPECT_EQ(queued_one.wait(), -SHIM_ECANCELED);
			}
			if (all) {
				EXPECT_EQ(owned_one.wait(), -SHIM_ECANCELED);
			} else {
				a_while();
				EXPECT_EQ(host_kmdf_request_state(request), cancelable);
				EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
				complete(request);
				EXPECT_EQ(owned_one.wait(), 0);
			}
			complete(d.take());
			EXPECT_EQ(queued_other.wait(), 0);
			EXPECT_EQ(d.queue.cancelled.total(), all ? 1u : 0u);
		}
		d.file.reset();
	}
}

// Each close(2) of one of several descriptors is about the requests of the process that closes.
TEST_F(Kmdf, W_100_another_process_closes_its_descriptor)
{
	Simple d;

	kmdf_params.cancel_on_close = true;
	d.start();
	Aio client(*d.file, &new_process());
	auto close_by = [&](pid *process) {
		d.file->hold();
		fake::current().process = process;
		kmdf_flush_c(&d.file->file, d.file->data());
		fake::current().process = nullptr;
		d.file->drop();
	};

	client.submit_read(1);
	WDFREQUEST request = d.take();
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	close_by(&new_process());
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	kmdf_params.cancel_on_close = false;
	close_by(client.process());
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	kmdf_params.cancel_on_close = true;
	close_by(client.process());
	EXPECT_EQ(client.wait(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_101_cleanup_flush_close)
{
	Simple d(WdfIoQueueDispatchSequential);
	std::mutex mutex;
	std::vector<std::string> order;
	auto note = [&](const char *what) {
		std::lock_guard lock(mutex);

		order.emplace_back(what);
	};

	d.driver.with_request_context = true;
	d.driver.on_request_cleanup = [&](WDFREQUEST) { note("request"); };
	d.driver.on_cleanup = [&](WDFFILEOBJECT) { note("cleanup"); };
	d.driver.on_close = [&](WDFFILEOBJECT) { note("close"); };
	d.start();
	Aio first(*d.file);
	Aio second(*d.file);

	first.submit_read(1);
	WDFREQUEST request = d.take();
	second.submit_read(1);
	d.file->close();
	EXPECT_EQ(second.wait(), -SHIM_ECANCELED);
	a_while();
	EXPECT_EQ(order, (std::vector<std::string>{"cleanup", "request"}));
	complete(request);
	EXPECT_EQ(first.wait(), 0);
	d.file.reset();
	fake::settle();
	EXPECT_EQ(order, (std::vector<std::string>{"cleanup", "request", "request", "close"}));
}

// What a killed client has left with the driver is its file's, too.
TEST_F(Kmdf, W_101_close_after_what_was_left_behind)
{
	Simple d;
	std::atomic<u32> cleanups{0};
	std::atomic<u32> closes{0};

	d.driver.on_cleanup = [&](WDFFILEOBJECT) { cleanups++; };
	d.driver.on_close = [&](WDFFILEOBJECT) { closes++; };
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	call.wait_until_asleep();
	call.kill();
	EXPECT_EQ(call.result(), -SHIM_EINTR);
	d.file.reset();
	fake::settle();
	EXPECT_EQ(cleanups, 1u);
	EXPECT_EQ(closes, 0u);
	complete(request);
	fake::settle();
	EXPECT_EQ(closes, 1u);
}

// The driver completes it while it has the lock that is around the callbacks about files.
TEST_F(Kmdf, W_101_close_after_a_completion_in_the_devices_scope)
{
	Simple d;
	std::atomic<u32> closes{0};

	d.driver.device_attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.driver.device_attributes.SynchronizationScope = WdfSynchronizationScopeDevice;
	d.driver.on_close = [&](WDFFILEOBJECT) { closes++; };
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	call.wait_until_asleep();
	call.kill();
	EXPECT_EQ(call.result(), -SHIM_EINTR);
	d.file.reset();
	fake::settle();
	WdfObjectAcquireLock(d.driver.device);
	complete(request);
	a_while();
	EXPECT_EQ(closes, 0u);
	WdfObjectReleaseLock(d.driver.device);
	fake::settle();
	EXPECT_EQ(closes, 1u);
}

TEST_F(Kmdf, W_102_an_exclusive_device)
{
	Simple d;

	d.driver.exclusive = true;
	d.start();
	File second(d.driver, true);
	EXPECT_EQ(second.error(), -SHIM_EACCES);
	d.file.reset();
	File third(d.driver, true);
	EXPECT_EQ(third.error(), 0);
}

// The kernel frees a module whose loading fails, whoever has it in use.
TEST_F(Kmdf, nobody_opens_what_may_fail_to_load)
{
	Simple d;
	Driver other("other");
	u32 devices = 0;
	NTSTATUS target_opens = STATUS_SUCCESS;

	auto open_target = [&] {
		DECLARE_CONST_UNICODE_STRING(name, u"\\Device\\kdrv0");
		WDF_IO_TARGET_OPEN_PARAMS params;
		WDFIOTARGET target;

		EXPECT_EQ(WdfIoTargetCreate(other.device, WDF_NO_OBJECT_ATTRIBUTES, &target), STATUS_SUCCESS);
		WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&params, &name, GENERIC_READ);
		NTSTATUS status = WdfIoTargetOpen(target, &params);

		WdfObjectDelete(target);
		return status;
	};
	other.must_load();
	d.driver.in_add = [&](WDFDEVICE) {
		if (++devices == 1)
			return STATUS_SUCCESS;
		File file(d.driver, true);

		EXPECT_EQ(file.error(), -SHIM_EBUSY);
		target_opens = open_target();
		return devices == 2 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
	};
	EXPECT_EQ(d.driver.load(2), -SHIM_EIO);
	EXPECT_EQ(target_opens, STATUS_OBJECT_NAME_NOT_FOUND);
	EXPECT_EQ(devices, 2u);
	devices = 0;
	d.driver.in_add = nullptr;
	d.start();
	EXPECT_EQ(open_target(), STATUS_SUCCESS);
	d.file.reset();
	d.driver.unload();
	other.unload();
}

TEST_F(Kmdf, W_102_a_driver_that_says_no)
{
	Simple d;
	NTSTATUS answer = STATUS_ACCESS_DENIED;
	std::atomic<u32> closes{0};

	d.driver.exclusive = true; // a refused open is none
	d.driver.on_create = [&](WDFREQUEST request, WDFFILEOBJECT) { WdfRequestComplete(request, answer); };
	d.driver.on_close = [&](WDFFILEOBJECT) { closes++; };
	d.driver.must_load();
	File refused(d.driver, true);
	EXPECT_EQ(refused.error(), -SHIM_EACCES);
	EXPECT_EQ(closes, 0u);
	answer = STATUS_SUCCESS;
	{
		File file(d.driver);
	}
	fake::settle();
	EXPECT_EQ(closes, 1u);
}

// Its queue tells the driver of what is cancelled in it, but has never presented the open.
TEST_F(Kmdf, W_102_a_dead_clients_open_is_forwarded)
{
	Simple d;
	WDFREQUEST asked = nullptr;
	u32 told = 0;

	d.queue.on_canceled_on_queue = [&](WDFREQUEST request) {
		told++;
		complete(request);
	};
	d.driver.on_create = [&](WDFREQUEST request, WDFFILEOBJECT) { asked = request; };
	d.driver.must_load();
	fake::kill(fake::current());
	File dead(d.driver, true);

	fake::clear_signal();
	EXPECT_EQ(dead.error(), -SHIM_EINTR);
	EXPECT_EQ(WdfRequestForwardToIoQueue(asked, d.queue.handle), STATUS_SUCCESS);
	EXPECT_EQ(host_kmdf_request_state(asked), gone);
	EXPECT_EQ(told, 0u);
	EXPECT_EQ(d.queue.arrived.total(), 0u);
	EXPECT_EQ(list().devices.at(0).requests, 0u);
}

TEST_F(Kmdf, W_105_many_queued_and_one_marked)
{
	Simple d(WdfIoQueueDispatchSequential);
	std::vector<std::unique_ptr<Call>> clients;

	d.start();
	for (u32 i = 0; i < 20; i++) {
		clients.emplace_back(new Call(Call::write(*d.file, "x")));
		if (!i) {
			EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
		}
	}
	until([&] { return d.queue.queued() == 19; }, "the others are queued");
	// The queued ones first: the one that the driver gives up must not let another in.
	for (size_t i = clients.size(); i-- > 0;) {
		clients[i]->wait_until_asleep();
		clients[i]->kill();
		EXPECT_EQ(clients[i]->result(), -SHIM_EINTR);
	}
	until([&] { return d.queue.owned() == 0; }, "nothing is left");
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	EXPECT_EQ(d.queue.arrived.total(), 1u);
}

TEST_F(Kmdf, W_106_a_killed_client_does_not_wait_for_its_driver)
{
	Simple d;
	void *buffer;
	size_t length;

	d.start();
	{
		Call call = Call::read(*d.file, 4096);
		WDFREQUEST request = d.take();

		call.wait_until_asleep();
		call.kill();
		EXPECT_EQ(call.result(), -SHIM_EINTR);
		EXPECT_EQ(host_kmdf_request_state(request), owned);
		EXPECT_TRUE(WdfRequestIsCanceled(request));
		ASSERT_EQ(list().requests.size(), 1u);
		EXPECT_EQ(list().requests[0].flags, KMDF_REQUEST_CANCEL_ASKED | KMDF_REQUEST_DETACHED);
		// The client's memory is gone, and nobody knows of it.
		EXPECT_EQ(WdfRequestRetrieveOutputBuffer(request, 4096, &buffer, &length), STATUS_SUCCESS);
		memset(buffer, 'x', length);
		complete(request, 4096);
		EXPECT_EQ(host_kmdf_request_state(request), gone);
	}
	// With some grace it waits.
	kmdf_params.kill_grace_ms = 1000;
	Call call = Call::read(*d.file, 4096);
	WDFREQUEST request = d.take();

	call.wait_until_asleep();
	call.kill();
	until([&] { return host_kmdf_request_canceled(request); }, "it is cancelled");
	a_while();
	EXPECT_FALSE(call.finished());
	fake::jump_ms(1001);
	EXPECT_EQ(call.result(), -SHIM_EINTR);
	complete(request, 1);
}

TEST_F(Kmdf, W_106_an_asynchronous_client_that_dies)
{
	Simple d;
	pid &process = new_process();

	d.start();
	auto dying = std::make_unique<Aio>(*d.file, &process);
	dying->submit_read(64);
	WDFREQUEST request = d.take();

	EXPECT_TRUE(dying->die());
	EXPECT_EQ(dying->wait(), -SHIM_EINTR);
	dying.reset(); // and its memory
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	EXPECT_TRUE(WdfRequestIsCanceled(request));
	complete(request, 64);
	fake::settle();
	EXPECT_EQ(host_kmdf_request_state(request), gone);
	// io_cancel() only asks.
	Aio patient(*d.file);

	patient.submit_read(64);
	request = d.take();
	EXPECT_TRUE(patient.cancel());
	fake::settle();
	EXPECT_FALSE(patient.finished());
	EXPECT_TRUE(WdfRequestIsCanceled(request));
	complete(request, 3);
	EXPECT_EQ(patient.wait(), 3);
	EXPECT_FALSE(patient.cancel());
}

// The kernel cancels an iocb once, and says nothing when its process is killed afterwards.
TEST_F(Kmdf, W_106_killed_after_an_io_cancel)
{
	Simple d;
	std::vector<WDFREQUEST> requests;
	std::vector<std::unique_ptr<Aio>> clients;

	d.start();
	for (u32 i = 0; i < 3; i++) {
		clients.push_back(std::make_unique<Aio>(*d.file, &new_process()));
		clients[i]->submit_read(64);
		requests.push_back(d.take());
		EXPECT_TRUE(clients[i]->cancel());
	}
	Aio &first = *clients[0];
	Aio &second = *clients[1];
	Aio &patient = *clients[2];

	// One look is for all of them.
	fake::settle();
	EXPECT_EQ(fake::timers_armed(), 1u);
	fake::advance_ms(1000);
	EXPECT_FALSE(first.finished() || second.finished() || patient.finished());
	EXPECT_FALSE(first.die());
	fake::advance_ms(200);
	EXPECT_TRUE(first.finished());
	EXPECT_FALSE(second.finished() || patient.finished());
	EXPECT_FALSE(second.die());
	fake::advance_ms(200);
	EXPECT_TRUE(second.finished());
	EXPECT_FALSE(patient.finished());
	EXPECT_EQ(host_kmdf_request_state(requests[0]), owned);
	EXPECT_EQ(fake::timers_armed(), 1u);
	for (WDFREQUEST request : requests)
		complete(request, 3);
	EXPECT_EQ(first.wait(), -SHIM_EINTR);
	EXPECT_EQ(second.wait(), -SHIM_EINTR);
	EXPECT_EQ(patient.wait(), 3);
	fake::advance_ms(200);
	EXPECT_EQ(fake::timers_armed(), 0u);
}

TEST_F(Kmdf, W_106_grace_after_an_io_cancel)
{
	Simple d;

	kmdf_params.kill_grace_ms = 1000;
	d.start();
	Aio dying(*d.file, &new_process());

	dying.submit_read(64);
	WDFREQUEST request = d.take();

	EXPECT_TRUE(dying.cancel());
	fake::settle();
	EXPECT_FALSE(dying.die());
	fake::jump_ms(200);
	a_while();
	EXPECT_FALSE(dying.finished());
	until(
		[&] {
			fake::jump_ms(1001);
			return dying.finished();
		},
		"the grace is over");
	EXPECT_EQ(dying.wait(), -SHIM_EINTR);
	complete(request, 3);
}

// Somebody is still to look after it when the module goes.
TEST_F(Kmdf, W_107_rmmod_after_an_io_cancel)
{
	Simple d;

	d.start();
	{
		Aio client(*d.file);

		client.submit_read(64);
		WDFREQUEST request = d.take();

		EXPECT_TRUE(client.cancel());
		fake::settle();
		complete(request, 3);
		EXPECT_EQ(client.wait(), 3);
	}
	EXPECT_EQ(fake::timers_armed(), 1u);
}

TEST_F(Kmdf, W_107_rmmod_waits_for_what_was_left_behind)
{
	Simple d;

	d.start();
	EXPECT_EQ(fake::delete_module(d.driver.module, false, [] {}), -SHIM_EAGAIN);
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	call.wait_until_asleep();
	call.kill();
	EXPECT_EQ(call.result(), -SHIM_EINTR);
	d.file.reset();
	Call remove([&](Call &) {
		d.driver.unload();
		return 0;
	});
	remove.wait_until_asleep();
	a_while();
	EXPECT_FALSE(remove.finished());
	complete(request);
	EXPECT_EQ(remove.result(), 0);
	expect_any("DeferredRequestCompleted");
	expect_any("PowerTimeout");
}

// In the hands of EvtIoInCallerContext it is in no queue: its device waits for it.
TEST_F(Kmdf, W_107_rmmod_waits_for_what_is_in_no_queue)
{
	Simple d;
	Mail kept;
	std::atomic<bool> unloading{false};

	d.driver.in_unload = [&] { unloading = true; };
	d.driver.in_caller_context = [&](WDFREQUEST request) { kept.push(request); };
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = kept.take();

	call.wait_until_asleep();
	call.kill();
	EXPECT_EQ(call.result(), -SHIM_EINTR);
	d.file.reset();
	Call remove([&](Call &) {
		d.driver.unload();
		return 0;
	});
	remove.wait_until_asleep();
	a_while();
	EXPECT_FALSE(remove.finished());
	EXPECT_FALSE(unloading);
	complete(request);
	EXPECT_EQ(remove.result(), 0);
	EXPECT_TRUE(unloading);
}

TEST_F(Kmdf, W_107_ioctls_of_a_file)
{
	Simple d;
	u32 nothing[64] = {};

	d.start();
	EXPECT_EQ(d.file->ioctl(0x1234, nothing), -SHIM_ENOTTY);
	EXPECT_EQ(d.file->ioctl(KMDF_IOC_CANCEL, nothing), -SHIM_EINVAL);
	kmdf_cancel cancel = {sizeof(cancel), 9, 0, 0, 0, 0, 0};
	EXPECT_EQ(d.file->ioctl(KMDF_IOC_CANCEL, &cancel), -SHIM_EINVAL);
	EXPECT_EQ(cancel_request(12345), -SHIM_ENOENT);
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();
	u32 state = 0;
	fake::current().uid = 1000;
	fake::current().sys_admin = false;
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), -SHIM_EPERM);
	fake::current().sys_admin = true;
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request), &state), 0);
	fake::current().uid = 0;
	EXPECT_EQ(state, static_cast<u32>(KMDF_REQUEST_OWNED));
	EXPECT_EQ(d.file->cancel(KMDF_CANCEL_THREAD, call.tid()).flagged, 1u);
	EXPECT_EQ(d.file->cancel(KMDF_CANCEL_THREAD, 1).found, 0u);
	complete(request);
	EXPECT_EQ(call.result(), 0);
	// Bytes that are not there.
	char here[64];
	fake::add_bad_range(here, sizeof(here));
	iov_iter to = {fake::user(here), sizeof(here)};
	kiocb iocb;
	d.queue.on_io = [](WDFREQUEST r) { complete(r, 4); };
	EXPECT_EQ(kmdf_read_c(&iocb, &d.file->file, d.file->data(), &to, sizeof(here), 0), -SHIM_EFAULT);
	EXPECT_EQ(kmdf_write_c(&iocb, &d.file->file, d.file->data(), &to, sizeof(here), 0), -SHIM_EFAULT);
	fake::clear_bad_ranges();
	EXPECT_EQ(d.file->read((4u << 20) + 1), 4);
	EXPECT_EQ(d.file->write(std::string((4u << 20) + 1, 'x')), -SHIM_EMSGSIZE);
	kmdf_params.max_pending_per_file = 0;
	EXPECT_EQ(d.file->read(8), -SHIM_ENOSPC);
	kmdf_params.max_pending_per_file = 1024;
	d.file->file.flags = SHIM_O_NONBLOCK;
	d.queue.on_io = nullptr;
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	d.file->file.flags = 0;
}

// ---- W-108

// Each allocation of `act` fails in its turn, until all succeed. Its answer: it has worked; it may fail with no memory only.
class KmdfFaults : public Kmdf {
      protected:
	void sweep(const std::function<bool()> &act, u32 least)
	{
		memory_was_short_ = true;
		u32 failed = 0;

		for (u32 n = 1;; n++) {
			fake::settle();
			u64 before = fake::allocated_bytes();

			fake::fail_allocation(n);
			bool worked = act();
			bool has_failed = fake::fail_allocation(0);

			fake::settle();
			check_invariants(true);
			EXPECT_EQ(fake::allocated_bytes(), before) << "allocation " << n;
			if (!has_failed) {
				EXPECT_TRUE(worked);
				break;
			}
			failed++;
			if (HasFailure())
				return;
		}
		EXPECT_GE(failed, least);
		printf("%u allocations failed\n", failed);
	}
	static bool is_enomem(s64 result)
	{
		EXPECT_TRUE(result == -SHIM_ENOMEM || result == -SHIM_EFAULT || result >= 0) << result;
		return result >= 0;
	}
};

TEST_F(KmdfFaults, W_108_open_and_close)
{
	Simple d;

	d.driver.on_create = [](WDFREQUEST request, WDFFILEOBJECT) { WdfRequestComplete(request, STATUS_SUCCESS); };
	d.driver.must_load();
	sweep(
		[&] {
			File file(d.driver, true);

			EXPECT_TRUE(file.error() == 0 || file.error() == -SHIM_ENOMEM) << file.error();
			return !file.error();
		},
		2);
}

TEST_F(KmdfFaults, W_108_read_write_ioctl)
{
	Simple d;
	std::atomic<s64> balance{0};

	d.driver.with_request_context = true;
	d.driver.on_request_cleanup = [&](WDFREQUEST) { balance++; };
	d.driver.on_request_destroy = [&](WDFREQUEST) { balance--; };
	d.queue.on_io = [](WDFREQUEST request) { complete(request, 1); };
	d.start();
	sweep([&] { return is_enomem(d.file->read(100)); }, 2);
	sweep([&] { return is_enomem(d.file->write("some data")); }, 2);
	sweep([&] { return is_enomem(d.file->control(kBuffered, "in", 8).error); }, 2);
	sweep([&] { return is_enomem(d.file->control(kOutDirect, "in", 8).error); }, 2);
	sweep(
		[&] {
			Aio client(*d.file);
			s64 result = client.read(100);

			return is_enomem(result == kQueued ? client.wait() : result);
		},
		3);
	EXPECT_EQ(balance, 0) << "EvtDestroy without EvtCleanup, or the other way round";
}

TEST_F(KmdfFaults, W_108_queues_timers_locks)
{
	Simple d;

	d.start();
	auto good = [](NTSTATUS status) {
		EXPECT_TRUE(status == STATUS_SUCCESS || status == STATUS_INSUFFICIENT_RESOURCES);
		return NT_SUCCESS(status);
	};
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	sweep(
		[&] {
			Queue queue(WdfIoQueueDispatchSequential, false);
			bool worked = good(queue.make(d.driver.device));

			if (worked)
				WdfObjectDelete(queue.handle);
			return worked;
		},
		1);
	sweep(
		[&] {
			WDF_TIMER_CONFIG config;
			WDFTIMER timer;

			WDF_TIMER_CONFIG_INIT(&config, [](WDFTIMER) {});
			bool worked = good(WdfTimerCreate(&config, &attributes, &timer));

			if (worked)
				WdfObjectDelete(timer);
			return worked;
		},
		1);
	sweep(
		[&] {
			WDF_WORKITEM_CONFIG config;
			WDFWORKITEM item;

			WDF_WORKITEM_CONFIG_INIT(&config, [](WDFWORKITEM) {});
			bool worked = good(WdfWorkItemCreate(&config, &attributes, &item));

			if (worked)
				WdfObjectDelete(item);
			return worked;
		},
		1);
	sweep(
		[&] {
			WDFSPINLOCK lock;
			bool worked = good(WdfSpinLockCreate(&attributes, &lock));

			if (worked)
				WdfObjectDelete(lock);
			return worked;
		},
		1);
	sweep(
		[&] {
			WDFMEMORY memory;
			bool worked = good(WdfMemoryCreate(&attributes, NonPagedPoolNx, 0, 100, &memory, nullptr));

			if (worked)
				WdfObjectDelete(memory);
			return worked;
		},
		2);
}

TEST_F(KmdfFaults, W_108_send)
{
	Queue below;
	Driver lower("lower");
	Simple d;
	std::atomic<u32> calls{0};

	below.on_io = [](WDFREQUEST request) { complete(request); };
	lower.queues = {&below};
	lower.must_load();
	d.start();
	WDFIOTARGET target;
	UNICODE_STRING name;
	WDF_IO_TARGET_OPEN_PARAMS parameters;

	ASSERT_EQ(WdfIoTargetCreate(d.driver.device, nullptr, &target), STATUS_SUCCESS);
	RtlInitUnicodeString(&name, u"\\DosDevices\\lower0");
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&parameters, &name, GENERIC_READ);
	ASSERT_EQ(WdfIoTargetOpen(target, &parameters), STATUS_SUCCESS);
	u32 expected = 0;
	sweep(
		[&] {
			WDF_OBJECT_ATTRIBUTES attributes;
			WDFREQUEST request;
			bool worked = false;

			WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
			attributes.ParentObject = d.driver.device;
			if (!NT_SUCCESS(WdfRequestCreate(&attributes, target, &request)))
				return false;
			if (NT_SUCCESS(WdfIoTargetFormatRequestForIoctl(target, request, kBuffered, nullptr, nullptr,
									nullptr, nullptr))) {
				WdfRequestSetCompletionRoutine(
					request,
					[](WDFREQUEST, WDFIOTARGET, PWDF_REQUEST_COMPLETION_PARAMS,
					   WDFCONTEXT context) { (*static_cast<std::atomic<u32> *>(context))++; },
					&calls);
				worked = WdfRequestSend(request, target, nullptr);
				expected += worked;
				EXPECT_EQ(calls, expected);
				if (!worked) {
					EXPECT_EQ(WdfRequestGetStatus(request), STATUS_INSUFFICIENT_RESOURCES);
				}
			}
			WdfObjectDelete(request);
			return worked;
		},
		3);
}

TEST_F(KmdfFaults, W_108_insmod_of_the_framework)
{
	kmdf_core_exit_c();
	sweep(
		[&] {
			int err = kmdf_core_init_c();

			EXPECT_TRUE(err == 0 || err == -SHIM_ENOMEM) << err;
			if (!err)
				kmdf_core_exit_c();
			return !err;
		},
		2);
	EXPECT_EQ(fake::workqueues(), 0u);
	ASSERT_EQ(kmdf_core_init_c(), 0);
}

TEST_F(KmdfFaults, W_108_insmod)
{
	Simple d;

	sweep(
		[&] {
			int err = d.driver.load();

			EXPECT_TRUE(err == 0 || err == -SHIM_ENOMEM) << err;
			d.driver.unload();
			return !err;
		},
		5);
}

} // namespace
