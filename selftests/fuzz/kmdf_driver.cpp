// SPDX-License-Identifier: GPL-2.0-only
// The calls of drivers: what one can do that keeps to no rule, while programs ask it for something.
#include "kmdf_machine.hpp"

namespace fuzz {

static constexpr KmdfOp table[] = {
	KmdfOp::Call,      KmdfOp::Call,      KmdfOp::Call,           KmdfOp::Call,     KmdfOp::Call,
	KmdfOp::Call,      KmdfOp::Call,      KmdfOp::Call,           KmdfOp::Script,   KmdfOp::Script,
	KmdfOp::Script,    KmdfOp::Script,    KmdfOp::Waiting,        KmdfOp::Waiting,  KmdfOp::Power,
	KmdfOp::Clock,     KmdfOp::Clock,     KmdfOp::Control,        KmdfOp::Control,  KmdfOp::Read,
	KmdfOp::Read,      KmdfOp::Write,     KmdfOp::Write,          KmdfOp::Cancel,   KmdfOp::Cancel,
	KmdfOp::AioCancel, KmdfOp::Kill,      KmdfOp::Open,           KmdfOp::Open,     KmdfOp::Close,
	KmdfOp::List,      KmdfOp::CancelOne, KmdfOp::FailAllocation, KmdfOp::FailCopy, KmdfOp::Parameter,
	KmdfOp::Parameter,
};

void run(const uint8_t *data, size_t size)
{
	run_kmdf_program(table, true, data, size);
}

// Each call once, on a request that the driver has; and in the callbacks about it.
std::vector<std::string> seeds()
{
	std::vector<std::string> seeds;
	auto op = [](KmdfOp op) { return static_cast<u8>(kmdf_code(table, op)); };

	for (int call = 0; call < 256; call++) {
		Seed seed;

		seed.byte(static_cast<u8>(call % 3 ? 0x50 : 0)).byte(7).byte(15).byte(7);
		seed.byte(op(KmdfOp::Open)).byte(0).byte(0);
		if (call % 2)
			seed.byte(op(KmdfOp::Script))
				.byte(static_cast<u8>(call / 2 % 14))
				.byte(6)
				.byte(static_cast<u8>(call))
				.text("\1\1\1\1\1\1");
		seed.byte(op(KmdfOp::Write)).byte(0).byte(0).byte(16).byte(0).byte(0).byte(0).byte(8);
		seed.byte(op(KmdfOp::Read)).byte(0).byte(0).byte(16).byte(0);
		// It is marked.
		seed.byte(op(KmdfOp::Call)).byte(8).byte(100);
		seed.byte(op(KmdfOp::Call)).byte(static_cast<u8>(call)).text("\144\144\144\144");
		seed.byte(op(KmdfOp::Cancel)).byte(0).byte(1).byte(0).byte(0).byte(0);
		seed.byte(op(KmdfOp::Call)).byte(32).text("\144\1\1");
		seeds.push_back(seed.bytes());
	}
	return seeds;
}

} // namespace fuzz
