// SPDX-License-Identifier: GPL-2.0-only
// A request from its submission to its last reference, with everybody who may touch it, for spin. selftests/model/run
// checks it; each BUG_ is a break that must be found. Each d_step is one scope of a Guard, or one operation of the
// kernel that is atomic by itself (a kref, a work's bits, a wait queue): that is the code's own granularity.
//
//  process     mirrors
//  Submitter   oskext.cpp submit(), in_flight.cpp publish_locked(), then cancel(): a thread of the driver
//  Canceller   oskext.cpp cancel() and kextbridge_cancel_requests(): another one
//  Callback    kext.cpp run_callbacks() and the driver's callback, which may cancel too; base/work.hpp, the workqueue
//  Deadline    in_flight.cpp expire_deadlines()
//  Fetcher     daemon.cpp open_session(), exchange(), fetch(), take_reply(), close_session(): a thread of a daemon
//  Replier     daemon.cpp take_reply(): another thread of the first daemon, which replies whether it was asked or not
//  Killer      the end of the first daemon's process (shim_process_gone()), whatever its threads do
//  Owner       kext.cpp start(), leave_registry(), discard_requests(); unload.cpp flush(), flush_and_stop(), stop();
//              core.cpp exit_core(): the kext and the core from start to end. How a kext comes to leave: kext.pml
//
// What selftests/model/run checks (safety: assertions and invalid end states; live: the claim at the end):
// CHECK one safety: one request, everybody
// CHECK one live: it all comes to an end. Without fairness, for no schedule is endless: it needs none
// CHECK poisoned safety -DPOISONED -DNO_REPLIER: the daemon's death is the last that a request survives
// CHECK threads deep safety -DFETCHING_THREAD: the second thread of the first daemon may fetch, too
// CHECK two deep safety -DN=2 -DNO_CRASH: two requests, one daemon that lives
// CHECK two deep live -DN=2 -DNO_CRASH -DNO_REPLIER: and come to an end
//
// What it must find, and with which options:
// BUG_CHECK_THEN_ACT: cancel looks at the state, lets go of the lock and acts
// BUG_WINNER_AT_REPLY: a reply makes the request Finished, so that a cancel before the callback says NotFound
// BUG_CANCEL_WITHOUT_BARRIER: NotFound while the callback runs
// BUG_CANCEL_WAITS_IN_CALLBACK: a callback that cancels its own request waits for itself
// BUG_BARRIER_ACTIVE_OUTSIDE: the callback worker asks before it takes the lock whether somebody waits at the barrier
// BUG_FETCH_ACTIVE_OUTSIDE: submit asks before it takes the lock whether a daemon waits
// BUG_REQUEUE_WITHOUT_WAKE -DNO_REPLIER -DFETCHING_THREAD: a request that is put back wakes nobody
// BUG_FETCH_WITHOUT_REFERENCE: fetch copies a request that it has no reference to
// BUG_FETCH_LOSES: a failed copy does not put the request back
// BUG_REPLY_LOOKS_ONCE: a reply does not look again after its payload is copied
// BUG_REPLY_WITHOUT_CALLBACK: a reply does not queue the callback
// BUG_DEATH_LOSES: what a daemon had fetched is lost with it
// BUG_NOTICE_LEAKS: the references of a dead daemon's notices are never dropped
// BUG_CALLBACK_IN_START -DNO_CRASH -DNO_REPLIER: callbacks before the start function has returned
// BUG_OWNER_NOT_LOOKED_UP_AGAIN -DNO_CRASH -DNO_REPLIER: submit believes what it saw before it allocated the tag
// BUG_UNLOAD_IGNORES_RUNNING: the flush waits for the requests but not for the callback that runs
// BUG_NO_GRACE_PERIOD: no shim_synchronize_rcu_tasks() before the text goes
// BUG_EXIT_IGNORES_WORKER: leave_registry() does not wait for the callback worker to return
// BUG_EXIT_FLUSHES_CALLBACKS: it flushes the work, which queues itself again
// BUG_CORE_EXIT_WITHOUT_CANCEL: exit_core() does not wait for the deadline work to return
//
// Smaller than life: a batch is one record (the daemon asks for one), a run of callbacks is one callback, one copy to
// user memory fails, one daemon dies. What a thread does without the lock and nobody else can see is one step with what
// it does next.
#ifndef N
#define N 1
#endif

