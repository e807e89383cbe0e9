// SPDX-License-Identifier: GPL-2.0-only
// What user space believes of the kernel's bytes: the records of /dev/kextd, the answers to the library's calls. The node
// is the input's: it writes what it likes into the structures it is given, but only there.
#include <algorithm>
#include <cerrno>
#include <memory>

#include "input.hpp"
#include "target.hpp"

#include "../../userspace/kextd/job.hpp"
#include "../../userspace/kextd/log.hpp"
#include "../../userspace/kextd/reply.hpp"
#include "../../userspace/lib/kextbridge.h"
#include "../../userspace/lib/transport.hpp"

namespace {

fuzz::Input *node; // what it says

// As long as it is and no longer: AddressSanitizer sees the first byte too many.
struct Exact {
	explicit Exact(size_t bytes) : data(new char[bytes]), size(bytes) {}
	std::unique_ptr<char[]> data;
	size_t size;
};

void check_string(const char *base, size_t used, const char *text, uint32_t length, const char *what)
{
	if (text < base || text + length + 1 > base + used)
		fuzz::wrong("%s outside of the buffer", what);
	if (text[length])
		fuzz::wrong("%s has no NUL at its end", what);
}

void walk(const char *base, size_t used)
{
	size_t offset = 0;
	std::vector<kextbridge_record> records;

	for (;;) {
		size_t before = offset;
		kextbridge_record record;
		int more = kextbridge_record_next(base, used, &offset, &record);

		if (more < 0 && (more != -EBADMSG || offset != before))
			fuzz::wrong("a malformed record: %d, and the walk moved", more);
		if (more <= 0) {
			if (!more && offset != used)
				fuzz::wrong("the walk ends before the end");
			break;
		}
		if (offset <= before || offset > used || offset % 8)
			fuzz::wrong("a record from %zu to %zu of %zu", before, offset, used);
		if (record.header.size != offset - before)
			fuzz::wrong("a record of %u bytes moves the walk by %zu", record.header.size, offset - before);
		check_string(base, used, record.identifier, record.identifier_length, "identifier");
		check_string(base, used, record.name, record.name_length, "name");
		if (record.identifier < base + before + sizeof(kextd_request) ||
		    record.name + record.name_length + 1 > base + offset)
			fuzz::wrong("a string outside of its record");
		if (record.identifier + record.identifier_length + 1 != record.name)
			fuzz::wrong("the strings overlap, or there is a gap");
		kext::Job job(record);

		if (job.name.size() != record.name_length || kext::label(job).find('\n') != std::string::npos)
			fuzz::wrong("a job that is not its record");
	}
}

void records(fuzz::Input &input)
{
	Exact buffer(input.left());

	input.bytes(buffer.data.get(), buffer.size);
	walk(buffer.data.get(), buffer.size);
}

// A buffer that is made of records, with changes: longer strings, other sizes, all where the walk looks.
void made_records(fuzz::Input &input)
{
	std::string bytes;

	for (uint32_t left = 1 + input.below(4); left; left--) {
		std::string strings = input.text(input.below(40));
		kextd_request header{};

		strings.push_back('\0');
		header.identifier_size = static_cast<uint32_t>(strings.size());
		strings += input.text(input.below(40));
		strings.push_back('\0');
		header.name_size = static_cast<uint32_t>(strings.size()) - header.identifier_size;
		strings.resize((strings.size() + 7) / 8 * 8);
		header.size = static_cast<uint32_t>(sizeof(header) + strings.size());
		header.kind = input.below(6);
		header.id = input.byte();
		input.change(header);
		bytes.append(reinterpret_cast<const char *>(&header), sizeof(header)).append(strings);
	}
	bytes.resize(bytes.size() - std::min<size_t>(input.below(9), bytes.size()));
	Exact buffer(bytes.size());

	std::copy(bytes.begin(), bytes.end(), buffer.data.get());
	walk(buffer.data.get(), buffer.size);
}

// ---- the daemon's side

void exchange(fuzz::Input &input)
{
	kextbridge_daemon *daemon = nullptr;
	Exact buffer(input.number() % 512 & ~7ul);
	kextbridge_batch batch{};
	kextd_reply replies[4] = {};
	uint32_t count = input.below(5);
	uint32_t done = 77;

	if (kextbridge_daemon_open("node", &daemon))
		return;
	batch.buffer = buffer.data.get();
	batch.size = static_cast<uint32_t>(buffer.size);
	batch.max_requests = input.below(5);
	int error = kextbridge_exchange(daemon, replies, count, &done, input.flag() ? &batch : nullptr, 0);

	if (done > count)
		fuzz::wrong("%u of %u replies are done", done, count);
	if (batch.count > batch.max_requests || (error != -ENOBUFS && batch.used > batch.size))
		fuzz::wrong("%u requests in %u bytes", batch.count, batch.used);
	if (error && error != -ENOBUFS && (batch.count || batch.used))
		fuzz::wrong("%d, and %u requests", error, batch.count);
	if (!error)
		walk(buffer.data.get(), batch.used);
	kextbridge_daemon_close(daemon);
}

// Each is answered, whatever the kernel thinks of it, and it ends.
void hand_in(fuzz::Input &input)
{
	kextbridge_daemon *daemon = nullptr;
	std::vector<kext::Reply> replies;

	if (kextbridge_daemon_open("node", &daemon))
		return;
	for (uint32_t left = input.below(6); left; left--) {
		kextbridge_record record{};

		record.header.id = left;
		record.header.kind = input.below(5);
		record.identifier = record.name = "x";
		record.identifier_length = record.name_length = 1;
		kext::Answer answer;

		answer.result = static_cast<OSReturn>(input.number());
		if (input.flag()) {
			answer.bytes.reset(new char[8]);
			answer.length = 8;
		}
		replies.push_back({std::make_shared<kext::Job>(record), std::move(answer)});
	}
	if (!kext::hand_in(daemon, replies) && !replies.empty())
		fuzz::wrong("%zu replies are not handed in", replies.size());
	kextbridge_daemon_close(daemon);
}

// ---- a client

void check_kext(const kextbridge_kext &kext)
{
	if (!memchr(kext.identifier, 0, sizeof(kext.identifier)) || !memchr(kext.version, 0, sizeof(kext.version)) ||
	    !memchr(kext.module, 0, sizeof(kext.module)))
		fuzz::wrong("a kext with a string without end");
}

void client(fuzz::Input &input)
{
	kextbridge *kb = nullptr;

	if (kextbridge_open("node", &kb))
		return;
	while (!input.empty()) {
		OSReturn result = 0;
		uint32_t tag = 0;

		switch (input.below(8)) {
		case 0: {
			uint32_t room = input.below(4);
			std::unique_ptr<kextbridge_kext[]> kexts(new kextbridge_kext[room]);
			int count = kextbridge_list_kexts(kb, input.byte(), kexts.get(), room, &tag);

			if (count > static_cast<int>(room))
				fuzz::wrong("%d entries in room for %u", count, room);
			for (int i = 0; i < count; i++)
				check_kext(kexts[i]);
			break;
		}
		case 1: {
			kextbridge_kext kext;

			if (!kextbridge_find_kext(kb, "com.example.a", &kext)) {
				check_kext(kext);
				if (strcmp(kext.identifier, "com.example.a"))
					fuzz::wrong("found another kext");
			}
			break;
		}
		case 2: {
			kextbridge_outcome outcome;

			(void)kextbridge_result_wait(kb, input.byte(), 0, &outcome);
			break;
		}
		case 3: {
			Exact room(input.below(64));
			int64_t count = kextbridge_result_read(kb, 1, static_cast<uint32_t>(input.number()),
							       room.data.get(), static_cast<uint32_t>(room.size));

			if (count > static_cast<int64_t>(room.size))
				fuzz::wrong("%ld bytes in room for %zu", count, room.size);
			break;
		}
		case 4:
			(void)kextbridge_submit(kb, "com.example.a", "name", nullptr, &tag, &result);
			break;
		case 5:
			(void)kextbridge_cancel(kb, input.byte(), &result);
			break;
		case 6: {
			struct kextbridge_status status;

			(void)kextbridge_get_status(kb, &status);
			break;
		}
		case 7:
			(void)kextbridge_result_release(kb, input.byte());
			break;
		}
		const char *name = kextbridge_return_name(result);

		if (!kextbridge_return_text(result) || (name && !*name))
			fuzz::wrong("0x%08x has no text", static_cast<unsigned int>(result));
	}
	kextbridge_close(kb);
}

} // namespace

