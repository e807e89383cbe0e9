// SPDX-License-Identifier: GPL-2.0-only
/* Property-list requests on the real nodes: kext_request(), with the test as the daemon, and kextctl. */
#include <plist/plist.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "../userspace/lib/kextbridge.h"
#include "lib/fixture.h"

#define PREDICATE(name) "<dict><key>Kext Request Predicate</key><string>" name "</string>"
#define ARGUMENTS(text) "<key>Kext Request Arguments</key><dict>" text "</dict>"
#define ABOUT(name, identifier) \
	PREDICATE(name) ARGUMENTS("<key>CFBundleIdentifier</key><string>" identifier "</string>") "</dict>"

FIXTURE(rpc)
{
	struct kb kb;
	struct kextbridge *client;
	struct kextbridge_daemon *daemon;
	plist_t response;
};

FIXTURE_SETUP(rpc)
{
	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, kextbridge_open(NULL, &self->client));
	ASSERT_EQ(0, kextbridge_daemon_open(NULL, &self->daemon));
}

FIXTURE_TEARDOWN(rpc)
{
	plist_free(self->response);
	kextbridge_daemon_close(self->daemon);
	kextbridge_close(self->client);
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

static plist_t parse(const char *xml, uint32_t length)
{
	plist_t list = NULL;

	if (length)
		plist_from_xml(xml, length - 1, &list);
	return list;
}

/* One request; the operation's result. What is answered is in *response. */
static int ask_bytes(struct kextbridge *client, struct kextbridge_daemon *daemon, plist_t *response, const void *bytes,
		     uint32_t length, int *transport)
{
	struct kextbridge_host host = {client, daemon};
	kern_return_t result = 77;
	uint32_t answer_length;
	void *answer;

	*transport = kext_request(&host, 0, bytes, length, &answer, &answer_length, NULL, NULL, &result);
	plist_free(*response);
	*response = parse(answer, answer_length);
	free(answer);
	return result;
}

#define ASK(text)                                                                                                      \
	({                                                                                                             \
		int transport_, result_;                                                                               \
		result_ = ask_bytes(self->client, self->daemon, &self->response, text, strlen(text) + 1, &transport_); \
		EXPECT_EQ(KERN_SUCCESS, transport_);                                                                   \
		result_;                                                                                               \
	})

/* ---- reading answers; nothing there is NULL, or -1 */

static const char *text_at(plist_t dictionary, const char *key)
{
	plist_t node = dictionary ? plist_dict_get_item(dictionary, key) : NULL;

	return node && plist_get_node_type(node) == PLIST_STRING ? plist_get_string_ptr(node, NULL) : NULL;
}

static uint64_t number_at(plist_t dictionary, const char *key)
{
	plist_t node = dictionary ? plist_dict_get_item(dictionary, key) : NULL;
	uint64_t value = -1;

	if (node && plist_get_node_type(node) == PLIST_UINT)
		plist_get_uint_val(node, &value);
	return value;
}

static bool true_at(plist_t dictionary, const char *key)
{
	plist_t node = dictionary ? plist_dict_get_item(dictionary, key) : NULL;
	uint8_t value = 0;

	if (node && plist_get_node_type(node) == PLIST_BOOLEAN)
		plist_get_bool_val(node, &value);
	return value;
}

/* The arguments of the only message with this predicate; NULL: there is none, or more than one. */
static plist_t message(plist_t list, const char *predicate)
{
	plist_t found = NULL;
	int count = 0;

	for (uint32_t i = 0; list && i < plist_array_get_size(list); i++) {
		plist_t entry = plist_array_get_item(list, i);
		const char *text = text_at(entry, kKextRequestPredicateKey);

		if (text && !strcmp(text, predicate)) {
			found = plist_dict_get_item(entry, kKextRequestArgumentsKey);
			count++;
		}
	}
	return count == 1 ? found : NULL;
}

/* Get Kernel Requests until there is something, or not. */
#define FETCH_MESSAGES()                                                                   \
	do {                                                                               \
		EXPECT_TRUE(kb_poll(kextbridge_daemon_fd(self->daemon), POLLIN, SOON_MS)); \
		ASSERT_EQ(0, ASK(PREDICATE("Get Kernel Requests") "</dict>"));             \
		ASSERT_NE(NULL, self->response);                                           \
		ASSERT_LT(0, plist_array_get_size(self->response));                        \
	} while (0)

/* The answer to a message, as XML; the caller frees it. */
static char *resource(uint64_t tag, uint32_t result, const void *data, uint32_t size, uint32_t *length)
{
	plist_t list = plist_new_dict(), arguments = plist_new_dict();
	char *xml, *copy;

	plist_dict_set_item(list, kKextRequestPredicateKey, plist_new_string(kKextRequestPredicateSendResource));
	plist_dict_set_item(arguments, kKextRequestArgumentRequestTagKey, plist_new_uint(tag));
	plist_dict_set_item(arguments, kKextRequestArgumentResultKey, plist_new_uint(result));
	if (data)
		plist_dict_set_item(arguments, kKextRequestArgumentValueKey, plist_new_data(data, size));
	plist_dict_set_item(list, kKextRequestArgumentsKey, arguments);
	plist_to_xml(list, &xml, length);
	copy = calloc(1, *length + 1);
	memcpy(copy, xml, (*length)++);
	plist_to_xml_free(xml);
	plist_free(list);
	return copy;
}

#define SEND(tag, result, data, size)                                                                         \
	({                                                                                                    \
		uint32_t length_;                                                                             \
		char *xml_ = resource(tag, result, data, size, &length_);                                     \
		int transport_, result_;                                                                      \
		result_ = ask_bytes(self->client, self->daemon, &self->response, xml_, length_, &transport_); \
		EXPECT_EQ(KERN_SUCCESS, transport_);                                                          \
		free(xml_);                                                                                   \
		result_;                                                                                      \
	})

/* ---- the request itself */

TEST_F(rpc, T_174_empty_request)
{
	int transport;

	EXPECT_EQ(KERN_INVALID_ARGUMENT, ask_bytes(self->client, self->daemon, &self->response, "", 0, &transport));
	EXPECT_EQ(KERN_FAILURE, transport);
	EXPECT_EQ(NULL, self->response);
}

TEST_F(rpc, T_175_malformed_requests)
{
	static const char stop[] = ABOUT("Stop", ID_A);
	int transport;

	EXPECT_EQ(kOSKextReturnBadData,
		  ask_bytes(self->client, self->daemon, &self->response, stop, sizeof(stop) - 1, &transport));
	EXPECT_EQ(KERN_SUCCESS, transport);
	EXPECT_EQ(kOSKextReturnSerialization, ASK(""));
	EXPECT_EQ(kOSKextReturnSerialization, ASK("garbage"));
	EXPECT_EQ(kOSKextReturnSerialization, ASK("<array/>"));
	EXPECT_EQ(kOSKextReturnInvalidArgument, ASK("<dict/>"));
	EXPECT_EQ(kOSKextReturnInvalidArgument, ASK(PREDICATE("Load") "</dict>"));
	EXPECT_EQ(kOSKextReturnInvalidArgument, ASK(PREDICATE("Stop") "</dict>"));
	EXPECT_EQ(kOSKextReturnNotFound, ASK(ABOUT("Stop", "com.example.nobody")));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 0)) TH_LOG("one of them stopped the kext");
}

