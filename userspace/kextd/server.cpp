/* SPDX-License-Identifier: GPL-2.0-only */
#include "server.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "log.hpp"
#include "modules.hpp"

namespace kext {

namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr uint32_t fetch_at_once = 64;
constexpr size_t first_buffer = 64u << 10;
constexpr size_t longest_buffer = 64u << 20;
constexpr unsigned most_module_threads = 16;

/* When answers are handed in although more are to come. */
constexpr uint64_t most_held_bytes = 1 << 20;
constexpr size_t most_held_files = 4;
constexpr microseconds longest_held{500};

/* The requests of a kext are in order among each other; those of programs by what they ask for. */
std::string key_of(const Job &job)
{
	if (job.kind != KEXTD_RESOURCE)
		return job.identifier.empty() ? job.name : job.identifier;
	return job.load_tag ? std::to_string(job.load_tag) : "-" + job.identifier;
}

/* Answers that wait to be handed in. */
class Held {
      public:
	void add(const Answer &answer)
	{
		bytes_ += answer.bytes ? answer.length : 0;
		files_ += answer.file ? 1 : 0;
	}
	bool enough() const
	{
		return bytes_ >= most_held_bytes || files_ >= most_held_files ||
		       steady_clock::now() - since_ >= longest_held;
	}

      private:
	uint64_t bytes_ = 0;
	size_t files_ = 0;
	steady_clock::time_point since_ = steady_clock::now();
};

} // namespace

Server::Server(const Options &options, kextbridge_daemon *daemon)
	: options_(options), daemon_(daemon), store_(options.roots, options.authenticate),
	  resources_("kextd-resource", options.workers, fetch_at_once, [this](const auto &jobs) { serve(jobs); }),
	  modules_("kextd-module", most_module_threads, 1, [this](const auto &jobs) { serve(jobs); })
{
	report_bundles();
}

void Server::report_bundles() const
{
	const auto index = store_.index();
	for (const auto &bundle : index->bundles()) {
		if (bundle->verdict != Bundle::Verdict::Good)
			log::warning("bundle {}: {}", log::quote(bundle->path()), log::quote(bundle->problem));
		else if (log::verbose())
			log::info("bundle {}: {}", log::quote(bundle->path()), log::quote(bundle->identifier));
	}
	log::info("{} bundle{} found", index->size(), index->size() == 1 ? "" : "s");
}

void Server::rescan()
{
	store_.rescan();
	report_bundles();
}

bool Server::drain(std::chrono::milliseconds time)
{
	const auto end = steady_clock::now() + time;
	const bool resources_done = resources_.drain(time);
	const auto left = duration_cast<std::chrono::milliseconds>(end - steady_clock::now());
	return modules_.drain(std::max(left, std::chrono::milliseconds(0))) && resources_done;
}

int Server::run()
{
	std::vector<uint64_t> buffer(first_buffer / sizeof(uint64_t));
	Replies replies;
	while (!stop_.load()) {
		kextbridge_batch batch{};
		int error = exchange(replies, buffer, batch);
		if (!error)
			error = dispatch(batch, replies);
		if (error && error != -EINTR && error != -EAGAIN)
			return error;
	}
	submit(replies);
	return 0;
}

/* Hands in `replies`, which keeps those to be handed in next, and fetches. */
int Server::exchange(Replies &replies, std::vector<uint64_t> &buffer, kextbridge_batch &batch)
{
	auto wire = wire_forms(replies);
	batch.buffer = buffer.data();
	batch.size = static_cast<uint32_t>(buffer.size() * sizeof(uint64_t));
	batch.max_requests = fetch_at_once;
	/*
	 * With replies it does not sleep: one that the kernel refuses needs another answer now, not after
	 * the next request.
	 */
	uint32_t done = 0;
	const int error = kextbridge_exchange(daemon_, wire.data(), static_cast<uint32_t>(wire.size()), &done, &batch,
					      wire.empty() ? 0 : KEXTD_EXCHANGE_NOWAIT);
	settle(replies, wire, done);
	if (error == -ENOMEM) {
		std::this_thread::sleep_for(std::chrono::milliseconds(10));
		return -EAGAIN;
	}
	if (error != -ENOBUFS)
		return error;
	if (batch.used <= batch.size || batch.used > longest_buffer)
		return -EPROTO;
	buffer.resize((batch.used + sizeof(uint64_t) - 1) / sizeof(uint64_t));
	return -EAGAIN;
}

int Server::dispatch(const kextbridge_batch &batch, Replies &replies)
{
	size_t offset = 0;
	kextbridge_record record;
	OpenFolder folder;
	int more;
	while ((more = kextbridge_record_next(batch.buffer, batch.used, &offset, &record)) > 0) {
		if (record.header.kind == KEXTD_CANCEL) {
			resources_.cancel(record.header.id);
			modules_.cancel(record.header.id);
		} else if (record.header.id) {
			take(std::make_shared<Job>(record), replies, folder);
		} else {
			notice(record);
		}
	}
	if (more < 0)
		log::error("the kernel's record at byte {} of {} is malformed", offset, batch.used);
	return more;
}

