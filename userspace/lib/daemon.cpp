/* SPDX-License-Identifier: GPL-2.0-only */
/* The daemon's side: /dev/kextd. */
#include <cerrno>
#include <cstdlib>

#include "kextbridge.h"
#include "transport.hpp"

struct kextbridge_daemon {
	int fd;
};

extern "C" {

int kextbridge_daemon_open(const char *path, struct kextbridge_daemon **out)
{
	if (!out)
		return -EINVAL;
	const int fd = kext::transport::open_node(path ? path : KEXTBRIDGE_DAEMON_DEVICE);
	if (fd < 0)
		return fd;
	auto *daemon = static_cast<kextbridge_daemon *>(malloc(sizeof(kextbridge_daemon)));
	if (!daemon) {
		kext::transport::close_node(fd);
		return -ENOMEM;
	}
	daemon->fd = fd;
	*out = daemon;
	return 0;
}

void kextbridge_daemon_close(struct kextbridge_daemon *daemon)
{
	if (!daemon)
		return;
	kext::transport::close_node(daemon->fd);
	free(daemon);
}

int kextbridge_daemon_fd(const struct kextbridge_daemon *daemon)
{
	return daemon->fd;
}

int kextbridge_exchange(struct kextbridge_daemon *daemon, struct kextd_reply *replies, uint32_t reply_count,
			uint32_t *replies_done, struct kextbridge_batch *batch, uint32_t flags)
{
	if (replies_done)
		*replies_done = 0;
	if (!daemon || (!replies && reply_count) || (batch && !batch->buffer && batch->max_requests))
		return -EINVAL;

	kextd_exchange argument{};
	argument.size = sizeof(argument);
	argument.flags = flags;
	argument.replies = reinterpret_cast<uintptr_t>(replies);
	argument.reply_count = reply_count;
	if (batch) {
		argument.max_requests = batch->max_requests;
		argument.requests = reinterpret_cast<uintptr_t>(batch->buffer);
		argument.requests_size = batch->size;
	}

	const int error =
		kext::transport::call(daemon->fd, KEXTD_IOC_EXCHANGE, &argument, kext::transport::OnSignal::Return);
	/*
	 * The kernel writes its out fields back with 0, EFAULT and ENOBUFS. With any other error the field
	 * still holds what went in, and nothing has been taken.
	 */
	const bool written = error == 0 || error == -EFAULT || error == -ENOBUFS;
	if (replies_done && written)
		*replies_done = argument.reply_count < reply_count ? argument.reply_count : reply_count;
	if (!batch)
		return error;

	batch->used = 0;
	batch->count = 0;
	if (error == -ENOBUFS) {
		batch->used = argument.requests_used;
	} else if (error == 0) {
		if (argument.requests_used > batch->size || argument.request_count > batch->max_requests)
			return -EPROTO;
		batch->used = argument.requests_used;
		batch->count = argument.request_count;
	}
	return error;
}

} // extern "C"
