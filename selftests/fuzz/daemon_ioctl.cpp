// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextd: what a hostile daemon can say. Drivers and programs are there so that it has something to answer.
#include "program.hpp"

namespace fuzz {

static constexpr Op table[] = {
	Op::Exchange,    Op::Exchange,     Op::Exchange,       Op::Exchange,        Op::Exchange,      Op::Exchange,
	Op::Exchange,    Op::Exchange,     Op::Serve,          Op::Serve,           Op::DaemonOpen,    Op::DaemonOpen,
	Op::DaemonClose, Op::DaemonDies,   Op::DaemonIoctl,    Op::DaemonPoll,      Op::KextLoad,      Op::KextLoad,
	Op::KextRequest, Op::KextRequest,  Op::KextRequest,    Op::KextCancel,      Op::KextCancelAll, Op::KextRemove,
	Op::KextBehave,  Op::KextRetain,   Op::KextRelease,    Op::KextLoadOther,   Op::ControlOpen,   Op::ControlClose,
	Op::Request,     Op::Request,      Op::Result,         Op::Cancel,          Op::Unload,        Op::Load,
	Op::Clock,       Op::Clock,        Op::FailAllocation, Op::FailCopy,        Op::Parameter,     Op::Caller,
	Op::KextRead,    Op::KextScope,    Op::KextScope,      Op::KextUnloadOther, Op::Shutdown,      Op::KextInstance,
	Op::KextAsk,     Op::KextAllocate,
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
