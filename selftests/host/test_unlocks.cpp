// SPDX-License-Identifier: GPL-2.0-only
// Between any two holds of the lock anything can happen: a run is repeated, and each time, at another unlock, a second
// thread does something and goes as far as it can.
#include <chrono>
#include <cstring>

#include "kit.hpp"

namespace {

// The second thread, started at an unlock of the first.
class Intruder {
	std::thread thread_;
	std::atomic<bool> done_{false};
	std::atomic<bool> joined_{false};
	std::atomic<fake::Task *> task_{nullptr};

	// Until it is done, or waits for something that the interrupted thread has to do.
	void go_as_far_as_it_can()
	{
		for (int turns = 0; turns < 400 && !done_; turns++) {
			if (turns < 200)
				std::this_thread::yield();
			else
				std::this_thread::sleep_for(std::chrono::microseconds(10));
			if (task_) {
				std::lock_guard lock((*task_).mutex);

				if ((*task_).sleeping)
					return;
			}
		}
	}

      public:
	void start(std::function<void()> what)
	{
		thread_ = std::thread([this, what = std::move(what)] {
			task_ = &fake::current();
			what();
			done_ = true;
			while (!joined_)
				std::this_thread::yield();
		});
		go_as_far_as_it_can();
	}
	bool ran() const { return thread_.joinable(); }
	void join()
	{
		joined_ = true;
		if (thread_.joinable())
			thread_.join();
	}
	~Intruder() { join(); }
};

class EachUnlock : public host::Core {
      protected:
	int sweeps_ = 0;

	void SetUp() override {}
	void TearDown() override {}

	// round(interrupt): prepares, calls interrupt(what) where the sweep begins, acts, calls join(), checks.
	struct Round {
		Intruder intruder;
		int at;

		void interrupt(std::function<void()> what)
		{
			fake::at_next(
				fake::Moment::Unlock, [this, what] { intruder.start(what); }, at);
		}
		// The sweep is over when this is false.
		bool join()
		{
			fake::settle();
			fake::at_next(fake::Moment::Unlock, nullptr);
			bool ran = intruder.ran();

			intruder.join();
			fake::settle();
			return ran;
		}
	};

