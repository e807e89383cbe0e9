/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl kmdf list, state and cancel */
#include "../lib/kmdf.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "../lib/unique_fd.hpp"
#include "commands.hpp"
#include "context.hpp"

namespace kext::ctl {

namespace {

using KmdfJson = nlohmann::ordered_json;

struct KmdfQueue {
	::kmdf_queue queue;
	std::vector<::kmdf_request> requests;
};

struct KmdfDevice {
	::kmdf_device device;
	std::vector<KmdfQueue> queues;
};

/* ---- asking */

[[noreturn]] void fail_kmdf(int error, const std::string &doing)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		throw Failure(ExitNoBridge,
			      fmt::format("{}: {}: kmdf is not loaded (insmod kmdf.ko)", doing, strerror(error)));
	case ENOTTY:
		throw Failure(ExitNoBridge, doing + ": the device is not /dev/kmdf/control");
	case EACCES:
	case EPERM:
		throw Failure(ExitNoPermission,
			      fmt::format("{}: {}: be root or a member of the node's group", doing, strerror(error)));
	default:
		throw Failure(ExitFailed, fmt::format("{}: {}", doing, strerror(error)));
	}
}

UniqueFd open_kmdf(const Common &common)
{
	const int fd = kmdf_open_control(common.device.c_str());
	if (fd < 0)
		fail_kmdf(-fd, common.device);
	return UniqueFd(fd);
}

struct FreeRecords {
	void operator()(void *records) const { free(records); }
};

std::vector<KmdfDevice> kmdf_devices(const UniqueFd &control)
{
	void *raw = nullptr;
	size_t used = 0;
	size_t offset = 0;
	kmdf_entry entry;
	std::vector<KmdfDevice> devices;

	int more = kmdf_snapshot(control.get(), &raw, &used);
	if (more < 0)
		fail_kmdf(-more, "list");
	const std::unique_ptr<void, FreeRecords> records(raw);
	while ((more = kmdf_record_next(raw, used, &offset, &entry)) == 1) {
		if (entry.kind == KMDF_RECORD_DEVICE)
			devices.push_back({entry.device, {}});
		else if (devices.empty())
			more = -EBADMSG;
		else if (entry.kind == KMDF_RECORD_QUEUE)
			devices.back().queues.push_back({entry.queue, {}});
		else if (devices.back().queues.empty())
			more = -EBADMSG;
		else
			devices.back().queues.back().requests.push_back(entry.request);
		if (more < 0)
			break;
	}
	if (more < 0)
		fail_kmdf(-more, "list");
	return devices;
}

/* ---- words */

const char *name_of_device_state(uint32_t state)
{
	switch (state) {
	case KMDF_DEVICE_WORKING:
		return "working";
	case KMDF_DEVICE_LOW_POWER:
		return "low-power";
	case KMDF_DEVICE_REMOVED:
		return "removed";
	default:
		return "unknown";
	}
}

const char *name_of_queue_type(uint32_t type)
{
	switch (type) {
	case KMDF_QUEUE_SEQUENTIAL:
		return "sequential";
	case KMDF_QUEUE_PARALLEL:
		return "parallel";
	case KMDF_QUEUE_MANUAL:
		return "manual";
	default:
		return "unknown";
	}
}

struct RequestState {
	uint32_t state;
	const char *name;
	const char *cancelled; /* what a cancel does to such a request */
};

constexpr RequestState kRequestStates[] = {
	{KMDF_REQUEST_QUEUED, "queued", "it leaves its queue"},
	{KMDF_REQUEST_OWNED, "owned", "its driver has not marked it cancelable, and can only ask"},
	{KMDF_REQUEST_CANCELABLE, "cancelable", "its driver's EvtRequestCancel is called"},
	{KMDF_REQUEST_CANCELLED, "cancelled", "its driver's EvtRequestCancel is still to be called"},
	{KMDF_REQUEST_CALLED, "called", "its driver's EvtRequestCancel was called before, and has not completed it"},
	{KMDF_REQUEST_COMPLETED, "completed", "it is too late"},
};

const RequestState &request_state(uint32_t state)
{
	static constexpr RequestState unknown = {0, "unknown", "a newer kmdf knows"};
	const auto *found = std::find_if(std::begin(kRequestStates), std::end(kRequestStates),
					 [state](const RequestState &known) { return known.state == state; });
	return found == std::end(kRequestStates) ? unknown : *found;
}

std::string name_of_type(const ::kmdf_request &request)
{
	switch (request.type) {
	case 0:
		return "create";
	case 3:
		return "read";
	case 4:
		return "write";
	case 14:
		return fmt::format("control 0x{:x}", request.code);
	case 15:
		return fmt::format("internal 0x{:x}", request.code);
	default:
		return fmt::format("type {}", request.type);
	}
}

std::string name_of_device(const ::kmdf_device &device)
{
	return device.name[0] ? clean(device.name) : fmt::format("(device {})", device.id);
}

std::string age_of(uint64_t ns)
{
	const uint64_t ms = ns / 1000000;
	return ms < 1000 ? fmt::format("{} ms", ms) : fmt::format("{}.{:03} s", ms / 1000, ms % 1000);
}