/* ---- kexts */

TEST_F(rpc, T_160_loaded_kexts)
{
	struct kextbridge_kext kext;
	plist_t info;

	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	ASSERT_EQ(0, kb_retain(self->kb.control, kext.load_tag));
	ASSERT_EQ(0, ASK(PREDICATE("Get Loaded Kext Info") "</dict>"));
	info = plist_dict_get_item(self->response, ID_A);
	ASSERT_NE(NULL, info);
	EXPECT_STREQ(ID_A, text_at(info, kKextInfoIdentifierKey));
	EXPECT_STREQ(kext.version, text_at(info, kKextInfoVersionKey));
	EXPECT_EQ(kext.load_tag, number_at(info, kKextInfoLoadTagKey));
	EXPECT_EQ(1, number_at(info, kKextInfoRetainCountKey));
	EXPECT_TRUE(true_at(info, kKextInfoStartedKey));
	EXPECT_STREQ(A, text_at(info, kKextbridgeInfoModuleKey));
	ASSERT_EQ(0, kb_release(self->kb.control, kext.load_tag));

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(
		0,
		ASK(PREDICATE("Get Loaded Kext Info") ARGUMENTS(
			"<key>Delay Autounload</key><true/>"
			"<key>CFBundleIdentifier</key><array><string>" ID_B "</string></array>"
			"<key>Kext Request Info Keys</key><array><string>OSBundleLoadTag</string></array>") "</dict>"));
	EXPECT_EQ(1, plist_dict_get_size(self->response));
	info = plist_dict_get_item(self->response, ID_B);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(1, plist_dict_get_size(info));
	EXPECT_EQ(kb_tag(&self->kb, B), number_at(info, kKextInfoLoadTagKey));
}