	template <typename F> void sweep(F one)
	{
		int at = 0;

		for (bool more = true; more && at < 500 && !HasFailure(); at++) {
			Core::SetUp();
			{
				Round round;

				round.at = at;
				more = one(round);
			}
			Core::TearDown();
			if (HasFailure())
				ADD_FAILURE() << "at unlock " << at << " of sweep " << sweeps_;
		}
		EXPECT_GE(at, 3);
		EXPECT_LT(at, 500);
		sweeps_++;
	}
};

// The daemon could not delete it, and somebody else can.
TEST_F(EachUnlock, failed_delete_meets_rmmod)
{
	for (u32 flags : {0u, KEXTBRIDGE_KEXT_PLAIN_RMMOD}) {
		for (bool start_fails : {false, true}) {
			sweep([&](Round &round) {
				Daemon daemon;
				Kext kext("", flags);

				EXPECT_EQ(kext.insmod(), 0);
				std::thread unloader([tag = kext.tag()] {
					Control control;

					control.unload(tag);
				});
				Record message = daemon.wait(1).at(0);
				kext.start = [&] {
					kext.request();
					return start_fails ? KERN_FAILURE : KERN_SUCCESS;
				};
				round.interrupt([&] { kext.rmmod(); });
				daemon.reply(message.id, kOSKextReturnInUse);
				bool ran = round.join();
				unloader.join();
				if (kext.is_loaded()) {
					EXPECT_EQ(kext.state(), start_fails ? host::loaded : host::started);
					EXPECT_EQ(kext.module.refs, flags ? 1 : 2);
				}
				return ran;
			});
		}
	}
}

TEST_F(EachUnlock, failed_delete_meets_the_end_of_the_daemon)
{
	sweep([&](Round &round) {
		Daemon daemon;
		Kext kext;

		EXPECT_EQ(kext.insmod(), 0);
		OSReturn result = 1;
		std::thread unloader([&, tag = kext.tag()] {
			Control control;

			result = control.unload(tag).result;
		});
		pid &process = fake::process(400);
		Record message = daemon.wait(1).at(0);
		Daemon next(false, &process);
		round.interrupt([&] { fake::jump_ms(200000); });
		daemon.reply(message.id, kOSKextReturnInUse);
		bool ran = round.join();
		unloader.join();
		EXPECT_TRUE(result == kOSKextReturnInUse || result == kOSKextReturnTimeout);
		EXPECT_EQ(kext.state(), host::started);
		EXPECT_EQ(kext.module.refs, 2);
		return ran;
	});
}

// An unload from its first step, and everything that others can do to the kext meanwhile.
TEST_F(EachUnlock, unload_meets_everything)
{
	enum { Retain, Request, CancelAll, Force, Load, Second, Timeout, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			Daemon daemon;
			Kext kext;
			Control control;
			OSReturn retained = 1;
			OSReturn result = 1;

			EXPECT_EQ(kext.insmod(), 0);
			kext.must_request("pending");
			u32 tag = kext.tag();
			Service service(daemon);
			round.interrupt([&, what] {
				switch (what) {
				case Retain:
					retained = OSKextRetainKextWithLoadTag(tag);
					break;
				case Request:
					kext.request();
					break;
				case CancelAll:
					kext.cancel_all();
					break;
				case Force:
					kext.rmmod_force();
					break;
				case Load:
					OSKextLoadKextWithIdentifier(kext.info.name);
					break;
				case Second:
					Control().unload(tag);
					break;
				case Timeout:
					fake::jump_ms(200000);
					break;
				}
			});
			result = control.unload(tag).result;
			bool ran = round.join();
			service.finish();
			fake::settle();
			if (!retained) {
				EXPECT_EQ(result, kOSKextReturnInUse);
				EXPECT_TRUE(kext.is_loaded());
				EXPECT_EQ(kext.release(), kOSReturnSuccess);
			} else if (what == Second && kext.is_loaded()) {
				ADD_FAILURE() << "two unloads and it is still there";
			} else if (what == Force) {
				EXPECT_FALSE(kext.is_loaded());
				EXPECT_EQ(kext.stops, 1);
			} else if (!kext.is_loaded() && what != Second) {
				EXPECT_EQ(result, kOSReturnSuccess);
			}
			return ran;
		});
	}
}

// Module exit with a request in each state.
TEST_F(EachUnlock, exit_meets_everything)
{
	enum { Reply, Cancel, CancelAll, Deadline, Death, Fetch, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			auto daemon = std::make_unique<Daemon>();
			Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
			u32 cancelled = 0;

			EXPECT_EQ(kext.insmod(), 0);
			u32 fetched = kext.must_request("fetched");
			u64 id = daemon->fetch_one().id;
			u32 pending = kext.must_request("pending");
			std::atomic<u32> taken_back{0};
			round.interrupt([&, what] {
				switch (what) {
				case Reply:
					daemon->reply(id, 0, "payload");
					break;
				case Cancel:
					taken_back += kext.cancel(fetched) == kOSReturnSuccess;
					taken_back += kext.cancel(pending) == kOSReturnSuccess;
					break;
				case CancelAll:
					taken_back += kext.cancel_all();
					break;
				case Deadline:
					fake::jump_ms(200000);
					break;
				case Death:
					daemon->close();
					break;
				case Fetch:
					daemon->fetch();
					break;
				}
			});
			EXPECT_EQ(kext.rmmod(), 0);
			bool ran = round.join();
			cancelled = taken_back;
			EXPECT_EQ(kext.call_count() + cancelled, 2u);
			EXPECT_EQ(kext.stops, 1);
			return ran;
		});
	}
}

