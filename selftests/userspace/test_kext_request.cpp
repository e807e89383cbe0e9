/* SPDX-License-Identifier: GPL-2.0-only */
/* kext_request() and kextd_ping(): what each predicate becomes on the nodes, which are made up here. */
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <plist/plist.h>
#include <string>
#include <vector>

#include "fake_node.hpp"
#include "kextbridge.h"

namespace {

struct Message {
	uint32_t kind;
	uint64_t id;
	std::string identifier;
	std::string name;
	uint32_t load_tag = 0;
};

struct GivenReply {
	uint64_t id;
	OSReturn result;
	uint32_t flags;
	std::string data;
};

/* What the nodes know, and what they were told. */
struct Node : FakeNode {
	std::vector<kextbridge_kext> kexts;
	std::vector<std::string> load_requests;
	uint32_t status_flags = 0;
	std::deque<Message> messages;
	std::map<unsigned long, int> errors; /* instead of an answer */
	std::optional<OSReturn> result;      /* of loads, unloads and replies */

	uint32_t list_flags = 0;
	std::vector<std::pair<uint32_t, uint32_t>> unloads; /* load tag, flags */
	std::vector<std::string> loads;
	std::vector<GivenReply> replies;

	int list(kextbridge_list &args)
	{
		auto *out = reinterpret_cast<kextbridge_kext *>(args.kexts);
		const uint32_t room = args.count;
		list_flags |= args.flags;
		args.count = 0;
		for (const kextbridge_kext &kext : kexts) {
			if (kext.load_tag >= args.from && args.count < room)
				out[args.count++] = kext;
		}
		args.total = static_cast<uint32_t>(kexts.size());
		return 0;
	}

	int list_loads(kextbridge_load_requests &args)
	{
		auto *out = reinterpret_cast<char *>(args.identifiers);
		const uint32_t room = args.count;
		args.count = 0;
		for (size_t i = args.from; i < load_requests.size() && args.count < room; i++)
			strcpy(out + size_t{KEXTBRIDGE_IDENTIFIER_SIZE} * args.count++, load_requests[i].c_str());
		args.total = static_cast<uint32_t>(load_requests.size());
		return 0;
	}

	int exchange(kextd_exchange &args)
	{
		auto *given = reinterpret_cast<kextd_reply *>(args.replies);
		EXPECT_EQ(args.flags, KEXTD_EXCHANGE_NOWAIT | (args.max_requests ? KEXTD_EXCHANGE_NOTIFY : 0));
		for (uint32_t i = 0; i < args.reply_count; i++) {
			replies.push_back(
				{given[i].id, given[i].result, given[i].flags,
				 std::string(reinterpret_cast<const char *>(given[i].data), given[i].length)});
			given[i].status = result.value_or(kOSReturnSuccess);
		}
		auto *out = reinterpret_cast<char *>(args.requests);
		args.requests_used = args.request_count = 0;
		while (args.request_count < args.max_requests && !messages.empty()) {
			const Message &message = messages.front();
			kextd_request header{};
			header.kind = message.kind;
			header.id = message.id;
			header.load_tag = message.load_tag;
			header.max_length = 4096;
			header.identifier_size = static_cast<uint32_t>(message.identifier.size()) + 1;
			header.name_size = static_cast<uint32_t>(message.name.size()) + 1;
			header.size = static_cast<uint32_t>(
				(sizeof(header) + header.identifier_size + header.name_size + 7) / 8 * 8);
			if (header.size > args.requests_size - args.requests_used)
				break;
			char *at = out + args.requests_used;
			memset(at, 0, header.size);
			memcpy(at, &header, sizeof(header));
			memcpy(at + sizeof(header), message.identifier.data(), message.identifier.size());
			memcpy(at + sizeof(header) + header.identifier_size, message.name.data(), message.name.size());
			args.requests_used += header.size;
			args.request_count++;
			messages.pop_front();
		}
		return args.max_requests && !args.request_count && !args.reply_count ? -EAGAIN : 0;
	}

