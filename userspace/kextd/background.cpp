/* SPDX-License-Identifier: GPL-2.0-only */
#include "background.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "log.hpp"

namespace kext {

namespace {

/* The parent: waits for the child's byte, or for its end. */
[[noreturn]] void wait_for_child(int fd, pid_t child)
{
	char byte = 0;
	ssize_t count;
	do
		count = read(fd, &byte, 1);
	while (count < 0 && errno == EINTR);
	if (count == 1)
		_exit(0);
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

} // namespace

bool Background::enter(bool background)
{
	if (!background)
		return true;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) {
		log::error("pipe: {}", strerror(errno));
		return false;
	}
	UniqueFd reader(ends[0]);
	UniqueFd writer(ends[1]);
	const pid_t child = fork();
	if (child < 0) {
		log::error("fork: {}", strerror(errno));
		return false;
	}
	if (child > 0) {
		writer.reset();
		wait_for_child(reader.get(), child);
	}
	if (setsid() < 0 || chdir("/") != 0) {
		log::error("cannot leave the terminal: {}", strerror(errno));
		return false;
	}
	parent_ = std::move(writer);
	return true;
}

void Background::ready()
{
	if (parent_) {
		const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
		if (null) {
			for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
				(void)dup2(null.get(), fd);
		}
		[[maybe_unused]] const auto written = write(parent_.get(), "r", 1);
		parent_.reset();
	}
	reloaded();
}

void Background::reloaded()
{
	(void)sd_notify(0, "READY=1\nSTATUS=Serving requests");
}

void Background::reloading()
{
	timespec now{};
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	const auto microseconds = int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
	(void)sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds).c_str());
}

void Background::stopping()
{
	(void)sd_notify(0, "STOPPING=1\nSTATUS=Answering what is in hand");
}

} // namespace kext