TEST_F(rpc, T_068_stop_and_start)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kbtest_event event;

	ASSERT_EQ(0, ASK(ABOUT("Stop", ID_A)));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_TRUE(kb_is_loaded(A));
	EXPECT_EQ(tag, kb_tag(&self->kb, A));
	ASSERT_EQ(0, ASK(PREDICATE("Get Loaded Kext Info") "</dict>"));
	EXPECT_FALSE(true_at(plist_dict_get_item(self->response, ID_A), kKextInfoStartedKey));
	EXPECT_EQ(tag, number_at(plist_dict_get_item(self->response, ID_A), kKextInfoLoadTagKey));

	ASSERT_EQ(0, ASK(ABOUT("Start", ID_A)));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(tag, kb_tag(&self->kb, A));
	ASSERT_EQ(0, ASK(ABOUT("Start", ID_A))) TH_LOG("it is started already");
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_START, 0));
	ASSERT_EQ(0, ASK(PREDICATE("Get Loaded Kext Info") "</dict>"));
	EXPECT_TRUE(true_at(plist_dict_get_item(self->response, ID_A), kKextInfoStartedKey));
	EXPECT_EQ(kOSKextReturnNotFound, ASK(ABOUT("Start", ID_B)));
}

TEST_F(rpc, T_067_stop_that_is_refused)
{
	struct kbtest_plan plan = {A, .stop_result = 5};

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	EXPECT_EQ(kOSKextReturnStartStopError, ASK(ABOUT("Stop", ID_A)));
	plan.stop_result = 0;
	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_retain(self->kb.control, kb_tag(&self->kb, A)));
	EXPECT_EQ(kOSKextReturnInUse, ASK(ABOUT("Unload", ID_A)));
	ASSERT_EQ(0, kb_release(self->kb.control, kb_tag(&self->kb, A)));
}

/* The daemon's half of an unload, by another thread of this process. */
struct unloader {
	pthread_t thread;
	struct kextbridge *client;
	int result;
};

static void *unload_a(void *arg)
{
	static const char xml[] = ABOUT("Unload", ID_A);
	struct unloader *unloader = arg;
	plist_t response = NULL;
	int transport;

	unloader->result = ask_bytes(unloader->client, NULL, &response, xml, sizeof(xml), &transport);
	plist_free(response);
	return NULL;
}