mtype = { Pending, Fetched, Answered, Finished, Starting, Started, Flushing, Stopping, Gone }

// ---- lists of up to three of 1..3, two bits each, the front lowest

#define FRONT(list) ((list) & 3)
#define HAS(list, e) (((list) & 3) == (e) || (((list) >> 2) & 3) == (e) || ((list) >> 4) == (e))

inline push_back(list, e) { list = list | ((e) << (list == 0 -> 0 : (list < 4 -> 2 : 4))) }
inline push_front(list, e) { list = (list << 2) | (e) }
inline unlink(list, e)
{
	if
	:: (list & 3) == (e) -> list = list >> 2
	:: ((list >> 2) & 3) == (e) -> list = (list & 3) | ((list >> 4) << 2)
	:: (list >> 4) == (e) -> list = list & 15
	:: else
	fi
}

// ---- what the lock guards

mtype state[N + 1];    // 0: not published
byte ref[N + 1];
bool freed[N + 1];
bool in_table[N + 1];
bool timed[N + 1];
bool suspect[N + 1];
bool data[N + 1];      // its payload
byte pending;          // core.pending
byte in_hand;          // session.in_hand
byte notices;          // session.notices
byte answered;         // kext.answered
byte live;             // kext.pending
byte running;          // kext.running
byte session;          // core.session: 0, 1 or 2
mtype kext = Starting; // kext.state

// ---- the kernel's

byte barrier;      // who is on core.barrier: bits. Off it means runnable: whoever wakes takes off
byte fetchers;     // who is on core.fetch: list, for it wakes one
bool cb_queued;    // kext.callback_work_
bool cb_running;
bool dl_running;   // core.deadline_work
byte kext_ref = 2; // the registry's and load()'s
bool kext_freed;
byte payloads;     // allocated
byte users = 1;    // threads of the driver with a frame in its text (the first: the other is the same)
byte signalled;    // of these, who have told the stop function that they are done
bool text_gone;    // the driver's
bool core_gone;    // the core's
byte files;        // open on the core's devices
byte holders = 1;  // of the first daemon's file: its process, and a thread in a system call
bool opened;
bool gone;         // the first daemon's process is dead
#ifdef POISONED
#define poisoned true
#else
#define poisoned false
#endif
bool faulted;      // a copy to user memory has failed

// ---- what is to be proved

bool accepted[N + 1];
bool refused[N + 1];
bool ended[N + 1]; // its callback has begun, or a cancel has returned its context, or a start that failed took it
bool in_callback[N + 1];

#define TOUCH(r) assert(!freed[r] && ref[r] > 0)
#define TOUCH_KEXT assert(!kext_freed)
#ifdef BUG_CORE_EXIT_WITHOUT_CANCEL
#define DEADLINE_WORK_GONE true
#else
#define DEADLINE_WORK_GONE (!dl_running)
#endif
#define IN_CORE assert(!core_gone)
#define IN_TEXT assert(!text_gone)
#define END(r) assert(!ended[r]); ended[r] = true

// ---- references

inline put_kext()
{
	assert(kext_ref > 0);
	kext_ref--;
	if
	:: kext_ref == 0 -> kext_freed = true
	:: else
	fi
}

inline put(r)
{
	TOUCH(r);
	ref[r]--;
	if
	:: ref[r] == 0 ->
		freed[r] = true;
		if
		:: data[r] -> data[r] = false; payloads--
		:: else
		fi;
		put_kext()
	:: else
	fi
}

// ---- in_flight.cpp, daemon.cpp: with the lock

#define IS_DAEMON(s) (session == (s) && !((s) == 1 && gone))
#define SIGNAL(s) (((s) == 1 && gone) || text_gone)
#if N == 1
#define ALONE (state[1] == Fetched && suspect[1])
#else
#define ALONE ((state[1] == Fetched && suspect[1]) || (state[2] == Fetched && suspect[2]))
#endif
#define FETCHABLE (notices != 0 || (pending != 0 && !ALONE && (!suspect[FRONT(pending)] || in_hand == 0)))
#ifdef BUG_CALLBACK_IN_START
#define ALLOWED (kext == Starting || kext == Started || kext == Flushing)
#else
#define ALLOWED (kext == Started || kext == Flushing)
#endif

inline wake_daemon()
{
	fetchers = fetchers >> 2
}

inline wake_barrier()
{
	barrier = 0
}

