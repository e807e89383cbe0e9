/* SPDX-License-Identifier: GPL-2.0-only */
/* Loading and unloading modules, through libkmod. */
#pragma once

#include <string>

#include "bundle.hpp"
#include "resource.hpp"

namespace kext {

/*
 * Loads the module whose alias is kext:<identifier>, or the one that a bundle of that identifier carries.
 * `directory`: where modules.dep is; empty for the running kernel's.
 */
Answer load_module(const std::string &identifier, const std::string &directory, BundleStore &store);

/* Deletes the module `name`; never waits for its users. */
Answer unload_module(const std::string &name);

} // namespace kext