	int call(unsigned long request, void *argument) override
	{
		if (const auto error = errors.find(request); error != errors.end())
			return error->second;
		switch (request) {
		case KEXTBRIDGE_IOC_LIST:
			return list(*static_cast<kextbridge_list *>(argument));
		case KEXTBRIDGE_IOC_LOAD_REQUESTS:
			return list_loads(*static_cast<kextbridge_load_requests *>(argument));
		case KEXTBRIDGE_IOC_STATUS:
			static_cast<struct kextbridge_status *>(argument)->flags = status_flags;
			return 0;
		case KEXTBRIDGE_IOC_UNLOAD: {
			auto &args = *static_cast<kextbridge_tag *>(argument);
			unloads.emplace_back(args.tag, args.flags);
			args.result = result.value_or(kOSReturnSuccess);
			return 0;
		}
		case KEXTBRIDGE_IOC_LOAD: {
			auto &args = *static_cast<struct kextbridge_load *>(argument);
			loads.emplace_back(reinterpret_cast<const char *>(args.identifier), args.identifier_size);
			args.result = result.value_or(kOSReturnSuccess);
			return 0;
		}
		case KEXTD_IOC_EXCHANGE:
			return exchange(*static_cast<kextd_exchange *>(argument));
		default:
			return -ENOTTY;
		}
	}
};

kextbridge_kext a_kext(uint32_t tag, const std::string &identifier, uint32_t state = KEXT_STATE_STARTED)
{
	kextbridge_kext kext{};
	kext.load_tag = tag;
	kext.state = state;
	kext.retains = 2;
	kext.module_refcount = 1;
	kext.pending = 3;
	kext.instances = 4;
	kext.refused = 5;
	strcpy(kext.identifier, identifier.c_str());
	strcpy(kext.version, "1.2.3");
	strcpy(kext.module, "a_module");
	return kext;
}

std::string key(const std::string &name, const std::string &value)
{
	return "<key>" + name + "</key>" + value;
}

std::string string(const std::string &text)
{
	return "<string>" + text + "</string>";
}

std::string request(const std::string &predicate, const std::string &arguments = "")
{
	return "<dict>" + key("Kext Request Predicate", string(predicate)) +
	       (arguments.empty() ? "" : key("Kext Request Arguments", "<dict>" + arguments + "</dict>")) + "</dict>";
}

std::string with_identifier(const std::string &identifier)
{
	return key("CFBundleIdentifier", string(identifier));
}

std::string about(const std::string &predicate, const std::string &identifier)
{
	return request(predicate, with_identifier(identifier));
}

/* A property list as one line: what it holds, not how it is written. NOLINTNEXTLINE(misc-no-recursion) */
std::string flat(plist_t list)
{
	std::string text;
	switch (plist_get_node_type(list)) {
	case PLIST_DICT: {
		std::map<std::string, std::string> sorted;
		plist_dict_iter iterator = nullptr;
		plist_dict_new_iter(list, &iterator);
		for (;;) {
			char *name = nullptr;
			plist_t value = nullptr;
			plist_dict_next_item(list, iterator, &name, &value);
			if (!value)
				break;
			sorted[name] = flat(value);
			free(name);
		}
		free(iterator);
		for (const auto &[name, value] : sorted)
			text += (text.empty() ? "" : ", ") + name + ": " + value;
		return "{" + text + "}";
	}
	case PLIST_ARRAY:
		for (uint32_t i = 0; i < plist_array_get_size(list); i++)
			text += (text.empty() ? "" : ", ") + flat(plist_array_get_item(list, i));
		return "[" + text + "]";
	case PLIST_BOOLEAN: {
		uint8_t value = 0;
		plist_get_bool_val(list, &value);
		return value ? "true" : "false";
	}
	case PLIST_UINT: {
		uint64_t value = 0;
		plist_get_uint_val(list, &value);
		return std::to_string(value);
	}
	case PLIST_STRING:
		return "'" + std::string(plist_get_string_ptr(list, nullptr)) + "'";
	case PLIST_DATA: {
		uint64_t length = 0;
		const char *bytes = plist_get_data_ptr(list, &length);
		return "<" + std::string(bytes, length) + ">";
	}
	default:
		return "?";
	}
}

class KextRequest : public ::testing::Test {
      protected:
	KextRequest()
	{
		EXPECT_EQ(kextbridge_open("/dev/null", &client_), 0);
		EXPECT_EQ(kextbridge_daemon_open("/dev/null", &daemon_), 0);
		host_ = {client_, daemon_};
		answer_calls(kextbridge_fd(client_), &node_);
		answer_calls(kextbridge_daemon_fd(daemon_), &node_);
	}

	~KextRequest() override
	{
		answer_calls(kextbridge_fd(client_), nullptr);
		answer_calls(kextbridge_daemon_fd(daemon_), nullptr);
		kextbridge_close(client_);
		kextbridge_daemon_close(daemon_);
	}

	/* The operation's result; response_ is what came with it, flat. */
	kern_return_t raw(const std::string &bytes)
	{
		/* As long as it is and no longer: AddressSanitizer sees the first byte too many. */
		const std::vector<char> exact(bytes.begin(), bytes.end());
		void *response = &response;
		void *log = &log;
		uint32_t length = 77;
		uint32_t log_length = 77;
		kern_return_t result = 77;
		transport_ = kext_request(&host_, 0xffffffff, exact.data(), static_cast<uint32_t>(exact.size()),
					  &response, &length, &log, &log_length, &result);
		EXPECT_EQ(log, nullptr);
		EXPECT_EQ(log_length, 0u);
		response_.clear();
		if (!response) {
			EXPECT_EQ(length, 0u);
			return result;
		}
		EXPECT_EQ(result, kOSReturnSuccess);
		const std::string text(static_cast<char *>(response), length);
		free(response);
		EXPECT_EQ(text.find('\0'), text.size() - 1) << "a NUL at the end, which counts";
		plist_t list = nullptr;
		plist_from_xml(text.data(), static_cast<uint32_t>(text.size() - 1), &list);
		EXPECT_NE(list, nullptr) << text;
		if (list)
			response_ = flat(list);
		plist_free(list);
		return result;
	}

