// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's tracepoints, log calls and module parameters.
#include "fake_inside.hpp"

#include <algorithm>
#include <string_view>

#include "shim/entry.h"

struct kextbridge_params kextbridge_params;

namespace {

// No lock: it would order what ThreadSanitizer is to find unordered.
constexpr const char *kEvents[] = {"submit",   "fetch",  "reply",   "cancel", "timeout",
				   "callback", "retain", "release", "start",  "stop"};
std::atomic<u64> event_counts[std::size(kEvents)];

std::atomic<u64> &event_counter(std::string_view name)
{
	return event_counts[std::find(std::begin(kEvents), std::end(kEvents), name) - std::begin(kEvents)];
}

void count_event(std::string_view name)
{
	event_counter(name).fetch_add(1, std::memory_order_relaxed);
}

} // namespace

extern "C" void shim_pr_info(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fake::log_line(format, arguments);
	va_end(arguments);
}

extern "C" void shim_pr_warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fake::log_line(format, arguments);
	va_end(arguments);
}

extern "C" void shim_pr_warn_ratelimited(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fake::log_line(format, arguments);
	va_end(arguments);
}

extern "C" void shim_vprintk_emit(int, const char *format, va_list arguments)
{
	fake::log_line(format, arguments);
}

extern "C" void shim_trace_submit(u32, u32, u32, const char *identifier, const char *name)
{
	if (strlen(identifier) > 4096 || strlen(name) > 4096)
		fake::bug("trace_submit: unterminated string");
	count_event("submit");
}
extern "C" void shim_trace_fetch(u32, u32, u32)
{
	count_event("fetch");
}
extern "C" void shim_trace_reply(u32, u32, s32, u32, s32)
{
	count_event("reply");
}
extern "C" void shim_trace_cancel(u32, u32, s32)
{
	count_event("cancel");
}
extern "C" void shim_trace_timeout(u32, u32)
{
	count_event("timeout");
}
extern "C" void shim_trace_callback(u32, u32, s32, u32, u64)
{
	count_event("callback");
}
extern "C" void shim_trace_retain(u32, u32, s32)
{
	count_event("retain");
}
extern "C" void shim_trace_release(u32, u32, s32)
{
	count_event("release");
}
extern "C" void shim_trace_start(u32, const char *, s32)
{
	count_event("start");
}
extern "C" void shim_trace_stop(u32, const char *, s32)
{
	count_event("stop");
}

namespace fake {

u64 trace_count(const char *event)
{
	return event_counter(event);
}

u64 rcu_tasks_grace_periods()
{
	return counters.grace_periods;
}

void reset_log()
{
	counters.grace_periods = 0;
	for (auto &count : event_counts)
		count = 0;
}

void reset_params()
{
	kextbridge_params = {};
	kextbridge_params.request_timeout_ms = 120000;
	kextbridge_params.autounload_delay_ms = 60000;
	kextbridge_params.max_pending = 16384;
	kextbridge_params.max_pending_per_file = 1024;
	kextbridge_params.max_reply_bytes = 256u << 20;
	kextbridge_params.max_bytes_per_file = 512u << 20;
	kextbridge_params.max_name = 1023;
}

} // namespace fake
