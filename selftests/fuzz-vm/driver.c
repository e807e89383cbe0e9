// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver's side, through the bench: its kexts request, cancel, retain, release and load with what they are given,
 * are loaded and unloaded, refuse to start and to stop. The bench itself is not under test: what would hang or crash it
 * is not asked of it.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

static const char *const kexts[] = {"kbtest_a", "kbtest_b", "kbtest_plain", "kbtest_twin"};
static const char *const refused[] = {"identifier=", "version=1.x"}; /* with these none can be loaded */

const char *fuzz_kext(uint32_t op)
{
	static const uint8_t often[16] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3};

	return kexts[often[op % 16]];
}

uint32_t kext_of_identifier(const char *identifier, const char **module)
{
	for (uint32_t i = 0; i < 3; i++)
		if (!strcmp(identifier + strlen("com.example."), kexts[i])) {
			*module = kexts[i];
			return 1;
		}
	return 0;
}

/* As any_string(), for the bench, which wants an end. */
static uint64_t any_text(uint32_t op, bool identifier, char room[4096 + 1])
{
	static const uint32_t lengths[] = {0, 1, 31, 255, 1022, 1023, 1024, 1025, 3071, 3072, 3073, 4096};
	uint32_t length;

	if (often(op, 220)) {
		uint64_t text = any_string(op & 0xffffff00, identifier, &length);

		return text;
	}
	length = lengths[pick(op, 12)];
	memset(room, 'k', length);
	room[length] = 0;
	return KB_STRING(room);
}

/* Mostly none, and of the bench's mostly one of the first: the last is never made. */
static uint32_t any_scope(uint32_t op)
{
	return often(op, 150) ? 0 : often(op, 240) ? 1 + pick(op, 3) : 1 + pick(op, KBTEST_SCOPES);
}

/* What callbacks do with what macOS has not. A cancel waits for them, and cannot be killed: they read for a short time. */
static void act_beyond(struct kbtest_request *args, uint32_t op)
{
	switch (op % 12) {
	case 0:
		args->flags |= KBTEST_DO_CANCEL_SCOPE;
		args->other = 1 + pick(op, KBTEST_SCOPES);
		break;
	case 1:
		args->flags |= KBTEST_DO_UNLOAD;
		args->other = any_load_tag(op >> 4);
		break;
	case 2:
		args->flags = (args->flags & ~KBTEST_DO_SLEEP) | KBTEST_DO_READ;
		args->ms = 1 + pick(op, 50);
		break;
	}
}

int make_driver_request(const struct call *call)
{
	static const uint32_t callbacks[] = {KBTEST_NULL, KBTEST_HEAP, KBTEST_STACK,
					     KBTEST_USER, KBTEST_DATA, KBTEST_KERNEL};
	static char identifier[4097], name[4097];
	uint32_t tags[4] = {};
	struct kbtest_request args = {
		.identifier = any_text(call->op[1], true, identifier),
		.name = any_text(call->op[2], false, name),
		.context = call->op[3] % KBTEST_COUNTS,
		.tags = KB_STRING(tags),
		.callback = often(call->op[4], 200) ? KBTEST_COUNT :
			    often(call->op[4], 215) ? KBTEST_LOG :
						      callbacks[pick(call->op[4], 6)],
		.count = 1 + call->op[5] % 3,
		.timeout_ms = any_timeout(call->op[6]),
		.max_length = often(call->op[7], 180) ? 0 : any_length(call->op[7]),
		.ms = call->op[3] >> 16 & 3,
		.chain = call->op[3] >> 18 & 3,
		.other = any_tag(call->op[5], true),
		.scope = any_scope(call->op[6] * 40503u),
	};
	int err;

	if (args.callback == KBTEST_LOG) {
		args.flags = (call->op[0] >> 8) & (KBTEST_DO_SLEEP | KBTEST_DO_CANCEL_OWN | KBTEST_DO_CANCEL |
						   KBTEST_DO_REQUEST | KBTEST_DO_ALLOC | KBTEST_DO_WAIT);
		act_beyond(&args, call->op[7] >> 5);
	}
	if (often(call->op[0] >> 16, 3))
		args.flags |= KBTEST_NO_IDENTIFIER;
	if (often(call->op[0] >> 16, 6))
		args.flags |= KBTEST_NO_NAME;
	if (often(call->op[0] >> 16, 12))
		args.flags |= KBTEST_NO_TAG;
	args.flags |= KBTEST_ALIVE;
	snprintf(args.kext, sizeof(args.kext), "%s", fuzz_kext(call->op[0]));
	err = call_ioctl(bench, KBTEST_IOC_REQUEST, (uintptr_t)&args);
	if (err)
		return err;
	if (!args.result && args.tag && !(args.flags & KBTEST_NO_TAG))
		for (uint32_t i = 0; i < args.count; i++)
			ring_add(&shared->kext_tags, tags[i]);
	return args.result;
}