// In the place of transport.cpp: the kernel, if it were the daemon's enemy.
namespace kext::transport {

int open_node(const char *)
{
	return node->byte() == 0xff ? -EBUSY : 7;
}

void close_node(int) {}

// What it writes behind an address: as much as a kernel that keeps to the count it was given.
static void scribble(uint64_t address, uint64_t size)
{
	node->bytes(reinterpret_cast<void *>(address), size);
}

int call(int, unsigned long request, void *argument, OnSignal)
{
	static constexpr int errors[] = {0, 0, 0, 0, -EFAULT, -ENOBUFS, -EAGAIN, -EINTR, -EOWNERDEAD, -EPERM};
	int error = errors[node->below(std::size(errors))];
	fuzz::Input &input = *node;

	// A signal handler cannot run for ever.
	if (input.empty())
		return -EOWNERDEAD;
	switch (request) {
	case KEXTD_IOC_EXCHANGE: {
		auto &args = *static_cast<kextd_exchange *>(argument);
		const kextd_exchange given = args;

		scribble(given.requests, given.max_requests ? given.requests_size : 0);
		for (uint32_t i = 0; i < given.reply_count; i++)
			reinterpret_cast<kextd_reply *>(given.replies)[i].status =
				input.flag() ? 0 : kOSKextReturnInternalError + static_cast<int32_t>(input.below(32));
		args.request_count = input.below(6);
		args.requests_used = static_cast<uint32_t>(std::min<uint64_t>(input.number(), given.requests_size + 8));
		input.change(args);
		break;
	}
	case KEXTBRIDGE_IOC_LIST: {
		auto &args = *static_cast<kextbridge_list *>(argument);
		const kextbridge_list given = args;

		for (uint32_t i = 0; i < given.count; i++) {
			auto &kext = reinterpret_cast<kextbridge_kext *>(given.kexts)[i];

			kext = {};
			kext.load_tag = given.from + input.below(3);
			memset(kext.version, 'v', sizeof(kext.version));
			strcpy(kext.identifier, "com.example.a");
			input.change(kext);
		}
		args.count = input.below(20);
		input.change(args);
		break;
	}
	case KEXTBRIDGE_IOC_RESULT: {
		auto &args = *static_cast<kextbridge_result *>(argument);
		const kextbridge_result given = args;

		scribble(given.data, given.count);
		args.count = static_cast<uint32_t>(std::min<uint64_t>(input.number(), given.count + uint64_t{1}));
		args.status = input.flag() ? 0 : kOSKextReturnNotFound;
		input.change(args);
		break;
	}
	case KEXTBRIDGE_IOC_STATUS:
		input.change(*static_cast<struct kextbridge_status *>(argument));
		break;
	case KEXTBRIDGE_IOC_REQUEST:
		input.change(*static_cast<kextbridge_request *>(argument));
		break;
	default:
		input.change(*static_cast<kextbridge_tag *>(argument));
		break;
	}
	return error;
}

} // namespace kext::transport

