/* SPDX-License-Identifier: GPL-2.0-only */
/* A file descriptor with one owner. For our own programs; not installed. */
#pragma once

#include <unistd.h>
#include <utility>

namespace kext {

class UniqueFd {
      public:
	UniqueFd() = default;
	explicit UniqueFd(int fd) : fd_(fd) {}
	UniqueFd(UniqueFd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
	UniqueFd &operator=(UniqueFd &&other) noexcept
	{
		reset(std::exchange(other.fd_, -1));
		return *this;
	}
	UniqueFd(const UniqueFd &) = delete;
	UniqueFd &operator=(const UniqueFd &) = delete;
	~UniqueFd() { reset(); }

	explicit operator bool() const { return fd_ >= 0; }
	int get() const { return fd_; }
	int release() { return std::exchange(fd_, -1); }

	/* Linux frees the descriptor whatever close returns. */
	void reset(int fd = -1)
	{
		if (fd_ >= 0)
			(void)::close(fd_);
		fd_ = fd;
	}

      private:
	int fd_ = -1;
};

} // namespace kext
