/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is on the wire stays as it is: programs that were built once go on working. A number or a place that has changed
 * here is a new version of the call, and a mistake.
 */
#include <cstddef>
#include <gtest/gtest.h>
#include <vector>

#include <uapi/kextbridge.h>
#include <uapi/kmdf.h>

namespace {

struct Field {
	const char *name;
	size_t at, size, wanted;
};

/* Each field is where it was, and there is nothing between them. */
void expect_layout(const std::vector<Field> &fields, size_t size, size_t wanted)
{
	size_t end = 0;
	for (const Field &field : fields) {
		EXPECT_EQ(field.at, field.wanted) << field.name;
		EXPECT_EQ(field.at, end) << "a hole before " << field.name;
		EXPECT_EQ(field.at % (field.size > 8 ? 1 : field.size), 0u) << field.name;
		end = field.at + field.size;
	}
	EXPECT_EQ(end, size) << "a hole at the end";
	EXPECT_EQ(size, wanted);
	EXPECT_EQ(size % 8, 0u);
}

} // namespace

#define FIELD(type, name, wanted)                                                 \
	Field                                                                     \
	{                                                                         \
#type "." #name, offsetof(type, name), sizeof(type::name), wanted \
	}

/* Direction (both), size, 0xb6, number. */
TEST(Wire, T_090_NumbersOfAllCalls)
{
	EXPECT_EQ(KEXTD_IOC_EXCHANGE, 0xc030b601u);
	EXPECT_EQ(KEXTBRIDGE_IOC_LIST, 0xc020b610u);
	EXPECT_EQ(KEXTBRIDGE_IOC_STATUS, 0xc0a8b611u);
	EXPECT_EQ(KEXTBRIDGE_IOC_REQUEST, 0xc030b612u);
	EXPECT_EQ(KEXTBRIDGE_IOC_RESULT, 0xc030b613u);
	EXPECT_EQ(KEXTBRIDGE_IOC_CANCEL, 0xc010b614u);
	EXPECT_EQ(KEXTBRIDGE_IOC_RETAIN, 0xc010b615u);
	EXPECT_EQ(KEXTBRIDGE_IOC_RELEASE, 0xc010b616u);
	EXPECT_EQ(KEXTBRIDGE_IOC_UNLOAD, 0xc010b617u);
	EXPECT_EQ(KEXTBRIDGE_IOC_LOAD, 0xc018b618u);
	EXPECT_EQ(KEXTBRIDGE_IOC_LOAD_REQUESTS, 0xc020b619u);
}

TEST(Wire, T_090_ValuesOfAllConstants)
{
	EXPECT_EQ(KEXTBRIDGE_IDENTIFIER_SIZE, 64);
	EXPECT_EQ(KEXTBRIDGE_MODULE_SIZE, 56);
	EXPECT_EQ(KEXTBRIDGE_NAME_LIMIT, 3072u);
	EXPECT_EQ(KEXTD_EXCHANGE_MAX, 1024u);
	EXPECT_EQ(KEXTD_RESOURCE, 1);
	EXPECT_EQ(KEXTD_LOAD, 2);
	EXPECT_EQ(KEXTD_UNLOAD, 3);
	EXPECT_EQ(KEXTD_CANCEL, 4);
	EXPECT_EQ(KEXTD_LOADED, 5);
	EXPECT_EQ(KEXTD_UNLOADED, 6);
	EXPECT_EQ(KEXTD_EXIT, 7);
	EXPECT_EQ(KEXTD_REPLY_RESULT, 1u);
	EXPECT_EQ(KEXTD_REPLY_DATA, 2u);
	EXPECT_EQ(KEXTD_REPLY_FD, 4u);
	EXPECT_EQ(KEXTD_REPLY_FLAGS, 7u);
	EXPECT_EQ(KEXTD_EXCHANGE_NOWAIT, 1u);
	EXPECT_EQ(KEXTD_EXCHANGE_NOTIFY, 2u);
	EXPECT_EQ(KEXT_STATE_STARTING, 1);
	EXPECT_EQ(KEXT_STATE_STARTED, 2);
	EXPECT_EQ(KEXT_STATE_STOPPING, 3);
	EXPECT_EQ(KEXT_STATE_STOPPED, 4);
	EXPECT_EQ(KEXT_STATE_LOADED, 5);
	EXPECT_EQ(KEXT_FLAG_AUTOUNLOAD, 1u);
	EXPECT_EQ(KEXT_FLAG_PLAIN_RMMOD, 2u);
	EXPECT_EQ(KEXT_FLAG_IN_CALLBACK, 4u);
	EXPECT_EQ(KEXT_FLAG_DELAYED, 8u);
	EXPECT_EQ(KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD, 1u);
	EXPECT_EQ(KEXTBRIDGE_STATUS_DAEMON, 1u);
	EXPECT_EQ(KEXTBRIDGE_STATUS_SHUTDOWN, 2u);
	EXPECT_EQ(KEXTBRIDGE_REQUEST_HOLD, 1u);
	EXPECT_EQ(KEXTBRIDGE_RESULT_NOWAIT, 1u);
	EXPECT_EQ(KEXTBRIDGE_RESULT_RELEASE, 2u);
	EXPECT_EQ(KEXTBRIDGE_RESULT_CANCELLED, 1u);
	EXPECT_EQ(KEXTBRIDGE_UNLOAD_IF_IDLE, 1u);
	EXPECT_EQ(KEXTBRIDGE_UNLOAD_STOP_ONLY, 2u);
	EXPECT_EQ(KEXTBRIDGE_LOAD_WAIT, 1u);
	EXPECT_EQ(KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD, 2u);
}

