/* SPDX-License-Identifier: GPL-2.0-only */
/* Log lines, to stderr or to syslog. Any thread may log. */
#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>
#include <syslog.h>

namespace kext::log {

enum class Sink {
	Stderr,  /* plain lines */
	Journal, /* stderr with the <N> priority prefix that journald reads */
	Syslog,
};

/* Call before the first thread starts. */
void open(Sink sink, bool verbose);
bool verbose();

void write(int priority, std::string_view line);

/* An error that keeps the program from starting: a person may be watching, so it goes to stderr too. */
void complain(std::string_view line);

/* A line that others can cause at will: at most some hundred per second, then a count of those left out. */
void write_limited(int priority, std::string_view line);

/* Text that came from elsewhere, with everything escaped that could forge or garble a line. */
std::string quote(std::string_view text);

template <typename... Args> void error(fmt::format_string<Args...> format, Args &&...args)
{
	write(LOG_ERR, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args> void warning(fmt::format_string<Args...> format, Args &&...args)
{
	write(LOG_WARNING, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args> void info(fmt::format_string<Args...> format, Args &&...args)
{
	write(LOG_INFO, fmt::format(format, std::forward<Args>(args)...));
}

} // namespace kext::log
