// SPDX-License-Identifier: GPL-2.0-only
#include "program.hpp"

namespace fuzz {

namespace {

// The operands are those of nodes.cpp and drivers.cpp, in the order in which they are read.
class Program {
	Table table_;
	Seed seed_;
	bool possible_ = true;

      public:
	explicit Program(Table table, uint8_t counters = 0) : table_(table) { seed_.byte(counters); }

	Program &op(Op op, std::initializer_list<uint8_t> operands = {})
	{
		possible_ = possible_ && code(table_, op) >= 0;
		seed_.byte(static_cast<uint8_t>(code(table_, op)));
		for (uint8_t operand : operands)
			seed_.byte(operand);
		return *this;
	}

	Program &open() { return op(Op::DaemonOpen, {0, 0}).op(Op::ControlOpen, {0, 0}); }
	Program &load(uint8_t kext) { return op(Op::KextLoad, {kext, 0}); }
	Program &kext_request(uint8_t kext) { return op(Op::KextRequest, {kext, 0, 1, 0}); }
	// HOLD or nothing.
	Program &request(uint8_t how = 0) { return op(Op::Request, {0, 0, 1, how, 0}); }
	Program &result(uint8_t how = 7) { return op(Op::Result, {0, how, 0, 0}); }
	Program &serve() { return op(Op::Serve, {0, 6, 0, 0}); }
	// Fetch with nothing to say, then a reply with a payload.
	Program &fetch() { return op(Op::Exchange, {0, 12, 0, 4, 0}); }
	Program &reply() { return op(Op::Exchange, {0, 13, 1, 0, 0, 20, 0, 0, 0}); }

	// By descriptor: which of program.cpp's files.
	Program &reply_file(uint8_t which) { return op(Op::Exchange, {0, 13, 2, 0, 0, which, 4, 0}); }
	Program &refuse() { return op(Op::Exchange, {0, 13, 0, 0, 200, 4, 0}); }
	// As another kext, or of another version.
	Program &load_as(uint8_t kext, uint8_t how, std::string_view text)
	{
		op(Op::KextLoad, {kext, how, static_cast<uint8_t>(text.size())});
		seed_.text(text);
		return *this;
	}