TEST_F(rpc, T_110_unload_and_its_notice)
{
	struct unloader unloader = {.client = self->client};
	uint32_t tag = kb_tag(&self->kb, A);
	plist_t arguments;

	/* From the first fetch on there are notices. */
	ASSERT_EQ(0, ASK(PREDICATE("Get Kernel Requests") "</dict>"));
	ASSERT_EQ(0, kb_insmod(B));
	FETCH_MESSAGES();
	arguments = message(self->response, kKextRequestPredicateLoadNotification);
	ASSERT_NE(NULL, arguments);
	EXPECT_STREQ(ID_B, text_at(arguments, kKextRequestArgumentBundleIdentifierKey));
	EXPECT_STREQ(B, text_at(arguments, kKextbridgeArgumentModuleKey));
	EXPECT_EQ(kb_tag(&self->kb, B), number_at(arguments, kKextbridgeArgumentLoadTagKey));
	EXPECT_EQ(1, plist_array_get_size(self->response));

	ASSERT_EQ(0, pthread_create(&unloader.thread, NULL, unload_a, &unloader));
	FETCH_MESSAGES();
	arguments = message(self->response, kKextbridgePredicateRequestUnload);
	ASSERT_NE(NULL, arguments);
	EXPECT_STREQ(ID_A, text_at(arguments, kKextRequestArgumentBundleIdentifierKey));
	EXPECT_STREQ(A, text_at(arguments, kKextbridgeArgumentModuleKey));
	EXPECT_EQ(tag, number_at(arguments, kKextbridgeArgumentLoadTagKey));
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, SEND(number_at(arguments, kKextRequestArgumentRequestTagKey), 0, NULL, 0));
	pthread_join(unloader.thread, NULL);
	EXPECT_EQ(0, unloader.result);
	EXPECT_FALSE(kb_is_loaded(A));
	FETCH_MESSAGES();
	arguments = message(self->response, kKextRequestPredicateUnloadNotification);
	ASSERT_NE(NULL, arguments);
	EXPECT_STREQ(ID_A, text_at(arguments, kKextRequestArgumentBundleIdentifierKey));
	EXPECT_EQ(tag, number_at(arguments, kKextbridgeArgumentLoadTagKey));
	EXPECT_EQ(1, plist_array_get_size(self->response));
}

TEST_F(rpc, T_101_all_load_requests)
{
	uint64_t tags[2];
	uint32_t before;

	ASSERT_EQ(0, ASK(PREDICATE("Get All Load Requests") "</dict>"));
	before = plist_array_get_size(self->response);
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.asked.one"));
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.asked.two"));
	EXPECT_EQ(kOSKextReturnDeferred, kb_kpi_load(&self->kb, "com.example.asked.one"));
	ASSERT_EQ(0, ASK(PREDICATE("Get All Load Requests") "</dict>"));
	ASSERT_EQ(before + 2, plist_array_get_size(self->response));
	EXPECT_STREQ("com.example.asked.one", plist_get_string_ptr(plist_array_get_item(self->response, before), NULL));
	EXPECT_STREQ("com.example.asked.two",
		     plist_get_string_ptr(plist_array_get_item(self->response, before + 1), NULL));

	FETCH_MESSAGES();
	ASSERT_EQ(2, plist_array_get_size(self->response));
	for (int i = 0; i < 2; i++) {
		plist_t entry = plist_array_get_item(self->response, i);

		EXPECT_STREQ(kKextRequestPredicateRequestLoad, text_at(entry, kKextRequestPredicateKey));
		tags[i] = number_at(plist_dict_get_item(entry, kKextRequestArgumentsKey),
				    kKextRequestArgumentRequestTagKey);
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, SEND(tags[i], kOSKextReturnNotFound, NULL, 0));
}

/* ---- resources */