TEST(Wire, T_090_PlacesOfAllFields)
{
	expect_layout({FIELD(kextd_request, size, 0), FIELD(kextd_request, kind, 4), FIELD(kextd_request, id, 8),
		       FIELD(kextd_request, deadline_ns, 16), FIELD(kextd_request, max_length, 24),
		       FIELD(kextd_request, load_tag, 28), FIELD(kextd_request, identifier_size, 32),
		       FIELD(kextd_request, name_size, 36), FIELD(kextd_request, attempt, 40),
		       FIELD(kextd_request, reserved, 44)},
		      sizeof(kextd_request), 48);
	expect_layout({FIELD(kextd_reply, id, 0), FIELD(kextd_reply, result, 8), FIELD(kextd_reply, flags, 12),
		       FIELD(kextd_reply, data, 16), FIELD(kextd_reply, length, 24), FIELD(kextd_reply, fd, 28),
		       FIELD(kextd_reply, status, 32), FIELD(kextd_reply, reserved, 36)},
		      sizeof(kextd_reply), 40);
	expect_layout({FIELD(kextd_exchange, size, 0), FIELD(kextd_exchange, flags, 4),
		       FIELD(kextd_exchange, replies, 8), FIELD(kextd_exchange, reply_count, 16),
		       FIELD(kextd_exchange, max_requests, 20), FIELD(kextd_exchange, requests, 24),
		       FIELD(kextd_exchange, requests_size, 32), FIELD(kextd_exchange, requests_used, 36),
		       FIELD(kextd_exchange, request_count, 40), FIELD(kextd_exchange, reserved, 44)},
		      sizeof(kextd_exchange), 48);
	expect_layout({FIELD(kextbridge_kext, load_tag, 0), FIELD(kextbridge_kext, state, 4),
		       FIELD(kextbridge_kext, retains, 8), FIELD(kextbridge_kext, module_refcount, 12),
		       FIELD(kextbridge_kext, pending, 16), FIELD(kextbridge_kext, flags, 20),
		       FIELD(kextbridge_kext, instances, 24), FIELD(kextbridge_kext, refused, 28),
		       FIELD(kextbridge_kext, identifier, 32), FIELD(kextbridge_kext, version, 96),
		       FIELD(kextbridge_kext, module, 160)},
		      sizeof(kextbridge_kext), 216);
	expect_layout({FIELD(kextbridge_list, size, 0), FIELD(kextbridge_list, flags, 4),
		       FIELD(kextbridge_list, kexts, 8), FIELD(kextbridge_list, count, 16),
		       FIELD(kextbridge_list, total, 20), FIELD(kextbridge_list, from, 24),
		       FIELD(kextbridge_list, reserved, 28)},
		      sizeof(kextbridge_list), 32);
	expect_layout({FIELD(kextbridge_load_requests, size, 0), FIELD(kextbridge_load_requests, flags, 4),
		       FIELD(kextbridge_load_requests, identifiers, 8), FIELD(kextbridge_load_requests, count, 16),
		       FIELD(kextbridge_load_requests, total, 20), FIELD(kextbridge_load_requests, from, 24),
		       FIELD(kextbridge_load_requests, reserved, 28)},
		      sizeof(kextbridge_load_requests), 32);
	expect_layout({FIELD(kextbridge_status, size, 0),         FIELD(kextbridge_status, flags, 4),
		       FIELD(kextbridge_status, daemon_pid, 8),   FIELD(kextbridge_status, kexts, 12),
		       FIELD(kextbridge_status, generation, 16),  FIELD(kextbridge_status, pending, 24),
		       FIELD(kextbridge_status, fetched, 28),     FIELD(kextbridge_status, answered, 32),
		       FIELD(kextbridge_status, reserved, 36),    FIELD(kextbridge_status, submitted, 40),
		       FIELD(kextbridge_status, callbacks, 48),   FIELD(kextbridge_status, cancelled, 56),
		       FIELD(kextbridge_status, discarded, 64),   FIELD(kextbridge_status, timeouts, 72),
		       FIELD(kextbridge_status, replies, 80),     FIELD(kextbridge_status, late_replies, 88),
		       FIELD(kextbridge_status, bad_replies, 96), FIELD(kextbridge_status, requeued, 104),
		       FIELD(kextbridge_status, poisoned, 112),   FIELD(kextbridge_status, limited, 120),
		       FIELD(kextbridge_status, retains, 128),    FIELD(kextbridge_status, releases, 136),
		       FIELD(kextbridge_status, loads, 144),      FIELD(kextbridge_status, unloads, 152),
		       FIELD(kextbridge_status, autounloads, 160)},
		      sizeof(kextbridge_status), 168);
	expect_layout({FIELD(kextbridge_request, size, 0), FIELD(kextbridge_request, flags, 4),
		       FIELD(kextbridge_request, identifier, 8), FIELD(kextbridge_request, name, 16),
		       FIELD(kextbridge_request, identifier_size, 24), FIELD(kextbridge_request, name_size, 28),
		       FIELD(kextbridge_request, timeout_ms, 32), FIELD(kextbridge_request, max_length, 36),
		       FIELD(kextbridge_request, tag, 40), FIELD(kextbridge_request, result, 44)},
		      sizeof(kextbridge_request), 48);
	expect_layout({FIELD(kextbridge_result, size, 0), FIELD(kextbridge_result, flags, 4),
		       FIELD(kextbridge_result, tag, 8), FIELD(kextbridge_result, status, 12),
		       FIELD(kextbridge_result, outcome, 16), FIELD(kextbridge_result, out_flags, 20),
		       FIELD(kextbridge_result, data, 24), FIELD(kextbridge_result, offset, 32),
		       FIELD(kextbridge_result, count, 36), FIELD(kextbridge_result, length, 40),
		       FIELD(kextbridge_result, reserved, 44)},
		      sizeof(kextbridge_result), 48);
	expect_layout({FIELD(kextbridge_tag, size, 0), FIELD(kextbridge_tag, flags, 4), FIELD(kextbridge_tag, tag, 8),
		       FIELD(kextbridge_tag, result, 12)},
		      sizeof(kextbridge_tag), 16);
	expect_layout({FIELD(kextbridge_load, size, 0), FIELD(kextbridge_load, flags, 4),
		       FIELD(kextbridge_load, identifier, 8), FIELD(kextbridge_load, identifier_size, 16),
		       FIELD(kextbridge_load, result, 20)},
		      sizeof(kextbridge_load), 24);
}

