/* SPDX-License-Identifier: GPL-2.0-only */
/* A pool of threads that serves the jobs of one key in order and those of different keys in parallel. */
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "job.hpp"

namespace kext {

class SerialPool {
      public:
	/*
	 * Serves some jobs of one key, in their order. The next ones of that key come after it has returned:
	 * until then it must have handed the answers in.
	 */
	using Handler = std::function<void(const std::vector<JobPtr> &)>;

	/* Threads are started as they are needed. */
	SerialPool(std::string name, unsigned most_threads, size_t most_at_once, Handler handler);
	~SerialPool();
	SerialPool(const SerialPool &) = delete;
	SerialPool &operator=(const SerialPool &) = delete;

	/* False: there is no thread to do it. */
	bool add(const std::string &key, JobPtr job);

	/* No job of this key waits or runs. Only meaningful on the one thread that adds. */
	bool idle(const std::string &key) const;

	/* Marks a job as cancelled, if it is here. */
	void cancel(uint64_t id);

	/* Waits until no job waits or runs. False: not within the time. */
	bool drain(std::chrono::milliseconds time);

      private:
	struct Queue {
		std::string key;
		std::deque<JobPtr> jobs;
	};

	bool start_thread();
	void work();

	const std::string name_;
	const unsigned most_threads_;
	const size_t most_at_once_;
	const Handler handler_;

	mutable std::mutex mutex_;
	std::condition_variable work_to_do_;
	std::condition_variable all_done_;
	std::unordered_map<std::string, Queue> queues_;
	std::deque<Queue *> ready_; /* queues with jobs of which none runs */
	std::unordered_map<uint64_t, JobPtr> jobs_;
	std::vector<std::thread> threads_;
	unsigned sleeping_ = 0;
	bool stop_ = false;
};

} // namespace kext