	kern_return_t ask(const std::string &xml)
	{
		const kern_return_t result = raw(xml + '\0');
		EXPECT_EQ(transport_, KERN_SUCCESS);
		return result;
	}

	Node node_;
	kextbridge *client_ = nullptr;
	kextbridge_daemon *daemon_ = nullptr;
	kextbridge_host host_{};
	kern_return_t transport_ = 77;
	std::string response_;
};

} // namespace

/* ---- the request itself */

TEST_F(KextRequest, T_174_AnEmptyRequest)
{
	EXPECT_EQ(raw(""), KERN_INVALID_ARGUMENT);
	EXPECT_EQ(transport_, KERN_FAILURE);
}

TEST_F(KextRequest, T_174_OutputsAreClearedFirst)
{
	void *response = &response;
	void *log = &log;
	uint32_t length = 1;
	uint32_t log_length = 1;
	kern_return_t result = 77;
	EXPECT_EQ(kext_request(&host_, 0, nullptr, 8, &response, &length, &log, &log_length, &result),
		  KERN_INVALID_ADDRESS);
	EXPECT_EQ(response, nullptr);
	EXPECT_EQ(length, 0u);
	EXPECT_EQ(log, nullptr);
	EXPECT_EQ(log_length, 0u);
	EXPECT_EQ(result, KERN_FAILURE);

	response = &response;
	result = 77;
	EXPECT_EQ(kext_request(nullptr, 0, "", 1, &response, &length, nullptr, nullptr, &result),
		  KERN_INVALID_ARGUMENT);
	EXPECT_EQ(response, nullptr);
	EXPECT_EQ(result, KERN_FAILURE);
	EXPECT_EQ(kext_request(&host_, 0, "", 1, nullptr, &length, nullptr, nullptr, &result), KERN_INVALID_ARGUMENT);
	EXPECT_EQ(kext_request(&host_, 0, "", 1, &response, nullptr, nullptr, nullptr, &result), KERN_INVALID_ARGUMENT);
	EXPECT_EQ(kext_request(&host_, 0, "", 1, &response, &length, nullptr, nullptr, nullptr), KERN_INVALID_ARGUMENT);
	/* The log's outputs are nobody's duty. */
	EXPECT_EQ(kext_request(&host_, 0, "", 1, &response, &length, nullptr, nullptr, &result), KERN_SUCCESS);
	EXPECT_EQ(result, kOSKextReturnSerialization);
}

TEST_F(KextRequest, T_175_WithoutNulAtTheEndIsBadData)
{
	EXPECT_EQ(raw(request("Get Loaded Kext Info")), kOSKextReturnBadData);
	EXPECT_EQ(transport_, KERN_SUCCESS);
	EXPECT_EQ(raw("x"), kOSKextReturnBadData);
	EXPECT_EQ(raw(request("Get Loaded Kext Info") + '\0' + 'x'), kOSKextReturnBadData);
}

TEST_F(KextRequest, T_175_GarbageIsSerialization)
{
	for (const char *garbage :
	     {"", "garbage", "<", "<dict>", "<dict></array>", "bplist00", "{}", "<plist", "&", "<dict><key>a</key>"})
		EXPECT_EQ(ask(garbage), kOSKextReturnSerialization) << garbage;
	for (const char *no_dictionary :
	     {"<array/>", "<string>Stop</string>", "<plist version=\"1.0\"><true/></plist>"})
		EXPECT_EQ(ask(no_dictionary), kOSKextReturnSerialization) << no_dictionary;
}

TEST_F(KextRequest, T_175_NoPredicateIsInvalidArgument)
{
	EXPECT_EQ(ask("<dict/>"), kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask("<dict>" + key("Kext Request Predicate", "<integer>1</integer>") + "</dict>"),
		  kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask(request("")), kOSKextReturnInvalidArgument);
}

TEST_F(KextRequest, T_175_AnUnknownPredicateIsInvalidArgument)
{
	for (const char *unknown : {"Load", "Get Everything", "stop", "Stop ", "Kext Resource Request"})
		EXPECT_EQ(ask(request(unknown)), kOSKextReturnInvalidArgument) << unknown;
}

TEST_F(KextRequest, T_175_TooManyObjectsAreSerialization)
{
	const auto nested = [](size_t levels) {
		std::string xml =
			"<dict>" + key("Kext Request Predicate", string("Get Loaded Kext Info")) + "<key>x</key>";
		for (size_t i = 0; i < levels; i++)
			xml += "<array>";
		for (size_t i = 0; i < levels; i++)
			xml += "</array>";
		return xml + "</dict>";
	};
	EXPECT_EQ(ask(nested(4095)), kOSReturnSuccess);
	EXPECT_EQ(ask(nested(4096)), kOSKextReturnSerialization);
	EXPECT_EQ(ask(nested(200000)), kOSKextReturnSerialization);
	const auto wide = [](size_t count) {
		std::string xml = "<dict>" + key("Kext Request Predicate", string("Get Loaded Kext Info")) +
				  "<key>x</key><array>";
		for (size_t i = 0; i < count; i++)
			xml += "<true/>";
		return xml + "</array></dict>";
	};
	EXPECT_EQ(ask(wide(131066)), kOSReturnSuccess);
	EXPECT_EQ(ask(wide(131067)), kOSKextReturnSerialization);
}