inline queue_callback()
{
	TOUCH_KEXT;
	cb_queued = true
}

inline leave(r, with_notice)
{
	if
	:: state[r] == Pending ->
		if
		:: FRONT(pending) == r && pending > 3 -> wake_daemon()
		:: else
		fi;
		unlink(pending, r)
	:: state[r] == Fetched ->
		assert(session != 0 && HAS(in_hand, r));
		unlink(in_hand, r);
		if
		:: with_notice ->
			ref[r]++;
			push_back(notices, r);
			wake_daemon()
		:: !with_notice && in_hand == 0 && pending != 0 -> wake_daemon()
		:: else
		fi
	:: state[r] == Answered -> unlink(answered, r)
	:: else -> skip
	fi;
	timed[r] = false;
	suspect[r] = false
}

inline take(r, won)
{
	TOUCH(r);
	if
	:: state[r] == Finished -> won = false
	:: else ->
		won = true;
		leave(r, true);
		state[r] = Finished;
		live--;
		if
		:: live == 0 -> wake_barrier()
		:: else
		fi
	fi
}

inline answer(r, payload, by_daemon)
{
	TOUCH(r);
	leave(r, !by_daemon);
#ifdef BUG_WINNER_AT_REPLY
	state[r] = Finished;
	live--;
#else
	state[r] = Answered;
#endif
	data[r] = payload;
	push_back(answered, r);
	if
#ifdef BUG_REPLY_WITHOUT_CALLBACK
	:: by_daemon -> skip
#endif
	:: ALLOWED -> queue_callback()
	:: else
	fi
}

inline requeue(r)
{
	unlink(in_hand, r);
	state[r] = Pending;
	push_front(pending, r);
#ifndef BUG_REQUEUE_WITHOUT_WAKE
	wake_daemon()
#endif
}

inline revoke_one(r)
{
	if
	:: HAS(in_hand, r) ->
		if
		:: poisoned -> answer(r, false, true)
		:: else ->
#ifdef BUG_DEATH_LOSES
			unlink(in_hand, r)
#else
			requeue(r);
			suspect[r] = true
#endif
		fi
	:: else
	fi;
	if
	:: HAS(notices, r) ->
		unlink(notices, r);
#ifndef BUG_NOTICE_LEAKS
		put(r)
#endif
	:: else
	fi
}

inline revoke()
{
#if N == 2
	// From the back, so that the queue has them in the old order.
	if
	:: FRONT(in_hand) == 2 -> revoke_one(1); revoke_one(2)
	:: else -> revoke_one(2); revoke_one(1)
	fi;
#else
	revoke_one(1);
#endif
	session = 0;
	fetchers = 0
}

// ---- waiting

// wait_event(): onto the queue, then the look, then asleep until taken off. The caller has put itself onto the queue in
// the step before, which changes nothing: the look comes after that. (Nor does the look before the queue.)
inline wait_barrier(place, condition)
{
	do
	:: atomic { condition -> barrier = barrier & ~(place); break }
	:: else -> atomic { !(barrier & (place)) -> barrier = barrier | (place) }
	od
}

// ---- cancel, on a thread of the driver

inline cancel_locked(r)
{
	leave(r, true);
	state[r] = Finished;
	live--;
	if
	:: live == 0 -> wake_barrier()
	:: else
	fi;
	END(r);
	in_table[r] = false;
	put(r)
}

// The last thing that a driver's thread does is to tell the stop function so. The references are dropped before that.
inline cancel(r, place)
{
#ifdef BUG_CHECK_THEN_ACT
	if
	:: in_table[r] && state[r] != Finished -> d_step { cancel_locked(r); signalled++ }
	:: else -> signalled++
	fi
#else
	d_step {
		IN_CORE;
		if
		:: in_table[r] && state[r] != Finished -> cancel_locked(r)
		:: in_table[r] && state[r] == Finished ->
			ref[r]++;
			barrier = barrier | (place);
			waiting = true
		:: else
		fi
	}
	if
	:: waiting ->
#ifndef BUG_CANCEL_WITHOUT_BARRIER
		wait_barrier(place, running != r);
#endif
		// NotFound: the callback has run, and runs no more.
		atomic {
			TOUCH_KEXT;
			put(r);
			assert(ended[r] && !in_callback[r]);
			waiting = false;
			IN_TEXT;
			signalled++
		}
	:: else -> atomic { assert(ended[r] && !in_callback[r]); IN_TEXT; signalled++ }
	fi
#endif
}

