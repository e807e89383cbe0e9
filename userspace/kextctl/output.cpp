/* SPDX-License-Identifier: GPL-2.0-only */
#include "output.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>

#include "context.hpp"

namespace kext::ctl {

void Output::fail(const char *what) const
{
	throw Failure(ExitFailed, fmt::format("{}: {}{}{}", path_, what, *what ? ": " : "", strerror(errno)));
}

Output Output::to_stdout()
{
	Output output;
	output.path_ = "stdout";
	output.direct_ = true;
	output.fd_.reset(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
	if (!output.fd_)
		output.fail("");
	return output;
}

Output Output::to_file(const std::string &path)
{
	Output output;
	output.path_ = path;
	struct stat status {};
	const bool exists = stat(path.c_str(), &status) == 0;
	if (exists && S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		output.fail("");
	}
	if (exists && !S_ISREG(status.st_mode)) {
		output.direct_ = true;
		output.fd_.reset(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
		if (!output.fd_)
			output.fail("");
		return output;
	}
	if (exists) {
		/* A link stays; the file that it leads to is replaced. */
		char resolved[PATH_MAX];
		if (realpath(path.c_str(), resolved))
			output.path_ = resolved;
	}
	output.open_temporary();
	if (exists && fchmod(output.fd_.get(), status.st_mode & 07777) != 0)
		output.fail("mode");
	return output;
}

void Output::open_temporary()
{
	const auto parent = std::filesystem::path(path_).parent_path();
	const std::string folder = parent.empty() ? "." : parent.string();
	fd_.reset(open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
	if (fd_)
		return; /* without a name: even SIGKILL leaves nothing behind */
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		fail("");
	std::string name = path_ + ".XXXXXX";
	fd_.reset(mkostemp(name.data(), O_CLOEXEC));
	if (!fd_)
		fail("");
	temporary_ = std::move(name);
	const mode_t mask = umask(0);
	umask(mask);
	if (fchmod(fd_.get(), 0666 & ~mask) != 0)
		fail("mode");
}

Output::~Output()
{
	if (fd_ && !temporary_.empty())
		(void)unlink(temporary_.c_str());
}

void Output::write(const char *bytes, size_t count)
{
	while (count > 0) {
		const ssize_t written = ::write(fd_.get(), bytes, count);
		if (written < 0) {
			if (errno == EINTR)
				continue;
			fail("");
		}
		bytes += written;
		count -= static_cast<size_t>(written);
	}
}

void Output::commit()
{
	if (direct_)
		return;
	if (fsync(fd_.get()) != 0 && errno != EINVAL)
		fail("");
	if (temporary_.empty()) {
		/* A name cannot be given over another one: first a name of its own, then a rename. */
		const std::string from = fmt::format("/proc/self/fd/{}", fd_.get());
		for (int tries = 0;; tries++) {
			std::string name = fmt::format("{}.{}.{}", path_, getpid(), tries);
			if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
				temporary_ = std::move(name);
				break;
			}
			if (errno != EEXIST || tries > 100)
				fail("");
		}
	}
	if (rename(temporary_.c_str(), path_.c_str()) != 0)
		fail("");
	temporary_.clear();
	fd_.reset();
}

} // namespace kext::ctl
