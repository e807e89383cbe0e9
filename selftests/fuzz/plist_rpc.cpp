// SPDX-License-Identifier: GPL-2.0-only
// kext_request(): the request's property list, as it is or put together of the right pieces in the wrong order, and what
// becomes of a kernel's answers in the response. libplist is not instrumented: what it is given must be made so that it
// goes deep.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <plist/plist.h>

#include "input.hpp"
#include "memory_limit.hpp"
#include "target.hpp"

#include "../../userspace/lib/kextbridge.h"
#include "../../userspace/lib/transport.hpp"

namespace {

constexpr size_t kLongest = 1 << 15;
constexpr kern_return_t kUntouched = 77;

fuzz::Input *node;    // what the kernel answers
unsigned int changes; // calls that change something

std::string xml(fuzz::Input &input)
{
	static constexpr const char *pieces[] = {
		"<dict>",
		"</dict>",
		"<key>Kext Request Predicate</key>",
		"<key>Kext Request Arguments</key>",
		"<string>Get Loaded Kext Info</string>",
		"<string>Get Kernel Requests</string>",
		"<string>Send Resource</string>",
		"<string>Start</string>",
		"<string>Stop</string>",
		"<string>Unload</string>",
		"<string>Get All Load Requests</string>",
		"<key>CFBundleIdentifier</key>",
		"<string>com.example.a</string>",
		"<key>Request Tag</key>",
		"<integer>1</integer>",
		"<key>Kext Request Result Code</key>",
		"<integer>-603947002</integer>",
		"<key>Value</key>",
		"<data>QUJD</data>",
		"<key>Kext Request Info Keys</key>",
		"<array>",
		"</array>",
		"<string>OSBundleLoadTag</string>",
		"<key>Delay Autounload</key>",
		"<true/>",
		"<plist version=\"1.0\">",
		"</plist>",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
		"<string>",
		"</string>",
		"<data>",
		"</data>",
		"<integer>0x8000000000000000</integer>",
		"<integer>-9223372036854775809</integer>",
		"<real>1e400</real>",
		"<date>2026-01-01T00:00:00Z</date>",
		"<string/>",
		"<data/>",
		"<dict/>",
		"<array/>",
		"<!--",
		"-->",
		"<![CDATA[",
		"]]>",
		"&lt;",
		"&#x0;",
		"&#1114112;",
		"&",
		"<",
		">",
	};
	std::string text;

	for (uint8_t left = input.byte(); left && text.size() < kLongest; left--) {
		uint8_t which = input.byte();

		if (which < 208) {
			text += pieces[which % std::size(pieces)];
		} else if (which < 224) {
			text += input.text(which % 16);
		} else {
			// The end of it, again and again.
			size_t size = std::min<size_t>(text.size(), 1 + which % 32 * 4);
			std::string tail = text.substr(text.size() - size);

			for (uint64_t again = input.number() % 512; again && text.size() < kLongest; again--)
				text += tail;
		}
	}
	return text;
}

void check_response(const char *response, uint32_t length)
{
	plist_t list = nullptr;

	if (!length || memchr(response, 0, length) != response + length - 1)
		fuzz::wrong("a response of %u bytes that does not end with its NUL", length);
	plist_from_xml(response, length - 1, &list);
	if (!list)
		fuzz::wrong("a response that is no property list");
	plist_free(list);
}

void request(const std::string &content, uint8_t handles)
{
	kextbridge *kb = nullptr;
	kextbridge_daemon *daemon = nullptr;
	// On the heap and exactly as long as it is.
	std::unique_ptr<char[]> exact(new char[content.size()]);
	void *response = &response;
	void *log = &log;
	uint32_t length = 77;
	uint32_t log_length = 77;
	kern_return_t result = kUntouched;

	if (kextbridge_open("node", &kb) || kextbridge_daemon_open("node", &daemon))
		fuzz::wrong("no handles");
	kextbridge_host host{handles & 1 ? nullptr : kb, handles & 2 ? nullptr : daemon};

	memcpy(exact.get(), content.data(), content.size());
	changes = 0;
	kern_return_t transport;
	{
		fuzz::MemoryLimit limit(content.size(), "a request");

		transport = kext_request(&host, 0, exact.get(), static_cast<uint32_t>(content.size()), &response,
					 &length, &log, &log_length, &result);
	}
	if (transport != (content.empty() ? KERN_FAILURE : KERN_SUCCESS))
		fuzz::wrong("the transport's result is %d", transport);
	if (result == kUntouched || log || log_length || !response != !length)
		fuzz::wrong("an output that is not cleared");
	if (result && response)
		fuzz::wrong("0x%08x, and a response", static_cast<unsigned int>(result));
	if (changes > 1)
		fuzz::wrong("one request has changed %u things", changes);
	if (response)
		check_response(static_cast<const char *>(response), length);
	free(response);
	kextbridge_close(kb);
	kextbridge_daemon_close(daemon);
}

// What can be in an identifier of a kext, and in a name of anything.
std::string identifier(fuzz::Input &input)
{
	static constexpr const char *identifiers[] = {"com.example.a", "com.example.b", "a<b>&\"c\"", "x"};

	return identifiers[input.below(std::size(identifiers))];
}

// One that is as it should be, but for its names, which may be any bytes.
std::string record(fuzz::Input &input)
{
	std::string strings = input.flag() ? identifier(input) : input.text(input.below(20));
	kextd_request header{};

	strings.push_back('\0');
	header.identifier_size = static_cast<uint32_t>(strings.size());
	strings += input.text(input.below(20));
	strings.push_back('\0');
	header.name_size = static_cast<uint32_t>(strings.size()) - header.identifier_size;
	strings.resize((strings.size() + 7) / 8 * 8);
	header.size = static_cast<uint32_t>(sizeof(header) + strings.size());
	header.kind = input.below(10);
	header.id = input.number();
	header.load_tag = input.byte();
	return std::string(reinterpret_cast<const char *>(&header), sizeof(header)) + strings;
}

// The kernel's for a kext or a reply: all but what would look as if nobody had written a result.
int32_t any_result(fuzz::Input &input)
{
	auto result = static_cast<int32_t>(input.number());

	return result == kUntouched ? kOSReturnSuccess : result;
}

void exchange(kextd_exchange &args, fuzz::Input &input)
{
	std::string bytes;
	uint32_t count = input.below(6);

	for (uint32_t i = 0; i < args.reply_count; i++) {
		auto &reply = reinterpret_cast<kextd_reply *>(args.replies)[i];

		if (reply.result != kOSKextReturnUnsupported || reply.data)
			changes++;
		if (!reply.id || reply.fd != -1 || (reply.flags & ~(KEXTD_REPLY_RESULT | KEXTD_REPLY_DATA)))
			fuzz::wrong("a reply to %llu with the flags 0x%x", reply.id, reply.flags);
		if (reply.flags & KEXTD_REPLY_DATA)
			bytes.assign(reinterpret_cast<const char *>(reply.data), reply.length);
		reply.status = any_result(input);
	}
	args.request_count = 0;
	args.requests_used = 0;
	if (!args.max_requests)
		return;
	bytes.clear();
	for (; args.request_count < count; args.request_count++)
		bytes += record(input);
	if (input.byte() > 250 && !bytes.empty())
		bytes[input.byte() % bytes.size()] ^= 0x11;
	args.requests_used = static_cast<uint32_t>(std::min<size_t>(bytes.size(), args.requests_size));
	memcpy(reinterpret_cast<void *>(args.requests), bytes.data(), args.requests_used);
}

void list(kextbridge_list &args, fuzz::Input &input)
{
	uint32_t room = std::min(args.count, input.below(20));

	for (args.count = 0; args.count < room; args.count++) {
		auto &kext = reinterpret_cast<kextbridge_kext *>(args.kexts)[args.count];

		kext = {};
		kext.load_tag = args.from + args.count + input.below(3);
		kext.state = input.below(7);
		kext.module_refcount = static_cast<int32_t>(input.number());
		memset(kext.version, input.byte(), sizeof(kext.version));
		strcpy(kext.identifier, identifier(input).c_str());
		strcpy(kext.module, "a");
	}
}

void list_loads(kextbridge_load_requests &args, fuzz::Input &input)
{
	uint32_t room = std::min(args.count, input.below(40));

	for (args.count = 0; args.count < room; args.count++) {
		char *to = reinterpret_cast<char *>(args.identifiers) + size_t{KEXTBRIDGE_IDENTIFIER_SIZE} * args.count;

		memset(to, 'x', KEXTBRIDGE_IDENTIFIER_SIZE);
		input.bytes(to, input.below(KEXTBRIDGE_IDENTIFIER_SIZE));
	}
}

} // namespace