	// Nothing: the target has not all of its operations.
	std::string bytes() const { return possible_ ? seed_.bytes() : std::string(); }
};

} // namespace

std::vector<std::string> program_seeds(Table table)
{
	auto program = [&](uint8_t counters = 0) { return Program(table, counters); };

	std::vector<std::string> all = {
		program().open().load(0).kext_request(0).serve().bytes(),
		program().open().load(0).kext_request(0).fetch().reply().bytes(),
		program(1).open().load(0).kext_request(0).kext_request(0).fetch().reply().reply().bytes(),
		program().open().load(0).kext_request(0).fetch().op(Op::KextCancel, {0, 0, 0}).fetch().bytes(),
		program().open().load(0).kext_request(0).fetch().op(Op::Clock, {6}).reply().fetch().bytes(),
		program()
			.open()
			.load(0)
			.kext_request(0)
			.fetch()
			.op(Op::DaemonClose, {0})
			.op(Op::DaemonOpen, {1, 0})
			.fetch()
			.reply()
			.bytes(),
		program()
			.open()
			.load(0)
			.kext_request(0)
			.fetch()
			.op(Op::DaemonDies, {0})
			.op(Op::DaemonOpen, {1, 0})
			.fetch()
			.reply()
			.bytes(),
		program().open().load(0).op(Op::Unload, {0, 0, 0, 0}).serve().bytes(),
		program().open().op(Op::Load, {0, 0, 1, 0}).serve().bytes(),
		program(2)
			.open()
			.load(0)
			.load(1)
			.op(Op::KextBehave, {1, 3})
			.load(2)
			.op(Op::KextRemove, {0, 255})
			.bytes(),
		program().open().load(2).op(Op::KextBehave, {2, 16}).kext_request(2).serve().serve().bytes(),
		program().open().request().serve().result().bytes(),
		program().open().request(1).op(Op::Cancel, {0, 0, 0, 0}).result().bytes(),
		program().open().request().serve().result(3).op(Op::ControlClose, {0}).bytes(),
		program(3).open().request().op(Op::FailCopy, {1}).fetch().fetch().reply().result().bytes(),
		program()
			.open()
			.request()
			.op(Op::Parameter, {3, 3})
			.serve()
			.result()
			.request()
			.serve()
			.result()
			.bytes(),
		program().open().load(0).kext_request(0).op(Op::KextCancelAll, {0}).bytes(),
		program().open().load(0).kext_request(0).fetch().reply_file(0).bytes(),
		program().open().load(0).kext_request(0).fetch().reply_file(3).reply_file(5).reply_file(4).bytes(),
		// could not be deleted, and does not start again
		program()
			.open()
			.load(0)
			.op(Op::KextBehave, {0, 1})
			.op(Op::Unload, {0, 0, 0, 0})
			.fetch()
			.refuse()
			.op(Op::List, {0, 4, 0})
			.bytes(),
		program().open().load(0).load_as(1, 0xe1, "com.example.a").bytes(),
		program()
			.load_as(1, 0xe0, "1.2.3fc12")
			.op(Op::KextRemove, {1, 255})
			.load_as(1, 0xe0, "1.0d256")
			.bytes(),
		program()
			.open()
			.load(0)
			.op(Op::Retain, {0, 0, 0, 0})
			.op(Op::Release, {0, 0, 0, 0})
			.op(Op::Clock, {5})
			.serve()
			.bytes(),
		program()
			.open()
			.load(2)
			.op(Op::KextRetain, {2})
			.op(Op::KextRelease, {2})
			.op(Op::KextRemove, {2, 0})
			.bytes(),
	};

	std::vector<std::string> beyond = {
		// a read that is answered, one that is killed, one whose scope is cancelled
		program().open().load(0).op(Op::KextRead, {0, 0, 1, 0}).serve().bytes(),
		program().open().load(0).op(Op::KextRead, {0, 0, 1, 4}).serve().bytes(),
		program()
			.open()
			.load(0)
			.op(Op::KextScope, {0, 0})
			.op(Op::KextRead, {0, 0, 1, 16})
			.op(Op::KextRequest, {0, 0, 1, 16})
			.fetch()
			.op(Op::KextScope, {0, 2})
			.op(Op::KextScope, {0, 3})
			.op(Op::KextRequest, {0, 0, 1, 16})
			.op(Op::KextScope, {0, 0})
			.bytes(),
		program()
			.open()
			.load(0)
			.op(Op::KextBehave, {0, 0x60})
			.op(Op::KextScope, {0, 0})
			.op(Op::KextRequest, {0, 0, 1, 16})
			.op(Op::KextRequest, {0, 0, 1, 16})
			.fetch()
			.reply()
			.bytes(),
		program().open().load(0).op(Op::KextRead, {0, 0, 1, 0}).op(Op::Unload, {0, 2, 0, 0}).bytes(),
		// stopped, started, deleted
		program()
			.open()
			.load(0)
			.op(Op::Unload, {0, 2, 0, 0})
			.op(Op::List, {0, 36, 0})
			.op(Op::Load, {0, 0, 1, 2, 0})
			.op(Op::KextUnloadOther, {0, 0})
			.serve()
			.bytes(),
		program().open().load(0).load(1).op(Op::KextUnloadOther, {0, 1}).serve().bytes(),
		program()
			.open()
			.load(0)
			.op(Op::KextInstance, {0, 1})
			.op(Op::Unload, {0, 0, 0, 0})
			.op(Op::KextInstance, {0, 0})
			.op(Op::Unload, {0, 0, 0, 0})
			.serve()
			.bytes(),
		// announcements
		program()
			.open()
			.op(Op::Serve, {0, 16, 0})
			.load(2)
			.op(Op::KextRemove, {2, 0})
			.op(Op::Shutdown)
			.op(Op::Serve, {0, 22, 0})
			.bytes(),
		program()
			.open()
			.op(Op::Load, {0, 0, 0})
			.op(Op::Load, {0, 1, 0})
			.op(Op::LoadRequests, {0, 10, 0})
			.bytes(),
		program().open().load(0).op(Op::Sleep, {1}).op(Op::Retain, {0, 0, 0, 0}).op(Op::Sleep, {0}).bytes(),
	};

	all.insert(all.end(), beyond.begin(), beyond.end());
	std::erase(all, std::string());
	return all;
}

} // namespace fuzz