// A reply with its payload, and who may win against it.
TEST_F(EachUnlock, reply_meets_everything)
{
	enum { Cancel, Nowait, Deadline, Second, Exit, Takeover, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			pid &process = fake::process(401);
			process.gone = false;
			Daemon daemon(true, &process);
			Daemon next(false);
			Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
			std::atomic<bool> taken_back{false};
			std::vector<Record> by_next;

			EXPECT_EQ(kext.insmod(), 0);
			u32 tag = kext.must_request("n", nullptr, 1000);
			u64 id = daemon.fetch_one().id;
			round.interrupt([&, what] {
				switch (what) {
				case Cancel:
					taken_back = kext.cancel(tag) == kOSReturnSuccess;
					break;
				case Nowait:
					while (kext.cancel_nowait(tag) == kOSKextReturnInUse)
						std::this_thread::yield();
					break;
				case Deadline:
					fake::jump_ms(1000);
					break;
				case Second:
					daemon.reply(id, kOSKextReturnInternalError);
					break;
				case Exit:
					kext.rmmod();
					break;
				case Takeover:
					process.gone = true;
					// It has the request in hand now, and only its reply counts.
					if (!next.open())
						by_next = next.fetch();
					break;
				}
			});
			kextd_reply reply = host::reply_with(id, 0, "payload");
			kextd_exchange args{};
			args.size = sizeof(args);
			args.replies = fake::user(&reply);
			args.reply_count = 1;
			daemon.ioctl(args);
			bool ran = round.join();
			if (what == Takeover && next.is_open()) {
				for (const Record &record : by_next) {
					EXPECT_NE(reply.status, kOSReturnSuccess);
					EXPECT_EQ(next.reply(record.id, 0, "payload"), kOSReturnSuccess);
				}
				fake::settle();
			}
			if (what != Nowait) {
				EXPECT_EQ(kext.call_count() + taken_back, 1u);
			}
			process.gone = false;
			return ran;
		});
	}
}

// A fetch of several, with a notice among them.
TEST_F(EachUnlock, fetch_meets_everything)
{
	enum { CancelAll, Deadline, Exit, Takeover, SecondThread, Request, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			pid &process = fake::process(402);
			process.gone = false;
			Daemon daemon(true, &process);
			Daemon next(false);
			Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
			std::vector<u32> seen;
			std::mutex mutex;
			size_t made = 20;
			auto collect = [&](Daemon &from) {
				long err;

				for (const Record &record : from.fetch(KEXTD_EXCHANGE_MAX, &err)) {
					std::lock_guard lock(mutex);

					if (record.kind == KEXTD_RESOURCE)
						seen.push_back(record.tag());
				}
			};

			EXPECT_EQ(kext.insmod(), 0);
			u32 noticed = kext.must_request();
			daemon.fetch_one();
			kext.cancel(noticed);
			for (int i = 0; i < 20; i++)
				kext.must_request("n", nullptr, 1000);
			round.interrupt([&, what] {
				switch (what) {
				case CancelAll:
					kext.cancel_all();
					break;
				case Deadline:
					fake::jump_ms(1000);
					break;
				case Exit:
					kext.rmmod();
					break;
				case Takeover:
					process.gone = true;
					next.open();
					break;
				case SecondThread:
					collect(daemon);
					break;
				case Request:
					made += !kext.request();
					break;
				}
			});
			collect(daemon);
			bool ran = round.join();
			if (what == SecondThread || what == Request) {
				collect(daemon);
				EXPECT_EQ(seen.size(), made);
			}
			process.gone = false;
			kext.cancel_all();
			return ran;
		});
	}
}

TEST_F(EachUnlock, request_meets_exit)
{
	sweep([&](Round &round) {
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
		OSKextRequestTag tag = 1;

		EXPECT_EQ(kext.insmod(), 0);
		fake::xa_always_allocates(true);
		round.interrupt([&] { EXPECT_EQ(kext.rmmod(), 0); });
		OSReturn result = kext.request("n", &tag);
		bool ran = round.join();
		if (ran && !result) {
			EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSKextReturnTimeout);
		} else if (result) {
			EXPECT_EQ(tag, kOSKextRequestTagInvalid);
		}
		kext.cancel_all();
		// The first unlock is the tag's, the second the end; the third is never reached.
		return ran || round.at < 3;
	});
}