// In the place of transport.cpp: a kernel that says what it likes, in the form that it should have.
namespace kext::transport {

int open_node(const char *)
{
	return 7;
}

void close_node(int) {}

int call(int, unsigned long request, void *argument, OnSignal)
{
	static constexpr int errors[] = {0, 0, 0, 0, 0, 0, -EPERM, -EAGAIN, -EOWNERDEAD, -ENOMEM, -EINTR, -ENOBUFS};
	// There is always something to fetch, as long as there is input.
	int error = node->empty() ? -EAGAIN : errors[node->below(std::size(errors))];

	if (error)
		return error;
	switch (request) {
	case KEXTD_IOC_EXCHANGE:
		exchange(*static_cast<kextd_exchange *>(argument), *node);
		break;
	case KEXTBRIDGE_IOC_LIST:
		list(*static_cast<kextbridge_list *>(argument), *node);
		break;
	case KEXTBRIDGE_IOC_LOAD_REQUESTS:
		list_loads(*static_cast<kextbridge_load_requests *>(argument), *node);
		break;
	case KEXTBRIDGE_IOC_UNLOAD:
		changes++;
		static_cast<kextbridge_tag *>(argument)->result = any_result(*node);
		break;
	case KEXTBRIDGE_IOC_LOAD:
		changes++;
		static_cast<struct kextbridge_load *>(argument)->result = any_result(*node);
		break;
	default:
		fuzz::wrong("a call that no predicate makes: 0x%lx", request);
	}
	return 0;
}

} // namespace kext::transport

