/* SPDX-License-Identifier: GPL-2.0-only */
/* What all commands of kextctl share: the device, exit codes, messages. */
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "../lib/kextbridge.h"

namespace kext::ctl {

/* Documented in --help and kextctl(1). */
enum Exit : int {
	ExitOk = 0,
	ExitFailed = 1,
	ExitUsage = 2,
	ExitNotFound = 3,
	ExitNoPermission = 4,
	ExitNoBridge = 5,
	ExitNoDaemon = 6,
	ExitInterrupted = 130,
};

/* Ends a command; what() goes to stderr after "kextctl: ". */
class Failure : public std::exception {
      public:
	Failure(int code, std::string text) : code_(code), text_(std::move(text)) {}
	int code() const { return code_; }
	const char *what() const noexcept override { return text_.c_str(); }

      private:
	int code_;
	std::string text_;
};

struct Close {
	void operator()(kextbridge *kb) const { kextbridge_close(kb); }
};
using Bridge = std::unique_ptr<kextbridge, Close>;

/* Opens the device or throws what to do about it. */
Bridge open_bridge(const std::string &device);

/* Throws if `error`, the result of a library call, is negative. `doing`: "request com.x logo.png". */
void check_call(int64_t error, const std::string &doing);

enum class Operation { Request, Cancel, Retain, Release, Load, Start, Stop, Unload, Rpc };

/* Throws if `result` is an error, with its name, its number and what to do about it. */
void check_result(OSReturn result, Operation operation, const std::string &doing);
int exit_code(OSReturn result);

/* "kOSKextReturnNotFound", or the number. */
std::string name_of(OSReturn result);

/* {"name": ..., "code": ..., "text": ...} */
nlohmann::ordered_json json_of(OSReturn result);

/* Text that came from elsewhere, without what could garble a terminal. */
std::string clean(std::string_view text);

/* One line on stdout, flushed; a failure to write ends the program. */
void print_line(std::string_view line);
void print_json(const nlohmann::ordered_json &json, int indent = 2);
void note(std::string_view line); /* on stderr */

const char *state_name(uint32_t state);

/* A load tag, or the tag of the kext with this identifier; throws when there is none. */
uint32_t resolve_kext(kextbridge *kb, const std::string &tag_or_identifier, const std::string &doing);

} // namespace kext::ctl