TEST_F(EachUnlock, load_meets_load_of_the_same)
{
	sweep([&](Round &round) {
		Kext a("com.example.same");
		Kext b("com.example.same");
		int second = 1;

		fake::xa_always_allocates(true);
		round.interrupt([&] { second = b.insmod(); });
		int first = a.insmod();
		bool ran = round.join();
		if (ran) {
			EXPECT_TRUE((!first && second == -SHIM_EEXIST) || (!second && first == -SHIM_EEXIST));
		}
		EXPECT_EQ(host::stats().kexts, 1u);
		return ran;
	});
}

TEST_F(EachUnlock, close_meets_everything)
{
	enum { Reply, Cancel, Death, Deadline, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			Daemon daemon;
			auto control = std::make_unique<Control>();
			Control other;

			u32 answered = control->must_request("answered");
			u32 fetched = control->must_request("fetched");
			std::vector<Record> records = daemon.fetch();
			daemon.reply(records[0].id, 0, "payload");
			u32 pending = control->must_request("pending");
			round.interrupt([&, what] {
				switch (what) {
				case Reply:
					daemon.reply(records[1].id, 0, "late");
					break;
				case Cancel:
					other.cancel(answered);
					other.cancel(fetched);
					other.cancel(pending);
					break;
				case Death:
					daemon.close();
					break;
				case Deadline:
					fake::jump_ms(200000);
					break;
				}
			});
			control.reset();
			bool ran = round.join();
			for (u32 tag : {answered, fetched, pending})
				EXPECT_EQ(host_request_state(tag), host::absent);
			return ran;
		});
	}
}

TEST_F(EachUnlock, autounload_meets_everything)
{
	enum { Retain, Request, Death, Force, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			auto daemon = std::make_unique<Daemon>();
			Kext kext;
			OSReturn retained = 1;

			EXPECT_EQ(kext.insmod(), 0);
			u32 tag = kext.tag();
			kext.retain();
			kext.release();
			auto service = std::make_unique<Service>(*daemon);
			round.interrupt([&, what] {
				switch (what) {
				case Retain:
					retained = OSKextRetainKextWithLoadTag(tag);
					break;
				case Request:
					kext.request();
					break;
				case Death:
					service->die();
					daemon->close();
					break;
				case Force:
					kext.rmmod_force();
					break;
				}
			});
			fake::advance_ms(60000);
			bool ran = round.join();
			if (!retained) {
				EXPECT_TRUE(kext.is_loaded());
				EXPECT_EQ(kext.state(), host::started);
				kext.release();
			}
			service.reset();
			daemon.reset();
			fake::settle();
			if (kext.is_loaded()) {
				EXPECT_EQ(kext.state(), host::started);
				EXPECT_EQ(kext.module.refs, 2);
			}
			return ran;
		});
	}
}

// A kext that is loaded and not started is started by whoever comes first, and unloaded meanwhile.
TEST_F(EachUnlock, load_meets_another_and_an_unload)
{
	for (bool unloads : {false, true}) {
		sweep([&](Round &round) {
			Daemon daemon;
			Kext kext;
			Control program;
			Control other;

			EXPECT_EQ(kext.insmod(), 0);
			kext.start = [] { return KERN_FAILURE; };
			std::thread unloader([&] { EXPECT_EQ(other.unload(kext.tag()).result, kOSKextReturnInUse); });
			daemon.reply(daemon.wait(1).at(0).id, kOSKextReturnInUse);
			unloader.join();
			EXPECT_EQ(kext.state(), host::loaded);
			kext.start = nullptr;
			Service service(daemon);
			u32 tag = kext.tag();
			round.interrupt([&] {
				if (unloads)
					EXPECT_EQ(other.unload(tag).error, 0);
				else
					EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSReturnSuccess);
			});
			Control::Outcome load = program.load(kext.info.name, true);
			bool ran = round.join();
			EXPECT_EQ(load.error, 0);
			if (!unloads) {
				EXPECT_EQ(load.result, kOSReturnSuccess);
				EXPECT_EQ(kext.starts, 3);
			} else {
				// The daemon of this test finds no module to load.
				EXPECT_TRUE(load.result == kOSReturnSuccess || load.result == kOSKextReturnNotFound)
					<< load.result;
			}
			return ran;
		});
	}
}