/* Direction (both), size, 0xb7, number. */
TEST(Wire, KmdfNumbersOfAllCalls)
{
	EXPECT_EQ(KMDF_IOC_DEVICE_CONTROL, 0xc038b701u);
	EXPECT_EQ(KMDF_IOC_CANCEL, 0xc020b702u);
	EXPECT_EQ(KMDF_IOC_LAST_STATUS, 0xc010b703u);
	EXPECT_EQ(KMDF_IOC_LIST, 0xc018b710u);
	EXPECT_EQ(KMDF_IOC_CANCEL_REQUEST, 0xc010b711u);
}

TEST(Wire, KmdfValuesOfAllConstants)
{
	EXPECT_EQ(KMDF_NAME_SIZE, 64);
	EXPECT_EQ(KMDF_CANCEL_TAG, 1u);
	EXPECT_EQ(KMDF_CANCEL_FILE, 2u);
	EXPECT_EQ(KMDF_CANCEL_THREAD, 3u);
	EXPECT_EQ(KMDF_RECORD_DEVICE, 1);
	EXPECT_EQ(KMDF_RECORD_QUEUE, 2);
	EXPECT_EQ(KMDF_RECORD_REQUEST, 3);
	EXPECT_EQ(KMDF_DEVICE_WORKING, 1);
	EXPECT_EQ(KMDF_DEVICE_LOW_POWER, 2);
	EXPECT_EQ(KMDF_DEVICE_REMOVED, 3);
	EXPECT_EQ(KMDF_QUEUE_SEQUENTIAL, 1);
	EXPECT_EQ(KMDF_QUEUE_PARALLEL, 2);
	EXPECT_EQ(KMDF_QUEUE_MANUAL, 3);
	EXPECT_EQ(KMDF_QUEUE_ACCEPTS, 1u);
	EXPECT_EQ(KMDF_QUEUE_DISPATCHES, 2u);
	EXPECT_EQ(KMDF_QUEUE_POWER_OFF, 0x10u);
	EXPECT_EQ(KMDF_QUEUE_DEFAULT, 0x10000u);
	EXPECT_EQ(KMDF_QUEUE_POWER_MANAGED, 0x20000u);
	EXPECT_EQ(KMDF_REQUEST_QUEUED, 1);
	EXPECT_EQ(KMDF_REQUEST_OWNED, 2);
	EXPECT_EQ(KMDF_REQUEST_CANCELABLE, 3);
	EXPECT_EQ(KMDF_REQUEST_CANCELLED, 4);
	EXPECT_EQ(KMDF_REQUEST_CALLED, 5);
	EXPECT_EQ(KMDF_REQUEST_COMPLETED, 6);
	EXPECT_EQ(KMDF_REQUEST_CANCEL_ASKED, 1u);
	EXPECT_EQ(KMDF_REQUEST_DETACHED, 2u);
	EXPECT_EQ(KMDF_REQUEST_SENT, 4u);
}

