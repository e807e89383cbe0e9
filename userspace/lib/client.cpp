/* SPDX-License-Identifier: GPL-2.0-only */
/* The client's side: /dev/kextbridge. */
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <poll.h>

#include "kextbridge.h"
#include "transport.hpp"

using kext::transport::call;
using kext::transport::OnSignal;

struct kextbridge {
	int fd;
};

namespace {

template <typename T> T sized()
{
	T argument{};
	argument.size = sizeof(T);
	return argument;
}

template <typename T> __u64 address(const T *pointer)
{
	return reinterpret_cast<uintptr_t>(pointer);
}

int64_t now_ms()
{
	timespec now{};
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

/* The kernel writes NULs; a node that is not the kernel's must not make a reader run on. */
void terminate(kextbridge_kext &kext)
{
	kext.identifier[sizeof(kext.identifier) - 1] = '\0';
	kext.version[sizeof(kext.version) - 1] = '\0';
	kext.module[sizeof(kext.module) - 1] = '\0';
}

int tag_call(kextbridge *kb, unsigned long request, uint32_t tag, uint32_t flags, OSReturn *result)
{
	if (!kb || !result)
		return -EINVAL;
	auto argument = sized<kextbridge_tag>();
	argument.tag = tag;
	argument.flags = flags;
	const int error = call(kb->fd, request, &argument, OnSignal::Repeat);
	if (!error)
		*result = argument.result;
	return error;
}

/* One RESULT call that does not sleep. -ENOENT: no such request. */
int result_call(kextbridge *kb, kextbridge_result &argument)
{
	argument.flags |= KEXTBRIDGE_RESULT_NOWAIT;
	const int error = call(kb->fd, KEXTBRIDGE_IOC_RESULT, &argument, OnSignal::Repeat);
	if (error)
		return error;
	return argument.status == kOSReturnSuccess ? 0 : -ENOENT;
}

int wait_for_input(int fd, int64_t timeout_ms)
{
	pollfd waiter{fd, POLLIN, 0};
	const int ready = poll(&waiter, 1, timeout_ms > INT32_MAX ? INT32_MAX : static_cast<int>(timeout_ms));
	if (ready < 0)
		return -errno;
	if (ready > 0 && (waiter.revents & (POLLERR | POLLNVAL)))
		return -EIO;
	return ready;
}

} // namespace

extern "C" {

int kextbridge_open(const char *path, struct kextbridge **out)
{
	if (!out)
		return -EINVAL;
	const int fd = kext::transport::open_node(path ? path : KEXTBRIDGE_DEVICE);
	if (fd < 0)
		return fd;
	auto *kb = static_cast<kextbridge *>(malloc(sizeof(kextbridge)));
	if (!kb) {
		kext::transport::close_node(fd);
		return -ENOMEM;
	}
	kb->fd = fd;
	*out = kb;
	return 0;
}

void kextbridge_close(struct kextbridge *kb)
{
	if (!kb)
		return;
	kext::transport::close_node(kb->fd);
	free(kb);
}

int kextbridge_fd(const struct kextbridge *kb)
{
	return kb->fd;
}

int kextbridge_get_status(struct kextbridge *kb, struct kextbridge_status *status)
{
	if (!kb || !status)
		return -EINVAL;
	*status = sized<struct kextbridge_status>();
	return call(kb->fd, KEXTBRIDGE_IOC_STATUS, status, OnSignal::Repeat);
}

int kextbridge_list_kexts(struct kextbridge *kb, uint32_t from, struct kextbridge_kext *kexts, uint32_t count,
			  uint32_t *total)
{
	if (!kb || (!kexts && count) || count > INT32_MAX)
		return -EINVAL;
	auto argument = sized<kextbridge_list>();
	argument.kexts = address(kexts);
	argument.count = count;
	argument.from = from;
	const int error = call(kb->fd, KEXTBRIDGE_IOC_LIST, &argument, OnSignal::Repeat);
	if (error)
		return error;
	if (argument.count > count)
		return -EPROTO;
	for (uint32_t i = 0; i < argument.count; i++)
		terminate(kexts[i]);
	if (total)
		*total = argument.total;
	return static_cast<int>(argument.count);
}

int kextbridge_find_kext(struct kextbridge *kb, const char *identifier, struct kextbridge_kext *kext)
{
	if (!kb || !identifier || !kext)
		return -EINVAL;
	kextbridge_kext page[16];
	uint32_t from = 0;
	for (;;) {
		const int count = kextbridge_list_kexts(kb, from, page, 16, nullptr);
		if (count < 0)
			return count;
		if (count == 0)
			return -ENOENT;
		for (int i = 0; i < count; i++) {
			if (strcmp(page[i].identifier, identifier) == 0) {
				*kext = page[i];
				return 0;
			}
		}
		const uint32_t last = page[count - 1].load_tag;
		if (last < from || last == UINT32_MAX)
			return -ENOENT;
		from = last + 1;
	}
}

int kextbridge_delay_autounload(struct kextbridge *kb)
{
	if (!kb)
		return -EINVAL;
	/* With room for nothing it only delays. */
	auto argument = sized<kextbridge_list>();
	argument.flags = KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD;
	return call(kb->fd, KEXTBRIDGE_IOC_LIST, &argument, OnSignal::Repeat);
}

int kextbridge_list_load_requests(struct kextbridge *kb, uint32_t from, char (*identifiers)[KEXTBRIDGE_IDENTIFIER_SIZE],
				  uint32_t count, uint32_t *total)
{
	if (!kb || (!identifiers && count) || count > INT32_MAX)
		return -EINVAL;
	auto argument = sized<kextbridge_load_requests>();
	argument.identifiers = address(identifiers);
	argument.count = count;
	argument.from = from;
	const int error = call(kb->fd, KEXTBRIDGE_IOC_LOAD_REQUESTS, &argument, OnSignal::Repeat);
	if (error)
		return error;
	if (argument.count > count)
		return -EPROTO;
	for (uint32_t i = 0; i < argument.count; i++)
		identifiers[i][KEXTBRIDGE_IDENTIFIER_SIZE - 1] = '\0';
	if (total)
		*total = argument.total;
	return static_cast<int>(argument.count);
}

int kextbridge_submit(struct kextbridge *kb, const char *identifier, const char *name,
		      const struct kextbridge_request_options *options, uint32_t *tag, OSReturn *result)
{
	if (!kb || !identifier || !name || !result)
		return -EINVAL;
	auto argument = sized<kextbridge_request>();
	const size_t identifier_length = strlen(identifier);
	const size_t name_length = strlen(name);
	if (identifier_length > UINT32_MAX || name_length > UINT32_MAX)
		return -EINVAL;
	argument.identifier = address(identifier);
	argument.identifier_size = static_cast<__u32>(identifier_length);
	argument.name = address(name);
	argument.name_size = static_cast<__u32>(name_length);
	if (options) {
		for (const uint32_t reserved : options->reserved) {
			if (reserved)
				return -EINVAL;
		}
		argument.flags = options->flags;
		argument.timeout_ms = options->timeout_ms;
		argument.max_length = options->max_length;
	}
	const int error = call(kb->fd, KEXTBRIDGE_IOC_REQUEST, &argument, OnSignal::Repeat);
	if (error)
		return error;
	*result = argument.result;
	if (tag && argument.result == kOSReturnSuccess)
		*tag = argument.tag;
	return 0;
}

int kextbridge_result_wait(struct kextbridge *kb, uint32_t tag, int timeout_ms, struct kextbridge_outcome *outcome)
{
	if (!kb || !outcome)
		return -EINVAL;
	auto argument = sized<kextbridge_result>();
	argument.tag = tag;
	int error;
	if (timeout_ms < 0) {
		error = call(kb->fd, KEXTBRIDGE_IOC_RESULT, &argument, OnSignal::Return);
		if (!error && argument.status != kOSReturnSuccess)
			error = -ENOENT;
	} else {
		/*
		 * The node is readable while any request of this handle has a result, which may be another
		 * one than `tag`; then poll would not sleep, so the wait is cut into short naps.
		 */
		const int64_t end = now_ms() + timeout_ms;
		for (;;) {
			argument.flags = 0;
			argument.tag = tag;
			error = result_call(kb, argument);
			const int64_t left = end - now_ms();
			if (error != -EAGAIN || left <= 0)
				break;
			const int ready = wait_for_input(kb->fd, left);
			if (ready < 0)
				return ready;
			if (ready > 0 && tag != KEXTBRIDGE_ANY_TAG) {
				error = result_call(kb, argument);
				if (error != -EAGAIN)
					break;
				const int slept = poll(nullptr, 0, left < 5 ? static_cast<int>(left) : 5);
				if (slept < 0)
					return -errno;
			}
		}
	}
	if (error)
		return error;
	outcome->tag = argument.tag;
	outcome->result = argument.outcome;
	outcome->length = argument.length;
	outcome->flags = argument.out_flags;
	return 0;
}

int64_t kextbridge_result_read(struct kextbridge *kb, uint32_t tag, uint32_t offset, void *buffer, uint32_t count)
{
	if (!kb || (!buffer && count) || tag == KEXTBRIDGE_ANY_TAG)
		return -EINVAL;
	auto argument = sized<kextbridge_result>();
	argument.tag = tag;
	argument.data = address(buffer);
	argument.offset = offset;
	argument.count = count;
	const int error = result_call(kb, argument);
	if (error)
		return error;
	return argument.count > count ? -EPROTO : int64_t{argument.count};
}

int kextbridge_result_release(struct kextbridge *kb, uint32_t tag)
{
	if (!kb || tag == KEXTBRIDGE_ANY_TAG)
		return -EINVAL;
	auto argument = sized<kextbridge_result>();
	argument.tag = tag;
	argument.flags = KEXTBRIDGE_RESULT_RELEASE;
	return result_call(kb, argument);
}

int kextbridge_cancel(struct kextbridge *kb, uint32_t tag, OSReturn *result)
{
	return tag_call(kb, KEXTBRIDGE_IOC_CANCEL, tag, 0, result);
}

int kextbridge_retain_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result)
{
	return tag_call(kb, KEXTBRIDGE_IOC_RETAIN, load_tag, 0, result);
}

int kextbridge_release_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result)
{
	return tag_call(kb, KEXTBRIDGE_IOC_RELEASE, load_tag, 0, result);
}

