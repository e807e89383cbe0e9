/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a payload goes. */
#pragma once

#include <cstddef>
#include <string>

#include "../lib/unique_fd.hpp"

namespace kext::ctl {

/*
 * A file that appears under its name when it is complete: before commit() the name is not touched, and
 * nothing is left behind if commit() is not reached. What exists and is no regular file (a pipe, a
 * device) is written to directly, and so is stdout.
 */
class Output {
      public:
	static Output to_stdout();
	static Output to_file(const std::string &path);
	Output(Output &&other) noexcept = default;
	Output &operator=(Output &&) = delete;
	~Output();

	void write(const char *bytes, size_t count);
	void commit();

      private:
	Output() = default;
	void open_temporary();
	[[noreturn]] void fail(const char *what) const;

	UniqueFd fd_;
	std::string path_;      /* of the file in the end */
	std::string temporary_; /* its name until then; empty: it has none */
	bool direct_ = false;
};

} // namespace kext::ctl
