// SPDX-License-Identifier: GPL-2.0-only
#include "compat.h"
#include "shim/shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void shim_trace_callback(u32 tag, u32 load_tag, s32 result, u32 length, u64 latency_ns)
{
	trace_kextbridge_callback(tag, load_tag, result, length, latency_ns);
}

void shim_trace_cancel(u32 tag, u32 load_tag, s32 result)
{
	trace_kextbridge_cancel(tag, load_tag, result);
}

void shim_trace_fetch(u32 tag, u32 load_tag, u32 kind)
{
	trace_kextbridge_fetch(tag, load_tag, kind);
}

void shim_trace_release(u32 load_tag, u32 retains, s32 result)
{
	trace_kextbridge_release(load_tag, retains, result);
}

void shim_trace_reply(u32 tag, u32 load_tag, s32 result, u32 length, s32 status)
{
	trace_kextbridge_reply(tag, load_tag, result, length, status);
}

void shim_trace_retain(u32 load_tag, u32 retains, s32 result)
{
	trace_kextbridge_retain(load_tag, retains, result);
}

void shim_trace_start(u32 load_tag, const char *identifier, s32 result)
{
	trace_kextbridge_start(load_tag, identifier, result);
}

void shim_trace_stop(u32 load_tag, const char *identifier, s32 result)
{
	trace_kextbridge_stop(load_tag, identifier, result);
}

void shim_trace_submit(u32 tag, u32 load_tag, u32 kind, const char *identifier, const char *name)
{
	trace_kextbridge_submit(tag, load_tag, kind, identifier, name);
}

void shim_trace_timeout(u32 tag, u32 load_tag)
{
	trace_kextbridge_timeout(tag, load_tag);
}