// The driver reads the tag that it was given in its callback, however soon that comes.
TEST_F(EachUnlock, request_meets_its_callback)
{
	sweep([&](Round &round) {
		Daemon daemon;
		Kext kext;
		u32 tag = 0;

		kext.on_callback = [&](const Call &call) { EXPECT_EQ(tag, call.tag); };
		EXPECT_EQ(kext.insmod(), 0);
		round.interrupt([&] {
			for (const Record &record : daemon.fetch())
				daemon.reply(record.id, 0);
			fake::settle();
		});
		EXPECT_EQ(kext.request("n", &tag), kOSReturnSuccess);
		bool ran = round.join();
		for (const Record &record : daemon.fetch())
			daemon.reply(record.id, 0);
		kext.wait_for_calls(1);
		return ran;
	});
}

// What could not be written to one thread of the daemon goes to another, which fell asleep meanwhile.
TEST_F(EachUnlock, failing_fetch_meets_a_sleeper)
{
	sweep([&](Round &round) {
		Daemon daemon;
		Kext kext;
		std::atomic<bool> got_it{false};

		EXPECT_EQ(kext.insmod(), 0);
		u32 tag = kext.must_request();
		round.interrupt([&] { got_it = daemon.wait(1).at(0).tag() == tag; });
		u64 buffer[512];
		kextd_exchange args{};

		fake::add_bad_range(buffer, sizeof(buffer));
		args.size = sizeof(args);
		args.requests = fake::user(buffer);
		args.requests_size = sizeof(buffer);
		args.max_requests = 1;
		args.flags = KEXTD_EXCHANGE_NOWAIT;
		long err = daemon.ioctl(args);
		EXPECT_TRUE(err == -SHIM_EFAULT || err == -SHIM_EAGAIN) << err;
		bool ran = round.join();
		fake::clear_bad_ranges();
		EXPECT_EQ(got_it, ran);
		kext.cancel_all();
		return ran;
	});
}

// ---- what goes beyond macOS's calls

s32 stop_only(Control &control, u32 tag)
{
	kextbridge_tag args{};

	args.size = sizeof(args);
	args.flags = KEXTBRIDGE_UNLOAD_STOP_ONLY;
	args.tag = tag;
	long err = control.ioctl(KEXTBRIDGE_IOC_UNLOAD, &args);
	return err ? static_cast<s32>(err) : args.result;
}

// A driver's own thread.
OSReturn read_by(Kext &kext, std::string *bytes, u32 timeout_ms = 0, kextbridge_scope *scope = nullptr)
{
	kextbridge_resource_options options = {.timeout_ms = timeout_ms, .max_length = 0, .scope = scope};
	void *data = nullptr;
	u32 length = 0;
	OSReturn result = kextbridge_read(&kext.info, kext.info.name, "read", &options, &data, &length);

	bytes->assign(static_cast<char *>(data), length);
	kextbridge_free_resource(data);
	return result;
}

// Of a start function that fails nothing is called back, of one that is begun meanwhile everything.
TEST_F(EachUnlock, failed_restart_meets_load)
{
	sweep([&](Round &round) {
		Daemon daemon;
		Control control;
		Kext kext;
		std::atomic<int> begun{0};
		std::atomic<u32> accepted{0};

		EXPECT_EQ(kext.insmod(), 0);
		EXPECT_EQ(stop_only(control, kext.tag()), kOSReturnSuccess);
		kext.start = [&] {
			bool fails = !begun++;

			accepted += !kext.request() && !fails;
			return fails ? KERN_FAILURE : KERN_SUCCESS;
		};
		round.interrupt([&] { OSKextLoadKextWithIdentifier(kext.info.name); });
		OSKextLoadKextWithIdentifier(kext.info.name);
		bool ran = round.join();
		for (const Record &record : daemon.fetch())
			if (record.kind == KEXTD_RESOURCE)
				daemon.reply(record.id, 0);
		fake::settle();
		EXPECT_EQ(kext.call_count(), accepted);
		EXPECT_EQ(kext.state(), begun > 1 ? host::started : host::loaded);
		kext.start = nullptr;
		return ran;
	});
}

