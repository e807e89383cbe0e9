/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands of kextctl. Each returns the exit code or throws Failure. */
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kext::ctl {

struct Common {
	std::string device;
	bool json = false;
};

int list(const Common &common, bool delay_autounload);
int status(const Common &common);
int watch(const Common &common, uint64_t count);

struct RequestOptions {
	std::string identifier;
	std::string name;
	std::optional<std::string> output; /* "-": stdout */
	uint32_t timeout_ms = 0;
	uint64_t max_length = 0;
	bool hold = false;
};
int request(const Common &common, const RequestOptions &options);

int cancel(const Common &common, uint32_t tag);
int retain(const Common &common, const std::string &kext);
int release(const Common &common, const std::string &kext);
struct LoadOptions {
	std::string identifier;
	bool no_wait = false;
	bool delay_autounload = false;
};
int load(const Common &common, const LoadOptions &options);
int start(const Common &common, const std::string &kext);
int stop(const Common &common, const std::string &kext);
int unload(const Common &common, const std::string &kext, bool if_idle);

struct RpcOptions {
	std::string file; /* "-": stdin */
	bool daemon = false;
};
int rpc(const Common &common, const RpcOptions &options);

} // namespace kext::ctl