std::string or_dash(const std::string &text)
{
	return text.empty() ? "-" : text;
}

/* ---- as JSON */

KmdfJson kmdf_json(const ::kmdf_request &request)
{
	const bool control = request.type == 14 || request.type == 15;
	return {{"id", request.id},
		{"state", request_state(request.state).name},
		{"type", control ? "control" : name_of_type(request)},
		{"internal", request.type == 15},
		{"code", control ? KmdfJson(request.code) : KmdfJson()},
		{"length", request.length},
		{"in_length", request.in_length},
		{"age_ns", request.age_ns},
		{"owned_ns", request.owned_ns},
		{"tag", request.tag},
		{"pid", request.pid},
		{"uid", request.uid},
		{"cancel_asked", (request.flags & KMDF_REQUEST_CANCEL_ASKED) != 0},
		{"detached", (request.flags & KMDF_REQUEST_DETACHED) != 0},
		{"sent", (request.flags & KMDF_REQUEST_SENT) != 0}};
}

KmdfJson kmdf_json(const KmdfQueue &queue, bool with_requests)
{
	const uint32_t flags = queue.queue.flags;
	KmdfJson json = {{"id", queue.queue.id},
			 {"type", name_of_queue_type(queue.queue.type)},
			 {"default", (flags & KMDF_QUEUE_DEFAULT) != 0},
			 {"accepts", (flags & KMDF_QUEUE_ACCEPTS) != 0},
			 {"presents", (flags & KMDF_QUEUE_DISPATCHES) != 0},
			 {"power_managed", (flags & KMDF_QUEUE_POWER_MANAGED) != 0},
			 {"power_off", (flags & KMDF_QUEUE_POWER_OFF) != 0},
			 {"queued", queue.queue.queued},
			 {"owned", queue.queue.driver_owned}};
	if (!with_requests)
		return json;
	json["requests"] = KmdfJson::array();
	for (const ::kmdf_request &request : queue.requests)
		json["requests"].push_back(kmdf_json(request));
	return json;
}

KmdfJson kmdf_json(const KmdfDevice &device, bool with_requests)
{
	KmdfJson json = {{"id", device.device.id},         {"name", device.device.name},
			 {"driver", device.device.driver}, {"state", name_of_device_state(device.device.state)},
			 {"opens", device.device.opens},   {"pending", device.device.requests},
			 {"queues", KmdfJson::array()}};
	for (const KmdfQueue &queue : device.queues)
		json["queues"].push_back(kmdf_json(queue, with_requests));
	return json;
}

void print_kmdf_json(const std::vector<KmdfDevice> &devices, bool with_requests)
{
	auto json = KmdfJson::array();
	for (const KmdfDevice &device : devices)
		json.push_back(kmdf_json(device, with_requests));
	print_json({{"devices", json}});
}

/* ---- for people */

constexpr const char *kRequestLine = "  {:>7} {:<10} {:<16} {:>7} {:>10} {:>10} {:>7} {:>5} {}";

void print_request(const ::kmdf_request &request)
{
	std::string flags;
	const auto add = [&](uint32_t flag, const char *name) {
		if (request.flags & flag)
			flags += (flags.empty() ? "" : ",") + std::string(name);
	};
	add(KMDF_REQUEST_CANCEL_ASKED, "cancel-asked");
	add(KMDF_REQUEST_DETACHED, "detached");
	add(KMDF_REQUEST_SENT, "sent");
	print_line(fmt::format(kRequestLine, request.id, request_state(request.state).name, name_of_type(request),
			       request.length, age_of(request.age_ns),
			       request.owned_ns ? age_of(request.owned_ns) : "-",
			       request.pid ? std::to_string(request.pid) : "-",
			       request.tag ? std::to_string(request.tag) : "-", or_dash(flags)));
}

std::string words_of(const ::kmdf_queue &queue)
{
	std::string words = name_of_queue_type(queue.type);
	if (queue.flags & KMDF_QUEUE_DEFAULT)
		words += ", default";
	if (!(queue.flags & KMDF_QUEUE_ACCEPTS))
		words += ", accepts nothing";
	if (!(queue.flags & KMDF_QUEUE_DISPATCHES))
		words += ", presents nothing";
	if (queue.flags & KMDF_QUEUE_POWER_OFF)
		words += ", off";
	return words;
}

std::string letters_of(const ::kmdf_queue &queue)
{
	std::string letters;
	const auto add = [&](uint32_t flag, char letter) {
		if (queue.flags & flag)
			letters += letter;
	};
	add(KMDF_QUEUE_DEFAULT, 'D');
	add(KMDF_QUEUE_ACCEPTS, 'A');
	add(KMDF_QUEUE_DISPATCHES, 'P');
	add(KMDF_QUEUE_POWER_MANAGED, 'M');
	add(KMDF_QUEUE_POWER_OFF, 'O');
	return or_dash(letters);
}

