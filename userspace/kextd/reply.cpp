/* SPDX-License-Identifier: GPL-2.0-only */
#include "reply.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "log.hpp"

namespace kext {

std::string label(const Job &job)
{
	const std::string asker = job.load_tag ? fmt::format(" for kext {}", job.load_tag) : std::string();
	switch (job.kind) {
	case KEXTD_RESOURCE:
		return fmt::format("resource {} {}{}", log::quote(job.identifier), log::quote(job.name), asker);
	case KEXTD_LOAD:
		return fmt::format("load {}", log::quote(job.identifier));
	case KEXTD_UNLOAD:
		return fmt::format("unload {}{}", log::quote(job.name), asker);
	default:
		return fmt::format("request of kind {}", job.kind);
	}
}

std::string describe(const kextbridge_record &notice)
{
	const auto kext = [&](const char *what) {
		return fmt::format("kext {} {} (module {}) {}", notice.header.load_tag, log::quote(notice.identifier),
				   log::quote(notice.name), what);
	};
	switch (notice.header.kind) {
	case KEXTD_LOADED:
		return kext("has been loaded");
	case KEXTD_UNLOADED:
		return kext("has been unloaded");
	case KEXTD_EXIT:
		return "the system is shutting down";
	default:
		return fmt::format("notice of kind {}", notice.header.kind);
	}
}

kextd_reply wire_form(const Reply &reply)
{
	kextd_reply wire{};
	wire.id = reply.job->id;
	wire.result = reply.answer.result;
	wire.flags = KEXTD_REPLY_RESULT;
	wire.fd = -1;
	if (reply.answer.file) {
		wire.flags |= KEXTD_REPLY_FD;
		wire.fd = reply.answer.file.get();
	} else if (reply.answer.bytes) {
		wire.flags |= KEXTD_REPLY_DATA;
		wire.data = reinterpret_cast<uintptr_t>(reply.answer.bytes.get());
		wire.length = static_cast<__u32>(reply.answer.length);
	}
	return wire;
}

std::optional<OSReturn> second_answer(OSReturn status)
{
	switch (status) {
	case kOSReturnSuccess:
	case kOSKextReturnNotFound:
		return std::nullopt;
	case kOSKextReturnBadData:
	case kOSKextReturnNoMemory:
	case kOSKextReturnNoResources:
		return status;
	default: /* InvalidArgument among them: that is not the asker's fault */
		return kOSKextReturnInternalError;
	}
}

void settle(std::vector<Reply> &replies, const std::vector<kextd_reply> &wire, size_t done)
{
	std::vector<Reply> again;
	for (size_t i = 0; i < replies.size(); i++) {
		if (i >= done) {
			again.push_back(std::move(replies[i]));
			continue;
		}
		const OSReturn status = wire[i].status;
		const auto second = second_answer(status);
		if (!second)
			continue;
		const char *name = kextbridge_return_name(status);
		const bool had_payload = replies[i].answer.file || replies[i].answer.bytes;
		log::warning("{}: the kernel refused the {}: {} (0x{:08x})", label(*replies[i].job),
			     had_payload ? "payload" : "reply", name ? name : "?", static_cast<unsigned>(status));
		if (had_payload)
			again.push_back({std::move(replies[i].job), Answer::refusal(*second, {})});
	}
	replies = std::move(again);
}

std::vector<kextd_reply> wire_forms(const std::vector<Reply> &replies)
{
	std::vector<kextd_reply> wire;
	const size_t count = std::min<size_t>(replies.size(), KEXTD_EXCHANGE_MAX);
	wire.reserve(count);
	for (size_t i = 0; i < count; i++)
		wire.push_back(wire_form(replies[i]));
	return wire;
}

int hand_in(kextbridge_daemon *daemon, std::vector<Reply> &replies)
{
	int patience = 20;
	while (!replies.empty()) {
		auto wire = wire_forms(replies);
		uint32_t done = 0;
		const int error = kextbridge_exchange(daemon, wire.data(), static_cast<uint32_t>(wire.size()), &done,
						      nullptr, KEXTD_EXCHANGE_NOWAIT);
		if (error == -ENOMEM && patience-- > 0)
			std::this_thread::sleep_for(std::chrono::milliseconds(10));
		else if (done == 0 && error != -EINTR)
			return error ? error : -EPROTO;
		settle(replies, wire, done);
	}
	return 0;
}

} // namespace kext
