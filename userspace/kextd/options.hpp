/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kext {

struct Options {
	std::vector<std::string> roots; /* of bundles, in the order of the search */
	std::string modules;            /* directory of modules.dep; empty: the running kernel's */
	std::string device;
	unsigned workers = 0;
	bool foreground = false;
	bool verbose = false;
	bool authenticate = true;
};

/* Nothing: the program ends with `status`, all is said. */
std::optional<Options> parse_options(int argc, char **argv, int &status);

} // namespace kext
