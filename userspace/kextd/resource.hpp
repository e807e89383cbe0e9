/* SPDX-License-Identifier: GPL-2.0-only */
/* From a request for a resource to its answer. */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <libkern/OSReturn.h>

#include "../lib/unique_fd.hpp"
#include "bundle.hpp"
#include "trust.hpp"

namespace kext {

/* What goes back to the kernel for one request. */
struct Answer {
	OSReturn result = kOSReturnSuccess;
	std::string reason; /* of a refusal, for people */
	std::unique_ptr<char[]> bytes;
	UniqueFd file; /* a longer payload: the kernel reads it itself */
	uint64_t length = 0;

	static Answer refusal(OSReturn result, std::string reason)
	{
		Answer answer;
		answer.result = result;
		answer.reason = std::move(reason);
		return answer;
	}
};

/* Payloads up to this length are handed over as bytes, longer ones as a file. */
constexpr uint64_t longest_inline = 64u << 10;

struct Query {
	std::string_view identifier;
	std::string_view name;
	uint32_t max_length = 0;
	const std::atomic<bool> *cancelled = nullptr; /* may be NULL */
};

/*
 * The Resources folder that was used last. Requests that come together share it, so that its path is walked
 * and checked once for all of them; it must not live longer than they do.
 */
struct OpenFolder {
	std::shared_ptr<const BundleIndex> index;
	const Bundle *bundle = nullptr;
	UniqueFd resources;
};

/* Answers a query; may read the disk and scan the bundles again. Throws nothing but std::bad_alloc. */
Answer find_resource(BundleStore &store, const Query &query, OpenFolder &folder);

/*
 * Answers a query if that needs nothing but memory of this machine. False: it does, or a fresh look at the
 * disk could change the answer; find_resource() must be asked, on a thread that may wait.
 */
bool find_resource_at_once(const BundleStore &store, const Query &query, OpenFolder &folder, Answer &answer);

/* Why nothing of a bundle that is not good is used: the file and the reason. */
Answer refuse_bundle(const Bundle &bundle);

/* Whether a resource's name may be looked for at all: the reason if not. */
const char *refuse_name(std::string_view name);

} // namespace kext
