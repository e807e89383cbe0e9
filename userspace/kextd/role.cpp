/* SPDX-License-Identifier: GPL-2.0-only */
#include "role.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

#include "log.hpp"

namespace kext {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds longest_wait{30};
constexpr timespec nap{0, 50'000'000};

struct CloseClient {
	void operator()(kextbridge *kb) const { kextbridge_close(kb); }
};

/* The pid of the daemon that is there; 0: unknown. */
int other_daemon()
{
	kextbridge *raw = nullptr;
	if (kextbridge_open(nullptr, &raw) != 0)
		return 0;
	const std::unique_ptr<kextbridge, CloseClient> client(raw);
	struct kextbridge_status status;
	return kextbridge_get_status(raw, &status) == 0 ? status.daemon_pid : 0;
}

/*
 * Whether a process is dead but for threads that the kernel has not let go: the one that was in a module's
 * init function when the process was killed, for example. Then its first thread is a zombie.
 */
bool is_ending(int pid)
{
	std::ifstream file(fmt::format("/proc/{}/stat", pid));
	std::string line;
	if (!std::getline(file, line))
		return true;
	/* "pid (name) state ...": the name may hold anything, parentheses too. */
	const size_t state = line.rfind(") ");
	return state != std::string::npos && state + 2 < line.size() &&
	       (line[state + 2] == 'Z' || line[state + 2] == 'X');
}

int try_open(const std::string &device, Daemon &daemon)
{
	kextbridge_daemon *raw = nullptr;
	int error = kextbridge_daemon_open(device.c_str(), &raw);
	if (error)
		return error;
	daemon.reset(raw);
	/* Fetches nothing: shows that this is the node, and asks for notices before there is anything to miss. */
	error = kextbridge_exchange(raw, nullptr, 0, nullptr, nullptr, KEXTD_EXCHANGE_NOWAIT | KEXTD_EXCHANGE_NOTIFY);
	if (error && error != -EAGAIN)
		daemon.reset();
	return error == -EAGAIN ? 0 : error;
}

void explain(const std::string &device, int error)
{
	const char *text = strerror(error);
	switch (error) {
	case EBUSY: {
		const int pid = other_daemon();
		log::complain(pid > 0 ? fmt::format("another kextd (pid {}) is running", pid) :
					std::string("another kextd is running"));
		break;
	}
	case ESHUTDOWN:
		log::complain(device + ": the system is shutting down, there is nothing to serve");
		break;
	case ENOTTY:
		log::complain(device + " is no node of kextbridge.ko");
		break;
	case ENOENT:
	case ENXIO:
	case ENODEV:
		log::complain(fmt::format("{}: {}: is kextbridge.ko loaded?", device, text));
		break;
	case EPERM:
	case EACCES:
		log::complain(
			fmt::format("{}: {}: kextd needs CAP_SYS_MODULE in the initial user namespace", device, text));
		break;
	default:
		log::complain(fmt::format("{}: {}", device, text));
	}
}

} // namespace

Daemon become_daemon(const std::string &device, const sigset_t &ending, int &status)
{
	status = 1;
	const auto end = steady_clock::now() + longest_wait;
	bool said = false;
	Daemon daemon;
	for (;;) {
		const int error = -try_open(device, daemon);
		if (!error)
			return daemon;
		const int pid = error == EBUSY ? other_daemon() : 0;
		/* No pid now: it may have left since. */
		const bool wait = error == EBUSY && (pid <= 0 ? !said : is_ending(pid));
		if (!wait || steady_clock::now() >= end) {
			explain(device, error);
			status = error == ESHUTDOWN ? 0 : 1;
			return nullptr;
		}
		if (!said && pid > 0)
			log::info("waiting for kextd (pid {}), which is ending", pid);
		said = true;
		if (sigtimedwait(&ending, nullptr, &nap) > 0)
			return nullptr;
	}
}

} // namespace kext
