/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kextbridge

#if !defined(_SHIM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SHIM_TRACE_H

#include <linux/tracepoint.h>

/* clang-format off: laid out as all TRACE_EVENTs are */

TRACE_EVENT(kextbridge_submit,
	TP_PROTO(u32 tag, u32 load_tag, u32 kind, const char *identifier, const char *name),
	TP_ARGS(tag, load_tag, kind, identifier, name),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u32, load_tag)
		__field(u32, kind)
		__string(identifier, identifier)
		__string(name, name)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->load_tag = load_tag;
		__entry->kind = kind;
		compat_assign_str(identifier, identifier);
		compat_assign_str(name, name);
	),
	TP_printk("tag=%u load_tag=%u kind=%u identifier=%s name=%s", __entry->tag, __entry->load_tag,
		  __entry->kind, __get_str(identifier), __get_str(name))
);

TRACE_EVENT(kextbridge_fetch,
	TP_PROTO(u32 tag, u32 load_tag, u32 kind),
	TP_ARGS(tag, load_tag, kind),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u32, load_tag)
		__field(u32, kind)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->load_tag = load_tag;
		__entry->kind = kind;
	),
	TP_printk("tag=%u load_tag=%u kind=%u", __entry->tag, __entry->load_tag, __entry->kind)
);

TRACE_EVENT(kextbridge_reply,
	TP_PROTO(u32 tag, u32 load_tag, s32 result, u32 length, s32 status),
	TP_ARGS(tag, load_tag, result, length, status),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u32, load_tag)
		__field(s32, result)
		__field(u32, length)
		__field(s32, status)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->load_tag = load_tag;
		__entry->result = result;
		__entry->length = length;
		__entry->status = status;
	),
	TP_printk("tag=%u load_tag=%u result=0x%08x length=%u status=0x%08x", __entry->tag, __entry->load_tag,
		  __entry->result, __entry->length, __entry->status)
);

TRACE_EVENT(kextbridge_callback,
	TP_PROTO(u32 tag, u32 load_tag, s32 result, u32 length, u64 latency_ns),
	TP_ARGS(tag, load_tag, result, length, latency_ns),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u32, load_tag)
		__field(s32, result)
		__field(u32, length)
		__field(u64, latency_ns)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->load_tag = load_tag;
		__entry->result = result;
		__entry->length = length;
		__entry->latency_ns = latency_ns;
	),
	TP_printk("tag=%u load_tag=%u result=0x%08x length=%u latency_ns=%llu", __entry->tag,
		  __entry->load_tag, __entry->result, __entry->length, __entry->latency_ns)
);

TRACE_EVENT(kextbridge_timeout,
	TP_PROTO(u32 tag, u32 load_tag),
	TP_ARGS(tag, load_tag),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u32, load_tag)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->load_tag = load_tag;
	),
	TP_printk("tag=%u load_tag=%u", __entry->tag, __entry->load_tag)
);

TRACE_EVENT(kextbridge_cancel,
	TP_PROTO(u32 tag, u32 load_tag, s32 result),
	TP_ARGS(tag, load_tag, result),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u32, load_tag)
		__field(s32, result)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->load_tag = load_tag;
		__entry->result = result;
	),
	TP_printk("tag=%u load_tag=%u result=0x%08x", __entry->tag, __entry->load_tag, __entry->result)
);

DECLARE_EVENT_CLASS(kextbridge_count,
	TP_PROTO(u32 load_tag, u32 retains, s32 result),
	TP_ARGS(load_tag, retains, result),
	TP_STRUCT__entry(
		__field(u32, load_tag)
		__field(u32, retains)
		__field(s32, result)
	),
	TP_fast_assign(
		__entry->load_tag = load_tag;
		__entry->retains = retains;
		__entry->result = result;
	),
	TP_printk("load_tag=%u retains=%u result=0x%08x", __entry->load_tag, __entry->retains, __entry->result)
);

DEFINE_EVENT(kextbridge_count, kextbridge_retain,
	TP_PROTO(u32 load_tag, u32 retains, s32 result), TP_ARGS(load_tag, retains, result));
DEFINE_EVENT(kextbridge_count, kextbridge_release,
	TP_PROTO(u32 load_tag, u32 retains, s32 result), TP_ARGS(load_tag, retains, result));

DECLARE_EVENT_CLASS(kextbridge_life,
	TP_PROTO(u32 load_tag, const char *identifier, s32 result),
	TP_ARGS(load_tag, identifier, result),
	TP_STRUCT__entry(
		__field(u32, load_tag)
		__string(identifier, identifier)
		__field(s32, result)
	),
	TP_fast_assign(
		__entry->load_tag = load_tag;
		compat_assign_str(identifier, identifier);
		__entry->result = result;
	),
	TP_printk("load_tag=%u identifier=%s result=0x%08x", __entry->load_tag, __get_str(identifier),
		  __entry->result)
);

DEFINE_EVENT(kextbridge_life, kextbridge_start,
	TP_PROTO(u32 load_tag, const char *identifier, s32 result), TP_ARGS(load_tag, identifier, result));
DEFINE_EVENT(kextbridge_life, kextbridge_stop,
	TP_PROTO(u32 load_tag, const char *identifier, s32 result), TP_ARGS(load_tag, identifier, result));

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