active proctype Submitter()
{
	byte r = 1;
	bool with_deadline, found, waiting, sleepers;

	do
	:: r > N -> break
	:: else ->
		// find_owner_locked() is called a second time, for allocate_tag_locked() may have let go of the lock; it is
		// the second that decides.
#ifdef BUG_OWNER_NOT_LOOKED_UP_AGAIN
		found = kext == Starting || kext == Started;
#endif
#ifdef BUG_FETCH_ACTIVE_OUTSIDE
		sleepers = fetchers != 0;
#endif
		atomic {
			IN_TEXT;
#ifndef BUG_FETCH_ACTIVE_OUTSIDE
			sleepers = fetchers != 0;
#endif
#ifndef BUG_OWNER_NOT_LOOKED_UP_AGAIN
			found = kext == Starting || kext == Started;
#endif
			if
			:: with_deadline = true
			:: with_deadline = false
			fi;
			if
			:: found ->
				accepted[r] = true;
				in_table[r] = true;
				ref[r] = 1;
				TOUCH_KEXT;
				kext_ref++;
				state[r] = Pending;
				live++;
				timed[r] = with_deadline;
				if
				:: pending == 0 && sleepers -> wake_daemon()
				:: else
				fi;
				push_back(pending, r)
			:: else -> refused[r] = true
			fi;
			found = false;
			sleepers = false;
			with_deadline = false;
			r++
		}
	od;
	if
	:: accepted[1] -> cancel(1, 1)
	:: signalled++
	fi;
	// It still has to leave the driver's text, from wherever it was preempted.
	d_step { IN_TEXT; users-- }
}

active proctype Canceller()
{
	byte r = 1;
	bool waiting;

#if N == 2
	if
	:: r = 1
	:: r = 2
	fi;
#endif
	if
	:: accepted[r] -> cancel(r, 2)
	:: signalled++
	fi
}

// ---- the callback worker

active proctype Callback()
{
	byte r;
	bool won, sleepers;

end:
	do
	:: core_gone -> break
	:: d_step {
		cb_queued && !core_gone ->
		cb_queued = false;
		IN_CORE;
		TOUCH_KEXT;
		if
		:: ALLOWED && answered != 0 ->
			r = FRONT(answered);
			TOUCH(r);
#ifdef BUG_WINNER_AT_REPLY
			unlink(answered, r);
#else
			take(r, won);
			assert(won);
			won = false;
#endif
			running = r;
			cb_running = true;
			// and into the driver
			IN_TEXT;
			assert(kext == Started || kext == Flushing);
			END(r);
			in_callback[r] = true
		:: else
		fi
	};
		if
		:: r == 0
		:: r != 0 ->
#ifdef BUG_CANCEL_WAITS_IN_CALLBACK
			barrier = barrier | 4;
			wait_barrier(4, running != r);
			skip;
#endif
#ifdef BUG_BARRIER_ACTIVE_OUTSIDE
			sleepers = barrier != 0;
#endif
			d_step {
				// The callback may cancel its own request: NotFound, and no wait.
				IN_TEXT;
				TOUCH(r);
				assert(in_table[r] && state[r] == Finished);
				in_callback[r] = false;
				if
				:: data[r] -> data[r] = false; payloads--
				:: else
				fi;
				// with the lock
				running = 0;
				in_table[r] = false;
#ifdef BUG_BARRIER_ACTIVE_OUTSIDE
				if
				:: sleepers -> wake_barrier()
				:: else
				fi;
				sleepers = false
#else
				wake_barrier()
#endif
			}
			d_step {
				put(r);
				queue_callback(); // the end of kCallbacksPerRun
				r = 0;
				IN_CORE;
				cb_running = false
			}
		fi
	od
}

// The timer, its work and that work's hold of the lock are one step, for who sees one of them sees all; its return is
// another.
active proctype Deadline()
{
end:
	do
	:: core_gone -> break
	:: d_step { timed[1] -> dl_running = true; answer(1, false, false) };
		d_step { IN_CORE; dl_running = false }
#if N == 2
	:: d_step { timed[2] -> dl_running = true; answer(2, false, false) };
		d_step { IN_CORE; dl_running = false }
	:: d_step { timed[1] && timed[2] -> dl_running = true; answer(1, false, false); answer(2, false, false) };
		d_step { IN_CORE; dl_running = false }
#endif
	od
}