int kextbridge_load_kext(struct kextbridge *kb, const char *identifier, uint32_t flags, OSReturn *result)
{
	if (!kb || !identifier || !result)
		return -EINVAL;
	const size_t length = strlen(identifier);
	if (length > UINT32_MAX)
		return -EINVAL;
	auto argument = sized<struct kextbridge_load>();
	argument.flags = flags;
	argument.identifier = address(identifier);
	argument.identifier_size = static_cast<__u32>(length);
	const int error = call(kb->fd, KEXTBRIDGE_IOC_LOAD, &argument, OnSignal::Repeat);
	if (!error)
		*result = argument.result;
	return error;
}

int kextbridge_unload_kext(struct kextbridge *kb, uint32_t load_tag, uint32_t flags, OSReturn *result)
{
	return tag_call(kb, KEXTBRIDGE_IOC_UNLOAD, load_tag, flags, result);
}

int kextbridge_stop_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result)
{
	return kextbridge_unload_kext(kb, load_tag, KEXTBRIDGE_UNLOAD_STOP_ONLY, result);
}

int kextbridge_start_kext(struct kextbridge *kb, uint32_t load_tag, OSReturn *result)
{
	if (!kb || !result)
		return -EINVAL;
	kextbridge_kext kext;
	const int count = kextbridge_list_kexts(kb, load_tag, &kext, 1, nullptr);
	if (count < 0)
		return count;
	*result = kOSKextReturnNotFound;
	if (count == 0 || kext.load_tag != load_tag)
		return 0;
	/* The kernel has no start by load tag: what is loaded and not started, a load starts. */
	switch (kext.state) {
	case KEXT_STATE_STOPPING:
	case KEXT_STATE_STOPPED:
		*result = kOSKextReturnStopping;
		return 0;
	default:
		return kextbridge_load_kext(kb, kext.identifier, 0, result);
	}
}

} // extern "C"