// A stop without an unload, and everything that others can do to the kext meanwhile.
TEST_F(EachUnlock, stop_only_meets_everything)
{
	enum { Request, Retain, Load, LoadAndWait, StopAgain, Unload, Force, Death, Shutdown, Refusal, Last };

	for (u32 flags : {0u, KEXTBRIDGE_KEXT_PLAIN_RMMOD}) {
		for (int what = 0; what < Last; what++) {
			sweep([&](Round &round) {
				Daemon daemon;
				Kext kext("", flags);
				Control control;
				std::atomic<s32> other{1};
				std::atomic<u32> accepted{1};

				EXPECT_EQ(kext.insmod(), 0);
				kext.must_request("pending");
				u32 tag = kext.tag();
				if (what == Refusal)
					kext.stop = [] { return KERN_FAILURE; };
				Service service(daemon);
				round.interrupt([&, what] {
					Control by_other;

					switch (what) {
					case Request:
					case Refusal:
						accepted += !kext.request();
						break;
					case Retain:
						other = OSKextRetainKextWithLoadTag(tag);
						break;
					case Load:
						other = OSKextLoadKextWithIdentifier(kext.info.name);
						break;
					case LoadAndWait:
						other = by_other.load(kext.info.name, true).result;
						break;
					case StopAgain:
						other = stop_only(by_other, tag);
						break;
					case Unload:
						other = by_other.unload(tag).result;
						break;
					case Force:
						kext.rmmod_force();
						break;
					case Death:
						service.die();
						daemon.close();
						break;
					case Shutdown:
						kextbridge_shutdown_c();
						break;
					}
				});
				s32 result = stop_only(control, tag);
				bool ran = round.join();
				// It leaves what it has not fetched.
				if (what == Request || what == Refusal)
					kext.wait_for_calls(accepted);
				service.finish();
				fake::settle();
				EXPECT_EQ(kext.call_count(), accepted);
				switch (what) {
				case Retain:
					if (result == kOSKextReturnInUse) {
						EXPECT_EQ(other, kOSReturnSuccess);
					} else {
						EXPECT_EQ(kext.state(), host::loaded);
					}
					if (!other) {
						EXPECT_EQ(kext.release(), kOSReturnSuccess);
					}
					break;
				case Load:
				case LoadAndWait:
					if (ran && (other == kOSKextReturnDeferred || what == LoadAndWait)) {
						EXPECT_EQ(kext.stops + 1 - kext.starts, kext.state() == host::loaded);
					}
					if (other == kOSKextReturnDeferred) {
						EXPECT_EQ(kext.state(), host::started);
					}
					break;
				case StopAgain:
					EXPECT_TRUE(!result || !other);
					EXPECT_TRUE(!result || result == kOSKextReturnInUse);
					EXPECT_TRUE(!ran || !other || other == kOSKextReturnInUse);
					EXPECT_EQ(kext.state(), host::loaded);
					EXPECT_EQ(kext.stops, 1);
					break;
				case Unload:
					if (ran && !other) {
						EXPECT_FALSE(kext.is_loaded());
					}
					break;
				case Force:
					EXPECT_EQ(kext.stops, 1);
					EXPECT_EQ(kext.is_loaded(), !ran);
					break;
				case Refusal:
					EXPECT_EQ(result, kOSKextReturnStartStopError);
					EXPECT_EQ(kext.state(), host::started);
					kext.stop = nullptr;
					break;
				default:
					EXPECT_EQ(result, kOSReturnSuccess);
					EXPECT_EQ(kext.state(), host::loaded);
					EXPECT_EQ(kext.module.refs, flags ? 1 : 2);
				}
				return ran;
			});
		}
	}
}

