// SPDX-License-Identifier: GPL-2.0-only
#include "kit.hpp"

#include <sched.h>

extern "C" char __executable_start;
extern "C" char etext;

namespace kmdf_test {

// ---- waiting in real time

void until(const std::function<bool()> &condition, const char *what)
{
	auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);

	for (u32 tries = 0; !condition(); tries++) {
		if (std::chrono::steady_clock::now() > end)
			fake::bug("in vain: until %s", what);
		if (tries < 100)
			sched_yield();
		else
			std::this_thread::sleep_for(std::chrono::microseconds(50));
	}
}

void a_while()
{
	std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

void Mail::push(WDFREQUEST request)
{
	std::lock_guard lock(mutex_);

	requests_.push_back(request);
	total_++;
	changed_.notify_all();
}

WDFREQUEST Mail::take()
{
	std::unique_lock lock(mutex_);

	if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !requests_.empty(); }))
		fake::bug("in vain: no request comes");
	WDFREQUEST request = requests_.front();

	requests_.pop_front();
	return request;
}

size_t Mail::waiting() const
{
	std::lock_guard lock(mutex_);

	return requests_.size();
}

// ---- contexts

namespace {

struct QueueContext {
	Queue *queue;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QueueContext, queue_context)

struct DriverContext {
	Driver *driver;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(DriverContext, driver_context)

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(RequestContext, request_context)

Queue &queue_of(WDFQUEUE handle)
{
	return *queue_context(handle)->queue;
}

Driver &driver_of(WDFOBJECT handle)
{
	return *driver_context(handle)->driver;
}

// Requests say nothing of their device: the driver whose requests have a context.
std::atomic<Driver *> of_requests;

// ---- a queue's callbacks

void evt_default(WDFQUEUE queue, WDFREQUEST request)
{
	Queue &q = queue_of(queue);

	if (q.on_io)
		q.on_io(request);
	else
		q.arrived.push(request);
}

void evt_read(WDFQUEUE queue, WDFREQUEST request, size_t length)
{
	queue_of(queue).on_read(request, length);
}

void evt_write(WDFQUEUE queue, WDFREQUEST request, size_t length)
{
	queue_of(queue).on_write(request, length);
}

void evt_control(WDFQUEUE queue, WDFREQUEST request, size_t out, size_t in, ULONG code)
{
	queue_of(queue).on_control(request, out, in, code);
}

void evt_canceled_on_queue(WDFQUEUE queue, WDFREQUEST request)
{
	queue_of(queue).on_canceled_on_queue(request);
}

void evt_stop(WDFQUEUE queue, WDFREQUEST request, ULONG flags)
{
	queue_of(queue).on_stop(request, flags);
}

void evt_resume(WDFQUEUE queue, WDFREQUEST request)
{
	queue_of(queue).on_resume(request);
}

} // namespace

void evt_cancel(WDFREQUEST request)
{
	Queue &q = queue_of(WdfRequestGetIoQueue(request));

	q.cancelled.push(request);
	if (q.on_cancel)
		q.on_cancel(request);
	else
		WdfRequestComplete(request, STATUS_CANCELLED);
}

Queue::Queue(WDF_IO_QUEUE_DISPATCH_TYPE type, bool is_default)
{
	if (is_default)
		WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, type);
	else
		WDF_IO_QUEUE_CONFIG_INIT(&config, type);
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QueueContext);
}

NTSTATUS Queue::make(WDFDEVICE device)
{
	bool others = on_read || on_write || on_control;

	config.EvtIoDefault = on_io || (!others && config.DispatchType != WdfIoQueueDispatchManual) ? evt_default :
												      nullptr;
	config.EvtIoRead = on_read ? evt_read : nullptr;
	config.EvtIoWrite = on_write ? evt_write : nullptr;
	config.EvtIoDeviceControl = on_control ? evt_control : nullptr;
	config.EvtIoCanceledOnQueue = on_canceled_on_queue ? evt_canceled_on_queue : nullptr;
	config.EvtIoStop = on_stop ? evt_stop : nullptr;
	config.EvtIoResume = on_resume ? evt_resume : nullptr;
	NTSTATUS status = WdfIoQueueCreate(device, &config, &attributes, &handle);

	if (NT_SUCCESS(status))
		queue_context(handle)->queue = this;
	return status;
}

NTSTATUS Queue::mark(WDFREQUEST request)
{
	return WdfRequestMarkCancelableEx(request, evt_cancel);
}

