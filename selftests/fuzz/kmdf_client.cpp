// SPDX-License-Identifier: GPL-2.0-only
// /dev/kmdf/NAME and /dev/kmdf/control: what hostile programs can ask, of a driver that keeps to the rules.
#include "kmdf_machine.hpp"

namespace fuzz {

static constexpr KmdfOp table[] = {
	KmdfOp::Control,   KmdfOp::Control,  KmdfOp::Control,   KmdfOp::Control,        KmdfOp::Read,
	KmdfOp::Read,      KmdfOp::Write,    KmdfOp::Write,     KmdfOp::Serve,          KmdfOp::Serve,
	KmdfOp::Serve,     KmdfOp::Cancel,   KmdfOp::Cancel,    KmdfOp::AioCancel,      KmdfOp::Kill,
	KmdfOp::BadIoctl,  KmdfOp::List,     KmdfOp::CancelOne, KmdfOp::CancelOne,      KmdfOp::LastStatus,
	KmdfOp::Poll,      KmdfOp::Open,     KmdfOp::Open,      KmdfOp::Close,          KmdfOp::Clock,
	KmdfOp::Parameter, KmdfOp::FailCopy, KmdfOp::Parameter, KmdfOp::FailAllocation,
};

void run(const uint8_t *data, size_t size)
{
	run_kmdf_program(table, false, data, size);
}

// Each way of a driver once, with each way to end it.
std::vector<std::string> seeds()
{
	std::vector<std::string> seeds;
	auto op = [](KmdfOp op) { return static_cast<u8>(kmdf_code(table, op)); };

	for (u8 way = 0; way < Ways; way++) {
		for (KmdfOp end : {KmdfOp::Serve, KmdfOp::Cancel, KmdfOp::Kill, KmdfOp::CancelOne, KmdfOp::Close}) {
			Seed seed;

			seed.byte(0).byte(op(KmdfOp::Open)).byte(0).byte(0);
			// From a thread, METHOD_BUFFERED.
			seed.byte(op(KmdfOp::Control)).byte(0).byte(0).byte(16).byte(32).byte(0);
			seed.byte(way).byte(0).byte(8).byte(1).byte(0).byte(0);
			seed.byte(op(KmdfOp::Write)).byte(0).byte(0).byte(16).byte(0).byte(way).byte(0).byte(8);
			seed.byte(op(KmdfOp::List)).byte(200).byte(0).byte(0);
			seed.byte(op(end)).byte(0).byte(1).byte(0).byte(0);
			seed.byte(op(KmdfOp::Serve)).byte(0);
			seeds.push_back(seed.bytes());
		}
	}
	return seeds;
}

} // namespace fuzz