// A read that the daemon answers, and who may win against it. What is its own goes back with it.
TEST_F(EachUnlock, read_meets_everything)
{
	enum { Kill, CancelAll, CancelScope, Stop, Unload, Deadline, Takeover, Failure, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			pid &process = fake::process(403);
			process.gone = false;
			auto daemon = std::make_unique<Daemon>(true, &process);
			Daemon next(false);
			Kext kext;
			Control control;
			auto scope = std::make_unique<kextbridge_scope>();
			fake::Task &reader = fake::current();
			std::string bytes;

			kextbridge_scope_init(scope.get());
			EXPECT_EQ(kext.insmod(), 0);
			Service service(*daemon, 1, [what](const Record &record) {
				return what == Failure ? host::reply_with(record.id, kOSKextReturnValidation, "x") :
							 Service::usual(record);
			});
			std::unique_ptr<Service> by_next;
			round.interrupt([&, what] {
				switch (what) {
				case Kill:
				case Failure:
					fake::kill(reader);
					break;
				case CancelAll:
					kext.cancel_all();
					break;
				case CancelScope:
					kextbridge_scope_cancel(scope.get(), nullptr, nullptr);
					break;
				case Stop:
					stop_only(control, kext.tag());
					break;
				case Unload:
					control.unload(kext.tag());
					break;
				case Deadline:
					fake::jump_ms(5000);
					break;
				case Takeover:
					process.gone = true;
					if (!next.open())
						by_next = std::make_unique<Service>(next);
					break;
				}
			});
			OSReturn result = read_by(kext, &bytes, 1000, scope.get());
			// The read is over, and with it all that the scope has; but a cancel may still look at it.
			if (what != CancelScope)
				memset(scope.get(), 0x5a, sizeof(*scope));
			fake::clear_signal();
			bool ran = round.join();
			scope.reset();
			service.finish();
			by_next.reset();
			fake::settle();
			switch (what) {
			case Kill:
			case CancelAll:
			case CancelScope:
				EXPECT_TRUE(!result || (ran && result == kIOReturnAborted)) << result;
				break;
			case Failure:
				EXPECT_TRUE(result == kOSKextReturnValidation || (ran && result == kIOReturnAborted))
					<< result;
				break;
			case Stop:
			case Unload:
				EXPECT_TRUE(!result || (ran && (result == kOSKextReturnTimeout ||
								result == kOSKextReturnStopping ||
								result == kOSKextReturnInvalidArgument)))
					<< result;
				break;
			case Deadline:
				EXPECT_TRUE(!result || (ran && result == kOSKextReturnTimeout)) << result;
				break;
			case Takeover:
				EXPECT_EQ(result, kOSReturnSuccess);
				break;
			}
			EXPECT_EQ(bytes, result ? "" : "read");
			process.gone = false;
			return ran;
		});
	}
}

