/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl request */
#include "commands.hpp"
#include "context.hpp"
#include "output.hpp"
#include "signals.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <poll.h>
#include <vector>

namespace kext::ctl {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t chunk = 1 << 20;
constexpr size_t preview_bytes = 16;
constexpr milliseconds patience{1000};

std::string hex(const std::vector<char> &bytes)
{
	std::string text;
	for (const char byte : bytes)
		text += fmt::format("{}{:02x}", text.empty() ? "" : " ", static_cast<unsigned char>(byte));
	return text;
}

class Request {
      public:
	Request(const Common &common, const RequestOptions &options)
		: common_(common), options_(options),
		  doing_(fmt::format("request {} {}", clean(options.identifier), clean(options.name))),
		  bridge_(open_bridge(common.device))
	{
	}

	int run()
	{
		submit();
		if (options_.hold)
			announce_hold();
		if (!wait())
			return interrupted();
		if (outcome_.flags & KEXTBRIDGE_RESULT_CANCELLED)
			return cancelled();
		if (outcome_.result != kOSReturnSuccess) {
			summarize({});
			check_result(outcome_.result, Operation::Request, doing_);
		}
		return deliver();
	}

      private:
	void submit()
	{
		kextbridge_request_options options{};
		options.timeout_ms = options_.timeout_ms;
		options.max_length = static_cast<uint32_t>(options_.max_length);
		options.flags = options_.hold ? KEXTBRIDGE_REQUEST_HOLD : 0;
		OSReturn result;
		check_call(kextbridge_submit(bridge_.get(), options_.identifier.c_str(), options_.name.c_str(),
					     &options, &tag_, &result),
			   doing_);
		check_result(result, Operation::Request, doing_);
	}

	void announce_hold()
	{
		if (common_.json)
			print_json({{"tag", tag_}, {"hold", true}}, -1);
		else
			print_line(fmt::format("{}", tag_));
	}

	/* Until the request has ended. False: a signal came first. */
	bool wait()
	{
		pollfd waiters[] = {{kextbridge_fd(bridge_.get()), POLLIN, 0}, {signals_.fd(), POLLIN, 0}};
		for (;;) {
			const int error = kextbridge_result_wait(bridge_.get(), tag_, 0, &outcome_);
			if (error != -EAGAIN) {
				check_call(error, doing_);
				ended_ = steady_clock::now();
				return true;
			}
			if (poll(waiters, 2, time_to_note()) < 0 && errno != EINTR)
				throw Failure(ExitFailed, fmt::format("{}: {}", doing_, strerror(errno)));
			if (signals_.arrived())
				return false;
			note_waiting();
		}
	}

	int time_to_note() const
	{
		if (noted_ || options_.hold)
			return -1;
		const auto left = duration_cast<milliseconds>(begun_ + patience - steady_clock::now()).count();
		return left > 0 ? static_cast<int>(left) + 1 : 0;
	}

	void note_waiting()
	{
		if (noted_ || options_.hold || steady_clock::now() - begun_ < patience)
			return;
		noted_ = true;
		struct kextbridge_status status;
		const bool known = kextbridge_get_status(bridge_.get(), &status) == 0;
		const bool daemon = !known || (status.flags & KEXTBRIDGE_STATUS_DAEMON);
		note(daemon ? "waiting for kextd" : "no kextd is running; the request waits for one");
	}

	int interrupted()
	{
		OSReturn result = kOSReturnSuccess;
		const int error = kextbridge_cancel(bridge_.get(), tag_, &result);
		if (error)
			note(fmt::format("cancel {}: {}", tag_, strerror(-error)));
		else if (result == kOSReturnSuccess)
			note(fmt::format("cancelled: tag {}", tag_));
		else
			note(fmt::format("interrupted: tag {} had ended already", tag_));
		return ExitInterrupted;
	}

	int cancelled()
	{
		if (common_.json)
			print_json(summary(true));
		else
			note(fmt::format("cancelled: tag {}, by another program", tag_));
		return ExitNotFound;
	}

