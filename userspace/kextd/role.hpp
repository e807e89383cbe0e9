/* SPDX-License-Identifier: GPL-2.0-only */
/* Becoming the daemon. */
#pragma once

#include <csignal>
#include <memory>
#include <string>

#include "../lib/kextbridge.h"

namespace kext {

struct CloseDaemon {
	void operator()(kextbridge_daemon *daemon) const { kextbridge_daemon_close(daemon); }
};
using Daemon = std::unique_ptr<kextbridge_daemon, CloseDaemon>;

/*
 * Opens the node, or says why not, sets the exit status and returns NULL: 0 when there is nothing to serve because the
 * system goes down. Waits while another kextd that has been killed is still
 * on its way out; a signal of `ending`, which must be blocked, ends that.
 */
Daemon become_daemon(const std::string &device, const sigset_t &ending, int &status);

} // namespace kext
