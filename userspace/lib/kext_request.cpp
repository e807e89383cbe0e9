/* SPDX-License-Identifier: GPL-2.0-only */
/* The daemon protocol in property lists, on the other calls of this library: each predicate is one of them. */
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "kextbridge.h"
#include "unique_plist.hpp"

namespace {

using kext::UniqueBytes;
using kext::UniquePlist;

/* One request: what it may use, what it says, and what is answered. */
struct Call {
	const kextbridge_host &host;
	plist_t arguments; /* a dictionary, or NULL */
	UniquePlist response;
};

OSReturn result_of(int error)
{
	switch (-error) {
	case 0:
		return kOSReturnSuccess;
	case EPERM:
	case EACCES:
	case EOWNERDEAD: /* the daemon no more */
		return kOSKextReturnNotPrivileged;
	case ENOENT:
		return kOSKextReturnNotFound;
	case ENOMEM:
		return kOSKextReturnNoMemory;
	case ENODEV: /* kextbridge.ko is being unloaded */
		return kOSKextReturnDisabled;
	default:
		return kOSKextReturnInternalError;
	}
}

/* ---- property lists */

/* What is behind a key; NULL when there is nothing, or something of another type. */
plist_t item_of(plist_t dictionary, const char *key, plist_type type)
{
	plist_t node = dictionary ? plist_dict_get_item(dictionary, key) : nullptr;
	return node && plist_get_node_type(node) == type ? node : nullptr;
}

/* NULL: empty, or no C string. */
const char *text_of(plist_t node)
{
	uint64_t length = 0;
	const char *text = node ? plist_get_string_ptr(node, &length) : nullptr;
	return text && length && strlen(text) == length ? text : nullptr;
}

bool is_true(plist_t node)
{
	uint8_t value = 0;
	if (node)
		plist_get_bool_val(node, &value);
	return value != 0;
}

uint64_t number_of(plist_t node)
{
	uint64_t value = 0;
	plist_get_uint_val(node, &value);
	return value;
}

/* The strings of an array that a request may have: then only they are wanted. */
class Selection {
      public:
	/* False: the key is there, and it is no array of strings. */
	bool read(plist_t arguments, const char *key)
	{
		plist_t node = arguments ? plist_dict_get_item(arguments, key) : nullptr;
		if (!node)
			return true;
		if (plist_get_node_type(node) != PLIST_ARRAY)
			return false;
		array_ = node;
		bool strings = true;
		each([&](plist_t entry) { strings = strings && plist_get_node_type(entry) == PLIST_STRING; });
		return strings;
	}

	bool has(const char *text) const
	{
		if (!array_)
			return true;
		bool found = false;
		each([&](plist_t entry) {
			const char *wanted = text_of(entry);
			found = found || (wanted && strcmp(wanted, text) == 0);
		});
		return found;
	}

      private:
	template <typename Visit> void each(Visit visit) const
	{
		plist_array_iter iterator = nullptr;
		plist_array_new_iter(array_, &iterator);
		const UniqueBytes owner(iterator);
		for (;;) {
			plist_t entry = nullptr;
			plist_array_next_item(array_, iterator, &entry);
			if (!entry)
				return;
			visit(entry);
		}
	}