TEST_F(rpc, T_040_resource_byte_for_byte)
{
	enum { SIZE = 100001 };
	struct kbtest_event event;
	uint8_t *data = malloc(SIZE);
	plist_t arguments;
	uint32_t tag;

	for (uint32_t i = 0; i < SIZE; i++)
		data[i] = i * 131 + i / 251;
	ASSERT_EQ(0, kb_request(&self->kb, A, "picture.png", 7, &tag));
	FETCH_MESSAGES();
	arguments = message(self->response, kKextRequestPredicateRequestResource);
	ASSERT_NE(NULL, arguments);
	EXPECT_STREQ("com.example.kbtest", text_at(arguments, kKextRequestArgumentBundleIdentifierKey));
	EXPECT_STREQ("picture.png", text_at(arguments, kKextRequestArgumentNameKey));
	EXPECT_EQ(kb_tag(&self->kb, A), number_at(arguments, kKextbridgeArgumentLoadTagKey));
	ASSERT_EQ(0, SEND(number_at(arguments, kKextRequestArgumentRequestTagKey), 0, data, SIZE));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(tag, event.tag);
	EXPECT_EQ(0, event.result);
	EXPECT_EQ(SIZE, event.length);
	EXPECT_EQ(kb_crc32(data, SIZE), event.crc);
	EXPECT_EQ(7, event.context);
	free(data);

	ASSERT_EQ(0, ASK(PREDICATE("Get Kernel Requests") "</dict>"));
	EXPECT_EQ(0, plist_array_get_size(self->response)) TH_LOG("what was fetched is not there any more");
}

TEST_F(rpc, T_042_result_without_a_resource)
{
	struct kbtest_event event;
	plist_t arguments;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "missing", 0, &tag));
	FETCH_MESSAGES();
	arguments = message(self->response, kKextRequestPredicateRequestResource);
	ASSERT_NE(NULL, arguments);
	ASSERT_EQ(0, SEND(number_at(arguments, kKextRequestArgumentRequestTagKey), kOSKextReturnNotFound, NULL, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnNotFound, event.result);
	EXPECT_EQ(0, event.flags & KBTEST_HAS_DATA);
}

TEST_F(rpc, T_085_tags_that_nobody_has)
{
	uint64_t wire;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 0, &tag));
	EXPECT_EQ(kOSKextReturnNotFound, SEND(tag, 0, "x", 1)) TH_LOG("not fetched yet");
	FETCH_MESSAGES();
	wire = number_at(message(self->response, kKextRequestPredicateRequestResource),
			 kKextRequestArgumentRequestTagKey);
	ASSERT_NE(-1ull, wire);
	EXPECT_EQ(kOSKextReturnNotFound, SEND(0, 0, "x", 1));
	EXPECT_EQ(kOSKextReturnNotFound, SEND(wire ^ 1ull << 32, 0, "x", 1));
	EXPECT_EQ(kOSKextReturnNotFound, SEND(-1ull, 0, "x", 1));
	EXPECT_EQ(0, SEND(wire, 0, "x", 1));
	EXPECT_EQ(kOSKextReturnNotFound, SEND(wire, 0, "x", 1)) TH_LOG("T-087");
}

TEST_F(rpc, T_086_reply_lacking_tag_or_result)
{
	struct kbtest_event event;
	char xml[512];
	uint64_t wire;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 0, &tag));
	FETCH_MESSAGES();
	wire = number_at(message(self->response, kKextRequestPredicateRequestResource),
			 kKextRequestArgumentRequestTagKey);
	EXPECT_EQ(kOSKextReturnInvalidArgument, ASK(PREDICATE("Send Resource") "</dict>"));
	EXPECT_EQ(kOSKextReturnInvalidArgument,
		  ASK(PREDICATE("Send Resource")
			      ARGUMENTS("<key>Kext Request Result Code</key><integer>0</integer>") "</dict>"));
	snprintf(xml, sizeof(xml),
		 PREDICATE("Send Resource") ARGUMENTS("<key>Request Tag</key><integer>%llu</integer>") "</dict>",
		 (unsigned long long)wire);
	EXPECT_EQ(kOSKextReturnInvalidArgument, ASK(xml));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS)) TH_LOG("it stays pending");
	EXPECT_EQ(0, SEND(wire, 0, "late", 4));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kb_crc32("late", 4), event.crc);
}

