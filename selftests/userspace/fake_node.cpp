/* SPDX-License-Identifier: GPL-2.0-only */
#include "fake_node.hpp"

#include <cerrno>
#include <cstdarg>
#include <map>
#include <mutex>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

std::mutex mutex;
std::map<int, FakeNode *> nodes;

FakeNode *node_of(int fd)
{
	const std::lock_guard lock(mutex);
	const auto found = nodes.find(fd);
	return found == nodes.end() ? nullptr : found->second;
}

} // namespace

void answer_calls(int fd, FakeNode *node)
{
	const std::lock_guard lock(mutex);
	if (node)
		nodes[fd] = node;
	else
		nodes.erase(fd);
}

/* Of the whole program: what is no node of a test goes to the kernel. */
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept
{
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	FakeNode *node = node_of(fd);
	if (!node)
		return static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
	const int error = node->call(request, argument);
	errno = -error;
	return error ? -1 : 0;
}