void Queue::mark_plain(WDFREQUEST request)
{
	WdfRequestMarkCancelable(request, evt_cancel);
}

WDFREQUEST Queue::retrieve()
{
	WDFREQUEST request;
	NTSTATUS status = WdfIoQueueRetrieveNextRequest(handle, &request);

	if (!NT_SUCCESS(status))
		fake::bug("RetrieveNextRequest: %08x", static_cast<u32>(status));
	return request;
}

ULONG Queue::queued() const
{
	ULONG count;

	WdfIoQueueGetState(handle, &count, nullptr);
	return count;
}

ULONG Queue::owned() const
{
	ULONG count;

	WdfIoQueueGetState(handle, nullptr, &count);
	return count;
}

ULONG Queue::bits() const
{
	return WdfIoQueueGetState(handle, nullptr, nullptr);
}

// ---- a driver

namespace {

NTSTATUS evt_add(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
	return driver_of(driver).add(init);
}

void evt_unload(WDFDRIVER driver)
{
	if (driver_of(driver).in_unload)
		driver_of(driver).in_unload();
}

void evt_file_create(WDFDEVICE device, WDFREQUEST request, WDFFILEOBJECT file)
{
	driver_of(device).on_create(request, file);
}

void evt_file_close(WDFFILEOBJECT file)
{
	driver_of(WdfFileObjectGetDevice(file)).on_close(file);
}

void evt_file_cleanup(WDFFILEOBJECT file)
{
	driver_of(WdfFileObjectGetDevice(file)).on_cleanup(file);
}

void evt_in_caller_context(WDFDEVICE device, WDFREQUEST request)
{
	driver_of(device).in_caller_context(request);
}

void evt_request_cleanup(WDFOBJECT request)
{
	Driver *driver = of_requests;

	if (driver && driver->on_request_cleanup)
		driver->on_request_cleanup(static_cast<WDFREQUEST>(request));
}

void evt_request_destroy(WDFOBJECT request)
{
	Driver *driver = of_requests;

	if (driver && driver->on_request_destroy)
		driver->on_request_destroy(static_cast<WDFREQUEST>(request));
}

} // namespace

RequestContext *context_of(WDFOBJECT request)
{
	return request_context(request);
}

Driver::Driver(const std::string &name) : name_(name)
{
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, DriverContext);
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&device_attributes, DriverContext);
	WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
}

Driver::~Driver()
{
	unload();
}

NTSTATUS Driver::driver_entry(DRIVER_OBJECT *object, UNICODE_STRING *path)
{
	return static_cast<Glue *>(object->KmdfGlue)->driver->entry(object, path);
}

NTSTATUS Driver::entry(DRIVER_OBJECT *object, UNICODE_STRING *path)
{
	WDF_DRIVER_CONFIG config;

	WDF_DRIVER_CONFIG_INIT(&config, evt_add);
	config.EvtDriverUnload = evt_unload;
	NTSTATUS status = WdfDriverCreate(object, path, &attributes, &config, &handle);

	if (!NT_SUCCESS(status))
		return status;
	driver_context(handle)->driver = this;
	return in_entry ? in_entry(handle) : STATUS_SUCCESS;
}

NTSTATUS Driver::add(PWDFDEVICE_INIT init)
{
	WDF_FILEOBJECT_CONFIG files;
	WDF_OBJECT_ATTRIBUTES requests;
	WDFDEVICE made;

	WDF_FILEOBJECT_CONFIG_INIT(&files, on_create ? evt_file_create : nullptr, on_close ? evt_file_close : nullptr,
				   on_cleanup ? evt_file_cleanup : nullptr);
	WdfDeviceInitSetFileObjectConfig(init, &files, nullptr);
	WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
	WdfDeviceInitSetExclusive(init, exclusive);
	if (with_request_context) {
		WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&requests, RequestContext);
		requests.EvtCleanupCallback = evt_request_cleanup;
		requests.EvtDestroyCallback = evt_request_destroy;
		WdfDeviceInitSetRequestAttributes(init, &requests);
		of_requests = this;
	}
	if (in_caller_context)
		WdfDeviceInitSetIoInCallerContextCallback(init, evt_in_caller_context);
	NTSTATUS status = WdfDeviceCreate(&init, &device_attributes, &made);

	if (!NT_SUCCESS(status))
		return status;
	device = made;
	driver_context(made)->driver = this;
	if (!node.empty()) {
		std::u16string text(node.begin(), node.end());
		UNICODE_STRING link;

		RtlInitUnicodeString(&link, text.c_str());
		status = WdfDeviceCreateSymbolicLink(made, &link);
	}
	for (Queue *queue : queues)
		if (NT_SUCCESS(status))
			status = queue->make(made);
	if (NT_SUCCESS(status) && in_add)
		status = in_add(made);
	return status;
}