/* For a second at most: the kext's start function, if it fails, waits for it in the bench, and others for that. */
int make_driver_read(const struct call *call)
{
	static uint8_t bytes[9000];
	static char identifier[4097], name[4097];
	uint32_t timeout_ms = any_timeout(call->op[6]);
	struct kbtest_read args = {
		.identifier = any_text(call->op[1], true, identifier),
		.name = any_text(call->op[2], false, name),
		.data = KB_STRING(bytes),
		.size = sizeof(bytes),
		.flags = (often(call->op[0] >> 16, 3) ? KBTEST_NO_IDENTIFIER : 0) |
			 (often(call->op[0] >> 16, 6) ? KBTEST_NO_NAME : 0),
		.timeout_ms = timeout_ms && timeout_ms < 1000 ? timeout_ms : 1000,
		.max_length = often(call->op[7], 180) ? 0 : any_length(call->op[7]),
		.scope = any_scope(call->op[3]),
		.length = 0x5a5a5a5a,
		.result = 0x5a5a5a5a,
	};
	int err;

	if (!may_wait())
		return make_elsewhere(make_driver_read, call, READING);
	memset(bytes, 0, sizeof(bytes));
	snprintf(args.kext, sizeof(args.kext), "%s", fuzz_kext(call->op[0]));
	err = call_ioctl(bench, KBTEST_IOC_READ, (uintptr_t)&args);
	if (err)
		return err;
	if (args.result ? args.length || args.has_data : args.has_data != !!args.length)
		failed("read: result %#x, %u bytes, data: %u", args.result, args.length, args.has_data);
	if (args.max_length && args.length > args.max_length)
		failed("read: %u bytes, and %u was the most", args.length, args.max_length);
	if (!is_payload(bytes, sizeof(bytes)))
		failed("read: %u bytes that no daemon has given", args.length);
	return args.result;
}

int make_scope(const struct call *call)
{
	static const uint32_t ops[] = {KBTEST_SCOPE_INIT, KBTEST_SCOPE_INIT, KBTEST_SCOPE_INIT,   KBTEST_SCOPE_CANCEL,
				       KBTEST_SCOPE_ASK,  KBTEST_SCOPE_ASK,  KBTEST_SCOPE_CANCEL, 0};
	struct kbtest_scope args = {
		.op = ops[call->op[0] % 8],
		.number = any_scope(call->op[1] | 0x80),
		.count = 0x5a5a5a5a,
	};
	bool made = args.number && args.number < KBTEST_SCOPES;
	int err = call_ioctl(bench, KBTEST_IOC_SCOPE, (uintptr_t)&args);

	if (err)
		return err;
	if (args.op == KBTEST_SCOPE_ASK ? args.count > 1 || (!made && !args.count) : !made && args.count)
		failed("scope %u: op %u: %u", args.number, args.op, args.count);
	/* Reads are told of by what they return. */
	if (args.called > args.count || args.contexts > (uint64_t)args.called * 2 * KBTEST_COUNTS)
		failed("scope %u: op %u: %u of %u were told, contexts %#llx", args.number, args.op, args.called,
		       args.count, (unsigned long long)args.contexts);
	return 0;
}

