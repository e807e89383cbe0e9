/* SPDX-License-Identifier: GPL-2.0-only */
/* SIGINT and SIGTERM as a descriptor, so that a command can end in order. */
#pragma once

#include "../lib/unique_fd.hpp"

namespace kext::ctl {

class Signals {
      public:
	/* From now on they do not end the process. */
	Signals();

	int fd() const { return fd_.get(); }
	/* Whether one has come; does not wait. */
	bool arrived();

      private:
	UniqueFd fd_;
	bool arrived_ = false;
};

} // namespace kext::ctl