int Driver::load(unsigned int instances)
{
	unsigned long text = reinterpret_cast<unsigned long>(&__executable_start);

	fake::init_module(module, name_.c_str(), text, reinterpret_cast<unsigned long>(&etext) - text);
	glue_ = {{&module, module.name, driver_entry, nullptr, nullptr}, this};
	int err = kmdf_driver_init(&glue_.glue, instances);

	if (err) {
		of_requests = nullptr;
		module.state = ::module::Unloaded;
		return err;
	}
	fake::module_is_live(module);
	loaded_ = true;
	return 0;
}

void Driver::must_load()
{
	int err = load();

	if (err)
		fake::bug("insmod %s: %d", name_.c_str(), err);
}

namespace {

// A driver whose objects do not go is reported when its time is over: as long as one of these lives, that comes soon. The
// thread is one for all, as the fuzzers unload thousands.
class Impatience {
	struct Watch {
		std::mutex mutex;
		std::condition_variable changed;
		std::set<std::chrono::steady_clock::time_point> ends;

		Watch()
		{
			std::thread([this] { run(); }).detach();
		}
		void run()
		{
			std::unique_lock lock(mutex);

			for (;;) {
				if (ends.empty()) {
					changed.wait(lock);
					continue;
				}
				auto first = *ends.begin(); // which may leave while it is waited for

				if (first > std::chrono::steady_clock::now()) {
					changed.wait_until(lock, first);
				} else {
					ends.erase(first);
					lock.unlock();
					fake::jump_ms(60000);
					lock.lock();
				}
			}
		}
	};
	Watch &watch_ = fake::immortal<Watch>();
	std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::seconds(10);

      public:
	Impatience()
	{
		std::lock_guard lock(watch_.mutex);

		while (!watch_.ends.insert(end_).second)
			end_ += std::chrono::nanoseconds(1);
		watch_.changed.notify_all();
	}
	~Impatience()
	{
		std::lock_guard lock(watch_.mutex);

		watch_.ends.erase(end_);
	}
};

} // namespace

void Driver::unload()
{
	if (!loaded_)
		return;
	loaded_ = false;
	Impatience impatience;
	int err = fake::delete_module(module, false, [&] { kmdf_driver_exit(&glue_.glue); });
	if (err)
		fake::bug("rmmod %s: %d", name_.c_str(), err);
	if (of_requests == this)
		of_requests = nullptr;
}

const char *Driver::node_name() const
{
	static thread_local std::string last;

	last = node.empty() ? name_ + "0" : node.substr(node.rfind('\\') + 1);
	return last.c_str();
}

// ---- programs

File::File(Driver &driver, bool may_fail)
{
	file.mode = SHIM_FMODE_READ | SHIM_FMODE_WRITE;
	error_ = fake::open_node(driver.node_name(), &data_);
	if (error_)
		data_ = nullptr;
	if (error_ && !may_fail)
		fake::bug("open of %s: %d", driver.node_name(), error_);
}

void File::hold()
{
	file.refs.fetch_add(1);
}

void File::drop()
{
	if (file.refs.fetch_sub(1) != 1)
		return;
	kmdf_release_c(data_);
	released_ = true;
}

// Who has the last reference to the description may be a worker.
File::~File()
{
	if (!data_)
		return;
	close();
	until([&] { return released_.load(); }, "a file is released");
}

void File::close()
{
	if (!data_ || closed_)
		return;
	closed_ = true;
	kmdf_flush_c(&file, data_);
	drop();
}

s64 File::read(size_t bytes, std::string *data, s64 pos)
{
	std::vector<char> buffer(bytes + 1);
	iov_iter to = {fake::user(buffer.data()), bytes};
	kiocb iocb;
	s64 result = kmdf_read_c(&iocb, &file, data_, &to, bytes, pos);

	if (data)
		data->assign(buffer.data(), bytes - to.left);
	return result;
}

s64 File::write(const std::string &data, s64 pos)
{
	iov_iter from = {fake::user(data.data()), data.size()};
	kiocb iocb;

	return kmdf_write_c(&iocb, &file, data_, &from, data.size(), pos);
}