int make_driver_cancel(const struct call *call)
{
	struct kbtest_cancel args = {
		.context = 0x5a5a5a5a5a5a5a5aull,
		.tag = any_tag(call->op[0], call->op[1] % 16 != 0),
		.flags = (call->op[2] % 4 ? 0 : KBTEST_CANCEL_NO_OUT) | (call->op[3] % 4 ? 0 : KBTEST_CANCEL_NOWAIT),
	};
	int err;

	snprintf(args.kext, sizeof(args.kext), "%s", fuzz_kext(call->op[4]));
	err = call_ioctl(bench, KBTEST_IOC_CANCEL, (uintptr_t)&args);
	if (err)
		return err;
	/* A context that was given back is one that was given in; a refused cancel gives none. */
	if (!(args.flags & KBTEST_CANCEL_NO_OUT) &&
	    (args.result ? args.context != 0x5a5a5a5a5a5a5a5aull : args.context > 2 * KBTEST_COUNTS))
		failed("cancel of %#x: result %#x, context %#llx", args.tag, args.result,
		       (unsigned long long)args.context);
	return args.result;
}

int make_driver_cancel_all(const struct call *call)
{
	struct kbtest_cancel args = {.flags = KBTEST_CANCEL_ALL};

	snprintf(args.kext, sizeof(args.kext), "%s", fuzz_kext(call->op[0]));
	return call_ioctl(bench, KBTEST_IOC_CANCEL, (uintptr_t)&args);
}

static int bench_call(uint32_t op, uint32_t load_tag, uint32_t count, uint64_t identifier)
{
	struct kbtest_call args = {.op = op, .load_tag = load_tag, .count = count, .identifier = identifier};
	int err = call_ioctl(bench, KBTEST_IOC_CALL, (uintptr_t)&args);

	return err ? err : args.result;
}

int make_driver_retain(const struct call *call)
{
	return bench_call(KBTEST_RETAIN, any_load_tag(call->op[0]), 1 + call->op[1] % 3, 0);
}

int make_driver_release(const struct call *call)
{
	uint32_t op = call->op[2] % 4 ? KBTEST_RELEASE : KBTEST_PAIRS;

	return bench_call(op, any_load_tag(call->op[0]), 1 + call->op[1] % 4, 0);
}

int make_driver_load(const struct call *call)
{
	static char identifier[4097];

	return bench_call(KBTEST_LOAD, 0, 0, call->op[0] % 32 ? any_text(call->op[1], true, identifier) : 0);
}

int make_driver_ask(const struct call *call)
{
	static char identifier[4097];
	struct kbtest_version version = {
		.text = call->op[0] % 32 ? any_text(call->op[1], call->op[0] % 2, identifier) : 0,
		.number = (int64_t)((uint64_t)call->op[2] << 32 | call->op[3]) >> call->op[4] % 64,
		.size = call->op[5] % 8 ? 20 : call->op[6] % 40,
	};
	uint32_t size = version.size;
	int err;

	if (call->op[7] % 2)
		return bench_call(KBTEST_LOOKUP, 0, 0, version.text);
	memset(version.printed, 0x5a, sizeof(version.printed));
	err = call_ioctl(bench, KBTEST_IOC_VERSION, (uintptr_t)&version);
	if (err)
		return err;
	if (version.result != (size >= 20 && size <= sizeof(version.printed)) || version.printed[20] != 0x5a ||
	    (version.result && !memchr(version.printed, 0, 20)) || (!version.result && version.printed[0] != 0x5a))
		failed("version %lld in %u bytes: %u, %.20s", (long long)version.number, size, version.result,
		       version.printed);
	return version.parsed < 0 ? EINVAL : 0;
}