// ---- the daemons

#define IN_HAND(s, r) (in_table[r] && state[r] == Fetched && session == (s))

inline reply_plain(s, r)
{
	d_step {
		IN_CORE;
		if
		:: IN_HAND(s, r) -> answer(r, false, true)
		:: else
		fi
	}
}

// The payload is copied without the lock.
inline reply_payload(s, r)
{
	if
	:: atomic { IN_HAND(s, r) -> IN_CORE; payloads++ };
		d_step {
			IN_CORE;
			if
#ifdef BUG_REPLY_LOOKS_ONCE
			:: true -> answer(r, true, true)
#else
			:: IN_HAND(s, r) -> answer(r, true, true)
#endif
			:: else -> payloads--
			fi
		}
	:: !IN_HAND(s, r)
	fi
}

#define DEAD 3 // in r

// What was fetched, with a reference; 0 and it waits: there was nothing; DEAD: this is not the daemon any more. Who
// finds nothing goes onto core.fetch.
inline fetch(s, t)
{
	d_step {
		IN_CORE;
		if
		:: !IS_DAEMON(s) ->
			r = DEAD;
			wake_daemon()
		:: else ->
			if
			:: notices != 0 ->
				r = FRONT(notices);
				TOUCH(r);
				unlink(notices, r);
				notice = true
			:: notices == 0 && FETCHABLE ->
				r = FRONT(pending);
				TOUCH(r);
				unlink(pending, r);
				state[r] = Fetched;
				push_back(in_hand, r);
#ifndef BUG_FETCH_WITHOUT_REFERENCE
				ref[r]++
#endif
			:: else -> push_back(fetchers, t)
			fi;
			if
			:: FETCHABLE -> wake_daemon()
			:: else
			fi
		fi
	}
}

// The copy to user memory, without the lock; what a failed one does; the reference. Leaves r when the daemon has it.
inline copy(s)
{
	if
	:: d_step {
		!faulted -> TOUCH(r);
		faulted = true;
#ifndef BUG_FETCH_LOSES
		// put_back()
		IN_CORE;
		if
		:: notice && session == s ->
			ref[r]++;
			push_front(notices, r);
			wake_daemon()
		:: !notice && state[r] == Fetched && session == s -> requeue(r)
		:: else
		fi;
#endif
		put(r);
		r = 0;
		notice = false
	}
	:: d_step {
		IN_CORE;
		TOUCH(r);
#ifdef BUG_FETCH_WITHOUT_REFERENCE
		if
		:: notice -> put(r)
		:: else
		fi;
#else
		put(r);
#endif
		if
		:: notice || SIGNAL(s) -> r = 0
		:: else
		fi;
		notice = false
	}
	fi
}

inline reply(s)
{
	if
	:: reply_plain(s, r)
	:: reply_payload(s, r)
	fi;
	r = 0
}

inline close_file(s)
{
	d_step {
		IN_CORE;
		if
		:: s == 1 -> holders--
		:: else
		fi;
		if
		:: s == 2 || holders == 0 ->
			if
			:: session == s -> revoke()
			:: else
			fi;
			files--
		:: else
		fi
	}
}

// t: this thread on core.fetch. s: its session.
inline serve(s, t)
{
	do
	:: SIGNAL(s) -> break
	:: !SIGNAL(s) ->
		fetch(s, t);
		if
		:: r == DEAD -> r = 0; break
		:: r == 0 ->
			// wait_for_requests(), which a signal ends
			do
			:: atomic { !IS_DAEMON(s) || FETCHABLE -> unlink(fetchers, t); break }
			:: else ->
				if
				:: atomic { SIGNAL(s) -> unlink(fetchers, t); break }
				:: atomic { !HAS(fetchers, t) -> push_back(fetchers, t) }
				fi
			od
		:: r != 0 && r != DEAD ->
			copy(s);
			if
			:: r == 0
			:: r != 0 -> reply(s)
			fi
		fi
	od
}

// The first daemon and, when its process is gone, the next: whose open takes over from a file that is still open.
active proctype Daemon()
{
	byte r;
	bool notice;

	if
	:: text_gone -> goto out
	:: d_step { !text_gone -> session = 1; files++; opened = true }
	fi;
	serve(1, 1);
	close_file(1);
	if
	:: text_gone -> skip
	:: d_step {
		!text_gone ->
		if
		:: session == 1 -> revoke()
		:: else
		fi;
		session = 2;
		files++
	};
		serve(2, 1);
		close_file(2)
	fi;
out:
	skip
}

