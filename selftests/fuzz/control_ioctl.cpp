// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextbridge: what a hostile program can ask, with kexts and a daemon that mostly does its work.
#include "program.hpp"

namespace fuzz {

static constexpr Op table[] = {
	Op::Request,
	Op::Request,
	Op::Request,
	Op::Request,
	Op::Result,
	Op::Result,
	Op::Result,
	Op::Result,
	Op::Cancel,
	Op::Cancel,
	Op::Retain,
	Op::Release,
	Op::Unload,
	Op::Unload,
	Op::Load,
	Op::Load,
	Op::List,
	Op::List,
	Op::Status,
	Op::ControlIoctl,
	Op::ControlPoll,
	Op::ControlOpen,
	Op::ControlOpen,
	Op::ControlClose,
	Op::Caller,
	Op::Serve,
	Op::Serve,
	Op::Serve,
	Op::Exchange,
	Op::DaemonOpen,
	Op::DaemonClose,
	Op::KextLoad,
	Op::KextLoad,
	Op::KextRequest,
	Op::KextCancel,
	Op::KextRemove,
	Op::KextBehave,
	Op::Clock,
	Op::FailAllocation,
	Op::FailCopy,
	Op::Parameter,
	Op::DaemonDies,
	Op::LoadRequests,
	Op::LoadRequests,
	Op::KextRead,
	Op::KextScope,
	Op::KextUnloadOther,
	Op::KextInstance,
	Op::Shutdown,
	Op::Sleep,
	Op::KextRequest,
};

void run(const uint8_t *data, size_t size)
{
	run_program(table, data, size);
}

std::vector<std::string> seeds()
{
	return program_seeds(table);
}

} // namespace fuzz
