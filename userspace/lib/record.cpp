/* SPDX-License-Identifier: GPL-2.0-only */
/* Walking the records that KEXTD_IOC_EXCHANGE writes. A total function: it trusts nothing in the buffer. */
#include <cerrno>
#include <cstring>

#include "kextbridge.h"

static_assert(sizeof(kextd_request) == 48);
static_assert(sizeof(kextd_reply) == 40);
static_assert(sizeof(kextd_exchange) == 48);

extern "C" int kextbridge_record_next(const void *buffer, size_t used, size_t *offset, struct kextbridge_record *record)
{
	if (*offset == used)
		return 0;
	if (*offset > used || used - *offset < sizeof(kextd_request))
		return -EBADMSG;

	const char *base = static_cast<const char *>(buffer) + *offset;
	const size_t left = used - *offset;
	kextd_request header;
	memcpy(&header, base, sizeof(header));

	if (header.size < sizeof(header) || header.size > left || header.size % 8)
		return -EBADMSG;
	const size_t strings = header.size - sizeof(header);
	if (header.identifier_size == 0 || header.identifier_size > strings)
		return -EBADMSG;
	if (header.name_size == 0 || header.name_size > strings - header.identifier_size)
		return -EBADMSG;

	const char *identifier = base + sizeof(header);
	const char *name = identifier + header.identifier_size;
	if (identifier[header.identifier_size - 1] || name[header.name_size - 1])
		return -EBADMSG;

	record->header = header;
	record->identifier = identifier;
	record->name = name;
	record->identifier_length = header.identifier_size - 1;
	record->name_length = header.name_size - 1;
	*offset += header.size;
	return 1;
}
