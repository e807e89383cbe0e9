/* SPDX-License-Identifier: GPL-2.0-only */
#include "signals.hpp"

#include <csignal>
#include <cstring>
#include <sys/signalfd.h>

#include "context.hpp"

namespace kext::ctl {

Signals::Signals()
{
	sigset_t set;
	sigemptyset(&set);
	for (const int signal : {SIGINT, SIGTERM, SIGHUP})
		sigaddset(&set, signal);
	if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0)
		throw Failure(ExitFailed, fmt::format("signals: {}", strerror(errno)));
	fd_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	if (!fd_)
		throw Failure(ExitFailed, fmt::format("signals: {}", strerror(errno)));
}

bool Signals::arrived()
{
	signalfd_siginfo info;
	if (!arrived_ && read(fd_.get(), &info, sizeof(info)) == sizeof(info))
		arrived_ = true;
	return arrived_;
}

} // namespace kext::ctl
