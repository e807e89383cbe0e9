// SPDX-License-Identifier: GPL-2.0-only
// A driver and programs for the scenarios of kmdf.ko: what host/kmdf/kit.hpp is for threads. Fixed arrays only: all of it
// is state that is copied and compared at each choice.
#pragma once

#include "../scenario.hpp"
#include "fiber_kmdf.hpp"
#include "kmdf/kmdf_core.hpp"
#include "shim/entry.h"
#include "uapi/kmdf.h"
#include "kmdf/windows.hpp"

namespace schedules {

inline constexpr int kAsked = 4;
inline constexpr int kBelow = 2;     // what is sent on by the driver has this added to its number
inline constexpr int kLength = 4;    // of read 0; each is one byte longer, which tells them apart
inline constexpr s64 kNobody = 7777; // nobody has said yet how a read ended
inline constexpr u32 kTimeoutMs = 10;

// A read of a program or, from kBelow on, one that the driver has sent on; and what became of it.
struct Asked {
	WDFREQUEST handle; // null: the driver has not seen it
	s64 result;
	bool begun;
	bool ended;
	bool killed;
	bool referenced; // by the driver, which has a thread that goes on with it
	bool marked;     // or about to be; and not unmarked
	bool armed;      // the mark has returned
	bool canceled;   // EvtRequestCancel has been called
	u8 presented;
	u8 canceled_on_queue;
	u8 completions;
	u8 cleanups;
	u8 destroys;
	s64 said; // what the driver has completed it with
	char buffer[16];
};
extern Asked asked[kAsked];

// What the driver is to be; and what it does.
struct Plan {
	unsigned int devices = 1;
	WDF_IO_QUEUE_DISPATCH_TYPE dispatch = WdfIoQueueDispatchParallel;
	WDF_SYNCHRONIZATION_SCOPE scope = WdfSynchronizationScopeNone;
	WDF_EXECUTION_LEVEL level = WdfExecutionLevelInheritFromParent;
	const char *breaks = nullptr;           // the one rule of the verifier that it may break
	bool refers = true;                     // takes a reference to each request
	bool manual = false;                    // has a second queue, for what is forwarded
	bool tells_of_queued = false;           // has an EvtIoCanceledOnQueue
	bool opened = true;                     // main has the device open
	void (*on_read)(int index) = nullptr;   // null: one of its threads goes on with it
	void (*on_cancel)(int index) = nullptr; // null: completes it with STATUS_CANCELLED
	PFN_WDF_IO_QUEUE_IO_STOP on_stop = nullptr;
	PFN_WDF_IO_QUEUE_IO_RESUME on_resume = nullptr;
};
extern Plan plan;

// The driver's objects.
extern WDFDEVICE devices[2];
extern WDFQUEUE queues[2];
extern WDFQUEUE manual_queue;

// An open file.
struct File {
	::file file;
	void *data; // null: it is not open
	u8 calls;
};
extern File files[2];
extern u8 in_callbacks; // EvtIoRead and EvtRequestCancel, how many run

// kmdf.ko and the driver are loaded, and file 0 is open.
void load_kmdf();
// Files that are open are closed, the driver leaves; then the books are checked.
void unload_kmdf();
// What quiet_kmdf() is about, then run_all().
void run_kmdf();

// The driver's calls.
int index_of(WDFREQUEST request);
void give(WDFREQUEST request, int index); // the driver has it now
NTSTATUS mark(int index);                 // Ex
void mark_plain(int index);
bool unmark(int index);
void complete(int index, NTSTATUS status);
void drop(int index); // its reference
bool presented(int index);
// Waits until the driver has the read; false: it never will.
bool wait_for(int index);
// Once it is marked: unmarks and completes, unless EvtRequestCancel has it; and lets go of it.
void unmark_and_complete(int index);
// The driver's unload, tried once. True: it has left.
bool rmmod();

// Calls of programs.
int open_file(File &file, const char *name = "k0");
void close_file(File &file);
void read_file(File &file, int index);
kmdf_cancel cancel_file(File &file);

// Fibers.
template <int Index> void reader(int)
{
	read_file(files[0], Index);
}
void canceller(int); // of all of file 0
void clock(int);     // one tick
// Is killed: the fiber in this slot.
void kill(int slot, int index);

} // namespace schedules