TEST_F(KextRequest, AKextArchiveIsNotSupported)
{
	const std::string header = std::string("MKXTMOSX") + std::string(36, '\0');
	EXPECT_EQ(raw(header + "x"), KERN_NOT_SUPPORTED);
	EXPECT_EQ(transport_, KERN_SUCCESS);
	EXPECT_EQ(raw(header), kOSKextReturnSerialization);
	EXPECT_EQ(raw("MKXTMOSX"), kOSKextReturnBadData);
	EXPECT_EQ(raw(std::string("MKXTMOSY") + std::string(60, '\0')), kOSKextReturnSerialization);
}

TEST_F(KextRequest, AListWithItsHeadIsTakenToo)
{
	EXPECT_EQ(
		ask("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
		    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n" +
		    request("Get Loaded Kext Info") + "\n</plist>\n"),
		kOSReturnSuccess);
	/* As a C string: what is behind the first NUL is nobody's. */
	EXPECT_EQ(ask(request("Get Loaded Kext Info") + '\0' + "garbage"), kOSReturnSuccess);
}

/* ---- Get Loaded Kext Info */

TEST_F(KextRequest, LoadedKextsAndWhatIsKnownOfThem)
{
	EXPECT_EQ(ask(request("Get Loaded Kext Info")), kOSReturnSuccess);
	EXPECT_EQ(response_, "{}");
	node_.kexts = {a_kext(1, "com.example.a"), a_kext(7, "com.example.b", KEXT_STATE_LOADED)};
	EXPECT_EQ(ask(request("Get Loaded Kext Info")), kOSReturnSuccess);
	const std::string rest = "KextbridgeInstances: 4, KextbridgeModule: 'a_module', KextbridgeModuleRefcount: 1, "
				 "KextbridgePendingRequests: 3, KextbridgeRefusedCalls: 5, ";
	EXPECT_EQ(response_, "{com.example.a: {CFBundleIdentifier: 'com.example.a', CFBundleVersion: '1.2.3', " + rest +
				     "OSBundleLoadTag: 1, OSBundleRetainCount: 2, OSBundleStarted: true}, "
				     "com.example.b: {CFBundleIdentifier: 'com.example.b', CFBundleVersion: '1.2.3', " +
				     rest + "OSBundleLoadTag: 7, OSBundleRetainCount: 2, OSBundleStarted: false}}");
	EXPECT_EQ(node_.list_flags, 0u);
}

TEST_F(KextRequest, LoadedKextsByIdentifierAndKey)
{
	node_.kexts = {a_kext(1, "com.example.a"), a_kext(2, "com.example.b"), a_kext(3, "com.example.c")};
	EXPECT_EQ(ask(request("Get Loaded Kext Info",
			      key("CFBundleIdentifier", "<array>" + string("com.example.c") + string("com.example.a") +
								string("com.example.none") + "</array>") +
				      key("Kext Request Info Keys", "<array>" + string("OSBundleLoadTag") +
									    string("OSBundleStarted") +
									    string("Unknown") + "</array>"))),
		  kOSReturnSuccess);
	EXPECT_EQ(response_, "{com.example.a: {OSBundleLoadTag: 1, OSBundleStarted: true}, "
			     "com.example.c: {OSBundleLoadTag: 3, OSBundleStarted: true}}");
	EXPECT_EQ(ask(request("Get Loaded Kext Info", key("CFBundleIdentifier", "<array/>"))), kOSReturnSuccess);
	EXPECT_EQ(response_, "{}");
	EXPECT_EQ(ask(request("Get Loaded Kext Info", key("Kext Request Info Keys", "<array/>"))), kOSReturnSuccess);
	EXPECT_EQ(response_, "{com.example.a: {}, com.example.b: {}, com.example.c: {}}");
}

TEST_F(KextRequest, SelectionsThatAreNone)
{
	for (const char *name : {"CFBundleIdentifier", "Kext Request Info Keys"}) {
		for (const char *value : {"<string>com.example.a</string>", "<true/>", "<array><true/></array>",
					  "<array><string>a</string><array/></array>", "<dict/>"})
			EXPECT_EQ(ask(request("Get Loaded Kext Info", key(name, value))), kOSKextReturnInvalidArgument)
				<< name << value;
	}
}

TEST_F(KextRequest, MoreKextsThanAPage)
{
	for (uint32_t i = 0; i < 33; i++)
		node_.kexts.push_back(a_kext(1 + 3 * i, "com.example.k" + std::to_string(i)));
	node_.kexts.back().load_tag = 0xfffffffe;
	EXPECT_EQ(ask(request("Get Loaded Kext Info", key("Kext Request Info Keys", "<array/>"))), kOSReturnSuccess);
	EXPECT_EQ(std::count(response_.begin(), response_.end(), ':'), 33);
}

