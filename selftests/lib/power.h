/* SPDX-License-Identifier: GPL-2.0-only */
/* The freezer: suspend as far as that, and back. */
#ifndef _POWER_H
#define _POWER_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

#define FREEZER "/tmp/freezer"

/*
 * While there is a frozen group, if an empty one, freezing the system needs no change of the kernel's code: its first and
 * its last reason are what patches it, and QEMU without KVM now and then runs the int3 that is there meanwhile.
 */
static int keep_freezing_possible(bool on)
{
	if (!on) {
		int err = put(FREEZER "/held/freezer.state", "THAWED");

		return rmdir(FREEZER "/held") || umount(FREEZER) ? errno : err;
	}
	if (mkdir(FREEZER, 0755) && errno != EEXIST)
		return errno;
	if (mount("none", FREEZER, "cgroup", 0, "freezer") || mkdir(FREEZER "/held", 0755))
		return errno;
	return put(FREEZER "/held/freezer.state", "FROZEN");
}

#endif
