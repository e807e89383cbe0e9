// SPDX-License-Identifier: GPL-2.0-only
// A tree of bundles in a folder of its own, and names to look for in it. Whatever is in the tree, what is outside of a
// bundle's Resources is never delivered, nor what others may write to.
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <sys/stat.h>
#include <unistd.h>

#include "input.hpp"
#include "target.hpp"

#include "../../userspace/kextd/bundle.hpp"
#include "../../userspace/kextd/resource.hpp"

namespace {

namespace fs = std::filesystem;

constexpr uint32_t kMostEntries = 24;
constexpr uint32_t kMostQuestions = 8;

std::string top;                             // this input's folder: TOP/secret, TOP/kexts/A.kext/...
std::map<std::string, std::string> contents; // of each file, to where it is

unsigned int files;

bool write(const std::string &path, std::string_view content)
{
	int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return false;
	if (::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
		fuzz::wrong("cannot write %s", path.c_str());
	close(fd);
	return true;
}

// A file that can be told from all others.
void write_marked(const std::string &path)
{
	std::string content = "file " + std::to_string(files++);

	if (write(path, content))
		contents[content] = path;
}

std::string component(fuzz::Input &input)
{
	static const std::string long_name(255, 'n');
	static const std::string longer_name(300, 'n');
	uint8_t which = input.byte();

	switch (which % 16) {
	case 0:
	case 1:
	case 2:
		return std::string(1, static_cast<char>('a' + which % 16));
	case 3:
		return "..";
	case 4:
		return ".";
	case 5:
		return "";
	case 6:
		return "Info.plist";
	case 7:
		return "Resources";
	case 8:
		return "link";
	case 9:
		return long_name;
	case 10:
		return longer_name;
	case 11:
		return "x\ny\x1b[0m";
	case 12:
		return ".DS_Store";
	case 13:
		return "...";
	default:
		return input.text(which / 16);
	}
}

std::string path(fuzz::Input &input)
{
	uint8_t how = input.byte();
	std::string path;

	switch (how % 16) {
	case 12:
		return "/etc/hostname";
	case 13:
		return top + "/secret";
	case 14:
		return "/proc/self/root" + top + "/secret";
	case 15:
		return std::string("../../../../") + (how & 16 ? "secret" : "kexts/B.kext/Contents/Resources/a");
	default:
		break;
	}
	if (how & 128)
		path = "/";
	for (int left = how % 16 % 4; left >= 0; left--) {
		path += component(input);
		if (left)
			path += '/';
	}
	return path + (how & 64 ? "/" : "");
}

std::string info(std::string_view identifier)
{
	return "<plist version=\"1.0\"><dict><key>CFBundleIdentifier</key><string>" + std::string(identifier) +
	       "</string></dict></plist>";
}

void make_bundle(const std::string &name, const std::string &plist)
{
	std::string folder = top + "/kexts/" + name;

	mkdir(folder.c_str(), 0755);
	mkdir((folder + "/Contents").c_str(), 0755);
	mkdir((folder + "/Contents/Resources").c_str(), 0755);
	write(folder + "/Contents/Info.plist", plist);
	write_marked(folder + "/Contents/Resources/a");
	write_marked(folder + "/Contents/secret");
}

// A link's place is in the tree, and no link is followed on the way to it: a tree made by somebody else could have it.
void make_entry(fuzz::Input &input)
{
	uint8_t how = input.byte();
	std::string inside = path(input);
	std::string place = top + "/kexts/A.kext/Contents/Resources/" + inside;

	if (how & 64)
		place = top + "/kexts/" + inside;
	if (inside.find('\0') != std::string::npos || fs::path(inside).is_absolute())
		return;
	std::error_code error;
	fs::path parent = fs::weakly_canonical(fs::path(place).parent_path(), error);

	if (error || !parent.string().starts_with(top))
		return;
	switch (how % 8) {
	case 0:
	case 1:
		mkdir(place.c_str(), 0755);
		break;
	case 2:
		write_marked((parent / fs::path(place).filename()).string());
		break;
	case 3:
	case 4: {
		std::string target = path(input);

		(void)!symlink(target.c_str(), place.c_str());
		break;
	}
	case 5:
		mkfifo(place.c_str(), 0644);
		break;
	case 6: {
		struct stat status;

		if (!fstatat(AT_FDCWD, place.c_str(), &status, AT_SYMLINK_NOFOLLOW) && !S_ISLNK(status.st_mode))
			(void)!chmod(place.c_str(), (status.st_mode & 0777) | (how & 16 ? 022 : 002));
		break;
	}
	case 7:
		(void)!rename(place.c_str(), (parent / "b").c_str());
		contents.clear(); // who is where is not known any more
		break;
	}
}

bool trusted(const std::string &path)
{
	struct stat status;

	return !lstat(path.c_str(), &status) && !status.st_uid && !status.st_gid &&
	       (S_ISLNK(status.st_mode) || !(status.st_mode & 022));
}

// The bytes are those of a file in this bundle's Resources that nobody else can change.
void check_delivered(const kext::Answer &answer, const kext::Bundle &bundle, bool authenticate)
{
	if (answer.file || !answer.length)
		return;
	std::string content(answer.bytes.get(), answer.length);

	if (content == "secret" || content.starts_with("<plist"))
		fuzz::wrong("something outside of the bundle was delivered");
	if (!content.starts_with("file "))
		fuzz::wrong("a file was delivered that is none of ours");
	auto found = contents.find(content);

	if (found == contents.end())
		return;
	std::error_code error;
	std::string file = fs::weakly_canonical(found->second, error).string();
	std::string resources = bundle.path() + "/Contents/Resources/";

	if (error || !file.starts_with(resources))
		fuzz::wrong("%s was delivered from %s", found->second.c_str(), bundle.path().c_str());
	if (!authenticate)
		return;
	for (fs::path part = file; part.string().size() >= (top + "/kexts").size(); part = part.parent_path())
		if (!trusted(part))
			fuzz::wrong("%s was delivered, and %s is not trusted", file.c_str(), part.c_str());
}

int lowest_descriptor()
{
	int fd = dup(0);

	if (fd >= 0)
		close(fd);
	return fd;
}

void ask(kext::BundleStore &store, const std::string &identifier, const std::string &name, uint32_t max_length)
{
	kext::OpenFolder folder;
	kext::Query query{identifier, name, max_length, nullptr};
	kext::Answer at_once;
	bool had = kext::find_resource_at_once(store, query, folder, at_once);

	folder = kext::OpenFolder();
	kext::Answer answer = kext::find_resource(store, query, folder);

	if (had && at_once.result != answer.result)
		fuzz::wrong("at once 0x%08x, else 0x%08x", static_cast<unsigned int>(at_once.result),
			    static_cast<unsigned int>(answer.result));
	if (answer.result) {
		if (answer.file || answer.bytes || answer.length)
			fuzz::wrong("a refusal with a payload");
		return;
	}
	if (answer.length > max_length)
		fuzz::wrong("%lu bytes, of at most %u", answer.length, max_length);
	if (kext::refuse_name(name))
		fuzz::wrong("a resource of a name that is refused");
	auto index = store.index();
	const kext::Bundle *bundle = index->find(identifier);

	if (!bundle || bundle->verdict != kext::Bundle::Verdict::Good)
		fuzz::wrong("a resource of no good bundle");
	check_delivered(answer, *bundle, store.authenticate());
	if (had)
		check_delivered(at_once, *bundle, store.authenticate());
}

} // namespace

// What libkmod or kextd log, nobody reads here.
extern "C" void openlog(const char *, int, int) {}
extern "C" void syslog(int, const char *, ...) {}

namespace fuzz {

void run(const uint8_t *data, size_t size)
{
	static const std::string home = [] {
		const char *given = getenv("FUZZ_SCRATCH");
		std::string name = std::string(given ? given : ".") + "/fuzz-bundle-XXXXXX";

		umask(022);
		if (!mkdtemp(name.data()))
			wrong("no folder to work in");
		name = fs::canonical(name).string();
		static std::string kept = name;
		atexit([] { fs::remove_all(kept); });
		return name;
	}();
	Input input(data, size);
	uint8_t how = input.byte();

	top = home + "/t";
	contents.clear();
	files = 0;
	mkdir(top.c_str(), 0755);
	mkdir((top + "/kexts").c_str(), 0755);
	write(top + "/secret", "secret");
	// The first is good; the second may be anything.
	make_bundle("A.kext", info("com.example.a"));
	make_bundle("B.kext",
		    how & 1 ? input.text(input.below(64)) : info(how & 2 ? "com.example.a" : "com.example.b"));
	for (uint32_t left = input.below(kMostEntries); left && !input.empty(); left--)
		make_entry(input);
	int before = lowest_descriptor();
	{
		kext::BundleStore store({top + "/kexts"}, !(how & 4));

		for (uint32_t left = 1 + input.below(kMostQuestions); left; left--) {
			uint8_t which = input.byte();
			std::string identifier = which & 1 ? "com.example.b" :
						 which & 2 ? component(input) :
							     "com.example.a";

			ask(store, identifier, path(input), which & 4 ? static_cast<uint32_t>(input.number()) : 4096);
		}
	}
	if (lowest_descriptor() != before)
		wrong("a descriptor is left open");
	fs::remove_all(top);
}

std::vector<std::string> seeds()
{
	// Entries in A's Resources, then a question for each.
	return {
		Seed().byte(0).byte(0).byte(0).byte(0).byte(0).byte(0).bytes(),
		// a folder b, b/c in it; asked for
		Seed().byte(0)
			.byte(2)
			.byte(0)
			.byte(0)
			.byte(1)
			.byte(2)
			.byte(1)
			.byte(1)
			.byte(2)
			.byte(0)
			.byte(0)
			.byte(1)
			.byte(1)
			.byte(2)
			.bytes(),
		// links: absolute, upwards, to the neighbour's
		Seed().byte(0).byte(1).byte(3).byte(0).byte(8).byte(13).byte(0).byte(0).byte(0).byte(8).bytes(),
		Seed().byte(0).byte(1).byte(3).byte(0).byte(8).byte(31).byte(0).byte(0).byte(0).byte(8).bytes(),
		Seed().byte(0).byte(1).byte(3).byte(0).byte(8).byte(15).byte(0).byte(0).byte(0).byte(8).bytes(),
		// a link to a, and to itself
		Seed().byte(0).byte(1).byte(3).byte(0).byte(8).byte(0).byte(0).byte(0).byte(0).byte(0).byte(8).bytes(),
		Seed().byte(4).byte(1).byte(3).byte(0).byte(8).byte(0).byte(8).byte(0).byte(0).byte(0).byte(8).bytes(),
		// others may write to a; a FIFO
		Seed().byte(0).byte(1).byte(6).byte(0).byte(0).byte(0).byte(0).byte(0).byte(0).bytes(),
		Seed().byte(0).byte(1).byte(5).byte(0).byte(1).byte(0).byte(0).byte(0).byte(1).bytes(),
		// another identifier, and a name of that
		Seed().byte(3).byte(60).text("<plist><dict><key>CFBundleIdentifier</key><string>x</string>").bytes(),
	};
}

} // namespace fuzz