	plist_t array_ = nullptr;
};

/* Whether XML can carry these bytes as a string: UTF-8 without the characters that XML forbids or changes. */
bool is_text(const char *bytes, size_t length)
{
	const auto *at = reinterpret_cast<const unsigned char *>(bytes);
	const auto *end = at + length;
	while (at < end) {
		const unsigned char first = *at++;
		if (first < 0x80) {
			if (first < 0x20 && first != '\t' && first != '\n')
				return false;
			continue;
		}
		const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
		if (first < 0xc2 || first > 0xf4 || end - at < more)
			return false;
		uint32_t value = first & (0x3f >> more);
		for (int i = 0; i < more; i++, at++) {
			if ((*at & 0xc0) != 0x80)
				return false;
			value = value << 6 | (*at & 0x3f);
		}
		const uint32_t least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
		if (value < least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ||
		    (value & 0xfffe) == 0xfffe)
			return false;
	}
	return true;
}

/* Names may hold any bytes. */
plist_t new_text(const char *bytes, size_t length)
{
	return is_text(bytes, length) ? plist_new_string(bytes) : plist_new_data(bytes, length);
}

/*
 * libplist frees a list as deep as it goes, on the stack of the caller. Each tag begins with '<' and its name, so that
 * what there can be at most is counted without reading XML.
 */
bool is_harmless(const char *xml, size_t length)
{
	constexpr size_t most_objects = 131071;
	constexpr size_t most_containers = 4096;
	size_t objects = 0;
	size_t containers = 0;
	const char *end = xml + length;
	while ((xml = static_cast<const char *>(memchr(xml, '<', static_cast<size_t>(end - xml))))) {
		xml++;
		if (xml == end || *xml == '/')
			continue;
		objects++;
		containers += end - xml >= 4 && (memcmp(xml, "dict", 4) == 0 || memcmp(xml, "arra", 4) == 0);
		if (objects > most_objects || containers > most_containers)
			return false;
	}
	return true;
}

/* ---- kexts */

OSReturn find(const Call &call, kextbridge_kext &kext)
{
	const char *identifier =
		text_of(item_of(call.arguments, kKextRequestArgumentBundleIdentifierKey, PLIST_STRING));
	if (!identifier)
		return kOSKextReturnInvalidArgument;
	if (!call.host.client)
		return kOSKextReturnNotPrivileged;
	return result_of(kextbridge_find_kext(call.host.client, identifier, &kext));
}

template <typename Action> OSReturn on_kext(const Call &call, Action action)
{
	kextbridge_kext kext;
	const OSReturn found = find(call, kext);
	if (found != kOSReturnSuccess)
		return found;
	OSReturn result = kOSKextReturnInternalError;
	const int error = action(kext.load_tag, &result);
	return error ? result_of(error) : result;
}

OSReturn start(Call &call)
{
	return on_kext(call, [&](uint32_t tag, OSReturn *result) {
		return kextbridge_start_kext(call.host.client, tag, result);
	});
}

OSReturn stop(Call &call)
{
	return on_kext(call, [&](uint32_t tag, OSReturn *result) {
		return kextbridge_stop_kext(call.host.client, tag, result);
	});
}

/* There are no IOServices to terminate: that argument changes nothing. */
OSReturn unload(Call &call)
{
	return on_kext(call, [&](uint32_t tag, OSReturn *result) {
		return kextbridge_unload_kext(call.host.client, tag, 0, result);
	});
}

UniquePlist info_of(const kextbridge_kext &kext, const Selection &keys)
{
	UniquePlist info(plist_new_dict());
	const auto add = [&](const char *key, plist_t value) {
		if (keys.has(key))
			plist_dict_set_item(info.get(), key, value);
		else
			plist_free(value);
	};
	const auto add_text = [&](const char *key, const char *text) { add(key, new_text(text, strlen(text))); };
	const auto add_number = [&](const char *key, uint64_t value) { add(key, plist_new_uint(value)); };

	add_text(kKextInfoIdentifierKey, kext.identifier);
	add_text(kKextInfoVersionKey, kext.version);
	add_number(kKextInfoLoadTagKey, kext.load_tag);
	add_number(kKextInfoRetainCountKey, kext.retains);
	add(kKextInfoStartedKey, plist_new_bool(kext.state == KEXT_STATE_STARTED));
	add_text(kKextbridgeInfoModuleKey, kext.module);
	add_number(kKextbridgeInfoModuleRefcountKey, kext.module_refcount < 0 ? 0 : kext.module_refcount);
	add_number(kKextbridgeInfoPendingKey, kext.pending);
	add_number(kKextbridgeInfoInstancesKey, kext.instances);
	add_number(kKextbridgeInfoRefusedKey, kext.refused);
	return info;
}

OSReturn get_loaded(Call &call)
{
	Selection identifiers;
	Selection keys;
	if (!identifiers.read(call.arguments, kKextRequestArgumentBundleIdentifierKey) ||
	    !keys.read(call.arguments, kKextRequestArgumentInfoKeysKey))
		return kOSKextReturnInvalidArgument;
	kextbridge *kb = call.host.client;
	if (!kb)
		return kOSKextReturnNotPrivileged;
	if (is_true(item_of(call.arguments, kKextRequestArgumentDelayAutounloadKey, PLIST_BOOLEAN))) {
		const int error = kextbridge_delay_autounload(kb);
		if (error)
			return result_of(error);
	}
	UniquePlist kexts(plist_new_dict());
	uint32_t from = 0;
	for (;;) {
		kextbridge_kext page[16];
		const int count = kextbridge_list_kexts(kb, from, page, 16, nullptr);
		if (count < 0)
			return result_of(count);
		for (int i = 0; i < count; i++) {
			if (identifiers.has(page[i].identifier))
				plist_dict_set_item(kexts.get(), page[i].identifier, info_of(page[i], keys).release());
		}
		const uint32_t last = count ? page[count - 1].load_tag : UINT32_MAX;
		if (last < from || last == UINT32_MAX)
			break;
		from = last + 1;
	}
	call.response = std::move(kexts);
	return kOSReturnSuccess;
}

OSReturn get_all_load_requests(Call &call)
{
	if (!call.host.client)
		return kOSKextReturnNotPrivileged;
	UniquePlist identifiers(plist_new_array());
	uint32_t from = 0;
	for (;;) {
		char page[32][KEXTBRIDGE_IDENTIFIER_SIZE];
		const int count = kextbridge_list_load_requests(call.host.client, from, page, 32, nullptr);
		if (count < 0)
			return result_of(count);
		for (int i = 0; i < count; i++)
			plist_array_append_item(identifiers.get(), new_text(page[i], strlen(page[i])));
		if (count == 0 || from > UINT32_MAX - 32)
			break;
		from += static_cast<uint32_t>(count);
	}
	call.response = std::move(identifiers);
	return kOSReturnSuccess;
}

/* ---- the daemon's */

const char *predicate_of(uint32_t kind)
{
	switch (kind) {
	case KEXTD_RESOURCE:
		return kKextRequestPredicateRequestResource;
	case KEXTD_LOAD:
		return kKextRequestPredicateRequestLoad;
	case KEXTD_UNLOAD:
		return kKextbridgePredicateRequestUnload;
	case KEXTD_CANCEL:
		return kKextbridgePredicateCancelNotification;
	case KEXTD_LOADED:
		return kKextRequestPredicateLoadNotification;
	case KEXTD_UNLOADED:
		return kKextRequestPredicateUnloadNotification;
	case KEXTD_EXIT:
		return kKextRequestPredicateRequestDaemonExit;
	default:
		return nullptr;
	}
}

UniquePlist arguments_of(const kextbridge_record &record)
{
	const kextd_request &header = record.header;
	UniquePlist arguments(plist_new_dict());
	const auto add = [&](const char *key, plist_t value) { plist_dict_set_item(arguments.get(), key, value); };
	if (header.id)
		add(kKextRequestArgumentRequestTagKey, plist_new_uint(header.id));
	if (record.identifier_length)
		add(kKextRequestArgumentBundleIdentifierKey, new_text(record.identifier, record.identifier_length));
	if (header.kind == KEXTD_RESOURCE) {
		add(kKextRequestArgumentNameKey, new_text(record.name, record.name_length));
		add(kKextbridgeArgumentMaxLengthKey, plist_new_uint(header.max_length));
	} else if (record.name_length) {
		add(kKextbridgeArgumentModuleKey, new_text(record.name, record.name_length));
	}
	if (header.load_tag)
		add(kKextbridgeArgumentLoadTagKey, plist_new_uint(header.load_tag));
	return arguments;
}

/* One reply. What the kernel thinks of it, or why it could not be asked. */
OSReturn reply_with(kextbridge_daemon *daemon, kextd_reply reply)
{
	uint32_t done = 0;
	reply.flags |= KEXTD_REPLY_RESULT;
	reply.fd = -1;
	const int error = kextbridge_exchange(daemon, &reply, 1, &done, nullptr, KEXTD_EXCHANGE_NOWAIT);
	if (done)
		return reply.status;
	return error ? result_of(error) : kOSKextReturnInternalError;
}

void append(plist_t list, const kextbridge_record &record, kextbridge_daemon *daemon)
{
	const char *predicate = predicate_of(record.header.kind);
	if (!predicate) {
		/* A newer kernel's: who waits for an answer gets one. */
		kextd_reply reply{};
		reply.id = record.header.id;
		reply.result = kOSKextReturnUnsupported;
		if (reply.id)
			(void)reply_with(daemon, reply);
		return;
	}
	plist_t message = plist_new_dict();
	plist_dict_set_item(message, kKextRequestPredicateKey, plist_new_string(predicate));
	UniquePlist arguments = arguments_of(record);
	if (plist_dict_get_size(arguments.get()))
		plist_dict_set_item(message, kKextRequestArgumentsKey, arguments.release());
	plist_array_append_item(list, message);
}

/* Appends what one exchange gives. 0: there may be more; a negative errno: that was all. */
int fetch(kextbridge_daemon *daemon, void *buffer, uint32_t size, plist_t list)
{
	kextbridge_batch batch{};
	batch.buffer = buffer;
	batch.size = size;
	batch.max_requests = KEXTD_EXCHANGE_MAX;
	int error =
		kextbridge_exchange(daemon, nullptr, 0, nullptr, &batch, KEXTD_EXCHANGE_NOWAIT | KEXTD_EXCHANGE_NOTIFY);
	if (error)
		return error;
	size_t offset = 0;
	kextbridge_record record;
	while ((error = kextbridge_record_next(buffer, batch.used, &offset, &record)) > 0)
		append(list, record, daemon);
	if (!error && !batch.used)
		return -EAGAIN;
	return error;
}

/*
 * What has been fetched is in this process's hands, so it is given out whatever comes after it: an error that lasts is
 * the next call's.
 */
OSReturn get_kernel_requests(Call &call)
{
	constexpr uint32_t size = 64u << 10; /* of many records; each is below 8 KiB */
	constexpr uint32_t most = 16u << 10; /* records at once; poll says that there are more */
	if (!call.host.daemon)
		return kOSKextReturnNotPrivileged;
	const UniqueBytes buffer(malloc(size));
	if (!buffer)
		return kOSKextReturnNoMemory;
	UniquePlist list(plist_new_array());
	int error = 0;
	while (!error && plist_array_get_size(list.get()) < most)
		error = fetch(call.host.daemon, buffer.get(), size, list.get());
	if (error && error != -EAGAIN && error != -EINTR && !plist_array_get_size(list.get()))
		return result_of(error);
	call.response = std::move(list);
	return kOSReturnSuccess;
}

OSReturn send_resource(Call &call)
{
	if (!call.host.daemon)
		return kOSKextReturnNotPrivileged;
	plist_t tag = item_of(call.arguments, kKextRequestArgumentRequestTagKey, PLIST_UINT);
	plist_t result = item_of(call.arguments, kKextRequestArgumentResultKey, PLIST_UINT);
	if (!tag || !result)
		return kOSKextReturnInvalidArgument;
	kextd_reply reply{};
	reply.id = number_of(tag);
	/* Written as a signed or as an unsigned number: the low 32 bits are the OSReturn. */
	reply.result = static_cast<OSReturn>(number_of(result));
	if (plist_t value = plist_dict_get_item(call.arguments, kKextRequestArgumentValueKey)) {
		if (plist_get_node_type(value) != PLIST_DATA)
			return kOSKextReturnInvalidArgument;
		uint64_t length = 0;
		const char *bytes = plist_get_data_ptr(value, &length);
		if (length > UINT32_MAX)
			return kOSKextReturnNoResources;
		if (bytes && length) {
			reply.flags = KEXTD_REPLY_DATA;
			reply.data = reinterpret_cast<uintptr_t>(bytes);
			reply.length = static_cast<__u32>(length);
		}
	}
	/* No request has it; the node would call it malformed. */
	if (!reply.id)
		return kOSKextReturnNotFound;
	return reply_with(call.host.daemon, reply);
}

/* ---- all of it */

constexpr struct {
	const char *name;
	OSReturn (*act)(Call &);
} predicates[] = {
	{kKextRequestPredicateGetLoaded, get_loaded},
	{kKextRequestPredicateGetKernelRequests, get_kernel_requests},
	{kKextRequestPredicateSendResource, send_resource},
	{kKextRequestPredicateStart, start},
	{kKextRequestPredicateStop, stop},
	{kKextRequestPredicateUnload, unload},
	{kKextRequestPredicateGetAllLoadRequests, get_all_load_requests},
};

/* A kext archive: there is no linker for it. Shorter than its header, it is a bad request. */
bool is_archive(const char *bytes, size_t length)
{
	constexpr size_t header_size = 44;
	return length > header_size && memcmp(bytes, "MKXTMOSX", 8) == 0;
}

OSReturn perform(const kextbridge_host &host, const char *request, uint32_t length, UniquePlist &response)
{
	if (is_archive(request, length))
		return KERN_NOT_SUPPORTED;
	if (request[length - 1])
		return kOSKextReturnBadData;
	const size_t size = strlen(request);
	plist_t root = nullptr;
	if (is_harmless(request, size))
		plist_from_xml(request, static_cast<uint32_t>(size), &root);
	const UniquePlist owner(root);
	if (!root || plist_get_node_type(root) != PLIST_DICT)
		return kOSKextReturnSerialization;
	const char *name = text_of(item_of(root, kKextRequestPredicateKey, PLIST_STRING));
	for (const auto &predicate : predicates) {
		if (!name || strcmp(name, predicate.name) != 0)
			continue;
		Call call{host, item_of(root, kKextRequestArgumentsKey, PLIST_DICT), nullptr};
		const OSReturn result = predicate.act(call);
		response = std::move(call.response);
		return result;
	}
	return kOSKextReturnInvalidArgument;
}

/* As a request: XML with a NUL behind it, which counts. NULL: no memory. */
void *serialize(plist_t node, uint32_t *length)
{
	char *xml = nullptr;
	uint32_t size = 0;
	plist_to_xml(node, &xml, &size);
	auto *text = xml && size < UINT32_MAX ? static_cast<char *>(malloc(size_t{size} + 1)) : nullptr;
	if (text) {
		memcpy(text, xml, size);
		text[size] = '\0';
		*length = size + 1;
	}
	plist_to_xml_free(xml);
	return text;
}

template <typename T> void clear(T *out)
{
	if (out)
		*out = T();
}

} // namespace