// Its memory is the driver's again as soon as the cancel has returned, whatever has become of its requests.
TEST_F(EachUnlock, scope_cancel_meets_everything)
{
	enum { Serve, CancelOne, CancelAll, SecondCancel, Stop, Unload, Deadline, Request, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			Daemon daemon;
			Kext kext;
			Control control;
			auto scope = std::make_unique<kextbridge_scope>();
			kextbridge_resource_options options = {
				.timeout_ms = 1000, .max_length = 0, .scope = scope.get()};
			std::atomic<u32> accepted{0};
			std::atomic<u32> ended{0};
			std::atomic<bool> over{false};
			u32 tags[3] = {};
			auto request = [&](u32 *tag) {
				return kextbridge_request_resource(kext.info.name, "n", kext.callback(), nullptr, tag,
								   &options);
			};

			kextbridge_scope_init(scope.get());
			kext.on_callback = [&](const Call &) { EXPECT_FALSE(over); };
			EXPECT_EQ(kext.insmod(), 0);
			for (u32 &tag : tags)
				accepted += !request(&tag);
			EXPECT_EQ(daemon.fetch(2).size(), 2u);
			round.interrupt([&, what] {
				switch (what) {
				case Serve:
					daemon.reply(tags[0], 0);
					daemon.reply(tags[1], 0);
					break;
				case CancelOne:
					ended += !kext.cancel(tags[1]);
					break;
				case CancelAll:
					ended += kext.cancel_all();
					break;
				case SecondCancel:
					ended += kextbridge_scope_cancel(scope.get(), nullptr, nullptr);
					break;
				case Stop:
					stop_only(control, kext.tag());
					break;
				case Unload:
					control.unload(kext.tag());
					break;
				case Deadline:
					fake::jump_ms(5000);
					break;
				case Request:
					accepted += !request(nullptr);
					break;
				}
			});
			std::unique_ptr<Service> service;
			if (what == Unload)
				service = std::make_unique<Service>(daemon);
			ended += kextbridge_scope_cancel(scope.get(), nullptr, nullptr);
			over = true;
			// Who still uses it looks after that itself.
			if (what != SecondCancel && what != Request)
				scope.reset();
			bool ran = round.join();
			service.reset();
			fake::settle();
			EXPECT_EQ(ended + kext.call_count(), accepted);
			return ran;
		});
	}
}

// What is announced is handed out once and in order, or to nobody, and belongs to nobody afterwards.
TEST_F(EachUnlock, announcements_meet_everything)
{
	enum { Fetch, Close, Takeover, Shutdown, Failure, Last };

	for (int what = 0; what < Last; what++) {
		sweep([&](Round &round) {
			pid &process = fake::process(404);
			process.gone = false;
			Daemon daemon(true, &process);
			Daemon next(false);
			Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
			std::mutex mutex;
			std::vector<Record> got;
			alignas(8) unsigned char buffer[4096];
			auto fetch = [&](Daemon &by) {
				kextd_exchange args{};
				alignas(8) unsigned char records[4096];

				args.size = sizeof(args);
				args.flags = KEXTD_EXCHANGE_NOWAIT | KEXTD_EXCHANGE_NOTIFY;
				args.max_requests = 10;
				args.requests = fake::user(what == Failure && &by == &daemon ? buffer : records);
				args.requests_size = sizeof(records);
				if (by.ioctl(args))
					return;
				std::lock_guard lock(mutex);
				for (const Record &record : host::parse(records, args.requests_used))
					got.push_back(record);
			};

			fetch(daemon);
			if (what == Failure)
				fake::add_bad_range(buffer, sizeof(buffer));
			round.interrupt([&, what] {
				switch (what) {
				case Fetch:
				case Failure:
					fetch(daemon);
					break;
				case Close:
					daemon.close();
					break;
				case Takeover:
					process.gone = true;
					if (!next.open())
						fetch(next);
					break;
				case Shutdown:
					kextbridge_shutdown_c();
					break;
				}
			});
			EXPECT_EQ(kext.insmod(), 0);
			u32 tag = kext.tag();
			EXPECT_EQ(kext.rmmod(), 0);
			bool ran = round.join();
			fake::clear_bad_ranges();
			if (daemon.is_open() && !process.gone) {
				what == Failure ? (void)(got = daemon.fetch()) : fetch(daemon);
				EXPECT_EQ(got.size(), what == Shutdown && ran ? 3u : 2u);
			}
			u32 last = KEXTD_LOADED - 1;
			for (const Record &record : got) {
				if (record.kind == KEXTD_EXIT)
					continue;
				EXPECT_GT(record.kind, last);
				EXPECT_EQ(record.id, 0u);
				EXPECT_EQ(record.load_tag, tag);
				EXPECT_EQ(record.identifier, kext.info.name);
				last = record.kind;
			}
			if (next.is_open())
				fetch(next);
			process.gone = false;
			return ran;
		});
	}
}

} // namespace
