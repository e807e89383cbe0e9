// SPDX-License-Identifier: GPL-2.0-only
// An input as a program against the core: drivers, daemons and programs that make one call after the other, with what the
// calls before have given (ids, tags) as operands. Beside it a model of what must be true, checked after each call.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "input.hpp"
#include "target.hpp"

namespace fuzz {

enum class Op : uint8_t {
	DaemonOpen,
	DaemonClose,
	DaemonDies,
	Exchange,
	Serve,
	DaemonIoctl,
	DaemonPoll,
	ControlOpen,
	ControlClose,
	Request,
	Result,
	Cancel,
	Retain,
	Release,
	Unload,
	Load,
	List,
	Status,
	ControlIoctl,
	ControlPoll,
	KextLoad,
	KextRemove,
	KextRequest,
	KextCancel,
	KextCancelAll,
	KextRetain,
	KextRelease,
	KextLoadOther,
	KextBehave,
	KextAsk,
	KextAllocate,
	FailAllocation,
	FailCopy,
	Clock,
	Parameter,
	Caller,
	LoadRequests,
	KextRead,
	KextScope,
	KextUnloadOther,
	KextInstance,
	Shutdown,
	Sleep,
	Ops,
};

// What an operation's byte means: the same operations for all targets, in different numbers.
using Table = std::span<const Op>;

void run_program(Table table, const uint8_t *data, size_t size);

// The byte that stands for an operation; -1: the target has it not.
int code(Table table, Op op);
// Programs that go each ordinary way once, as far as the table has it.
std::vector<std::string> program_seeds(Table table);

} // namespace fuzz
