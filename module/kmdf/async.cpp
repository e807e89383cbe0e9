// SPDX-License-Identifier: GPL-2.0-only
// Clients that do not wait: io_submit(). The iocb is completed by a worker, never by the driver's completion, which may
// be in softirq, nor by io_cancel(), which holds a lock that the completion takes.
#include "client.hpp"
#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

static constinit lock_class_key complete_key = {};
static constinit lock_class_key cancel_key = {};

// How long a killed process may wait, if nobody tells of it.
constexpr u64 kLookNs = 100 * kNanosecondsPerMs;

AsyncClient::AsyncClient(kiocb *iocb, kmdf_pages *pages, Ref<Request> request)
	: iocb_(iocb), pages_(pages), request_(static_cast<Ref<Request> &&>(request)), process_(shim_get_current_tgid())
{
	complete_work_.init(complete_function, this, "kmdf_async", &complete_key);
	cancel_work_.init(cancel_function, this, "kmdf_cancel", &cancel_key);
}

void AsyncClient::destroy(AsyncClient *client)
{
	client->request_ = Ref<Request>();
	shim_put_pid(client->process_);
	shim_kfree(client);
}

bool AsyncClient::take()
{
	SpinGuard guard(core.lock);

	kept_node.unlink();
	return state_.take(IocbState::Pending, IocbState::Completed);
}

void AsyncClient::end(s64 result)
{
	if (pages_)
		shim_kmdf_unpin_pages(pages_);
	{
		SpinGuard guard(core.lock);

		request_->file->async--;
	}
	shim_ki_complete(iocb_, result);
}

// ---- completion

void AsyncClient::completed(Request &)
{
	complete_work_.queue(core.dispatcher);
}

void AsyncClient::complete_function(void *self)
{
	Ref<AsyncClient>::adopt(static_cast<AsyncClient *>(self))->complete();
}

void AsyncClient::complete()
{
	size_t copy = request_->bytes_back();
	s64 result = outcome(*request_);

	if (!take())
		return; // left behind
	if (copy && pages_ && shim_kmdf_copy_to_pages(pages_, request_->out_data, copy) != copy)
		result = -SHIM_EFAULT;
	end(result);
}

// ---- cancel

void AsyncClient::cancelled()
{
	get();
	if (!cancel_work_.queue(core.dispatcher))
		put(); // it was queued already
}

void AsyncClient::cancel_function(void *self)
{
	Ref<AsyncClient>::adopt(static_cast<AsyncClient *>(self))->cancel();
}

void AsyncClient::cancel()
{
	Request &request = *request_;
	u32 grace = read_once(kmdf_params.kill_grace_ms);

	cancel_request(request);
	// An io_destroy() waits for its requests; so would the end of the process.
	if (!process_gone()) {
		SpinGuard guard(core.lock);

		return keep_locked();
	}
	if (grace)
		request.done.wait_hrtimeout(
			[&] {
				SpinGuard guard(core.lock);

				return request.finished;
			},
			static_cast<s64>(grace * kNanosecondsPerMs), SHIM_TASK_UNINTERRUPTIBLE);
	{
		SpinGuard guard(core.lock);

		if (request.finished)
			return; // complete() is under way
		request.detached = true;
	}
	if (take())
		end(-SHIM_EINTR);
}

// The kernel cancels an iocb once. When the process is killed after an io_cancel(), or in an io_destroy(), which cannot
// be interrupted, nobody is told, and its end waits for the iocb.
void AsyncClient::keep_locked()
{
	if (request_->finished || kept_node.linked())
		return;
	if (core.kept.empty())
		core.kept_work.arm(core.dispatcher, kLookNs);
	core.kept.push_back(*this);
}

void look_for_killed_clients()
{
	SpinGuard guard(core.lock);
	AsyncClient *next;

	for (AsyncClient *client = core.kept.front(); client; client = next) {
		next = core.kept.next(*client);
		if (!client->process_gone())
			continue;
		client->kept_node.unlink();
		client->cancelled();
	}
	if (!core.kept.empty())
		core.kept_work.arm(core.dispatcher, kLookNs);
}

s64 submit_async(Ref<Request> request, kiocb *iocb, iov_iter *to)
{
	kmdf_pages *pages = nullptr;
	Request &made = *request;

	if (to && made.out_length) {
		pages = shim_kmdf_pin_pages(to, made.out_length);
		if (!pages)
			return -SHIM_EFAULT;
	}
	void *memory = shim_kzalloc(sizeof(AsyncClient), SHIM_GFP_KERNEL_ACCOUNT);

	if (!memory) {
		if (pages)
			shim_kmdf_unpin_pages(pages);
		return -SHIM_ENOMEM;
	}
	AsyncClient *client = new (Placement{memory}) AsyncClient(iocb, pages, Ref<Request>::retain(&made));

	made.client = client;
	{
		SpinGuard guard(core.lock);

		made.file->async++;
	}
	shim_kiocb_set_cancel_fn(iocb, client);
	made.get(); // OWNERSHIP: the one that finish() takes
	made.device->submit(made);
	return -SHIM_EIOCBQUEUED;
}

} // namespace kmdf

extern "C" void kmdf_aio_cancel_c(void *owner)
{
	static_cast<kmdf::AsyncClient *>(owner)->cancelled();
}