long File::ioctl(unsigned int cmd, void *arguments)
{
	return kmdf_ioctl_c(&file, data_, cmd, fake::user(arguments));
}

IoctlResult File::control(ULONG code, const std::string &in, size_t out, u64 tag)
{
	std::vector<char> buffer(out + 1, '#');
	kmdf_device_control arguments = {};

	arguments.size = sizeof(arguments);
	arguments.code = code;
	arguments.in = fake::user(in.data());
	arguments.in_length = static_cast<u32>(in.size());
	arguments.out = fake::user(buffer.data());
	arguments.out_length = static_cast<u32>(out);
	arguments.tag = tag;
	s64 error = ioctl(KMDF_IOC_DEVICE_CONTROL, &arguments);

	return {error, arguments.status, arguments.information, {buffer.data(), out}};
}

kmdf_cancel File::cancel(u32 what, u64 tag)
{
	kmdf_cancel arguments = {};

	arguments.size = sizeof(arguments);
	arguments.what = what;
	arguments.tag = tag;
	if (long err = ioctl(KMDF_IOC_CANCEL, &arguments))
		fake::bug("KMDF_IOC_CANCEL: %ld", err);
	return arguments;
}

kmdf_last_status File::last_status()
{
	kmdf_last_status arguments = {};

	arguments.size = sizeof(arguments);
	if (long err = ioctl(KMDF_IOC_LAST_STATUS, &arguments))
		fake::bug("KMDF_IOC_LAST_STATUS: %ld", err);
	return arguments;
}

unsigned int File::poll()
{
	return kmdf_poll_c(&file, data_, nullptr);
}

Call::Call(const std::function<s64(Call &)> &what)
	: thread_([this, what] {
		  tid_ = fake::tid();
		  task_ = &fake::current();
		  result_ = what(*this);
		  finished_ = true;
		  std::unique_lock lock(mutex_);

		  // Its task is looked at until then.
		  leave_.wait(lock, [&] { return may_leave_; });
	  })
{
}

Call Call::read(File &file, size_t bytes)
{
	return Call([&file, bytes](Call &self) { return file.read(bytes, &self.data_); });
}

Call Call::write(File &file, const std::string &data)
{
	return Call([&file, data](Call &) { return file.write(data); });
}

Call Call::control(File &file, ULONG code, const std::string &in, size_t out, u64 tag)
{
	return Call([&file, code, in, out, tag](Call &self) {
		self.control_ = file.control(code, in, out, tag);
		self.data_ = self.control_.data;
		return self.control_.error;
	});
}

fake::Task &Call::task()
{
	until([&] { return task_.load() != nullptr; }, "a thread has begun");
	return *task_;
}

int Call::tid()
{
	task();
	return tid_;
}

s64 Call::result()
{
	if (thread_.joinable()) {
		{
			std::lock_guard lock(mutex_);

			may_leave_ = true;
			leave_.notify_all();
		}
		thread_.join();
	}
	return result_;
}

s64 Aio::submit(const std::function<s64()> &what)
{
	iocb_.filp = &file_.file;
	iocb_.aio = true;
	iocb_.complete = [this](s64 result) {
		File &file = file_;
		{
			std::lock_guard lock(mutex_);

			done_ = true;
			result_ = result;
			changed_.notify_all();
		}
		// As the kernel: whoever waits may have gone on, and even closed it.
		file.drop();
	};
	file_.hold();
	fake::current().process = process_;
	s64 result = what();

	fake::current().process = nullptr;

	if (result != kQueued) {
		{
			std::lock_guard lock(mutex_);

			done_ = true;
			result_ = result;
		}
		file_.drop();
	}
	return result;
}

s64 Aio::read(size_t bytes)
{
	buffer_.assign(bytes, 0);
	iter_ = {fake::user(buffer_.data()), bytes};
	return submit([&] { return kmdf_read_c(&iocb_, &file_.file, file_.data(), &iter_, bytes, 0); });
}

s64 Aio::write(const std::string &data)
{
	buffer_.assign(data.begin(), data.end());
	iter_ = {fake::user(buffer_.data()), data.size()};
	return submit([&] { return kmdf_write_c(&iocb_, &file_.file, file_.data(), &iter_, data.size(), 0); });
}

void Aio::submit_read(size_t bytes)
{
	s64 result = read(bytes);

	if (result != kQueued)
		fake::bug("io_submit: %lld", result);
}