TEST_F(KextRequest, T_140_DelayAutounloadIsPassedOn)
{
	EXPECT_EQ(ask(request("Get Loaded Kext Info", key("Delay Autounload", "<false/>"))), kOSReturnSuccess);
	EXPECT_EQ(ask(request("Get Loaded Kext Info", key("Delay Autounload", string("true")))), kOSReturnSuccess);
	EXPECT_EQ(node_.list_flags, 0u);
	EXPECT_EQ(ask(request("Get Loaded Kext Info", key("Delay Autounload", "<true/>"))), kOSReturnSuccess);
	EXPECT_EQ(node_.list_flags, KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD);
}

/* ---- Start, Stop, Unload */

TEST_F(KextRequest, AboutAKextWithoutItsIdentifier)
{
	for (const char *predicate : {"Start", "Stop", "Unload"}) {
		EXPECT_EQ(ask(request(predicate)), kOSKextReturnInvalidArgument);
		EXPECT_EQ(ask(request(predicate, key("Name", string("x")))), kOSKextReturnInvalidArgument);
		EXPECT_EQ(ask(request(predicate, key("CFBundleIdentifier", "<true/>"))), kOSKextReturnInvalidArgument);
		EXPECT_EQ(ask(about(predicate, "")), kOSKextReturnInvalidArgument);
	}
	EXPECT_TRUE(node_.loads.empty());
	EXPECT_TRUE(node_.unloads.empty());
}

TEST_F(KextRequest, AboutAKextThatIsNotThere)
{
	node_.kexts = {a_kext(1, "com.example.a")};
	for (const char *predicate : {"Start", "Stop", "Unload"})
		EXPECT_EQ(ask(about(predicate, "com.example.b")), kOSKextReturnNotFound) << predicate;
	EXPECT_TRUE(node_.loads.empty());
	EXPECT_TRUE(node_.unloads.empty());
}

TEST_F(KextRequest, StopStartAndUnloadOfAKext)
{
	node_.kexts = {a_kext(1, "com.example.a"), a_kext(5, "com.example.b", KEXT_STATE_LOADED)};
	EXPECT_EQ(ask(about("Stop", "com.example.a")), kOSReturnSuccess);
	EXPECT_EQ(response_, "");
	EXPECT_EQ(ask(about("Unload", "com.example.b")), kOSReturnSuccess);
	EXPECT_EQ(ask(request("Unload", with_identifier("com.example.a") + key("Terminate IOServices", "<true/>"))),
		  kOSReturnSuccess);
	const std::vector<std::pair<uint32_t, uint32_t>> unloads = {{1, KEXTBRIDGE_UNLOAD_STOP_ONLY}, {5, 0}, {1, 0}};
	EXPECT_EQ(node_.unloads, unloads);
	EXPECT_EQ(ask(about("Start", "com.example.b")), kOSReturnSuccess);
	EXPECT_EQ(node_.loads, std::vector<std::string>{"com.example.b"});
}

TEST_F(KextRequest, WhatTheKernelSaysIsTheResult)
{
	node_.kexts = {a_kext(1, "com.example.a", KEXT_STATE_LOADED)};
	for (const OSReturn result : {kOSKextReturnInUse, kOSKextReturnStartStopError, kOSKextReturnDisabled}) {
		node_.result = result;
		for (const char *predicate : {"Start", "Stop", "Unload"})
			EXPECT_EQ(ask(about(predicate, "com.example.a")), result) << predicate;
	}
}

TEST_F(KextRequest, T_088_WithoutTheRightIsNotPrivileged)
{
	node_.kexts = {a_kext(1, "com.example.a", KEXT_STATE_LOADED)};
	node_.errors = {{KEXTBRIDGE_IOC_LOAD, -EPERM}, {KEXTBRIDGE_IOC_UNLOAD, -EPERM}, {KEXTD_IOC_EXCHANGE, -EPERM}};
	for (const char *predicate : {"Start", "Stop", "Unload"})
		EXPECT_EQ(ask(about(predicate, "com.example.a")), kOSKextReturnNotPrivileged) << predicate;
	EXPECT_EQ(ask(request("Get Loaded Kext Info")), kOSReturnSuccess);
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSKextReturnNotPrivileged);
	EXPECT_EQ(ask(request("Send Resource", key("Request Tag", "<integer>1</integer>") +
						       key("Kext Request Result Code", "<integer>0</integer>"))),
		  kOSKextReturnNotPrivileged);
}

TEST_F(KextRequest, WithoutTheHandleIsNotPrivileged)
{
	host_.daemon = nullptr;
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSKextReturnNotPrivileged);
	EXPECT_EQ(ask(request("Send Resource")), kOSKextReturnNotPrivileged);
	EXPECT_EQ(ask(request("Get Loaded Kext Info")), kOSReturnSuccess);
	host_ = {nullptr, daemon_};
	EXPECT_EQ(ask(request("Get Loaded Kext Info")), kOSKextReturnNotPrivileged);
	EXPECT_EQ(ask(request("Get All Load Requests")), kOSKextReturnNotPrivileged);
	EXPECT_EQ(ask(about("Stop", "com.example.a")), kOSKextReturnNotPrivileged);
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
}

