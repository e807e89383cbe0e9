/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl cancel, retain, release, load, start, stop, unload */
#include "commands.hpp"
#include "context.hpp"

namespace kext::ctl {

namespace {

/* Says what was done; with --json also when it failed, before `result` becomes a Failure. */
void conclude(const Common &common, Operation operation, const std::string &doing, nlohmann::ordered_json json,
	      OSReturn result, const std::string &done)
{
	if (common.json) {
		json["result"] = json_of(result);
		print_json(json);
	}
	const bool fine = result == kOSReturnSuccess || result == kOSKextReturnDeferred;
	if (!fine)
		check_result(result, operation, doing);
	if (!common.json)
		print_line(done);
}

using TagCall = int (*)(kextbridge *, uint32_t, OSReturn *);

int on_kext(const Common &common, Operation operation, const char *verb, const char *done, TagCall call,
	    const std::string &kext)
{
	const std::string doing = fmt::format("{} {}", verb, clean(kext));
	const Bridge bridge = open_bridge(common.device);
	const uint32_t tag = resolve_kext(bridge.get(), kext, doing);
	OSReturn result;
	check_call(call(bridge.get(), tag, &result), doing);
	conclude(common, operation, doing, {{"load_tag", tag}}, result, fmt::format("{}: kext {}", done, tag));
	return ExitOk;
}

} // namespace

int cancel(const Common &common, uint32_t tag)
{
	const std::string doing = fmt::format("cancel {}", tag);
	const Bridge bridge = open_bridge(common.device);
	OSReturn result;
	check_call(kextbridge_cancel(bridge.get(), tag, &result), doing);
	conclude(common, Operation::Cancel, doing, {{"tag", tag}}, result, fmt::format("cancelled: tag {}", tag));
	return ExitOk;
}

int retain(const Common &common, const std::string &kext)
{
	return on_kext(common, Operation::Retain, "retain", "retained", kextbridge_retain_kext, kext);
}

int release(const Common &common, const std::string &kext)
{
	return on_kext(common, Operation::Release, "release", "released", kextbridge_release_kext, kext);
}

int load(const Common &common, const LoadOptions &options)
{
	const std::string name = clean(options.identifier);
	const std::string doing = "load " + name;
	const uint32_t flags = (options.no_wait ? 0 : KEXTBRIDGE_LOAD_WAIT) |
			       (options.delay_autounload ? KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD : 0);
	const Bridge bridge = open_bridge(common.device);
	OSReturn result;
	check_call(kextbridge_load_kext(bridge.get(), options.identifier.c_str(), flags, &result), doing);
	conclude(common, Operation::Load, doing, {{"identifier", options.identifier}}, result,
		 (result == kOSKextReturnDeferred ? "queued for kextd: " : "started: ") + name);
	return ExitOk;
}

int start(const Common &common, const std::string &kext)
{
	return on_kext(common, Operation::Start, "start", "started", kextbridge_start_kext, kext);
}

int stop(const Common &common, const std::string &kext)
{
	return on_kext(common, Operation::Stop, "stop", "stopped", kextbridge_stop_kext, kext);
}

int unload(const Common &common, const std::string &kext, bool if_idle)
{
	const std::string doing = fmt::format("unload {}", clean(kext));
	const Bridge bridge = open_bridge(common.device);
	const uint32_t tag = resolve_kext(bridge.get(), kext, doing);
	OSReturn result;
	check_call(kextbridge_unload_kext(bridge.get(), tag, if_idle ? KEXTBRIDGE_UNLOAD_IF_IDLE : 0, &result), doing);
	conclude(common, Operation::Unload, doing, {{"load_tag", tag}}, result, fmt::format("unloaded: kext {}", tag));
	return ExitOk;
}

} // namespace kext::ctl
