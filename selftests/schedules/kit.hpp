// SPDX-License-Identifier: GPL-2.0-only
// Drivers, daemons and programs for the scenarios, over the extern "C" entry points of the core: what host/kit.hpp is for
// threads. Fixed arrays only: all of it is state that is copied and compared at each choice.
#pragma once

#include "host_core.hpp"
#include "kextbridge/kext.h"
#include "kextbridge/client.h"
#include "scenario.hpp"
#include "shim/entry.h"
#include "uapi/kextbridge.h"

namespace schedules {

inline constexpr int kKexts = 2;
inline constexpr int kAsked = 4;
inline constexpr u32 kTimeoutMs = 10;
inline constexpr u32 kAutounloadMs = 20;

// A request of a driver and what became of it; its address is the context.
struct Asked {
	const char *name;
	OSKextRequestTag tag;
	bool accepted;
	bool refused;
	bool running;      // its callback
	bool context_gone; // a cancel has said that the callback is over, or never comes
	u8 callbacks;
	u8 cancels;
	s32 result;
};
extern Asked asked[kAsked];

struct Kext {
	kmod_info_t info;
	::module module;
	u32 flags;
	u32 load_tag;
	bool loaded;
	bool in_callback;
	bool in_start;
	bool in_stop;
	u8 starts;
	u8 stops;
	OSReturn (*start)();
	OSReturn (*stop)();
	void (*callback)(Asked &asked);
};
extern Kext kexts[kKexts];

int insmod(int kext, u32 flags = 0);
int rmmod(int kext, bool force);
bool asked_tag_known(int index); // or never will be

// Calls of a driver's thread, in the driver's code.
OSReturn request(int kext, int index, u32 timeout_ms = 0);
OSReturn request_with(int kext, int index, const kextbridge_resource_options &options);
OSReturn cancel(int kext, int index, bool wait = true);

struct Record {
	u32 kind;
	u64 id;
	int kext; // of a load or an unload: its number
};

struct Daemon {
	::file file;
	void *data;
	pid process;
	u8 calls;
	bool dead;
	bool delete_refused; // once: what is tried again succeeds
};
extern Daemon daemons[2];

int open_daemon(Daemon &daemon);
void close_daemon(Daemon &daemon);
// One exchange: hands in *reply (may be null), takes at most one record. 1: there is one; 0: none; negative errno.
int exchange_with(Daemon &daemon, kextd_reply *reply, Record *record, bool nowait);
kextd_reply reply_for(u64 id, s32 result, bool payload);
// Fetches and answers until it is dead: resources with a payload, unloads by deleting the module, loads with insmod.
void serve(Daemon &daemon);
// The process of the daemon is killed: at any moment, also in a call; then its file is closed.
void kill_daemon(Daemon &daemon);

// Fibers. They serve one of the daemons; the second one opens when the first one is dead, whom the killer kills.
void server(int slot);
void second_server(int slot);
void killer(int slot);

struct Program {
	::file file;
	void *data;
	u8 calls;
};
extern Program programs[2];

void open_program(Program &program);
void close_program(Program &program);
long program_call(Program &program, unsigned int cmd, void *args);
OSReturn program_tag_call(Program &program, unsigned int cmd, u32 tag, u32 flags = 0, long *error = nullptr);

// The core with default settings for scenarios; deadlines and scans after milliseconds.
void load_core();
// Daemons and kexts that are still there go; then the books are checked.
void unload_core();

} // namespace schedules