/* What wants no answer. */
void Server::notice(const kextbridge_record &record)
{
	const std::string what = describe(record);
	switch (record.header.kind) {
	case KEXTD_LOADED:
	case KEXTD_UNLOADED:
		log::info("{}", what);
		break;
	case KEXTD_EXIT:
		log::info("{}: answering what is in hand", what);
		stop();
		break;
	default:
		log::write_limited(LOG_WARNING, what + ": this kextd does not know it");
	}
}

void Server::take(const JobPtr &job, Replies &replies, OpenFolder &folder)
{
	if (job->attempt)
		log::warning("{}: {} daemon{} ended with it in hand", label(*job), job->attempt,
			     job->attempt == 1 ? "" : "s");
	switch (job->kind) {
	case KEXTD_RESOURCE:
		return take_resource(job, replies, folder);
	case KEXTD_LOAD:
	case KEXTD_UNLOAD:
		if (!modules_.add(key_of(*job), job))
			replies.push_back({job, Answer::refusal(kOSKextReturnNoResources, "no thread")});
		return;
	default:
		log::write_limited(LOG_WARNING, label(*job) + ": this kextd does not know it");
		replies.push_back({job, Answer::refusal(kOSKextReturnUnsupported, {})});
	}
}

void Server::take_resource(const JobPtr &job, Replies &replies, OpenFolder &folder)
{
	const std::string key = key_of(*job);
	Held held;
	for (const Reply &reply : replies)
		held.add(reply.answer);
	const bool late = !replies.empty() && steady_clock::now() - replies.front().job->fetched >= longest_held;
	if (!late && !held.enough() && resources_.idle(key) && answer_at_once(job, replies, folder))
		return;

	/* The pool may be faster than this thread's next exchange: what came before must not come after. */
	const bool overtakes = std::any_of(replies.begin(), replies.end(),
					   [&](const Reply &reply) { return key_of(*reply.job) == key; });
	if (overtakes)
		submit(replies);
	if (!resources_.add(key, job))
		serve({job});
}

bool Server::answer_at_once(const JobPtr &job, Replies &replies, OpenFolder &folder)
{
	Answer answer;
	const Query query{job->identifier, job->name, job->max_length, nullptr};
	if (!find_resource_at_once(store_, query, folder, answer))
		return false;
	report(*job, answer);
	replies.push_back({job, std::move(answer)});
	return true;
}

void Server::serve(const std::vector<JobPtr> &jobs)
{
	Replies replies;
	Held held;
	OpenFolder folder;
	for (const JobPtr &job : jobs) {
		if (job->cancelled.load(std::memory_order_relaxed))
			continue;
		Answer given = answer(*job, folder);
		if (job->cancelled.load(std::memory_order_relaxed) && job->kind == KEXTD_RESOURCE)
			continue;
		report(*job, given);
		held.add(given);
		replies.push_back({job, std::move(given)});
		if (held.enough()) {
			submit(replies);
			held = Held();
			folder = OpenFolder();
		}
	}
	submit(replies);
}

Answer Server::answer(const Job &job, OpenFolder &folder)
{
	try {
		switch (job.kind) {
		case KEXTD_LOAD:
			return load_module(job.identifier, options_.modules, store_);
		case KEXTD_UNLOAD:
			return unload_module(job.name);
		default:
			return find_resource(store_, {job.identifier, job.name, job.max_length, &job.cancelled},
					     folder);
		}
	} catch (const std::bad_alloc &) {
		return Answer::refusal(kOSKextReturnNoMemory, "out of memory");
	} catch (const std::exception &error) {
		return Answer::refusal(kOSKextReturnInternalError, error.what());
	}
}

void Server::report(const Job &job, const Answer &answer) const
{
	if (answer.result != kOSReturnSuccess) {
		const char *name = kextbridge_return_name(answer.result);
		log::write_limited(LOG_NOTICE, fmt::format("{} refused: {}: {}", label(job), name ? name : "?",
							   log::quote(answer.reason)));
		return;
	}
	if (job.kind != KEXTD_RESOURCE) {
		log::info("{} done", label(job));
	} else if (log::verbose()) {
		const auto time = duration_cast<microseconds>(steady_clock::now() - job.fetched);
		log::info("{} served: {} bytes, {} us", label(job), answer.length, time.count());
	}
}

void Server::submit(Replies &replies)
{
	const size_t count = replies.size();
	const int error = hand_in(daemon_, replies);
	if (error) {
		log::error("cannot hand in {} of {} replies: {}", replies.size(), count, strerror(-error));
		replies.clear();
	}
}

} // namespace kext
