/* SPDX-License-Identifier: GPL-2.0-only */
#include "context.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace kext::ctl {

namespace {

struct Advice {
	Operation operation;
	OSReturn result;
	const char *text;
};

constexpr Advice advices[] = {
	{Operation::Request, kOSKextReturnNotFound,
	 "no bundle with this identifier has it; kextd's log says where it looked"},
	{Operation::Request, kOSKextReturnInvalidArgument,
	 "identifier and name must not be empty or too long, and the name must stay beneath the bundle's "
	 "Resources"},
	{Operation::Request, kOSKextReturnValidation, "the bundle's Info.plist is invalid; kextd's log says why"},
	{Operation::Request, kOSKextReturnAuthentication,
	 "something of the bundle does not belong to root:root or is writable for others; kextd's log says "
	 "what"},
	{Operation::Request, kOSKextReturnNoResources,
	 "the resource is longer than --max-length, or a limit was reached (kextctl status, kextd's log)"},
	{Operation::Request, kOSKextReturnBadData,
	 "the file changed or could not be read; try again, then see kextd's log"},
	{Operation::Request, kOSKextReturnTimeout, "nobody answered in time; is kextd running? (kextctl status)"},
	{Operation::Request, kOSKextReturnInternalError, "kextd could not answer; its log says why"},
	{Operation::Request, kOSKextReturnDisabled, "the system is shutting down"},
	{Operation::Cancel, kOSKextReturnNotFound, "no such request is pending: it has ended or never was"},
	{Operation::Cancel, kOSKextReturnNotPrivileged, "a driver's request can be cancelled by that driver only"},
	{Operation::Retain, kOSKextReturnNotFound, "no kext has this tag, or it is stopping (kextctl list)"},
	{Operation::Retain, kOSKextReturnInvalidArgument, "this is no load tag (kextctl list)"},
	{Operation::Retain, kOSKextReturnNoResources, "it has too many references already"},
	{Operation::Release, kOSKextReturnNotFound, "no kext has this tag (kextctl list)"},
	{Operation::Release, kOSKextReturnInvalidArgument, "it is not retained: there is nothing to release"},
	{Operation::Load, kOSKextReturnNotFound,
	 "no module has the alias kext:IDENTIFIER; install it and run depmod, or put it in a bundle"},
	{Operation::Load, kOSKextReturnInvalidArgument, "this is no bundle identifier"},
	{Operation::Load, kOSKextReturnDisabled,
	 "no kextd is running, or the system is shutting down (kextctl status)"},
	{Operation::Load, kOSKextReturnNotPrivileged, "the kernel does not permit it; kextd's log says why"},
	{Operation::Load, kOSKextReturnAuthentication,
	 "the signature is refused, or the bundle does not belong to root; kextd's log says which"},
	{Operation::Load, kOSKextReturnLinkError,
	 "the module is not for this kernel; the kernel's log names the symbol"},
	{Operation::Load, kOSKextReturnStartStopError, "its start function failed; see the kernel's log"},
	{Operation::Load, kOSKextReturnNotLoadable, "modprobe.d has it on a blacklist, or its install command failed"},
	{Operation::Load, kOSKextReturnInUse, "the module is just being deleted; try again"},
	{Operation::Start, kOSKextReturnNotFound, "no kext has this tag (kextctl list)"},
	{Operation::Start, kOSKextReturnStartStopError, "its start function failed; see the kernel's log"},
	{Operation::Start, kOSKextReturnStopping, "it is just being stopped or unloaded; try again"},
	{Operation::Start, kOSKextReturnDisabled, "the system is shutting down"},
	{Operation::Stop, kOSKextReturnNotFound, "no kext has this tag (kextctl list)"},
	{Operation::Stop, kOSKextReturnInUse,
	 "it is retained, or another module or an open file uses it, or its objects live (kextctl list, lsmod)"},
	{Operation::Stop, kOSKextReturnStartStopError, "its stop function refused; it stays started"},
	{Operation::Stop, kOSKextReturnDisabled, "the system is shutting down"},
	{Operation::Unload, kOSKextReturnNotFound, "no kext has this tag (kextctl list)"},
	{Operation::Unload, kOSKextReturnInUse,
	 "it is retained, or another module or an open file uses it, or its objects live, or it has pending "
	 "requests (kextctl list, lsmod)"},
	{Operation::Unload, kOSKextReturnStartStopError, "its stop function refused; it stays started"},
	{Operation::Unload, kOSKextReturnDisabled,
	 "no kextd is running to delete the module, or the system is shutting down (kextctl status)"},
	{Operation::Unload, kOSKextReturnNotPrivileged, "the kernel does not permit it; kextd's log says why"},
	{Operation::Rpc, kOSKextReturnSerialization, "this is no property list in XML, or no dictionary"},
	{Operation::Rpc, kOSKextReturnInvalidArgument,
	 "the predicate is unknown, or arguments are missing; kext_request(3) lists them"},
	{Operation::Rpc, kOSKextReturnNotPrivileged,
	 "be root (CAP_SYS_MODULE); Get Kernel Requests and Send Resource are the daemon's (--daemon)"},
	{Operation::Rpc, KERN_INVALID_ARGUMENT, "the request is empty"},
	{Operation::Rpc, KERN_NOT_SUPPORTED, "a kext archive cannot be loaded here; kextctl load takes a module"},
};

const char *advice_for(OSReturn result, Operation operation)
{
	for (const Advice &advice : advices) {
		if (advice.result == result && advice.operation == operation)
			return advice.text;
	}
	return kextbridge_return_text(result);
}

} // namespace