TEST(Wire, KmdfPlacesOfAllFields)
{
	expect_layout({FIELD(kmdf_device_control, size, 0), FIELD(kmdf_device_control, code, 4),
		       FIELD(kmdf_device_control, in, 8), FIELD(kmdf_device_control, out, 16),
		       FIELD(kmdf_device_control, in_length, 24), FIELD(kmdf_device_control, out_length, 28),
		       FIELD(kmdf_device_control, tag, 32), FIELD(kmdf_device_control, information, 40),
		       FIELD(kmdf_device_control, status, 48), FIELD(kmdf_device_control, reserved, 52)},
		      sizeof(kmdf_device_control), 56);
	expect_layout({FIELD(kmdf_cancel, size, 0), FIELD(kmdf_cancel, what, 4), FIELD(kmdf_cancel, tag, 8),
		       FIELD(kmdf_cancel, found, 16), FIELD(kmdf_cancel, finished, 20),
		       FIELD(kmdf_cancel, notified, 24), FIELD(kmdf_cancel, flagged, 28)},
		      sizeof(kmdf_cancel), 32);
	expect_layout({FIELD(kmdf_last_status, size, 0), FIELD(kmdf_last_status, status, 4),
		       FIELD(kmdf_last_status, information, 8)},
		      sizeof(kmdf_last_status), 16);
	expect_layout({FIELD(kmdf_record, size, 0), FIELD(kmdf_record, kind, 4)}, sizeof(kmdf_record), 8);
	expect_layout({FIELD(kmdf_device, record, 0), FIELD(kmdf_device, id, 8), FIELD(kmdf_device, state, 16),
		       FIELD(kmdf_device, opens, 20), FIELD(kmdf_device, requests, 24),
		       FIELD(kmdf_device, reserved, 28), FIELD(kmdf_device, name, 32), FIELD(kmdf_device, driver, 96)},
		      sizeof(kmdf_device), 160);
	expect_layout({FIELD(kmdf_queue, record, 0), FIELD(kmdf_queue, id, 8), FIELD(kmdf_queue, device, 16),
		       FIELD(kmdf_queue, type, 24), FIELD(kmdf_queue, flags, 28), FIELD(kmdf_queue, queued, 32),
		       FIELD(kmdf_queue, driver_owned, 36)},
		      sizeof(kmdf_queue), 40);
	expect_layout({FIELD(kmdf_request, record, 0), FIELD(kmdf_request, id, 8), FIELD(kmdf_request, queue, 16),
		       FIELD(kmdf_request, age_ns, 24), FIELD(kmdf_request, owned_ns, 32), FIELD(kmdf_request, tag, 40),
		       FIELD(kmdf_request, state, 48), FIELD(kmdf_request, flags, 52), FIELD(kmdf_request, type, 56),
		       FIELD(kmdf_request, code, 60), FIELD(kmdf_request, length, 64),
		       FIELD(kmdf_request, in_length, 68), FIELD(kmdf_request, pid, 72), FIELD(kmdf_request, uid, 76)},
		      sizeof(kmdf_request), 80);
	expect_layout({FIELD(kmdf_list, size, 0), FIELD(kmdf_list, buffer_size, 4), FIELD(kmdf_list, buffer, 8),
		       FIELD(kmdf_list, used, 16), FIELD(kmdf_list, reserved, 20)},
		      sizeof(kmdf_list), 24);
	expect_layout({FIELD(kmdf_cancel_request, size, 0), FIELD(kmdf_cancel_request, state, 4),
		       FIELD(kmdf_cancel_request, id, 8)},
		      sizeof(kmdf_cancel_request), 16);
}
