/* SPDX-License-Identifier: GPL-2.0-only */
/* The daemon's work: fetch, serve, hand in. */
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "bundle.hpp"
#include "options.hpp"
#include "pool.hpp"
#include "reply.hpp"

namespace kext {

/*
 * One thread fetches. What it can answer from memory it answers itself, so that the answers and the next
 * fetch are one system call; the rest goes to two pools, one for resources and one for modules. All three
 * hand in their own answers.
 *
 * Order: the requests of one kext are answered in the order of their arrival. The pool keeps it among its
 * own, and the fetching thread touches a kext only when the pool has nothing of that kext.
 */
class Server {
      public:
	Server(const Options &options, kextbridge_daemon *daemon);

	/* Fetches and serves until stop() or an error; the fetching thread's body. 0 or a negative errno. */
	int run();

	/* From any thread: run() ends soon. It may sleep in a system call: send it a signal, repeatedly. */
	void stop() { stop_.store(true); }

	/* Answers what is in hand. False: some of it takes longer than this. */
	bool drain(std::chrono::milliseconds time);

	void rescan();

      private:
	using Replies = std::vector<Reply>;

	int exchange(Replies &replies, std::vector<uint64_t> &buffer, kextbridge_batch &batch);
	int dispatch(const kextbridge_batch &batch, Replies &replies);
	void notice(const kextbridge_record &record);
	void take(const JobPtr &job, Replies &replies, OpenFolder &folder);
	void take_resource(const JobPtr &job, Replies &replies, OpenFolder &folder);
	bool answer_at_once(const JobPtr &job, Replies &replies, OpenFolder &folder);
	void serve(const std::vector<JobPtr> &jobs);
	Answer answer(const Job &job, OpenFolder &folder);
	void report(const Job &job, const Answer &answer) const;
	void submit(Replies &replies);
	void report_bundles() const;

	const Options options_;
	kextbridge_daemon *const daemon_;
	BundleStore store_;
	std::atomic<bool> stop_{false};
	SerialPool resources_;
	SerialPool modules_;
};

} // namespace kext
