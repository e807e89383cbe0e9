/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl watch */
#include "commands.hpp"
#include "signals.hpp"
#include "snapshot.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <poll.h>

namespace kext::ctl {

namespace {

using Json = nlohmann::ordered_json;

std::string time_of_day()
{
	timespec now{};
	tm local{};
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (!localtime_r(&now.tv_sec, &local))
		return "?";
	char text[64];
	char zone[16];
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &local);
	(void)strftime(zone, sizeof(zone), "%z", &local);
	return fmt::format("{}.{:06}{}", text, now.tv_nsec / 1000, zone);
}

/* What the bridge looked like at one time. */
struct Picture {
	int daemon = 0; /* pid; -1: there is one that has no pid here */
	std::map<uint32_t, kextbridge_kext> kexts;
};

class Watch {
      public:
	Watch(const Common &common, uint64_t count) : common_(common), left_(count), endless_(count == 0) {}

	int run()
	{
		const Bridge bridge = open_bridge(common_.device);
		Signals signals;
		Picture before = take(bridge.get());
		greet(before);
		pollfd waiters[] = {{kextbridge_fd(bridge.get()), POLLPRI, 0}, {signals.fd(), POLLIN, 0}};
		while (endless_ || left_ > 0) {
			if (poll(waiters, 2, -1) < 0 && errno != EINTR)
				throw Failure(ExitFailed, fmt::format("watch: {}", strerror(errno)));
			if (signals.arrived())
				return ExitInterrupted;
			if (waiters[0].revents & (POLLERR | POLLHUP | POLLNVAL))
				throw Failure(ExitNoBridge, "watch: the device has gone");
			Picture now = take(bridge.get());
			compare(before, now);
			before = std::move(now);
		}
		return ExitOk;
	}

      private:
	/* The status first: what changes after it makes the device ready again. */
	static Picture take(kextbridge *kb)
	{
		Picture picture;
		const auto status = read_status(kb);
		if (status.flags & KEXTBRIDGE_STATUS_DAEMON)
			picture.daemon = status.daemon_pid > 0 ? status.daemon_pid : -1;
		for (const kextbridge_kext &kext : all_kexts(kb))
			picture.kexts.emplace(kext.load_tag, kext);
		return picture;
	}

	void greet(const Picture &picture)
	{
		if (common_.json) {
			auto kexts = Json::array();
			for (const auto &[tag, kext] : picture.kexts)
				kexts.push_back(json_of(kext));
			print_json({{"time", time_of_day()},
				    {"event", "watching"},
				    {"daemon_pid", pid(picture.daemon)},
				    {"kexts", kexts}},
				   -1);
			return;
		}
		print_line(fmt::format("{} watching {} kexts, {}", time_of_day(), picture.kexts.size(),
				       picture.daemon ? "kextd runs" : "no kextd"));
	}

	static Json pid(int daemon) { return daemon > 0 ? Json(daemon) : Json(); }

	void compare(const Picture &before, const Picture &now)
	{
		if (before.daemon != now.daemon) {
			if (before.daemon)
				daemon_event("daemon-left", "kextd left", before.daemon);
			if (now.daemon)
				daemon_event("daemon-came", "kextd came", now.daemon);
		}
		for (const auto &[tag, kext] : before.kexts) {
			if (!now.kexts.contains(tag))
				kext_event("left", kext, "left", Json::object());
		}
		for (const auto &[tag, kext] : now.kexts) {
			const auto old = before.kexts.find(tag);
			if (old == before.kexts.end())
				came(kext);
			else
				changed(old->second, kext);
		}
	}

	void came(const kextbridge_kext &kext)
	{
		kext_event("came", kext,
			   fmt::format("came: version {}, module {}, {}", clean(kext.version), clean(kext.module),
				       state_name(kext.state)),
			   {{"version", kext.version}, {"module", kext.module}, {"state", state_name(kext.state)}});
	}

	void changed(const kextbridge_kext &old, const kextbridge_kext &kext)
	{
		if (old.state != kext.state)
			value_event("state", kext, state_name(old.state), state_name(kext.state));
		if (old.retains != kext.retains)
			value_event("retains", kext, old.retains, kext.retains);
		if (old.pending != kext.pending)
			value_event("pending", kext, old.pending, kext.pending);
	}

	template <typename T> void value_event(const char *what, const kextbridge_kext &kext, T from, T to)
	{
		kext_event(what, kext, fmt::format("{}: {} -> {}", what, from, to), {{"from", from}, {"to", to}});
	}

	void kext_event(const char *event, const kextbridge_kext &kext, const std::string &text, const Json &details)
	{
		Json json = {{"event", event}, {"load_tag", kext.load_tag}, {"identifier", kext.identifier}};
		json.update(details);
		print(std::move(json), fmt::format("kext {} {} {}", kext.load_tag, clean(kext.identifier), text));
	}

	void daemon_event(const char *event, const char *text, int daemon)
	{
		print({{"event", event}, {"daemon_pid", pid(daemon)}},
		      daemon > 0 ? fmt::format("{}: pid {}", text, daemon) : std::string(text));
	}

	void print(Json json, const std::string &text)
	{
		if (!endless_ && left_ == 0)
			return;
		left_ -= endless_ ? 0 : 1;
		if (!common_.json) {
			print_line(fmt::format("{} {}", time_of_day(), text));
			return;
		}
		Json line = {{"time", time_of_day()}};
		line.update(json);
		print_json(line, -1);
	}

	const Common &common_;
	uint64_t left_;
	const bool endless_;
};

} // namespace

int watch(const Common &common, uint64_t count)
{
	return Watch(common, count).run();
}

} // namespace kext::ctl
