/* SPDX-License-Identifier: GPL-2.0-only */
/* Opening what a bundle is made of, one path component at a time, and deciding whether it can be trusted. */
#pragma once

#include <string>
#include <sys/stat.h>

#include "../lib/unique_fd.hpp"

namespace kext {

/* Where a file may be looked for. */
enum class Reach {
	Anywhere,   /* the disk may be read for it */
	CachedOnly, /* only what the kernel has in memory: else EAGAIN */
};

/*
 * Opens the one component `name` of `directory`, without following a link, crossing a mount or leaving.
 * -errno on failure: ELOOP or ENOTDIR for a link.
 */
int open_component(int directory, const char *name, int flags, Reach reach);

/*
 * Why something of a bundle is not trusted: it must be owned by user 0 and group 0, and nobody else may
 * write to it. NULL: it is trusted.
 */
const char *distrust(const struct stat &status);

/* What a file was when it was looked at; any change of content, owner or mode gives another one. */
struct Stamp {
	bool exists = false;
	dev_t device = 0;
	ino_t inode = 0;
	timespec changed{};

	static Stamp of(const struct stat &status);
	static Stamp at(int directory, const char *path);
	bool operator==(const Stamp &other) const;
};

} // namespace kext
