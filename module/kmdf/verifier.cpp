// SPDX-License-Identifier: GPL-2.0-only
#include "verifier.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

static const char *const kRuleNames[] = {
	"CompleteCanceledReq",
	"DeferredRequestCompleted",
	"DriverCreate",
	"EvtIoStopCancel",
	"EvtIoStopCompleteOrStopAck",
	"InvalidReqAccess",
	"KmdfIrql",
	"MarkCancOnCancReq",
	"ReqIsCancOnCancReq",
	"ReqMarkCancelableSend",
	"ReqNotCanceled",
	"UnmarkNotCancelable",
	"StopAckOutsideStop",
	"IgnoredCancel",
	"PowerTimeout",
	"RecursiveLock",
	"MemoryReferenced",
	"NullParameter",
	"InvalidHandle",
	"DoubleCompletion",
	"AlreadySent",
	"InformationTooLong",
	"NotInQueue",
	"ObjectMisuse",
	"StateCallback",
	"LockOwner",
	"CallbackIrql",
	"WaitOnSelf",
	"StatusPending",
};
static_assert(sizeof(kRuleNames) / sizeof(kRuleNames[0]) == static_cast<int>(Rule::Rules));

bool verifying()
{
	return read_once(kmdf_params.verifier) != KMDF_VERIFIER_OFF;
}

void report(Rule rule, const Object *object, const char *format, ...)
{
	if (!verifying())
		return;
	bool is_request = object && object->type == Type::Request;
	const Request *request = is_request ? static_cast<const Request *>(object) : nullptr;
	u64 age_ms = request && request->issued_ns ? (shim_ktime_get_ns() - request->issued_ns) / kNanosecondsPerMs : 0;
	const void *marked_at = nullptr;
	{
		SpinGuard guard(core.lock);

		core.broken[static_cast<int>(rule)]++;
		if (request)
			marked_at = request->marked_at;
	}
	char text[160];
	__builtin_va_list args;

	__builtin_va_start(args, format);
	shim_vscnprintf(text, sizeof(text), format, args);
	__builtin_va_end(args);
	const char *driver = object && object->driver ? driver_name(*object->driver) : "a driver";
	const char *name = kRuleNames[static_cast<int>(rule)];

	if (!object)
		shim_pr_warn_ratelimited("%s: %s", name, text);
	else if (!request)
		shim_pr_warn_ratelimited("%s: %s: %s (%s %llx)", driver, name, text, type_name(object->type),
					 object->handle_value());
	else if (!marked_at)
		shim_pr_warn_ratelimited("%s: %s: %s (request %llx, %llu ms old)", driver, name, text,
					 object->handle_value(), age_ms);
	else
		shim_pr_warn_ratelimited("%s: %s: %s (request %llx, %llu ms old, marked at %pS)", driver, name, text,
					 object->handle_value(), age_ms, marked_at);
	if (read_once(kmdf_params.verifier) == KMDF_VERIFIER_PANIC)
		shim_panic("kmdf: %s: %s: %s", driver, name, text);
}

bool at_passive(const char *call, const void *caller)
{
	if (!at_dispatch())
		return true;
	report(Rule::KmdfIrql, nullptr, "%s above PASSIVE_LEVEL, at %pS", call, caller);
	return false;
}

size_t verifier_counters(char *page, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < static_cast<int>(Rule::Rules); i++) {
		u64 count;
		{
			SpinGuard guard(core.lock);

			count = core.broken[i];
		}
		used += shim_scnprintf(page + used, size - used, "%s %llu\n", kRuleNames[i], count);
	}
	return used;
}

} // namespace kmdf
