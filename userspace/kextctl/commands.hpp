/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands of kextctl. Each returns the exit code or throws Failure. */
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

/* Of these the device is kmdf.ko's. */
int kmdf_list(const Common &common);
int kmdf_state(const Common &common, const std::string &device); /* "": all */

struct KmdfCancelOptions {
	std::vector<uint64_t> ids;
	/* Without ids; a request is cancelled if both apply. */
	std::optional<std::string> device;
	std::optional<int32_t> pid;
};
int kmdf_cancel(const Common &common, const KmdfCancelOptions &options);

} // namespace kext::ctl