/* So that few are lost when a job is killed, a call frees what it has got; others try to be faster. */
int make_driver_memory(const struct call *call)
{
	static const uint64_t odd_sizes[] = {0,          UINT64_MAX, UINT64_MAX - 4094, UINT64_MAX - 4095,
					     1ull << 63, 1ull << 47, 1ull << 41,        0x8000000000000ull};
	const uint64_t size = often(call->op[0], 200) ? call->op[0] >> 8 & 0x1ffff : odd_sizes[pick(call->op[0], 8)];
	const uint64_t wanted = call->op[1] % 2 ? any_wire_id(call->op[2]) << 12 | 0xffff800000000000ull :
						  (uint64_t)call->op[2] << 32 | call->op[3];
	struct kbtest_memory args = {
		.op = call->op[4] % 16 ? KBTEST_ALLOC : KBTEST_ALLOC_NULL,
		.addr = wanted,
		.size = size,
		.fixed = call->op[4] >> 8 & 3 ? 0 : call->op[3],
	};
	struct kbtest_memory other;
	int err = call_ioctl(bench, KBTEST_IOC_MEMORY, (uintptr_t)&args), result = args.result;

	if (err)
		return err;
	if (result ? args.addr != wanted : args.op == KBTEST_ALLOC && (args.addr & 4095 || !args.addr != !size))
		failed("kext_alloc of %#llx bytes, fixed %u: result %d, address %#llx", (unsigned long long)size,
		       args.fixed, result, (unsigned long long)args.addr);
	/* An address that is no secret, and those around it, with sizes that are right or not. */
	other = args;
	other.op = KBTEST_FREE;
	if (call->op[5] % 2) {
		other.addr += call->op[6] % 4 ? 0 : (uint64_t)call->op[6] - 0x80000000u;
		other.size += call->op[7] % 2 ? call->op[7] >> 8 : 0;
		(void)call_ioctl(bench, KBTEST_IOC_MEMORY, (uintptr_t)&other);
	}
	if (!result && args.op == KBTEST_ALLOC) {
		args.op = KBTEST_FREE;
		(void)call_ioctl(bench, KBTEST_IOC_MEMORY, (uintptr_t)&args);
	}
	return result;
}

int make_driver_unload(const struct call *call)
{
	struct kbtest_call args = {
		.op = KBTEST_UNLOAD,
		.load_tag = any_load_tag(call->op[0]),
		.first_tag = call->op[2] % 4 ? any_load_tag(call->op[1]) : 0,
	};
	int err;

	if (!may_wait())
		return make_elsewhere(make_driver_unload, call, KILLABLY);
	err = call_ioctl(bench, KBTEST_IOC_CALL, (uintptr_t)&args);
	return err ? err : args.result;
}

/* More often destroyed than created: a kext that has any cannot leave. */
int make_driver_instances(const struct call *call)
{
	uint32_t op = call->op[2] % 3 ? KBTEST_DESTROY : KBTEST_CREATE;

	return bench_call(op, any_load_tag(call->op[0]), op == KBTEST_CREATE ? 1 + call->op[1] % 2 : 3, 0);
}

/* What start and stop will do: mostly all is well. */
int make_plan(const struct call *call)
{
	struct kbtest_plan args = {
		.flags = call->op[1] & call->op[2] & call->op[6] &
			 (KBTEST_START_WAIT | KBTEST_START_RETAIN | KBTEST_START_LOAD | KBTEST_START_INIT_TEXT |
			  KBTEST_START_READ | KBTEST_STOP_WAIT | KBTEST_STOP_REQUEST | KBTEST_STOP_RETAIN),
		.ms = 1 + call->op[4] % 100,
		.start_requests = call->op[3] % 4 ? 0 : call->op[3] >> 8 & 7,
		.start_result = call->op[4] % 4 ? 0 : 5,
		.stop_result = call->op[5] % 4 ? 0 : 5,
	};

	snprintf(args.kext, sizeof(args.kext), "%s", fuzz_kext(call->op[0]));
	/* The bench believes that a kext that refuses to stop stays; this one cannot. */
	if (!strcmp(args.kext, "kbtest_plain"))
		args.stop_result = 0;
	return call_ioctl(bench, KBTEST_IOC_PLAN, (uintptr_t)&args);
}