	int deliver()
	{
		const bool terminal = isatty(STDOUT_FILENO) == 1;
		std::optional<Output> output;
		if (options_.output && *options_.output != "-")
			output.emplace(Output::to_file(*options_.output));
		else if (options_.output || (!terminal && !common_.json))
			output.emplace(Output::to_stdout());

		std::vector<char> preview;
		if (!copy(output ? &*output : nullptr, preview))
			return ExitInterrupted;
		if (output)
			output->commit();
		(void)kextbridge_result_release(bridge_.get(), tag_);
		summarize(preview);
		return ExitOk;
	}

	/* Copies the payload; only its first bytes when it goes nowhere. False: a signal came. */
	bool copy(Output *output, std::vector<char> &preview)
	{
		std::vector<char> buffer(output ? std::min<size_t>(chunk, outcome_.length) : preview_bytes);
		uint32_t offset = 0;
		while (offset < outcome_.length && !buffer.empty()) {
			const int64_t count = kextbridge_result_read(bridge_.get(), tag_, offset, buffer.data(),
								     static_cast<uint32_t>(buffer.size()));
			check_call(count, doing_);
			if (count == 0)
				throw Failure(ExitFailed, doing_ + ": the payload ends too early");
			if (preview.empty())
				preview.assign(buffer.begin(),
					       buffer.begin() + std::min<int64_t>(count, preview_bytes));
			if (!output)
				break;
			output->write(buffer.data(), static_cast<size_t>(count));
			offset += static_cast<uint32_t>(count);
			show_progress(offset);
			if (signals_.arrived()) {
				note(fmt::format("interrupted after {} of {} bytes", offset, outcome_.length));
				return false;
			}
		}
		return true;
	}

	void show_progress(uint32_t done)
	{
		if (steady_clock::now() - ended_ < patience || !isatty(STDERR_FILENO))
			return;
		const uint64_t percent = uint64_t{done} * 100 / outcome_.length;
		fmt::print(stderr, "\r{} of {} bytes, {} %{}", done, outcome_.length, percent,
			   done == outcome_.length ? "\n" : "");
	}

	nlohmann::ordered_json summary(bool by_another = false) const
	{
		const auto time = duration_cast<std::chrono::microseconds>(ended_ - begun_);
		nlohmann::ordered_json json = {{"tag", tag_},
					       {"identifier", options_.identifier},
					       {"name", options_.name},
					       {"result", json_of(outcome_.result)},
					       {"cancelled", by_another},
					       {"length", outcome_.length},
					       {"microseconds", time.count()}};
		if (options_.output)
			json["output"] = *options_.output;
		return json;
	}

	void summarize(const std::vector<char> &preview) const
	{
		if (common_.json) {
			print_json(summary());
			return;
		}
		if (outcome_.result != kOSReturnSuccess)
			return;
		const double time = std::chrono::duration<double, std::milli>(ended_ - begun_).count();
		const std::string text = fmt::format("{} {}: {} bytes in {:.2f} ms (tag {})",
						     clean(options_.identifier), clean(options_.name), outcome_.length,
						     time, tag_);
		if (options_.output && *options_.output != "-") {
			print_line(fmt::format("{} to {}", text, *options_.output));
		} else if (!options_.output && isatty(STDOUT_FILENO) == 1) {
			print_line(text);
			if (!preview.empty())
				print_line(fmt::format("{}{}", hex(preview),
						       outcome_.length > preview.size() ? " ..." : ""));
		}
	}

	const Common &common_;
	const RequestOptions &options_;
	const std::string doing_;
	const Bridge bridge_;
	Signals signals_;
	const steady_clock::time_point begun_ = steady_clock::now();
	steady_clock::time_point ended_ = begun_;
	uint32_t tag_ = 0;
	bool noted_ = false;
	kextbridge_outcome outcome_{};
};

} // namespace

int request(const Common &common, const RequestOptions &options)
{
	if (common.json && options.output && *options.output == "-")
		throw Failure(ExitUsage, "request: --json needs stdout for itself: not with -o -");
	return Request(common, options).run();
}

} // namespace kext::ctl