TEST_F(KextRequest, ErrorsOfTheNodes)
{
	const std::map<int, OSReturn> results = {{-ENODEV, kOSKextReturnDisabled},
						 {-ENOMEM, kOSKextReturnNoMemory},
						 {-EACCES, kOSKextReturnNotPrivileged},
						 {-EOWNERDEAD, kOSKextReturnNotPrivileged},
						 {-EIO, kOSKextReturnInternalError}};
	for (const auto &[error, result] : results) {
		node_.errors = {{KEXTBRIDGE_IOC_LIST, error},
				{KEXTBRIDGE_IOC_LOAD_REQUESTS, error},
				{KEXTD_IOC_EXCHANGE, error}};
		EXPECT_EQ(ask(request("Get Loaded Kext Info")), result);
		EXPECT_EQ(ask(request("Get Loaded Kext Info", key("Delay Autounload", "<true/>"))), result);
		EXPECT_EQ(ask(request("Get All Load Requests")), result);
		EXPECT_EQ(ask(request("Get Kernel Requests")), result);
		EXPECT_EQ(ask(about("Unload", "com.example.a")), result);
		EXPECT_EQ(response_, "");
	}
}

TEST_F(KextRequest, StartByLoadTag)
{
	node_.kexts = {a_kext(3, "com.example.a")};
	const std::map<uint32_t, OSReturn> results = {{KEXT_STATE_STARTED, kOSReturnSuccess},
						      {KEXT_STATE_STARTING, kOSReturnSuccess},
						      {KEXT_STATE_LOADED, kOSReturnSuccess},
						      {KEXT_STATE_STOPPING, kOSKextReturnStopping},
						      {KEXT_STATE_STOPPED, kOSKextReturnStopping}};
	for (const auto &[state, wanted] : results) {
		node_.kexts[0].state = state;
		OSReturn result = 77;
		EXPECT_EQ(kextbridge_start_kext(client_, 3, &result), 0);
		EXPECT_EQ(result, wanted) << state;
	}
	EXPECT_EQ(node_.loads.size(), 3u);
	/* The next one of the list is another. */
	OSReturn result = 77;
	EXPECT_EQ(kextbridge_start_kext(client_, 2, &result), 0);
	EXPECT_EQ(result, kOSKextReturnNotFound);
	EXPECT_EQ(kextbridge_start_kext(client_, 4, &result), 0);
	EXPECT_EQ(result, kOSKextReturnNotFound);
	EXPECT_EQ(kextbridge_start_kext(nullptr, 3, &result), -EINVAL);
	EXPECT_EQ(kextbridge_start_kext(client_, 3, nullptr), -EINVAL);
}

/* ---- Get All Load Requests */

TEST_F(KextRequest, EveryLoadThatWasAskedFor)
{
	EXPECT_EQ(ask(request("Get All Load Requests")), kOSReturnSuccess);
	EXPECT_EQ(response_, "[]");
	node_.load_requests = {"com.example.b", "com.example.a"};
	EXPECT_EQ(ask(request("Get All Load Requests")), kOSReturnSuccess);
	EXPECT_EQ(response_, "['com.example.b', 'com.example.a']");
	for (int i = 0; i < 100; i++)
		node_.load_requests.push_back("com.example.k" + std::to_string(i));
	EXPECT_EQ(ask(request("Get All Load Requests")), kOSReturnSuccess);
	EXPECT_EQ(std::count(response_.begin(), response_.end(), ','), 101);
}

/* ---- Get Kernel Requests */

TEST_F(KextRequest, MessagesOfEveryKind)
{
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
	EXPECT_EQ(response_, "[]");
	node_.messages = {{KEXTD_RESOURCE, 1, "com.example.a", "logo.png", 4},
			  {KEXTD_RESOURCE, 0x123456789abcdef0, "com.example.b", "a/b", 0},
			  {KEXTD_LOAD, 2, "com.example.c", "", 0},
			  {KEXTD_UNLOAD, 3, "com.example.a", "a_module", 4},
			  {KEXTD_CANCEL, 1, "", "", 0},
			  {KEXTD_LOADED, 0, "com.example.c", "c_module", 5},
			  {KEXTD_UNLOADED, 0, "com.example.a", "a_module", 4},
			  {KEXTD_EXIT, 0, "", "", 0}};
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
	EXPECT_EQ(response_,
		  "[{Kext Request Arguments: {CFBundleIdentifier: 'com.example.a', Kextbridge Load Tag: 4, "
		  "Kextbridge Max Length: 4096, Name: 'logo.png', Request Tag: 1}, "
		  "Kext Request Predicate: 'Kext Resource Request'}, "
		  "{Kext Request Arguments: {CFBundleIdentifier: 'com.example.b', Kextbridge Max Length: 4096, "
		  "Name: 'a/b', Request Tag: 1311768467463790320}, "
		  "Kext Request Predicate: 'Kext Resource Request'}, "
		  "{Kext Request Arguments: {CFBundleIdentifier: 'com.example.c', Request Tag: 2}, "
		  "Kext Request Predicate: 'Kext Load Request'}, "
		  "{Kext Request Arguments: {CFBundleIdentifier: 'com.example.a', Kextbridge Load Tag: 4, "
		  "Kextbridge Module: 'a_module', Request Tag: 3}, "
		  "Kext Request Predicate: 'Kextbridge Unload Request'}, "
		  "{Kext Request Arguments: {Request Tag: 1}, "
		  "Kext Request Predicate: 'Kextbridge Cancel Notification'}, "
		  "{Kext Request Arguments: {CFBundleIdentifier: 'com.example.c', Kextbridge Load Tag: 5, "
		  "Kextbridge Module: 'c_module'}, Kext Request Predicate: 'Kext Load Notification'}, "
		  "{Kext Request Arguments: {CFBundleIdentifier: 'com.example.a', Kextbridge Load Tag: 4, "
		  "Kextbridge Module: 'a_module'}, Kext Request Predicate: 'Kext Unload Notification'}, "
		  "{Kext Request Predicate: 'IOKit Daemon Exit'}]");
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
	EXPECT_EQ(response_, "[]");
	EXPECT_TRUE(node_.replies.empty());
}

