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

/* Distrust of what is open at `fd`; `status` is filled. */
const char *check(int fd, bool authenticate, struct stat &status)
{
	if (fstat(fd, &status) != 0)
		return "cannot be examined";
	return authenticate ? distrust(status) : nullptr;
}

class Walk {
      public:
	Walk(const Bundle &bundle, int resources, bool authenticate, Reach reach)
		: bundle_(bundle), resources_(resources), authenticate_(authenticate), reach_(reach)
	{
	}

	Opened run(std::string_view name)
	{
		Opened opened = outcome(Opened::Outcome::Going);
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
		std::string text = bundle_.path() + "/Contents/Resources";
		for (const Folder &folder : folders_)
			text.append("/").append(folder.name);
		if (!last.empty())
			text.append("/").append(last);
		return text;
	}

	int top() const { return folders_.empty() ? resources_ : folders_.back().fd.get(); }

	Opened leave()
	{
		if (folders_.empty())
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
		if (const char *problem = check(fd, authenticate_, status))
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
		const char *problem = check(fd, authenticate_, status);
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
	const int resources_;
	const bool authenticate_;
	const Reach reach_;
	std::vector<Folder> folders_; /* beneath Resources */
	std::vector<std::string> parts_;
	int links_ = 0;
};

} // namespace

Opened open_resources(const Bundle &bundle, bool authenticate, Reach reach)
{
	Opened opened = outcome(Opened::Outcome::Found);
	struct stat status {};
	opened.file.reset(::open(bundle.root.c_str(), open_folder | O_CLOEXEC));
	if (!opened.file)
		return outcome(Opened::Outcome::Moved);
	if (const char *problem = check(opened.file.get(), authenticate, status))
		return refuse(kOSKextReturnAuthentication, bundle.root + " " + problem);

	std::string path = bundle.root;
	for (const char *name : {bundle.folder.c_str(), "Contents", "Resources"}) {
		/* Whoever changes Info.plist may have made another bundle of it. */
		const bool in_contents = *name == 'R';
		if (in_contents && !(Stamp::at(opened.file.get(), "Info.plist") == bundle.info))
			return outcome(Opened::Outcome::Moved);
		const int fd = open_component(opened.file.get(), name, open_folder, reach);
		if (fd == -EAGAIN)
			return outcome(Opened::Outcome::NotCached);
		if (fd < 0)
			return outcome(Opened::Outcome::Moved);
		opened.file.reset(fd);
		path.append("/").append(name);
		if (const char *problem = check(fd, authenticate, status))
			return refuse(kOSKextReturnAuthentication, path + " " + problem);
	}
	return opened;
}

Opened open_resource(const Bundle &bundle, int resources, std::string_view name, bool authenticate, Reach reach)
{
	return Walk(bundle, resources, authenticate, reach).run(name);
}

} // namespace kext
