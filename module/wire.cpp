// SPDX-License-Identifier: GPL-2.0-only
#include "wire.hpp"

#include "shim/enforce.h"

namespace kextbridge {

u32 request_record_size(const Request &request)
{
	return sizeof(kextd_request) + request.strings_size();
}

static bool is_cancel(const Request &notice)
{
	return notice.kind < Kind::Loaded;
}

u32 notice_record_size(const Request &notice)
{
	return is_cancel(notice) ? sizeof(kextd_request) + 8 : request_record_size(notice);
}

static int write_record(const kextd_request &header, const void *strings, u64 *at) KEXTBRIDGE_EXCLUDES(core_lock())
{
	int err = shim_copy_to_user(*at, &header, sizeof(header));

	if (!err)
		err = shim_copy_to_user(*at + sizeof(header), strings, header.size - sizeof(header));
	*at += header.size;
	return err;
}

int write_request(const Request &request, u64 deadline_ns, u32 attempt, u64 *at)
{
	kextd_request header = {};

	header.size = request_record_size(request);
	header.kind = static_cast<u32>(request.kind);
	header.id = request.wire_id();
	header.deadline_ns = deadline_ns;
	header.max_length = request.max_length;
	header.load_tag = request.owner ? request.owner->load_tag() : 0;
	header.identifier_size = request.identifier_size;
	header.name_size = request.name_size;
	header.attempt = attempt;
	return write_record(header, request.identifier(), at);
}

int write_notice(const Request &notice, u64 *at)
{
	static const char none[8] = {};
	kextd_request header = {};

	// Never in the table, it has no tag and with that no id.
	if (!is_cancel(notice))
		return write_request(notice, 0, 0, at);
	header.size = notice_record_size(notice);
	header.kind = KEXTD_CANCEL;
	header.id = notice.wire_id();
	header.identifier_size = 1;
	header.name_size = 1;
	return write_record(header, none, at);
}

} // namespace kextbridge
