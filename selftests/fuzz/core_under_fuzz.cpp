// SPDX-License-Identifier: GPL-2.0-only
// The core as the host tests link it, and one look more: at what a program's file holds.
#include "../host/core_under_test.cpp"

// Drivers' threads that are on their way out of a read.
extern "C" u32 fuzz_answered_reads()
{
	Guard guard(core.requests);
	u32 count = 0;

	for (Kext *kext = core.kexts.front(); kext; kext = core.kexts.next(*kext))
		for (Request *request = kext->live.front(); request; request = kext->live.next(*request))
			count += request->reader() && request->state == State::Answered;
	return count;
}

// Null, or which of an open /dev/kextbridge's books is wrong. `data`: what its open gave.
extern "C" const char *fuzz_check_file(void *data)
{
	Guard guard(core.requests);
	ControlFile &file = *static_cast<ControlFile *>(data);
	u64 bytes = 0;
	u32 live = 0;
	u32 results = 0;

	for (Request *request = file.live.front(); request; request = file.live.next(*request)) {
		live++;
		bytes += request->length;
	}
	for (Request *request = file.results.front(); request; request = file.results.next(*request)) {
		results++;
		bytes += request->length;
	}
	if (live != file.pending)
		return "a file's pending is the length of its live list";
	if (results != file.result_count)
		return "a file's result_count is the length of its results list";
	if (bytes != file.held_bytes)
		return "a file's held_bytes are those of its answers";
	return nullptr;
}