Bridge open_bridge(const std::string &device)
{
	kextbridge *raw = nullptr;
	const int error = -kextbridge_open(device.c_str(), &raw);
	switch (error) {
	case 0:
		return Bridge(raw);
	case ENOENT:
	case ENXIO:
	case ENODEV:
		throw Failure(ExitNoBridge, fmt::format("{}: {}: kextbridge is not loaded (insmod kextbridge.ko)",
							device, strerror(error)));
	case EACCES:
	case EPERM:
		throw Failure(ExitNoPermission,
			      fmt::format("{}: {}: be root or a member of the node's group", device, strerror(error)));
	default:
		throw Failure(ExitFailed, fmt::format("{}: {}", device, strerror(error)));
	}
}

void check_call(int64_t error, const std::string &doing)
{
	if (error >= 0)
		return;
	const int code = static_cast<int>(-error);
	switch (code) {
	case ENOTTY:
		throw Failure(ExitNoBridge, doing + ": the device is no node of kextbridge.ko");
	case ENODEV:
		throw Failure(ExitNoBridge, doing + ": kextbridge is being unloaded");
	case EPERM:
	case EACCES:
		throw Failure(ExitNoPermission, fmt::format("{}: {}: be root (CAP_SYS_MODULE, or CAP_SYS_ADMIN "
							    "for another user's request)",
							    doing, strerror(code)));
	default:
		throw Failure(ExitFailed, fmt::format("{}: {}", doing, strerror(code)));
	}
}

int exit_code(OSReturn result)
{
	switch (result) {
	case kOSReturnSuccess:
		return ExitOk;
	case kOSKextReturnNotFound:
		return ExitNotFound;
	case kOSKextReturnNotPrivileged:
		return ExitNoPermission;
	case kOSKextReturnDisabled:
		return ExitNoDaemon;
	default:
		return ExitFailed;
	}
}

void check_result(OSReturn result, Operation operation, const std::string &doing)
{
	if (result != kOSReturnSuccess)
		throw Failure(exit_code(result),
			      fmt::format("{}: {} (0x{:08x}): {}", doing, name_of(result),
					  static_cast<uint32_t>(result), advice_for(result, operation)));
}

std::string name_of(OSReturn result)
{
	const char *name = kextbridge_return_name(result);
	return name ? name : "unknown result";
}

nlohmann::ordered_json json_of(OSReturn result)
{
	return {{"name", name_of(result)},
		{"code", fmt::format("0x{:08x}", static_cast<uint32_t>(result))},
		{"text", kextbridge_return_text(result)}};
}

std::string clean(std::string_view text)
{
	std::string out(text);
	std::replace_if(
		out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
	return out;
}

void print_line(std::string_view line)
{
	fmt::print(stdout, "{}\n", line);
	if (fflush(stdout) != 0)
		throw Failure(ExitFailed, fmt::format("stdout: {}", strerror(errno)));
}

void print_json(const nlohmann::ordered_json &json, int indent)
{
	/* Names may hold any bytes: what is no UTF-8 is replaced. */
	print_line(json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void note(std::string_view line)
{
	fmt::print(stderr, "kextctl: {}\n", line);
}

const char *state_name(uint32_t state)
{
	switch (state) {
	case KEXT_STATE_STARTING:
		return "starting";
	case KEXT_STATE_STARTED:
		return "started";
	case KEXT_STATE_STOPPING:
		return "stopping";
	case KEXT_STATE_STOPPED:
		return "stopped";
	case KEXT_STATE_LOADED:
		return "loaded";
	default:
		return "unknown";
	}
}

uint32_t resolve_kext(kextbridge *kb, const std::string &tag_or_identifier, const std::string &doing)
{
	uint32_t tag = 0;
	const char *end = tag_or_identifier.data() + tag_or_identifier.size();
	const auto [stop, error] = std::from_chars(tag_or_identifier.data(), end, tag);
	if (error == std::errc() && stop == end)
		return tag;
	kextbridge_kext found;
	const int missing = kextbridge_find_kext(kb, tag_or_identifier.c_str(), &found);
	if (missing == -ENOENT)
		throw Failure(ExitNotFound, doing + ": no kext with this identifier is loaded (kextctl list)");
	check_call(missing, doing);
	return found.load_tag;
}

} // namespace kext::ctl
