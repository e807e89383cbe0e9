/* SPDX-License-Identifier: GPL-2.0-only */
/* Walking the records that KMDF_IOC_LIST writes. A total function: it trusts nothing in the buffer. */
#include <cerrno>
#include <cstring>

#include "kmdf.h"

/* As long as they were at first: what a kernel that is older than this library leaves out is zero. */
static_assert(sizeof(kmdf_device) == 160);
static_assert(sizeof(kmdf_queue) == 40);
static_assert(sizeof(kmdf_request) == 80);

extern "C" int kmdf_record_next(const void *records, size_t used, size_t *offset, struct kmdf_entry *entry)
{
	for (;;) {
		if (*offset == used)
			return 0;
		if (*offset > used || used - *offset < sizeof(kmdf_record))
			return -EBADMSG;
		const char *base = static_cast<const char *>(records) + *offset;
		kmdf_record header;
		memcpy(&header, base, sizeof(header));
		if (header.size < sizeof(header) || header.size > used - *offset || header.size % 8)
			return -EBADMSG;

		kmdf_entry found{};
		size_t known = 0;
		switch (header.kind) {
		case KMDF_RECORD_DEVICE:
			known = sizeof(found.device);
			break;
		case KMDF_RECORD_QUEUE:
			known = sizeof(found.queue);
			break;
		case KMDF_RECORD_REQUEST:
			known = sizeof(found.request);
			break;
		default:
			*offset += header.size;
			continue;
		}
		if (header.size < known)
			return -EBADMSG;
		found.kind = header.kind;
		memcpy(&found.device, base, known); /* each begins where the union does */
		if (header.kind == KMDF_RECORD_DEVICE) {
			found.device.name[sizeof(found.device.name) - 1] = '\0';
			found.device.driver[sizeof(found.device.driver) - 1] = '\0';
		}
		*entry = found;
		*offset += header.size;
		return 1;
	}
}
