/* SPDX-License-Identifier: GPL-2.0-only */
#include "log.hpp"

#include <chrono>
#include <cstdio>
#include <mutex>
#include <unistd.h>
#include <utility>

namespace kext::log {

namespace {

constexpr unsigned lines_per_second = 200;

Sink current_sink = Sink::Stderr;
bool current_verbose = false;

struct Limiter {
	std::mutex mutex;
	std::chrono::steady_clock::time_point second{};
	unsigned lines = 0;
	unsigned left_out = 0;

	/* Whether this line may go out; `missed` counts those that did not in the seconds before. */
	bool admit(unsigned &missed)
	{
		const std::lock_guard lock(mutex);
		const auto now = std::chrono::steady_clock::now();
		missed = 0;
		if (now - second >= std::chrono::seconds(1)) {
			second = now;
			lines = 0;
			missed = std::exchange(left_out, 0);
		}
		if (lines < lines_per_second) {
			lines++;
			return true;
		}
		left_out++;
		return false;
	}
};

Limiter limiter;

} // namespace

void open(Sink sink, bool verbose)
{
	current_sink = sink;
	current_verbose = verbose;
	if (sink == Sink::Syslog)
		openlog("kextd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

bool verbose()
{
	return current_verbose;
}

void write(int priority, std::string_view line)
{
	if (current_sink == Sink::Syslog) {
		syslog(priority, "%.*s", static_cast<int>(line.size()), line.data());
		return;
	}
	/* One write per line, so that lines of two threads do not mix. A log that cannot be written is lost.
	 */
	const std::string text = current_sink == Sink::Journal ? fmt::format("<{}>{}\n", priority, line) :
								 fmt::format("kextd: {}\n", line);
	[[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

void complain(std::string_view line)
{
	write(LOG_ERR, line);
	if (current_sink == Sink::Syslog)
		fmt::print(stderr, "kextd: {}\n", line);
}

void write_limited(int priority, std::string_view line)
{
	unsigned missed;
	const bool admitted = limiter.admit(missed);
	if (missed)
		warning("{} more lines about refused requests were left out", missed);
	if (admitted)
		write(priority, line);
}

std::string quote(std::string_view text)
{
	constexpr size_t longest = 256;
	std::string out;
	for (const char c : text.substr(0, longest)) {
		const auto byte = static_cast<unsigned char>(c);
		if (byte < 0x20 || byte == 0x7f)
			out += fmt::format("\\x{:02x}", byte);
		else if (c == '\\')
			out += "\\\\";
		else
			out += c;
	}
	if (text.size() > longest)
		out += "...";
	return out;
}

} // namespace kext::log