TEST_F(rpc, T_013_cancel_notice)
{
	uint64_t wire, context;
	plist_t arguments;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 0, &tag));
	FETCH_MESSAGES();
	wire = number_at(message(self->response, kKextRequestPredicateRequestResource),
			 kKextRequestArgumentRequestTagKey);
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
	FETCH_MESSAGES();
	arguments = message(self->response, kKextbridgePredicateCancelNotification);
	ASSERT_NE(NULL, arguments);
	EXPECT_EQ(wire, number_at(arguments, kKextRequestArgumentRequestTagKey));
	EXPECT_EQ(kOSKextReturnNotFound, SEND(wire, 0, "x", 1));
}

/* Who inherits the handles of a privileged process, and is none. */
TEST_F(rpc, T_088_without_the_right)
{
	static const char *const requests[] = {
		ABOUT("Stop", ID_A),
		ABOUT("Start", ID_A),
		ABOUT("Unload", ID_A),
		PREDICATE("Get Kernel Requests") "</dict>",
		PREDICATE("Send Resource")
			ARGUMENTS("<key>Request Tag</key><integer>1</integer>"
				  "<key>Kext Request Result Code</key><integer>0</integer>") "</dict>",
	};
	int status, transport;
	plist_t response = NULL;
	uint32_t tag;
	pid_t child;

	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 0, &tag));
	child = fork();
	if (!child) {
		int wrong = setresuid(65534, 65534, 65534) ? 64 : 0;

		for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
			wrong |= (ask_bytes(self->client, self->daemon, &response, requests[i], strlen(requests[i]) + 1,
					    &transport) != kOSKextReturnNotPrivileged)
				 << i;
		_exit(wrong);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("a bit of the second byte for each request");
	EXPECT_TRUE(kb_quiet(&self->kb, 0, 0));
	FETCH_MESSAGES();
	EXPECT_NE(NULL, message(self->response, kKextRequestPredicateRequestResource));
}

TEST_F(rpc, ping)
{
	EXPECT_EQ(0, kextd_ping(self->client));
	kextbridge_daemon_close(self->daemon);
	self->daemon = NULL;
	EXPECT_EQ(kOSKextReturnDisabled, kextd_ping(self->client));
}

/* ---- kextctl: exit statuses as in kextctl(1) */

