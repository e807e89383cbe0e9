// SPDX-License-Identifier: GPL-2.0-only
// A request to user space, its states, and who it belongs to.
//
//  state     fetch    reply          cancel              deadline           daemon closes   owner stops        callback begins
//  Pending   Fetched  refused        Finished, context   Answered: Timeout  stays           Answered: Timeout  -
//  Fetched   -        Answered       Finished + notice   Answered + notice  Pending (head)  Answered + notice  -
//  Answered  -        NotFound       Finished            -                  -               stays, delivered   Finished, runs once
//  Finished  -        NotFound       NotFound (barrier)  -                  -               waits while it runs -
//
// Finished is reached through take_locked() only (in_flight.hpp). A Finished request is still in the table while
// its callback runs, so that a cancel can wait for it, and while a program has not collected its result.
// selftests/model/request.pml has all of this for a model checker: it follows a change.
#pragma once

#include "base/list.hpp"
#include "base/lock.hpp"
#include "base/ref.hpp"
#include "libkern/OSKextLib.h"
#include "shim/shim.h"

namespace kextbridge {

class Kext;
class Owner;
struct Reader;
struct ScopeLink;

enum class State : u8 { Pending, Fetched, Answered, Finished };
// KEXTD_RESOURCE... The last three are notices: never in the table, without a state.
enum class Kind : u8 { Resource = 1, Load = 2, Unload = 3, Loaded = 5, Unloaded = 6, Exit = 7 };

struct Payload {
	void *data = nullptr;
	u32 length = 0;
};

// LOCKING: the table's lock guards every field but the immutable ones.
// State Fetched: in the hands of core.session, the active daemon, and on its list.
// OWNERSHIP: the table holds one reference from publish_locked() to forget_locked(); a notice that is owed to
// the daemon holds one more; fetch, reply and callback hold theirs while they work without the lock.
class Request final : public RefCounted<Request> {
	Request() = default;

      public:
	// CONTEXT: may sleep. Two NUL-terminated strings are copied behind the object, and behind them there is room for
	// a ScopeLink if it is to be scoped. Null: no memory.
	static Ref<Request> make(Kind kind, const char *identifier, u32 identifier_length, const char *name,
				 u32 name_length, unsigned int gfp, bool scoped = false)
		KEXTBRIDGE_EXCLUDES(core_lock());
	// CONTEXT: any but hard interrupts; the payload and the owner's reference go too.
	static void destroy(Request *request) KEXTBRIDGE_UNCHECKED; // nobody else can see it any more

	ListNode queue_node
		KEXTBRIDGE_GUARDED_BY(core_lock()); // pending queue; owner's answered queue; a program's results
	ListNode owner_node KEXTBRIDGE_GUARDED_BY(core_lock());   // owner's live requests; loads
	ListNode session_node KEXTBRIDGE_GUARDED_BY(core_lock()); // in the daemon's hands; a notice owed to the daemon
	timerqueue_node deadline KEXTBRIDGE_GUARDED_BY(core_lock());

	// immutable after publish
	u64 issued_ns = 0;
	Owner *owner = nullptr;                           // holds a reference
	OSKextRequestResourceCallback callback = nullptr; // null: of a program, or of a thread that waits
	void *context = nullptr;                          // the driver's, or that thread's Reader
	u32 tag = 0;
	u32 tag_wrap = 0; // how often the tags had wrapped around
	u32 max_length = 0;
	u16 identifier_size = 0; // NUL included
	u16 name_size = 0;
	Kind kind = Kind::Resource;
	bool scoped = false; // has a ScopeLink

	State state KEXTBRIDGE_GUARDED_BY(core_lock()) = State::Pending;
	bool timed KEXTBRIDGE_GUARDED_BY(core_lock()) = false;     // on the deadline queue
	bool suspect KEXTBRIDGE_GUARDED_BY(core_lock()) = false;   // a daemon died with it in hand: handed out alone
	bool cancelled KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // a program's request, ended by a cancel
	bool delaying KEXTBRIDGE_GUARDED_BY(core_lock()) = false;  // a load whose kext the next scan leaves alone
	u8 deaths KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;          // daemons that died with this one alone in hand
	s32 result KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u32 length KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	void *data KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	// OWNERSHIP: the payload's moves to the caller.
	Payload take_payload_locked() KEXTBRIDGE_REQUIRES(core_lock())
	{
		Payload payload = {data, length};

		data = nullptr;
		length = 0;
		return payload;
	}

	// The daemon's name for it, which never comes back.
	u64 wire_id() const { return static_cast<u64>(tag_wrap) << 32 | tag; }
	const char *identifier() const { return reinterpret_cast<const char *>(this + 1); }
	const char *name() const { return identifier() + identifier_size; }
	// Null: none waits.
	Reader *reader() const { return callback ? nullptr : static_cast<Reader *>(context); }
	// SAFETY: make() has left the room, zeroed and aligned.
	ScopeLink *scope_link() const
	{
		return scoped ? reinterpret_cast<ScopeLink *>(const_cast<char *>(identifier()) + strings_size()) :
				nullptr;
	}
	// As they go on the wire: padded with zeros to 8.
	u32 strings_size() const { return (identifier_size + name_size + 7u) & ~7u; }
};

// With names of up to 32 and of up to 96 bytes this just fits what kmalloc gives out.
static_assert(sizeof(Request) == 160);

// What a request belongs to: a kext, or a program's open file.
class Owner : public RefCounted<Owner> {
	virtual void dispose() = 0;

      protected:
	~Owner() = default;

      public:
	static void destroy(Owner *owner) { owner->dispose(); }

	// LOCKING: the table's. A request has been put on `answered`.
	virtual void answered_locked() KEXTBRIDGE_REQUIRES(core_lock()) = 0;
	// Null for a program's file.
	virtual Kext *kext() = 0;
	virtual u32 load_tag() const = 0;

	// LOCKING: the table's.
	List<Request, &Request::owner_node> live KEXTBRIDGE_GUARDED_BY(core_lock());     // all that are not Finished
	List<Request, &Request::queue_node> answered KEXTBRIDGE_GUARDED_BY(core_lock()); // in the order of the answers
	u32 pending KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;                              // how many are in live

	u64 held_bytes KEXTBRIDGE_GUARDED_BY(core_lock()) = 0; // payloads that a program has not collected yet

	Owner() // the analysis leaves out constructors: nobody else can see it yet
	{
		live.init();
		answered.init();
	}
};

} // namespace kextbridge
