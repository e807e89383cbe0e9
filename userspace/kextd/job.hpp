/* SPDX-License-Identifier: GPL-2.0-only */
/* One fetched request on its way to an answer. */
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "../lib/kextbridge.h"

namespace kext {

struct Job {
	explicit Job(const kextbridge_record &record)
		: id(record.header.id), kind(record.header.kind), max_length(record.header.max_length),
		  load_tag(record.header.load_tag), attempt(record.header.attempt),
		  identifier(record.identifier, record.identifier_length), name(record.name, record.name_length)
	{
	}

	const uint64_t id;
	const uint32_t kind;
	const uint32_t max_length;
	const uint32_t load_tag;
	const uint32_t attempt;
	const std::string identifier;
	const std::string name;
	const std::chrono::steady_clock::time_point fetched = std::chrono::steady_clock::now();
	std::atomic<bool> cancelled{false};
};

using JobPtr = std::shared_ptr<Job>;

} // namespace kext