extern "C" {

kern_return_t kext_request(const struct kextbridge_host *host, uint32_t client_log_spec, const void *request,
			   uint32_t request_length, void **response, uint32_t *response_length, void **log_data,
			   uint32_t *log_data_length, kern_return_t *op_result)
{
	(void)client_log_spec;
	clear(response);
	clear(response_length);
	clear(log_data);
	clear(log_data_length);
	if (op_result)
		*op_result = KERN_FAILURE;
	if (!host || !response || !response_length || !op_result)
		return KERN_INVALID_ARGUMENT;
	if (!request_length) {
		*op_result = KERN_INVALID_ARGUMENT;
		return KERN_FAILURE;
	}
	if (!request)
		return KERN_INVALID_ADDRESS;
	UniquePlist answer;
	*op_result = perform(*host, static_cast<const char *>(request), request_length, answer);
	if (*op_result == kOSReturnSuccess && answer) {
		*response = serialize(answer.get(), response_length);
		if (!*response)
			*op_result = kOSKextReturnNoMemory;
	}
	return KERN_SUCCESS;
}

kern_return_t kextd_ping(struct kextbridge *kb)
{
	struct kextbridge_status status;
	const int error = kextbridge_get_status(kb, &status);
	if (error)
		return result_of(error);
	return status.flags & KEXTBRIDGE_STATUS_DAEMON ? kOSReturnSuccess : kOSKextReturnDisabled;
}

} // extern "C"
