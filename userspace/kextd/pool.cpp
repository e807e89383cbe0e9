/* SPDX-License-Identifier: GPL-2.0-only */
#include "pool.hpp"

#include <algorithm>
#include <pthread.h>
#include <system_error>

#include "log.hpp"

namespace kext {

SerialPool::SerialPool(std::string name, unsigned most_threads, size_t most_at_once, Handler handler)
	: name_(std::move(name)), most_threads_(most_threads), most_at_once_(most_at_once), handler_(std::move(handler))
{
}

SerialPool::~SerialPool()
{
	{
		const std::lock_guard lock(mutex_);
		stop_ = true;
	}
	work_to_do_.notify_all();
	for (std::thread &thread : threads_)
		thread.join();
}

bool SerialPool::start_thread()
{
	if (threads_.size() >= most_threads_)
		return !threads_.empty();
	try {
		threads_.emplace_back([this] { work(); });
	} catch (const std::system_error &error) {
		log::warning("cannot start a thread: {}", error.what());
		return !threads_.empty();
	}
	(void)pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
	return true;
}

bool SerialPool::add(const std::string &key, JobPtr job)
{
	const std::lock_guard lock(mutex_);
	const auto found = queues_.find(key);
	if (found != queues_.end()) {
		/* It waits for a thread already, or runs and is looked at again afterwards. */
		jobs_.emplace(job->id, job);
		found->second.jobs.push_back(std::move(job));
		return true;
	}
	/* One sleeper per ready queue is enough; a busy thread takes the next queue when it is done. */
	if (sleeping_ <= ready_.size() && !start_thread())
		return false;
	Queue &queue = queues_[key];
	queue.key = key;
	jobs_.emplace(job->id, job);
	queue.jobs.push_back(std::move(job));
	ready_.push_back(&queue);
	work_to_do_.notify_one();
	return true;
}

bool SerialPool::idle(const std::string &key) const
{
	const std::lock_guard lock(mutex_);
	return !queues_.contains(key);
}

void SerialPool::cancel(uint64_t id)
{
	const std::lock_guard lock(mutex_);
	if (const auto found = jobs_.find(id); found != jobs_.end())
		found->second->cancelled.store(true, std::memory_order_relaxed);
}

bool SerialPool::drain(std::chrono::milliseconds time)
{
	std::unique_lock lock(mutex_);
	return all_done_.wait_for(lock, time, [this] { return queues_.empty(); });
}

void SerialPool::work()
{
	std::unique_lock lock(mutex_);
	for (;;) {
		sleeping_++;
		work_to_do_.wait(lock, [this] { return stop_ || !ready_.empty(); });
		sleeping_--;
		if (ready_.empty())
			return;

		Queue &queue = *ready_.front();
		ready_.pop_front();
		const size_t count = std::min(queue.jobs.size(), most_at_once_);
		const auto end = queue.jobs.begin() + static_cast<std::ptrdiff_t>(count);
		const std::vector<JobPtr> batch(queue.jobs.begin(), end);
		queue.jobs.erase(queue.jobs.begin(), end);

		lock.unlock();
		handler_(batch);
		lock.lock();

		for (const JobPtr &job : batch)
			jobs_.erase(job->id);
		if (!queue.jobs.empty()) {
			ready_.push_back(&queue);
		} else {
			const std::string key = std::move(queue.key);
			queues_.erase(key);
			if (queues_.empty())
				all_done_.notify_all();
		}
	}
}

} // namespace kext
