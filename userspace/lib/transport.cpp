/* SPDX-License-Identifier: GPL-2.0-only */
#include "transport.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace kext::transport {

int open_node(const char *path, int flags)
{
	for (;;) {
		const int fd = ::open(path, flags | O_CLOEXEC | O_NOCTTY);
		if (fd >= 0)
			return fd;
		if (errno != EINTR)
			return -errno;
	}
}

int open_node(const char *path)
{
	return open_node(path, O_RDWR);
}

void close_node(int fd)
{
	/* On Linux the descriptor is gone whatever close returns: never repeat it. */
	(void)::close(fd);
}

int call(int fd, unsigned long request, void *argument, OnSignal on_signal)
{
	for (;;) {
		if (::ioctl(fd, request, argument) >= 0)
			return 0;
		if (errno != EINTR || on_signal == OnSignal::Return)
			return -errno;
	}
}

} // namespace kext::transport
