/* SPDX-License-Identifier: GPL-2.0-only */
#include "bundle.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include "log.hpp"

namespace kext {

namespace {

constexpr std::string_view suffix = ".kext";
constexpr off_t longest_plist = 1 << 20;
constexpr int64_t racy_ns = 20'000'000; /* more than the step of any file system's clock that we serve */

struct CloseDir {
	void operator()(DIR *directory) const { closedir(directory); }
};

/* The whole of a small file; an error text otherwise. */
const char *read_small(int fd, off_t size, std::string &content)
{
	if (size > longest_plist)
		return "is too long";
	content.resize(static_cast<size_t>(size));
	size_t done = 0;
	while (done < content.size()) {
		const ssize_t count = read(fd, content.data() + done, content.size() - done);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return "cannot be read";
		if (count == 0)
			return "changed while it was read";
		done += static_cast<size_t>(count);
	}
	return nullptr;
}

bool is_local(int fd)
{
	struct statfs status {};
	if (fstatfs(fd, &status) != 0)
		return false;
	switch (static_cast<unsigned long>(status.f_type)) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case SQUASHFS_MAGIC:
	case EROFS_SUPER_MAGIC_V1:
		return true;
	default:
		return false;
	}
}

int64_t nanoseconds(const timespec &time)
{
	return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void fail(Bundle &bundle, Bundle::Verdict verdict, std::string problem)
{
	bundle.verdict = verdict;
	bundle.problem = std::move(problem);
}

/*
 * Reads Info.plist. One that is not trusted is read all the same, for the answer should be
 * "Authentication" and not "NotFound": nothing but the identifier is taken from it.
 */
void read_info(Bundle &bundle, int contents, bool authenticate)
{
	const UniqueFd info(open_component(contents, "Info.plist", O_RDONLY | O_NONBLOCK, Reach::Anywhere));
	struct stat status {};
	if (!info || fstat(info.get(), &status) != 0 || !S_ISREG(status.st_mode))
		return fail(bundle, Bundle::Verdict::Invalid, "Contents/Info.plist is missing or no regular file");

	bundle.info = Stamp::of(status);
	std::string content;
	if (const char *problem = read_small(info.get(), status.st_size, content))
		return fail(bundle, Bundle::Verdict::Invalid, std::string("Contents/Info.plist ") + problem);
	Identity identity = parse_info_plist(content);
	bundle.identifier = std::move(identity.identifier);
	if (!identity.problem.empty())
		return fail(bundle, Bundle::Verdict::Invalid, "Contents/Info.plist " + identity.problem);
	if (!authenticate)
		return;
	if (const char *problem = distrust(status))
		fail(bundle, Bundle::Verdict::Untrusted, std::string("Contents/Info.plist ") + problem);
}

} // namespace

/*
 * A file system's clock moves in steps of some milliseconds: what changes twice within one step has the
 * same stamp both times. A stamp as young as that says nothing.
 */
void BundleIndex::remember(std::string path)
{
	const Stamp stamp = Stamp::at(AT_FDCWD, path.c_str());
	const int64_t age = nanoseconds(started_) - nanoseconds(stamp.changed);
	if (stamp.exists && age < racy_ns && age > -1'000'000'000)
		racy_ = true;
	stamps_.emplace_back(std::move(path), stamp);
}

bool BundleIndex::outdated() const
{
	if (racy_)
		return true;
	return std::any_of(stamps_.begin(), stamps_.end(), [](const auto &entry) {
		return !(Stamp::at(AT_FDCWD, entry.first.c_str()) == entry.second);
	});
}

const Bundle *BundleIndex::find(std::string_view identifier) const
{
	if (const auto found = by_identifier_.find(identifier); found != by_identifier_.end())
		return found->second;
	if (const auto found = by_folder_.find(identifier); found != by_folder_.end())
		return found->second;
	const size_t dot = identifier.rfind('.');
	if (dot == std::string_view::npos)
		return nullptr;
	const auto found = by_folder_.find(identifier.substr(dot + 1));
	return found != by_folder_.end() ? found->second : nullptr;
}

void BundleIndex::add(std::unique_ptr<Bundle> bundle)
{
	const std::string_view folder = bundle->folder;
	const bool first =
		bundle->identifier.empty() ?
			by_folder_.emplace(folder.substr(0, folder.size() - suffix.size()), bundle.get()).second :
			by_identifier_.emplace(bundle->identifier, bundle.get()).second;
	if (first)
		bundles_.push_back(std::move(bundle));
}

void BundleIndex::scan_root(const std::string &root, bool authenticate)
{
	remember(root);
	UniqueFd root_fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!root_fd)
		return;
	const int fd = root_fd.get();
	const std::unique_ptr<DIR, CloseDir> directory(fdopendir(fd));
	if (!directory)
		return;
	root_fd.release();

	std::vector<std::string> folders;
	while (const dirent *entry = readdir(directory.get())) {
		const std::string_view name = entry->d_name;
		if (name.size() > suffix.size() && name.ends_with(suffix))
			folders.emplace_back(name);
	}
	std::sort(folders.begin(), folders.end());

	for (std::string &folder : folders) {
		auto bundle = std::make_unique<Bundle>();
		bundle->root = root;
		bundle->folder = std::move(folder);
		remember(bundle->path() + "/Contents/Info.plist");

		const UniqueFd top(open_component(fd, bundle->folder.c_str(), O_PATH | O_DIRECTORY, Reach::Anywhere));
		if (!top)
			continue; /* a file, a link, or gone */
		const UniqueFd contents(open_component(top.get(), "Contents", O_PATH | O_DIRECTORY, Reach::Anywhere));
		if (contents) {
			bundle->local = is_local(contents.get());
			read_info(*bundle, contents.get(), authenticate);
		} else {
			fail(*bundle, Bundle::Verdict::Invalid, "has no folder Contents");
		}
		add(std::move(bundle));
	}
}

std::shared_ptr<const BundleIndex> BundleIndex::scan(const std::vector<std::string> &roots, bool authenticate)
{
	auto index = std::make_shared<BundleIndex>();
	(void)clock_gettime(CLOCK_REALTIME, &index->started_);
	for (const std::string &root : roots)
		index->scan_root(root, authenticate);
	return index;
}

BundleStore::BundleStore(std::vector<std::string> roots, bool authenticate)
	: roots_(std::move(roots)), authenticate_(authenticate), index_(BundleIndex::scan(roots_, authenticate_))
{
}

std::shared_ptr<const BundleIndex> BundleStore::index() const
{
	const std::lock_guard lock(mutex_);
	return index_;
}

void BundleStore::rescan()
{
	const std::lock_guard scan_lock(scanning_);
	auto fresh = BundleIndex::scan(roots_, authenticate_);
	const std::lock_guard lock(mutex_);
	index_.swap(fresh);
}

bool BundleStore::refresh(const std::shared_ptr<const BundleIndex> &seen)
{
	if (!seen->outdated())
		return false;
	const std::lock_guard scan_lock(scanning_);
	if (index() != seen)
		return true; /* another thread has just done it */
	auto fresh = BundleIndex::scan(roots_, authenticate_);
	const std::lock_guard lock(mutex_);
	index_.swap(fresh);
	return true;
}

} // namespace kext