int make_bench(const struct call *call)
{
	struct kbtest_kext_info info = {};
	int err;

	switch (call->op[0] % 8) {
	case 0:
		return call_ioctl(bench, KBTEST_IOC_GATES, call->op[1] % 2 ? ~0u : 0);
	case 1:
		return call->op[1] % 64 ? SKIPPED : call_ioctl(bench, KBTEST_IOC_RESET, 0);
	default:
		snprintf(info.kext, sizeof(info.kext), "%s", fuzz_kext(call->op[1]));
		err = call_ioctl(bench, KBTEST_IOC_KEXT, (uintptr_t)&info);
		if (!err && info.load_tag)
			ring_add(&shared->load_tags, info.load_tag);
		return err;
	}
}

int make_insmod(const struct call *call)
{
	const char *module = fuzz_kext(call->op[1]);

	if (random_next() % 64 == 0)
		return kb_insmod_with(module, refused[call->op[2] % 2]);
	if (kb_is_loaded(module) && random_next() % 256) /* which takes its time to be found out */
		return SKIPPED;
	return kb_insmod(module);
}

int make_rmmod(const struct call *call)
{
	return kb_rmmod(call->op[0] % 8 ? fuzz_kext(call->op[1]) : call->op[1] % 2 ? "kextbridge" : "kbtest");
}

static int write_parameter(const char *name, const char *value)
{
	char path[128];
	ssize_t written;
	int fd, err;

	snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	written = write(fd, value, strlen(value));
	err = written < 0 ? errno : 0;
	close(fd);
	return err;
}

int make_param(const struct call *call)
{
	static const struct {
		const char *name, *values[6];
	} params[] = {
		{"request_timeout_ms", {"200", "1000", "5", "1", "60000", "4294967295"}},
		{"autounload_delay_ms", {"0", "1", "20", "200", "1000", "60000"}},
		{"max_pending", {"0", "1", "3", "50", "16384", "16384"}},
		{"max_pending_per_file", {"0", "1", "3", "50", "1024", "1024"}},
		{"max_reply_bytes", {"0", "1", "100", "70000", "1000000", "4000000"}},
		{"max_bytes_per_file", {"0", "1", "1000", "100000", "4000000", "4000000"}},
		{"max_name", {"0", "1", "63", "1023", "3072", "4294967295"}},
		{"strict_cancel", {"Y", "N", "N", "N", "y", "maybe"}},
		{"unload_result", {"timeout", "stopping", "timeout\n", "stopping\n", "", "both"}},
		{"chaos_permille", {"0", "0", "0", "1", "0", "5"}},
	};
	/* Mostly the values at the end, with which work can go on. */
	uint32_t which = pick(call->op[0], 10), value = often(call->op[1], 100) ? pick(call->op[1], 6) :
							which > 6               ? 1 :
										  4;

	return write_parameter(params[which].name, params[which].values[value]);
}

int make_stats(const struct call *call)
{
	static const char *const paths[] = {"/sys/class/misc/kextbridge/stats",
					    "/sys/module/kextbridge/parameters/unload_result",
					    "/sys/module/kextbridge/parameters/live_allocations"};
	char text[4096];
	ssize_t length;
	int fd = open(paths[call->op[0] % 3], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	length = read(fd, text, sizeof(text));
	close(fd);
	if (length > 0 && memchr(text, 0x5a, length))
		failed("%s: has a byte 0x5a", paths[call->op[0] % 3]);
	return length < 0 ? errno : 0;
}

/* Events on and off, and those of them that there are as text. */
int make_trace(const struct call *call)
{
	static const char enable[] = "/sys/kernel/tracing/events/kextbridge/enable";
	bool read_them = call->op[0] % 4 == 0;
	int fd = open(read_them ? "/sys/kernel/tracing/trace_pipe" : enable,
		      (read_them ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC);
	char text[4096];
	ssize_t length;
	int err;

	if (fd < 0)
		return errno;
	length = read_them ? read(fd, text, sizeof(text)) : write(fd, call->op[1] % 4 ? "0" : "1", 1);
	err = length < 0 ? errno : 0;
	close(fd);
	return err;
}

/* Here to stay until the parent says otherwise, which it does soon. */
int make_shutdown(const struct call *call)
{
	int err = write_parameter("shutdown", "1");

	if (err || call->op[0] % 2)
		return err;
	poll(NULL, 0, 1 + call->op[1] % 4);
	return write_parameter("shutdown", "0");
}
