/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl rpc */
#include "commands.hpp"
#include "context.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>

#include "../lib/unique_fd.hpp"
#include "../lib/unique_plist.hpp"

namespace kext::ctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t read_at_once = 1 << 16;
constexpr size_t longest_request = 256u << 20;

struct CloseDaemon {
	void operator()(kextbridge_daemon *daemon) const { kextbridge_daemon_close(daemon); }
};
using Daemon = std::unique_ptr<kextbridge_daemon, CloseDaemon>;

std::string read_file(const std::string &path)
{
	const bool from_stdin = path == "-";
	const std::string name = from_stdin ? "stdin" : path;
	UniqueFd file;
	if (!from_stdin) {
		file.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
		if (!file)
			throw Failure(ExitFailed, fmt::format("{}: {}", name, strerror(errno)));
	}
	std::string content;
	for (;;) {
		const size_t before = content.size();
		content.resize(before + read_at_once);
		const ssize_t count =
			read(from_stdin ? STDIN_FILENO : file.get(), content.data() + before, read_at_once);
		if (count < 0 && errno != EINTR)
			throw Failure(ExitFailed, fmt::format("{}: {}", name, strerror(errno)));
		content.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
		if (count == 0)
			return content;
		if (content.size() > longest_request)
			throw Failure(ExitFailed, fmt::format("{}: more than {} bytes", name, longest_request));
	}
}

Daemon become_daemon()
{
	const std::string device = KEXTBRIDGE_DAEMON_DEVICE;
	kextbridge_daemon *raw = nullptr;
	const int error = kextbridge_daemon_open(nullptr, &raw);
	if (error == -EBUSY)
		throw Failure(ExitFailed, device + ": a kextd is running, and there is one daemon at a time");
	if (error == -ESHUTDOWN)
		throw Failure(ExitNoDaemon, device + ": the system is shutting down");
	check_call(error, device);
	return Daemon(raw);
}

/* What a response may hold; data as text, of which print_json() replaces what is no UTF-8. */
Json json_of_list(plist_t node) // NOLINT(misc-no-recursion): as deep as the library's answers
{
	uint64_t length = 0;
	switch (plist_get_node_type(node)) {
	case PLIST_DICT: {
		Json json = Json::object();
		plist_dict_iter iterator = nullptr;
		plist_dict_new_iter(node, &iterator);
		const UniqueBytes owner(iterator);
		for (;;) {
			char *key = nullptr;
			plist_t value = nullptr;
			plist_dict_next_item(node, iterator, &key, &value);
			const UniqueBytes key_owner(key);
			if (!value)
				return json;
			json[key] = json_of_list(value);
		}
	}
	case PLIST_ARRAY: {
		Json json = Json::array();
		for (uint32_t i = 0; i < plist_array_get_size(node); i++)
			json.push_back(json_of_list(plist_array_get_item(node, i)));
		return json;
	}
	case PLIST_BOOLEAN: {
		uint8_t value = 0;
		plist_get_bool_val(node, &value);
		return value != 0;
	}
	case PLIST_UINT: {
		uint64_t value = 0;
		plist_get_uint_val(node, &value);
		return value;
	}
	case PLIST_STRING: {
		const char *text = plist_get_string_ptr(node, &length);
		return std::string(text, length);
	}
	case PLIST_DATA: {
		const char *bytes = plist_get_data_ptr(node, &length);
		return std::string(bytes, length);
	}
	default:
		return nullptr;
	}
}

void print(const Common &common, OSReturn result, std::string_view response)
{
	if (!common.json) {
		if (!response.empty())
			print_line(response.back() == '\n' ? response.substr(0, response.size() - 1) : response);
		return;
	}
	Json json = {{"result", json_of(result)}, {"response", nullptr}};
	if (!response.empty()) {
		plist_t raw = nullptr;
		plist_from_xml(response.data(), static_cast<uint32_t>(response.size()), &raw);
		const UniquePlist list(raw);
		if (list)
			json["response"] = json_of_list(raw);
	}
	print_json(json);
}

} // namespace

int rpc(const Common &common, const RpcOptions &options)
{
	std::string request = read_file(options.file);
	/* The NUL that a request ends with; an empty one stays empty. */
	if (!request.empty())
		request.push_back('\0');
	const Bridge bridge = open_bridge(common.device);
	const Daemon daemon = options.daemon ? become_daemon() : nullptr;
	const kextbridge_host host{bridge.get(), daemon.get()};

	void *raw = nullptr;
	uint32_t length = 0;
	kern_return_t result = KERN_FAILURE;
	/* Its own result says no more than the operation's, of which there is one in any case. */
	(void)kext_request(&host, 0, request.data(), static_cast<uint32_t>(request.size()), &raw, &length, nullptr,
			   nullptr, &result);
	const UniqueBytes response(raw);
	print(common, result, raw ? std::string_view(static_cast<const char *>(raw), length - 1) : std::string_view());
	if (result != kOSReturnSuccess && result != kOSKextReturnDeferred)
		check_result(result, Operation::Rpc, "rpc " + clean(options.file));
	return ExitOk;
}

} // namespace kext::ctl