// What kextd logs about it, nobody reads here.
extern "C" void openlog(const char *, int, int) {}
extern "C" void syslog(int, const char *, ...) {}

namespace fuzz {

enum { RawRecords, MadeRecords, Exchange, HandIn, Client, Parts };

void run(const uint8_t *data, size_t size)
{
	Input input(data, size);

	kext::log::open(kext::log::Sink::Syslog, false);
	node = &input;
	switch (input.below(Parts)) {
	case RawRecords:
		return records(input);
	case MadeRecords:
		return made_records(input);
	case Exchange:
		return exchange(input);
	case HandIn:
		return hand_in(input);
	case Client:
		return client(input);
	}
}

static std::string record(std::string_view identifier, std::string_view name, uint32_t kind)
{
	kextd_request header{};
	std::string strings(identifier);

	strings.push_back('\0');
	strings.append(name).push_back('\0');
	strings.resize((strings.size() + 7) / 8 * 8);
	header.size = static_cast<uint32_t>(sizeof(header) + strings.size());
	header.kind = kind;
	header.id = 0x100000001;
	header.identifier_size = static_cast<uint32_t>(identifier.size()) + 1;
	header.name_size = static_cast<uint32_t>(name.size()) + 1;
	return std::string(reinterpret_cast<const char *>(&header), sizeof(header)) + strings;
}

std::vector<std::string> seeds()
{
	std::string resource = record("com.example.a", "firmware.bin", KEXTD_RESOURCE);
	std::string unload = record("com.example.a", "example", KEXTD_UNLOAD);
	std::string notice = record("", "", KEXTD_CANCEL);

	return {
		Seed().byte(RawRecords).bytes(),
		Seed().byte(RawRecords).text(resource).bytes(),
		Seed().byte(RawRecords).text(resource + unload + notice).bytes(),
		Seed().byte(MadeRecords).byte(2).byte(5).text("aaaaa").byte(3).text("bbb").byte(1).byte(9).bytes(),
		Seed().byte(Exchange).byte(128).value(uint16_t{256}).byte(2).byte(0).byte(4).byte(1).bytes(),
		Seed().byte(HandIn).byte(0).byte(2).byte(1).byte(0).byte(1).byte(1).byte(1).byte(1).bytes(),
		Seed().byte(Client).byte(0).byte(0).byte(3).byte(1).byte(0).byte(1).byte(2).byte(3).byte(4).bytes(),
		Seed().byte(Client).byte(0).byte(3).byte(16).byte(2).byte(0).text("0123456789abcdef").bytes(),
	};
}

} // namespace fuzz
