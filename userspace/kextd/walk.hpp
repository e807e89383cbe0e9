/* SPDX-License-Identifier: GPL-2.0-only */
/* Opening a resource beneath its bundle. */
#pragma once

#include <string_view>

#include "resource.hpp"

namespace kext {

struct Opened {
	enum class Outcome {
		Found,
		Refused,   /* `refusal` says why */
		Moved,     /* the bundle is not what the index says: scan again */
		NotCached, /* Reach::CachedOnly does not suffice */
		Going,     /* not at the end of the name yet; never returned */
	};
	Outcome outcome = Outcome::Refused;
	Answer refusal;
	UniqueFd file;
	uint64_t length = 0;
};

/*
 * Every folder that is passed is opened, checked through its descriptor and used through that descriptor.
 * Links are followed by hand, so that they cannot leave Resources and the folders they lead through are
 * checked too.
 */

/* The Resources of a bundle: `file` is the folder. */
Opened open_resources(const Bundle &bundle, bool authenticate, Reach reach);

/* A file beneath the folder that open_resources() has opened. */
Opened open_resource(const Bundle &bundle, int resources, std::string_view name, bool authenticate, Reach reach);

} // namespace kext
