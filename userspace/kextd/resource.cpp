/* SPDX-License-Identifier: GPL-2.0-only */
#include "resource.hpp"

#include <cerrno>
#include <cstring>
#include <sys/uio.h>

#include "walk.hpp"

namespace kext {

namespace {

bool is_cancelled(const Query &query)
{
	return query.cancelled && query.cancelled->load(std::memory_order_relaxed);
}

Answer cancelled()
{
	return Answer::refusal(kOSKextReturnInternalError, "cancelled");
}

enum class Read { Done, NotCached, Changed, Failed };

/* Reads exactly `length` bytes of a file that must have no more. */
Read read_all(int fd, char *bytes, uint64_t length, Reach reach, int &error)
{
	uint64_t done = 0;
	int flags = reach == Reach::CachedOnly ? RWF_NOWAIT : 0;
	for (;;) {
		/* One byte more than there should be: it tells a file that has grown. */
		iovec part{bytes + done, length + 1 - done};
		const ssize_t count = preadv2(fd, &part, 1, static_cast<off_t>(done), flags);
		if (count < 0) {
			error = errno;
			if (error == EINTR)
				continue;
			if (error == EAGAIN)
				return Read::NotCached;
			if (error == EOPNOTSUPP && flags) {
				flags = 0; /* a file system in memory: it never waits */
				continue;
			}
			return Read::Failed;
		}
		done += static_cast<uint64_t>(count);
		if (done == length)
			return Read::Done;
		if (done > length || count == 0)
			return Read::Changed;
	}
}

/* From an open file to the answer. False: `reach` does not suffice. */
bool take_payload(Opened &opened, const Query &query, Reach reach, Answer &answer)
{
	if (opened.length > query.max_length) {
		answer = Answer::refusal(kOSKextReturnNoResources,
					 "has " + std::to_string(opened.length) + " bytes, more than the " +
						 std::to_string(query.max_length) + " allowed");
		return true;
	}
	answer = Answer();
	answer.length = opened.length;
	if (opened.length == 0)
		return true;
	if (opened.length > longest_inline) {
		answer.file = std::move(opened.file);
		return reach == Reach::Anywhere; /* the kernel will read the disk */
	}
	answer.bytes.reset(new char[opened.length + 1]);
	int error = 0;
	switch (read_all(opened.file.get(), answer.bytes.get(), opened.length, reach, error)) {
	case Read::Done:
		return true;
	case Read::NotCached:
		return false;
	case Read::Changed:
		answer = Answer::refusal(kOSKextReturnBadData, "changed while it was read");
		return reach == Reach::Anywhere;
	case Read::Failed:
		answer = Answer::refusal(kOSKextReturnBadData, std::string("cannot be read: ") + strerror(error));
		return true;
	}
	return true;
}

Opened open_in(OpenFolder &folder, const Bundle &bundle, const Query &query, bool authenticate, Reach reach)
{
	if (folder.bundle != &bundle) {
		Opened resources = open_resources(bundle, authenticate, reach);
		if (resources.outcome != Opened::Outcome::Found)
			return resources;
		folder.bundle = &bundle;
		folder.resources = std::move(resources.file);
	}
	return open_resource(bundle, folder.resources.get(), query.name, authenticate, reach);
}

/* One look at folder.index. False: a scan may change the answer; `answer` is what holds without one. */
bool look(const Query &query, bool authenticate, OpenFolder &folder, Answer &answer)
{
	const Bundle *bundle = folder.index->find(query.identifier);
	if (!bundle) {
		answer = Answer::refusal(kOSKextReturnNotFound, "no bundle has this identifier");
		return false;
	}
	if (bundle->verdict != Bundle::Verdict::Good) {
		answer = refuse_bundle(*bundle);
		return false;
	}
	/* A file that changes under us gets a second chance: somebody is just installing it. */
	for (int tries = 0; tries < 2; tries++) {
		Opened opened = open_in(folder, *bundle, query, authenticate, Reach::Anywhere);
		if (opened.outcome == Opened::Outcome::Moved) {
			answer = Answer::refusal(kOSKextReturnNotFound, bundle->path() + " has no Contents/Resources");
			return false;
		}
		if (opened.outcome == Opened::Outcome::Refused) {
			answer = std::move(opened.refusal);
			return true;
		}
		if (is_cancelled(query)) {
			answer = cancelled();
			return true;
		}
		take_payload(opened, query, Reach::Anywhere, answer);
		if (answer.result != kOSKextReturnBadData)
			return true;
	}
	return true;
}

/* The index of the moment; what was opened by another one is forgotten. */
void use_index(const BundleStore &store, OpenFolder &folder)
{
	auto index = store.index();
	if (folder.index != index)
		folder = OpenFolder{std::move(index), nullptr, {}};
}

} // namespace

Answer refuse_bundle(const Bundle &bundle)
{
	const OSReturn result = bundle.verdict == Bundle::Verdict::Invalid ? kOSKextReturnValidation :
									     kOSKextReturnAuthentication;
	return Answer::refusal(result, bundle.path() + ": " + bundle.problem);
}

const char *refuse_name(std::string_view name)
{
	if (name.empty())
		return "the name is empty";
	if (name.find('\0') != std::string_view::npos)
		return "the name holds a NUL";
	if (name == ".DS_Store")
		return "the name is reserved";
	if (name.front() == '/')
		return "the name is an absolute path";
	for (size_t start = 0; start <= name.size();) {
		const size_t end = std::min(name.find('/', start), name.size());
		if (name.substr(start, end - start) == "..")
			return "the name leads upwards";
		start = end + 1;
	}
	return nullptr;
}

Answer find_resource(BundleStore &store, const Query &query, OpenFolder &folder)
{
	if (const char *problem = refuse_name(query.name))
		return Answer::refusal(kOSKextReturnInvalidArgument, problem);
	Answer answer;
	use_index(store, folder);
	if (look(query, store.authenticate(), folder, answer))
		return answer;
	if (store.refresh(folder.index)) {
		use_index(store, folder);
		look(query, store.authenticate(), folder, answer);
	}
	return answer;
}

bool find_resource_at_once(const BundleStore &store, const Query &query, OpenFolder &folder, Answer &answer)
{
	if (const char *problem = refuse_name(query.name)) {
		answer = Answer::refusal(kOSKextReturnInvalidArgument, problem);
		return true;
	}
	use_index(store, folder);
	const Bundle *bundle = folder.index->find(query.identifier);
	if (!bundle || bundle->verdict != Bundle::Verdict::Good || !bundle->local)
		return false;
	Opened opened = open_in(folder, *bundle, query, store.authenticate(), Reach::CachedOnly);
	switch (opened.outcome) {
	case Opened::Outcome::Found:
		return take_payload(opened, query, Reach::CachedOnly, answer);
	case Opened::Outcome::Refused:
		answer = std::move(opened.refusal);
		return true;
	default:
		return false;
	}
}

} // namespace kext
