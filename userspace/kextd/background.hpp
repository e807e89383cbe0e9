/* SPDX-License-Identifier: GPL-2.0-only */
/* Going to the background, and telling whoever started us when the work begins. */
#pragma once

#include <string>

#include "../lib/unique_fd.hpp"

namespace kext {

class Background {
      public:
	/*
	 * Forks when `background` is set; the parent stays until the child says ready() or ends, and then
	 * ends with the child's result. Call before the first thread starts and before a node is opened.
	 */
	bool enter(bool background);

	/* The daemon serves from now on. */
	void ready();

	/* For the service manager. */
	static void reloading();
	static void reloaded();
	static void stopping();

      private:
	UniqueFd parent_;
};

} // namespace kext