static int run(const char *command, char *output, size_t size)
{
	FILE *pipe = popen(command, "r");
	size_t length = pipe ? fread(output, 1, size - 1, pipe) : 0;
	int status = pipe ? pclose(pipe) : -1;

	output[length] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(command) run(command, output, sizeof(output))

TEST_F(rpc, T_175_kextctl_rpc)
{
	char output[8192];

	EXPECT_EQ(0, RUN("echo '" PREDICATE("Get Loaded Kext Info") "</dict>' | kextctl rpc -"));
	EXPECT_NE(NULL, strstr(output, "<key>" ID_A "</key>")) TH_LOG("%s", output);
	EXPECT_NE(NULL, strstr(output, "<?xml"));
	EXPECT_EQ(0, RUN("echo '" PREDICATE("Get Loaded Kext Info") "</dict>' | kextctl --json rpc -"));
	EXPECT_NE(NULL, strstr(output, "\"" ID_A "\": {")) TH_LOG("%s", output);
	EXPECT_NE(NULL, strstr(output, "\"name\": \"kOSReturnSuccess\""));
	EXPECT_EQ(1, RUN("echo garbage | kextctl rpc - 2>&1"));
	EXPECT_NE(NULL, strstr(output, "kOSKextReturnSerialization")) TH_LOG("%s", output);
	EXPECT_EQ(1, RUN("kextctl rpc /dev/null 2>&1"));
	EXPECT_NE(NULL, strstr(output, "KERN_INVALID_ARGUMENT")) TH_LOG("%s", output);
	EXPECT_EQ(3, RUN("echo '" ABOUT("Stop", "com.example.nobody") "' | kextctl rpc - 2>&1"));
	EXPECT_NE(NULL, strstr(output, "kOSKextReturnNotFound")) TH_LOG("%s", output);
	EXPECT_EQ(4, RUN("echo '" PREDICATE("Get Kernel Requests") "</dict>' | kextctl --json rpc - 2>&1"));
	EXPECT_NE(NULL, strstr(output, "\"response\": null")) TH_LOG("%s", output);
	EXPECT_EQ(1, RUN("echo '" PREDICATE("Get Kernel Requests") "</dict>' | kextctl rpc --daemon - 2>&1"));
	EXPECT_NE(NULL, strstr(output, "a kextd is running")) TH_LOG("%s", output);
	EXPECT_EQ(1, RUN("kextctl rpc /nonexistent 2>&1"));
}

TEST_F(rpc, T_083_kextctl_rpc_as_the_daemon)
{
	struct kb_record record;
	char output[8192];
	uint32_t tag;

	kextbridge_daemon_close(self->daemon);
	self->daemon = NULL;
	ASSERT_EQ(0, kb_request(&self->kb, A, "picture.png", 0, &tag));
	EXPECT_EQ(0, RUN("echo '" PREDICATE("Get Kernel Requests") "</dict>' | kextctl rpc --daemon -"));
	EXPECT_NE(NULL, strstr(output, "<string>picture.png</string>")) TH_LOG("%s", output);
	/* It is given back. */
	ASSERT_EQ(0, kb_daemon(&self->kb));
	FETCH(&record, "picture.png");
}

TEST_F(rpc, T_068_kextctl_stop_and_start)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kbtest_event event;
	char output[8192];

	EXPECT_EQ(0, RUN("kextctl stop " ID_A));
	EXPECT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_EQ(0, RUN("kextctl list"));
	EXPECT_NE(NULL, strstr(output, " loaded ")) TH_LOG("%s", output);
	EXPECT_EQ(0, RUN("kextctl --json start " ID_A));
	EXPECT_NE(NULL, strstr(output, "kOSReturnSuccess")) TH_LOG("%s", output);
	EXPECT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(tag, kb_tag(&self->kb, A));
	EXPECT_EQ(3, RUN("kextctl start 4000000000 2>&1"));
	EXPECT_EQ(3, RUN("kextctl stop " ID_B " 2>&1"));
}

TEST_F(rpc, T_141_kextctl_counts_misuse)
{
	char output[8192];

	/* The bench may have done its part before. */
	EXPECT_EQ(0, RUN("kextctl list"));
	EXPECT_EQ(NULL, strstr(output, ID_A ": refused")) TH_LOG("%s", output);
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_release(&self->kb, kb_tag(&self->kb, A)));
	EXPECT_EQ(0, RUN("kextctl list"));
	EXPECT_NE(NULL, strstr(output, ID_A ": refused 1 call as misuse")) TH_LOG("%s", output);
	EXPECT_EQ(0, RUN("kextctl --json list"));
	EXPECT_NE(NULL, strstr(output, "\"refused\": 1")) TH_LOG("%s", output);
}

TEST_F(rpc, T_140_kextctl_delays_the_autounload)
{
	struct kextbridge_kext kext;
	char output[8192];

	EXPECT_EQ(0, RUN("kextctl load --delay-autounload " ID_A));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_NE(0, kext.flags & KEXT_FLAG_DELAYED);
	EXPECT_EQ(0, RUN("kextctl --json list --delay-autounload"));
	EXPECT_NE(NULL, strstr(output, "\"delayed\": true")) TH_LOG("%s", output);
}

TEST_HARNESS_MAIN
