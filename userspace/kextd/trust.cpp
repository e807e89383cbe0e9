/* SPDX-License-Identifier: GPL-2.0-only */
#include "trust.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kext {

int open_component(int directory, const char *name, int flags, Reach reach)
{
	open_how how{};
	how.flags = static_cast<__u64>(flags | O_CLOEXEC | O_NOFOLLOW);
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
	if (reach == Reach::CachedOnly)
		how.resolve |= RESOLVE_CACHED;

	for (int tries = 0;; tries++) {
		const long fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));
		if (fd >= 0)
			return static_cast<int>(fd);
		/* EAGAIN without RESOLVE_CACHED: a rename raced with the walk. */
		const bool raced = errno == EAGAIN && reach == Reach::Anywhere && tries < 8;
		if (errno != EINTR && !raced)
			return -errno;
	}
}

const char *distrust(const struct stat &status)
{
	if (status.st_uid != 0)
		return "is not owned by root";
	if (status.st_gid != 0)
		return "does not belong to group root";
	if (!S_ISLNK(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)))
		return "is writable for others than root";
	return nullptr;
}

Stamp Stamp::of(const struct stat &status)
{
	return {true, status.st_dev, status.st_ino, status.st_ctim};
}

Stamp Stamp::at(int directory, const char *path)
{
	struct stat status {};
	return fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? of(status) : Stamp();
}

bool Stamp::operator==(const Stamp &other) const
{
	return exists == other.exists && device == other.device && inode == other.inode &&
	       changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
}

} // namespace kext