TEST_F(KextRequest, MoreMessagesThanABuffer)
{
	for (uint32_t i = 1; i <= 3000; i++)
		node_.messages.push_back({KEXTD_LOAD, i, std::string(63, 'x'), "", 0});
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
	EXPECT_EQ(std::count(response_.begin(), response_.end(), '{'), 6000);
	/* No call grows without end; the rest is the next one's. */
	for (uint32_t i = 1; i <= 40000; i++)
		node_.messages.push_back({KEXTD_CANCEL, i, "", "", 0});
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
	EXPECT_FALSE(node_.messages.empty());
	while (!node_.messages.empty())
		EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
}

TEST_F(KextRequest, NamesOfAnyBytesComeBackAsTheyAre)
{
	const std::vector<std::pair<std::string, bool>> names = {
		{"a <b> & \"c\" 'd' ]]> &amp;", true},
		{" two  blanks and a tab\t ", true},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true},
		{"line\nline", true},
		{"\x01", false},
		{"a\rb", false},
		{std::string("a\0b", 3), false},
		{"\xff", false},
		{"\xc3", false},
		{"\xc0\x80", false},
		{"\xe0\x9f\xbf", false},
		{"\xf0\x8f\xbf\xbf", false},
		{"\xed\xa0\x80", false},
		{"\xef\xbf\xbf", false},
		{"\xf4\x90\x80\x80", false},
	};
	for (const auto &[name, text] : names) {
		node_.messages = {{KEXTD_RESOURCE, 1, "com.example.a", name, 0}};
		EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
		const std::string wanted = text ? "Name: '" + name + "'" : "Name: <" + name + ">";
		EXPECT_NE(response_.find(wanted), std::string::npos) << response_;
	}
}

TEST_F(KextRequest, MessagesThatNobodyKnows)
{
	node_.messages = {{77, 5, "a", "b", 0}, {78, 0, "a", "b", 0}, {KEXTD_EXIT, 0, "", "", 0}};
	EXPECT_EQ(ask(request("Get Kernel Requests")), kOSReturnSuccess);
	EXPECT_EQ(response_, "[{Kext Request Predicate: 'IOKit Daemon Exit'}]");
	ASSERT_EQ(node_.replies.size(), 1u);
	EXPECT_EQ(node_.replies[0].id, 5u);
	EXPECT_EQ(node_.replies[0].result, kOSKextReturnUnsupported);
}

/* ---- Send Resource */

namespace {

std::string resource(const std::string &tag, const std::string &result, const std::string &value = "")
{
	return request("Send Resource", key("Request Tag", "<integer>" + tag + "</integer>") +
						key("Kext Request Result Code", "<integer>" + result + "</integer>") +
						(value.empty() ? "" : key("Value", "<data>" + value + "</data>")) +
						with_identifier("nobody reads this"));
}

} // namespace

TEST_F(KextRequest, AResourceGoesToTheKernelByteForByte)
{
	std::string bytes;
	for (int i = 0; i < 256; i++)
		bytes.push_back(static_cast<char>(i));
	plist_t list = plist_new_dict();
	plist_t arguments = plist_new_dict();
	plist_dict_set_item(list, "Kext Request Predicate", plist_new_string("Send Resource"));
	plist_dict_set_item(arguments, "Request Tag", plist_new_uint(0xfedcba9876543210));
	plist_dict_set_item(arguments, "Kext Request Result Code", plist_new_uint(0));
	plist_dict_set_item(arguments, "Value", plist_new_data(bytes.data(), bytes.size()));
	plist_dict_set_item(list, "Kext Request Arguments", arguments);
	char *xml = nullptr;
	uint32_t length = 0;
	plist_to_xml(list, &xml, &length);
	EXPECT_EQ(ask(std::string(xml, length)), kOSReturnSuccess);
	EXPECT_EQ(response_, "");
	plist_to_xml_free(xml);
	plist_free(list);
	ASSERT_EQ(node_.replies.size(), 1u);
	EXPECT_EQ(node_.replies[0].id, 0xfedcba9876543210);
	EXPECT_EQ(node_.replies[0].result, kOSReturnSuccess);
	EXPECT_EQ(node_.replies[0].flags, KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA);
	EXPECT_EQ(node_.replies[0].data, bytes);
}

