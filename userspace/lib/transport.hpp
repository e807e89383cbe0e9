/* SPDX-License-Identifier: GPL-2.0-only */
/* The one place where the library opens a node and makes a call on it. */
#pragma once

namespace kext::transport {

/* What a call does when a signal handler ran while it slept. */
enum class OnSignal { Repeat, Return };

/* Opens a node, close-on-exec, with the flags of open(2). A descriptor or a negative errno. */
int open_node(const char *path, int flags);
/* For reading and writing. */
int open_node(const char *path);

void close_node(int fd);

/* 0 or a negative errno. */
int call(int fd, unsigned long request, void *argument, OnSignal on_signal);

} // namespace kext::transport