// Another thread of the first daemon, alive or dead: it replies without having fetched, or fetches too.
active proctype Thread()
{
	byte r;
	bool notice;

	if
	:: SIGNAL(1) -> goto out
	:: d_step { opened && !SIGNAL(1) -> holders++ }
	fi;
	if
	:: skip
#ifndef NO_REPLIER
	:: reply_payload(1, 1)
#if N == 2
	:: reply_payload(1, 2)
#endif
#endif
#ifdef FETCHING_THREAD
	:: !SIGNAL(1) && FETCHABLE ->
		fetch(1, 2);
		if
		:: r == DEAD
		:: r == 0 -> unlink(fetchers, 2) // KEXTD_EXCHANGE_NOWAIT
		:: r != DEAD && r != 0 ->
			copy(1);
			if
			:: r == 0
			:: r != 0 -> reply(1)
			fi
		fi
#endif
	fi;
	close_file(1);
out:
	skip
}

// Who may act, may also choose not to: else it would hide that the others are stuck.
active proctype Killer()
{
	if
	:: skip
#ifndef NO_CRASH
	:: opened && !text_gone -> gone = true
#endif
	fi
}

// One round of discard_requests(): after a start that failed.
inline discard(r)
{
	if
	:: d_step {
		in_table[r] && state[r] != Finished ->
		take(r, won);
		assert(failing);
		END(r);
		in_table[r] = false
	};
		d_step { put(r); won = false }
	:: !(in_table[r] && state[r] != Finished)
	fi
}

// ---- the kext and the core, from start to end

active proctype Owner()
{
	byte r;
	bool failing, idle, won;

	if
	:: atomic { users == 0 && signalled == 2 -> failing = true } // a start function joins its threads before it fails
	:: atomic {
		kext = Started;
		if
		:: answered != 0 -> queue_callback()
		:: else
		fi;
		put_kext(); // load()'s
		// Unloaded when it is idle only, everything must come to an end without a flush.
		if
		:: idle = true
		:: idle = false
		fi
	}
	fi;
	if
	:: failing -> goto going
	:: d_step { !failing && idle && live == 0 && (refused[N] || accepted[N]) -> kext = Flushing; idle = false }
	:: !failing && !idle -> kext = Flushing
	fi;
	// flush()
	d_step {
		r = 1;
		do
		:: r > N -> break
		:: else ->
			if
			:: state[r] == Pending || state[r] == Fetched -> answer(r, false, false)
			:: else
			fi;
			r++
		od;
		r = 0;
		barrier = barrier | 8
	}
#ifdef BUG_UNLOAD_IGNORES_RUNNING
	wait_barrier(8, live == 0);
#else
	wait_barrier(8, live == 0 && running == 0);
#endif
	kext = Stopping;
	// The driver's stop function waits for its threads; then shim_synchronize_rcu_tasks().
	atomic {
#ifdef BUG_NO_GRACE_PERIOD
		signalled == 2;
#else
		signalled == 2 && users == 0;
#endif
		assert(!in_callback[1] && !in_callback[N] && live == 0);
		kext_ref++ // unload_from_exit()
	}
going:
	kext = Gone;
	discard(1);
#if N == 2
	discard(2);
#endif
	// callback_work_.cancel(), and the kernel frees the module
	atomic {
#if defined(BUG_EXIT_FLUSHES_CALLBACKS)
		cb_running || !cb_queued;
		!cb_running;
#elif !defined(BUG_EXIT_IGNORES_WORKER)
		!cb_running;
		cb_queued = false;
#endif
		put_kext();
		put_kext();
		assert(users == 0 && !in_callback[1] && !in_callback[N]);
		text_gone = true
	}
	// exit_core(): not while a file of the core is open
	atomic {
		files == 0 && DEADLINE_WORK_GONE && !cb_queued && !cb_running -> core_gone = true;
		assert(kext_freed && payloads == 0 && session == 0 && fetchers == 0 && barrier == 0);
		r = 1;
		do
		:: r > N -> break
		:: else ->
			assert(accepted[r] == ended[r]);
			assert(freed[r] == accepted[r] && ref[r] == 0 && !in_table[r]);
			r++
		od;
		r = 0
	}
}

ltl ends { <> core_gone }