void Aio::submit_write(const std::string &data)
{
	s64 result = write(data);

	if (result != kQueued)
		fake::bug("io_submit: %lld", result);
}

bool Aio::finished() const
{
	std::lock_guard lock(mutex_);

	return done_;
}

s64 Aio::wait()
{
	std::unique_lock lock(mutex_);

	if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return done_; }))
		fake::bug("in vain: an asynchronous request does not end");
	return result_;
}

Aio::~Aio()
{
	if (iocb_.aio)
		wait();
}

// ---- all of it

pid &new_process()
{
	static std::atomic<int> last{5000};

	return fake::process(++last);
}

void check_invariants(bool quiet)
{
	EXPECT_STREQ(host_kmdf_check_invariants(quiet), nullptr);
}

Listing list()
{
	Listing listing;
	std::vector<char> buffer(1 << 16);
	kmdf_list arguments = {};
	long err;

	for (;;) {
		arguments.size = sizeof(arguments);
		arguments.buffer = fake::user(buffer.data());
		arguments.buffer_size = static_cast<u32>(buffer.size());
		err = kmdf_control_ioctl_c(KMDF_IOC_LIST, fake::user(&arguments));
		if (err != -SHIM_ENOBUFS)
			break;
		buffer.resize(arguments.used);
	}
	if (err)
		fake::bug("KMDF_IOC_LIST: %ld", err);
	for (u32 at = 0; at < arguments.used;) {
		kmdf_record record;

		memcpy(&record, buffer.data() + at, sizeof(record));
		auto add = [&](auto &list) {
			list.emplace_back();
			if (record.size != sizeof(list.back()))
				fake::bug("a record of %u bytes", record.size);
			memcpy(&list.back(), buffer.data() + at, record.size);
		};

		if (record.kind == KMDF_RECORD_DEVICE)
			add(listing.devices);
		else if (record.kind == KMDF_RECORD_QUEUE)
			add(listing.queues);
		else
			add(listing.requests);
		at += record.size;
	}
	return listing;
}

long cancel_request(u64 id, u32 *state)
{
	kmdf_cancel_request arguments = {};

	arguments.size = sizeof(arguments);
	arguments.id = id;
	long err = kmdf_control_ioctl_c(KMDF_IOC_CANCEL_REQUEST, fake::user(&arguments));

	if (state)
		*state = arguments.state;
	return err;
}

u64 Kmdf::reports(const char *rule)
{
	u64 count = host_kmdf_broken(rule);

	if (count == ~0ull)
		fake::bug("there is no rule %s", rule);
	asked_.insert(rule);
	return count;
}

void Kmdf::SetUp()
{
	fake::reset_kmdf();
	fake::reset();
	fake::be_io_worker(false);
	host_kmdf_reset();
	int err = kmdf_core_init_c();

	ASSERT_EQ(err, 0);
}

void Kmdf::TearDown()
{
	fake::fail_allocation(0);
	fake::fail_user_copy(0);
	fake::let_softirq_in(false);
	fake::settle();
	check_invariants(true);
	EXPECT_EQ(host_kmdf_drivers(), 0u) << "a driver is left";
	for (int i = 0; const char *rule = host_kmdf_rule(i); i++)
		EXPECT_TRUE(asked_.count(rule) || !host_kmdf_broken(rule)) << "unexpected report: " << rule;
	if (HasFailure())
		for (const std::string &line : fake::log())
			printf("log: %s\n", line.c_str());
	kmdf_core_exit_c();
	fake::Live left = fake::live();

	EXPECT_EQ(left.allocations, 0) << "memory leaked";
	// What was never handed out goes without its count being dropped.
	EXPECT_TRUE(memory_was_short_ || !left.krefs) << "references leaked: " << left.krefs;
	EXPECT_EQ(left.file_refs, 0) << "files leaked";
	EXPECT_EQ(left.pid_refs, 0) << "pids leaked";
	EXPECT_EQ(left.sleepers, 0) << "threads still sleep";
	EXPECT_EQ(fake::kernel_timers(), 0u) << "a timer is still armed";
	EXPECT_EQ(fake::nodes(), 0u) << "a node is left";
	EXPECT_EQ(fake::workqueues(), 0u) << "a workqueue is left";
	EXPECT_EQ(fake::atomic_depth(), 0) << "a lock is held";
}

} // namespace kmdf_test
