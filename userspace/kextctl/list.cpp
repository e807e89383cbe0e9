/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl list and kextctl status */
#include "commands.hpp"
#include "snapshot.hpp"

#include <algorithm>

namespace kext::ctl {

namespace {

std::string flags_of(const kextbridge_kext &kext)
{
	std::string flags;
	if (kext.flags & KEXT_FLAG_AUTOUNLOAD)
		flags += 'A';
	if (kext.flags & KEXT_FLAG_PLAIN_RMMOD)
		flags += 'P';
	if (kext.flags & KEXT_FLAG_IN_CALLBACK)
		flags += 'C';
	if (kext.flags & KEXT_FLAG_DELAYED)
		flags += 'D';
	return flags.empty() ? "-" : flags;
}

} // namespace

int list(const Common &common, bool delay_autounload)
{
	const Bridge bridge = open_bridge(common.device);
	if (delay_autounload)
		check_call(kextbridge_delay_autounload(bridge.get()), "list");
	const auto kexts = all_kexts(bridge.get());
	if (common.json) {
		auto json = nlohmann::ordered_json::array();
		for (const kextbridge_kext &kext : kexts)
			json.push_back(json_of(kext));
		print_json({{"kexts", json}});
		return ExitOk;
	}
	size_t version_width = 7;
	for (const kextbridge_kext &kext : kexts)
		version_width = std::max(version_width, clean(kext.version).size());
	print_line(fmt::format("{:>5} {:>5} {:>7} {:>7} {:<9} {:<5} {:<{}} {}", "Tag", "Refs", "Pending", "Objects",
			       "State", "Flags", "Version", version_width, "Identifier (Module)"));
	for (const kextbridge_kext &kext : kexts) {
		print_line(fmt::format("{:>5} {:>5} {:>7} {:>7} {:<9} {:<5} {:<{}} {} ({})", kext.load_tag,
				       kext.retains, kext.pending, kext.instances, state_name(kext.state),
				       flags_of(kext), clean(kext.version), version_width, clean(kext.identifier),
				       clean(kext.module)));
	}
	for (const kextbridge_kext &kext : kexts) {
		if (kext.refused)
			print_line(fmt::format("{}: refused {} call{} as misuse; the kernel's log says which",
					       clean(kext.identifier), kext.refused, kext.refused == 1 ? "" : "s"));
	}
	return ExitOk;
}

int status(const Common &common)
{
	const Bridge bridge = open_bridge(common.device);
	const auto now = read_status(bridge.get());
	const bool daemon = (now.flags & KEXTBRIDGE_STATUS_DAEMON) != 0;
	const bool shutdown = (now.flags & KEXTBRIDGE_STATUS_SHUTDOWN) != 0;
	const nlohmann::ordered_json requests = {
		{"waiting", now.pending}, {"fetched", now.fetched}, {"answered", now.answered}};
	const nlohmann::ordered_json counters = {{"submitted", now.submitted},       {"callbacks", now.callbacks},
						 {"cancelled", now.cancelled},       {"discarded", now.discarded},
						 {"timeouts", now.timeouts},         {"replies", now.replies},
						 {"late_replies", now.late_replies}, {"bad_replies", now.bad_replies},
						 {"requeued", now.requeued},         {"poisoned", now.poisoned},
						 {"limited", now.limited},           {"retains", now.retains},
						 {"releases", now.releases},         {"loads", now.loads},
						 {"unloads", now.unloads},           {"autounloads", now.autounloads}};
	if (common.json) {
		nlohmann::ordered_json json;
		json["daemon"] = daemon;
		json["daemon_pid"] = daemon ? nlohmann::ordered_json(now.daemon_pid) : nlohmann::ordered_json();
		json["shutting_down"] = shutdown;
		json["kexts"] = now.kexts;
		json["generation"] = now.generation;
		json["requests"] = requests;
		json["counters"] = counters;
		print_json(json);
		return ExitOk;
	}
	const auto line = [](std::string_view name, const auto &value) {
		print_line(fmt::format("{:<14} {}", fmt::format("{}:", name), value));
	};
	if (shutdown)
		line("system", "shutting down: requests, loads and unloads are refused");
	line("daemon", !daemon            ? std::string(shutdown ? "none" : "none: start kextd") :
		       now.daemon_pid > 0 ? fmt::format("pid {}", now.daemon_pid) :
					    std::string("in another pid namespace"));
	line("kexts", now.kexts);
	line("requests", fmt::format("{} waiting, {} fetched, {} answered", now.pending, now.fetched, now.answered));
	for (const auto &[name, value] : counters.items()) {
		std::string label = name;
		std::replace(label.begin(), label.end(), '_', ' ');
		line(label, value.get<uint64_t>());
	}
	return ExitOk;
}

} // namespace kext::ctl