namespace fuzz {

enum { Raw, Xml, XmlWithNul, Kinds };

void run(const uint8_t *data, size_t size)
{
	Input input(data, size);
	uint8_t handles = input.byte() < 224 ? 0 : input.byte();

	node = &input;
	switch (input.below(Kinds)) {
	case Raw: {
		std::string content = input.text(input.value<uint16_t>());

		return request(content, handles);
	}
	case Xml: {
		std::string content = xml(input);

		return request(content, handles);
	}
	case XmlWithNul: {
		std::string content = xml(input);

		content.push_back('\0');
		return request(content, handles);
	}
	}
}

std::vector<std::string> seeds()
{
	// The pieces of a request, then what the kernel says.
	auto pieces = [](std::initializer_list<uint8_t> which, std::string_view kernel) {
		Seed seed;

		seed.byte(0).byte(XmlWithNul).byte(static_cast<uint8_t>(which.size()));
		for (uint8_t piece : which)
			seed.byte(piece);
		return seed.text(kernel).bytes();
	};
	std::string zeros(40, '\0');
	std::string some("\0\3\1\0\5aaaaa\0\1\0\0\4bbbb\1\2\0", 21);
	std::string raw = "<dict><key>Kext Request Predicate</key><string>Stop</string></dict>";

	raw.push_back('\0');
	return {
		Seed().byte(0).byte(Raw).value(static_cast<uint16_t>(raw.size())).text(raw).bytes(),
		Seed().byte(0).byte(Raw).value(uint16_t{45}).text("MKXTMOSX").text(zeros).bytes(),
		Seed().byte(0).byte(Xml).byte(4).byte(0).byte(2).byte(4).byte(1).bytes(),
		pieces({0, 2, 4, 1}, zeros + some),
		pieces({0, 2, 4, 3, 0, 11, 20, 12, 21, 19, 20, 22, 21, 23, 24, 1, 1}, zeros + some),
		pieces({0, 2, 5, 1}, some + zeros),
		pieces({0, 2, 6, 3, 0, 13, 14, 15, 16, 17, 18, 1, 1}, zeros),
		pieces({0, 2, 7, 3, 0, 11, 12, 1, 1}, std::string("\0\5", 2) + zeros),
		pieces({0, 2, 8, 3, 0, 11, 12, 1, 1}, std::string("\0\5", 2) + zeros),
		pieces({0, 2, 9, 3, 0, 11, 12, 1, 1}, std::string("\0\5", 2) + zeros),
		pieces({0, 2, 10, 1}, std::string("\0\5\10", 3) + zeros),
		pieces({27, 25, 0, 2, 20, 224, 25, 21, 224, 25, 1, 26}, zeros),
	};
}

} // namespace fuzz