TEST_F(KextRequest, AResultOfEitherSign)
{
	EXPECT_EQ(ask(resource("1", "3691020294")), kOSReturnSuccess);
	EXPECT_EQ(ask(resource("1", "-603947002")), kOSReturnSuccess);
	EXPECT_EQ(ask(resource("1", "0xdc008006")), kOSReturnSuccess);
	EXPECT_EQ(ask(resource("1", "4294967296")), kOSReturnSuccess);
	ASSERT_EQ(node_.replies.size(), 4u);
	EXPECT_EQ(node_.replies[0].result, kOSKextReturnNotFound);
	EXPECT_EQ(node_.replies[1].result, kOSKextReturnNotFound);
	EXPECT_EQ(node_.replies[2].result, kOSKextReturnNotFound);
	EXPECT_EQ(node_.replies[3].result, 0) << "the low 32 bits count";
	EXPECT_EQ(node_.replies[0].flags, KEXTD_REPLY_RESULT) << "no payload";
}

TEST_F(KextRequest, T_086_AResourceWithoutTagOrResultStaysPending)
{
	const std::string tag = key("Request Tag", "<integer>1</integer>");
	const std::string result = key("Kext Request Result Code", "<integer>0</integer>");
	EXPECT_EQ(ask(request("Send Resource")), kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask(request("Send Resource", tag)), kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask(request("Send Resource", result)), kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask(request("Send Resource", tag + key("Kext Request Result Code", string("0")))),
		  kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask(request("Send Resource", result + key("Request Tag", "<real>1</real>"))),
		  kOSKextReturnInvalidArgument);
	EXPECT_EQ(ask(request("Send Resource", tag + result + key("Value", string("text")))),
		  kOSKextReturnInvalidArgument);
	EXPECT_TRUE(node_.replies.empty());
}

TEST_F(KextRequest, T_085_ATagThatNoRequestHas)
{
	EXPECT_EQ(ask(resource("0", "0")), kOSKextReturnNotFound);
	EXPECT_TRUE(node_.replies.empty());
	node_.result = kOSKextReturnNotFound;
	for (const char *tag : {"1", "4294967297", "-1", "99999999999999999999"})
		EXPECT_EQ(ask(resource(tag, "0", "QUJD")), kOSKextReturnNotFound);
	ASSERT_EQ(node_.replies.size(), 4u);
	EXPECT_EQ(node_.replies[1].id, 4294967297u) << "all 64 bits count";
}

TEST_F(KextRequest, AnEmptyValueIsNoPayload)
{
	EXPECT_EQ(ask(request("Send Resource", key("Request Tag", "<integer>1</integer>") +
						       key("Kext Request Result Code", "<integer>0</integer>") +
						       key("Value", "<data></data>"))),
		  kOSReturnSuccess);
	ASSERT_EQ(node_.replies.size(), 1u);
	EXPECT_EQ(node_.replies[0].flags, KEXTD_REPLY_RESULT);
}

TEST_F(KextRequest, WhatTheKernelThinksOfAResourceIsTheResult)
{
	for (const OSReturn status : {kOSKextReturnNoResources, kOSKextReturnBadData, kOSKextReturnNoMemory}) {
		node_.result = status;
		EXPECT_EQ(ask(resource("1", "0", "QUJD")), status);
	}
	node_.errors = {{KEXTD_IOC_EXCHANGE, -EOWNERDEAD}};
	EXPECT_EQ(ask(resource("1", "0", "QUJD")), kOSKextReturnNotPrivileged);
}

/* ---- the rest of the daemon protocol */

TEST_F(KextRequest, PingTellsWhetherThereIsADaemon)
{
	EXPECT_EQ(kextd_ping(client_), kOSKextReturnDisabled);
	node_.status_flags = KEXTBRIDGE_STATUS_DAEMON;
	EXPECT_EQ(kextd_ping(client_), kOSReturnSuccess);
	node_.errors = {{KEXTBRIDGE_IOC_STATUS, -ENODEV}};
	EXPECT_EQ(kextd_ping(client_), kOSKextReturnDisabled);
	node_.errors = {{KEXTBRIDGE_IOC_STATUS, -EIO}};
	EXPECT_EQ(kextd_ping(client_), kOSKextReturnInternalError);
	EXPECT_EQ(kextd_ping(nullptr), kOSKextReturnInternalError);
}

TEST(Returns, KernelsOwnHaveNamesToo)
{
	EXPECT_STREQ(kextbridge_return_name(KERN_INVALID_ARGUMENT), "KERN_INVALID_ARGUMENT");
	EXPECT_STREQ(kextbridge_return_name(KERN_FAILURE), "KERN_FAILURE");
	EXPECT_STREQ(kextbridge_return_name(KERN_NOT_SUPPORTED), "KERN_NOT_SUPPORTED");
}
