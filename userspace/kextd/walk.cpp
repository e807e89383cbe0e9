/* SPDX-License-Identifier: GPL-2.0-only */
#include "walk.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <vector>

namespace kext {

namespace {

constexpr int most_links = 40;
constexpr int open_folder = O_PATH | O_DIRECTORY;

Opened refuse(OSReturn result, std::string reason)
{
	Opened opened;
	opened.outcome = Opened::Outcome::Refused;
	opened.refusal = Answer::refusal(result, std::move(reason));
	return opened;
}

Opened outcome(Opened::Outcome outcome)
{
	Opened opened;
	opened.outcome = outcome;
	return opened;
}

OSReturn result_of(int error)
{
	switch (error) {
	case ENOMEM:
		return kOSKextReturnNoMemory;
	case EMFILE:
	case ENFILE:
		return kOSKextReturnNoResources;
	case EACCES:
	case EPERM:
		return kOSKextReturnNotPrivileged;
	case EIO:
		return kOSKextReturnBadData;
	default:
		return kOSKextReturnNotFound;
	}
}

class Walk {
public:
	Walk(const Bundle &bundle, bool authenticate, Reach reach)
	    : bundle_(bundle), authenticate_(authenticate), reach_(reach)
	{
	}

	Opened run(std::string_view name)
	{
		Opened opened = enter_resources();
		queue(name);
		while (opened.outcome == Opened::Outcome::Going) {
			if (parts_.empty())
				return refuse(kOSKextReturnNotFound, path() + " is no regular file");
			const std::string part = std::move(parts_.back());
			parts_.pop_back();
			if (part == "..")
				opened = leave();
			else if (parts_.empty())
				opened = take_file(part);
			else
				opened = enter(part);
		}
		return opened;
	}

private:
	struct Folder {
		UniqueFd fd;
		std::string name;
	};

	/* The first of the parts to take is the last of the vector. */
	void queue(std::string_view path)
	{
		const size_t before = parts_.size();
		while (!path.empty()) {
			const size_t slash = path.find('/');
			const std::string_view part = path.substr(0, slash);
			if (!part.empty() && part != ".")
				parts_.emplace_back(part);
			path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
		}
		std::reverse(parts_.begin() + static_cast<std::ptrdiff_t>(before), parts_.end());
	}

	std::string path(std::string_view last = {}) const
	{
		std::string text = bundle_.root;
		for (const Folder &folder : folders_)
			text.append("/").append(folder.name);
		if (!last.empty())
			text.append("/").append(last);
		return text;
	}

	int top() const { return folders_.back().fd.get(); }

	/* Distrust of what is open at `fd`; `status` is filled. */
	const char *check(int fd, struct stat &status) const
	{
		if (fstat(fd, &status) != 0)
			return "cannot be examined";
		return authenticate_ ? distrust(status) : nullptr;
	}

	Opened enter_resources()
	{
		struct stat status {};
		UniqueFd root(::open(bundle_.root.c_str(), open_folder | O_CLOEXEC));
		if (!root)
			return outcome(Opened::Outcome::NoFolder);
		if (const char *problem = check(root.get(), status))
			return refuse(kOSKextReturnAuthentication, bundle_.root + " " + problem);

		UniqueFd at = std::move(root);
		for (const char *name : {bundle_.folder.c_str(), "Contents", "Resources"}) {
			const int fd = open_component(at.get(), name, open_folder, reach_);
			if (fd == -EAGAIN)
				return outcome(Opened::Outcome::NotCached);
			if (fd < 0)
				return outcome(Opened::Outcome::NoFolder);
			at.reset(fd);
			folders_.push_back({UniqueFd(), name});
			if (const char *problem = check(fd, status))
				return refuse(kOSKextReturnAuthentication, path() + " " + problem);
		}
		folders_.back().fd = std::move(at);
		resources_ = folders_.size();
		return outcome(Opened::Outcome::Going);
	}

	Opened leave()
	{
		if (folders_.size() == resources_)
			return refuse(kOSKextReturnNotFound, path() + ": a link leaves this folder");
		folders_.pop_back();
		return outcome(Opened::Outcome::Going);
	}

	Opened enter(const std::string &name)
	{
		const int fd = open_component(top(), name.c_str(), open_folder, reach_);
		if (fd < 0)
			return not_opened(name, -fd);
		UniqueFd folder(fd);
		struct stat status {};
		if (const char *problem = check(fd, status))
			return refuse(kOSKextReturnAuthentication, path(name) + " " + problem);
		if (folders_.size() > PATH_MAX / 2)
			return refuse(kOSKextReturnNotFound, path(name) + " is too deep");
		folders_.push_back({std::move(folder), name});
		return outcome(Opened::Outcome::Going);
	}

	Opened take_file(const std::string &name)
	{
		const int fd = open_component(top(), name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY, reach_);
		if (fd < 0)
			return not_opened(name, -fd);
		Opened opened = outcome(Opened::Outcome::Found);
		opened.file.reset(fd);
		struct stat status {};
		const char *problem = check(fd, status);
		if (!S_ISREG(status.st_mode))
			return refuse(kOSKextReturnNotFound, path(name) + " is no regular file");
		if (problem)
			return refuse(kOSKextReturnAuthentication, path(name) + " " + problem);
		opened.length = static_cast<uint64_t>(status.st_size);
		return opened;
	}

	/* `name` did not open: a link is followed, all else ends the walk. */
	Opened not_opened(const std::string &name, int error)
	{
		if (error == EAGAIN && reach_ == Reach::CachedOnly)
			return outcome(Opened::Outcome::NotCached);
		if (error == ELOOP || error == ENOTDIR)
			return follow(name);
		if (error == ENOENT)
			return refuse(kOSKextReturnNotFound, path(name) + " does not exist");
		if (error == EXDEV)
			return refuse(kOSKextReturnNotFound, path(name) + " is on another file system");
		return refuse(result_of(error), path(name) + ": " + strerror(error));
	}

	Opened follow(const std::string &name)
	{
		char target[PATH_MAX];
		const ssize_t length = readlinkat(top(), name.c_str(), target, sizeof(target));
		if (length < 0)
			return refuse(kOSKextReturnNotFound, path(name) + " is no folder");
		if (length == 0 || length == sizeof(target) || target[0] == '/')
			return refuse(kOSKextReturnNotFound, path(name) + " is a link that leaves the bundle");
		if (++links_ > most_links)
			return refuse(kOSKextReturnNotFound, path(name) + ": too many links");
		queue({target, static_cast<size_t>(length)});
		return outcome(Opened::Outcome::Going);
	}

	const Bundle &bundle_;
	const bool authenticate_;
	const Reach reach_;
	std::vector<Folder> folders_; /* bundle, Contents, Resources, then what the name leads through */
	size_t resources_ = 0;
	std::vector<std::string> parts_;
	int links_ = 0;
};

} // namespace

Opened open_resource(const Bundle &bundle, std::string_view name, bool authenticate, Reach reach)
{
	return Walk(bundle, authenticate, reach).run(name);
}

} // namespace kext