std::string count_of(uint32_t count, const char *what)
{
	return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/* ---- cancelling */

bool is_wanted(const KmdfDevice &device, const ::kmdf_request &request, const KmdfCancelOptions &options)
{
	return (!options.device || *options.device == device.device.name) &&
	       (!options.pid || *options.pid == request.pid);
}

std::vector<uint64_t> matching_requests(const UniqueFd &control, const KmdfCancelOptions &options)
{
	std::vector<uint64_t> ids;
	bool known = !options.device;
	for (const KmdfDevice &device : kmdf_devices(control)) {
		known = known || options.device == device.device.name;
		for (const KmdfQueue &queue : device.queues) {
			for (const ::kmdf_request &request : queue.requests) {
				if (is_wanted(device, request, options))
					ids.push_back(request.id);
			}
		}
	}
	if (!known)
		throw Failure(ExitNotFound, fmt::format("cancel: no device {} (kextctl kmdf list)",
							clean(options.device.value_or(""))));
	return ids;
}

} // namespace

int kmdf_list(const Common &common)
{
	const auto devices = kmdf_devices(open_kmdf(common));
	if (common.json) {
		print_kmdf_json(devices, true);
		return ExitOk;
	}
	if (devices.empty())
		print_line("no devices");
	for (const KmdfDevice &device : devices) {
		print_line(fmt::format("{} ({}): {}, {}, {}", name_of_device(device.device),
				       clean(device.device.driver), name_of_device_state(device.device.state),
				       count_of(device.device.opens, "open file"),
				       count_of(device.device.requests, "request")));
		for (const KmdfQueue &queue : device.queues) {
			print_line(fmt::format("  queue {}: {}: {} queued, {} owned", queue.queue.id,
					       words_of(queue.queue), queue.queue.queued, queue.queue.driver_owned));
			if (!queue.requests.empty())
				print_line(fmt::format(kRequestLine, "Request", "State", "Type", "Bytes", "Age",
						       "Owned", "Pid", "Tag", "Flags"));
			for (const ::kmdf_request &request : queue.requests)
				print_request(request);
		}
	}
	return ExitOk;
}

int kmdf_state(const Common &common, const std::string &device)
{
	auto devices = kmdf_devices(open_kmdf(common));
	if (!device.empty()) {
		std::erase_if(devices, [&](const KmdfDevice &other) { return device != other.device.name; });
		if (devices.empty())
			throw Failure(ExitNotFound,
				      fmt::format("state: no device {} (kextctl kmdf list)", clean(device)));
	}
	if (common.json) {
		print_kmdf_json(devices, false);
		return ExitOk;
	}
	size_t width = 6;
	for (const KmdfDevice &found : devices)
		width = std::max(width, name_of_device(found.device).size());
	const auto line = [width](std::string_view name, const auto &...columns) {
		print_line(fmt::format("{:<{}} {:>5} {:<10} {:<5} {:>5} {:>7} {:>6} {:>5}", name, width, columns...));
	};
	line("Device", "Queue", "State", "Flags", "Opens", "Pending", "Queued", "Owned");
	for (const KmdfDevice &found : devices) {
		const std::string name = name_of_device(found.device);
		line(name, "-", name_of_device_state(found.device.state), "-", found.device.opens,
		     found.device.requests, "-", "-");
		for (const KmdfQueue &queue : found.queues)
			line(name, queue.queue.id, name_of_queue_type(queue.queue.type), letters_of(queue.queue), "-",
			     queue.queue.queued + queue.queue.driver_owned, queue.queue.queued,
			     queue.queue.driver_owned);
	}
	return ExitOk;
}

int kmdf_cancel(const Common &common, const KmdfCancelOptions &options)
{
	const UniqueFd control = open_kmdf(common);
	const bool by_id = !options.ids.empty();
	const auto ids = by_id ? options.ids : matching_requests(control, options);
	auto json = KmdfJson::array();
	int code = ExitOk;
	size_t found = 0;
	for (const uint64_t id : ids) {
		uint32_t state = 0;
		const int error = -kmdf_cancel_by_id(control.get(), id, &state);
		/* One that has ended since it was listed is what was asked for. */
		if (error == ENOENT && !by_id)
			continue;
		found++;
		const bool done = !error;
		json.push_back({{"id", id},
				{"state", done ? KmdfJson(request_state(state).name) : KmdfJson()},
				{"error", done ? KmdfJson() : KmdfJson(strerror(error))}});
		if (error == ENOENT) {
			code = ExitNotFound;
			note(fmt::format("cancel {}: no such request: it is completed or never was", id));
		} else if (error == EPERM) {
			code = ExitNoPermission;
			note(fmt::format("cancel {}: {}: another user's request: be root (CAP_SYS_ADMIN)", id,
					 strerror(error)));
		} else if (error) {
			fail_kmdf(error, fmt::format("cancel {}", id));
		} else if (!common.json) {
			print_line(fmt::format("cancelled: request {} was {}: {}", id, request_state(state).name,
					       request_state(state).cancelled));
		}
	}
	if (common.json)
		print_json({{"requests", json}});
	if (!found)
		throw Failure(ExitNotFound, "cancel: no such request (kextctl kmdf list)");
	return code;
}

} // namespace kext::ctl
