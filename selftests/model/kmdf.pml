// SPDX-License-Identifier: GPL-2.0-only
// A KMDF request from its submission to its last reference, with everybody who may touch it, for spin: what
// module/kmdf/request.hpp says in its table. selftests/model/run checks it; each BUG_ is a break that must be found.
// Each d_step is one scope of a SpinGuard, or one operation of the kernel that is atomic by itself.
//
// TAKES module/kmdf: each state.take() there is a TAKE() here, and the other way round (selftests/model/run compares)
//
//  process     mirrors
//  Client      client.cpp make_request(), serve(); device.cpp submit(), enqueue(): a thread of a program, which may be killed
//  Worker      queue.cpp take_due_locked(), deliver(), present(): whoever is in the dispatcher, two at once; and the
//              driver's EvtIoRead, EvtRequestCancel and EvtIoCanceledOnQueue
//  Driver      request.cpp WdfRequestUnmarkCancelable(), complete(); queue_api.cpp retrieve(): the driver's own thread
//  Canceller   request.cpp cancel_request(): an ioctl, or another thread of the program
//  Purger      queue.cpp begin_purge(), cancel_all(), purge_and_wait(), of one queue after the other: the device's removal
//
// What selftests/model/run checks (safety: assertions and invalid end states; live: the claim at the end):
// CHECK one safety: one request, everybody
// CHECK one live: it all comes to an end. Without fairness, for no schedule is endless: it needs none
// CHECK told safety -DTOLD: the queues have an EvtIoCanceledOnQueue
// CHECK mistakes safety -DMISTAKES: the driver completes what it has marked without an unmark, also while it is cancelled
//
// What it must find, and with which options:
// BUG_CANCEL_CHECKS_FIRST: a cancel looks at the state, lets go of the lock and acts
// BUG_UNMARK_CHECKS_FIRST: so does an unmark
// BUG_UNMARK_OF_CANCELLED: an unmark takes back what is Cancelled
// BUG_COMPLETE_OF_DONE -DMISTAKES: a completion does not look whether there was one
// BUG_EARLY_IS_NOT_NOTED -DMISTAKES: what is completed before its EvtRequestCancel forgets that it is due
// BUG_MARK_FORGETS_CANCEL: what was cancelled before it was marked stays Cancelable
// BUG_MARK_DURING_PURGE: a mark does not look whether the queue is being purged
// BUG_PURGE_FORGETS_MARKED: a purge cancels what is queued only
// BUG_LIST_WITHOUT_REFERENCE: the list of those whose EvtRequestCancel is due has no reference
// BUG_FORWARD_FORGETS_CANCEL: what was cancelled is put into the other queue all the same
// BUG_FORWARD_INTO_PURGED: a queue that was purged takes what is forwarded
// BUG_TOLD_FORGETS_CANCEL -DTOLD: what is forwarded after its cancel waits in the queue, and its driver is not told
// BUG_RETRIEVE_CHECKS_FIRST: a retrieve finds the request, lets go of the lock and takes it
// BUG_CALLED_TWICE -DMISTAKES: what its EvtRequestCancel is called of leaves the list when that has returned
//
// Smaller than life: the dispatcher is always looked at, so that nothing is lost for want of a thread (that is what
// selftests/schedules is about); there are no levels, locks of the driver, power, or requests that are sent.

mtype = { Owned, Queued, Cancelable, Cancelled, Called, Done }
// Marks it, and waits for the cancel; marks it, and its thread unmarks and completes it; its thread completes it; the
// handler does; its thread forwards it, and perhaps retrieves it.
mtype = { Waits, Finishes, Keeps, Inline, Forwards }

// ---- what the lock guards

mtype state = Owned; // submitted, and in no queue yet
byte ref = 2;        // the one that stands for its not being completed, and the client's
bool freed;
bool listed;         // in its file's list: a cancel finds it
bool canceled;
bool presented;
bool early;
bool called;
bool due;            // in queue.cancelled
bool due_on_queue;   // in queue.canceled_on_queue
byte where;          // the queue that it is in, or was in last: 1, which the dispatcher empties, or 2, a manual one
bool owned;          // in queue.owned
bool finished;
bool accepts[3] = true;
bool purging[3];

// ---- the world

mtype plan;          // what the driver does with it
bool source_cancels; // who is there
bool source_purges;
bool source_kills;
bool killed;         // the client
bool referenced;     // by the driver's thread, which
bool given;          // goes on with it now
byte over;           // processes that have ended, but workers
byte workers;        // that have
bool all_over;

// ---- what is to be proved

byte completions;    // that were made
byte cancels;        // calls of EvtRequestCancel
byte told_cancels;   // of EvtIoCanceledOnQueue
bool unmarked;       // an unmark has succeeded since the last mark

#define TOUCH assert(!freed && ref > 0)
#define IS(s) (state == s)
// As StateWord::take(), and the only way to change the state: a guard, and what follows has won.
#define TAKE(from, to) state == from -> state = to
#ifdef TOLD
#define TELLS true
#else
#define TELLS false
#endif
#ifdef MISTAKES
#define MAY_BREAK_RULES true
#else
#define MAY_BREAK_RULES false
#endif
#define ALL 4 // processes that end by themselves

inline get()
{
	TOUCH;
	ref++
}

inline put()
{
	TOUCH;
	ref--;
	freed = ref == 0
}

// ---- with the lock

// cancel_locked(). fin: whoever calls this finishes it.
inline cancel_locked(fin)
{
	TOUCH;
	fin = false;
	if
	:: IS(Done)
	:: IS(Queued) ->
		canceled = true;
		if
		:: TELLS && presented && TAKE(Queued, Cancelled); owned = true; get(); due_on_queue = true
		:: else ->
			if
			:: TAKE(Queued, Done); fin = true
			fi
		fi
	:: else ->
		canceled = true;
		cancel_marked_locked()
	fi
}

inline cancel_marked_locked()
{
	if
	:: TAKE(Cancelable, Cancelled);
		canceled = true;
#ifndef BUG_LIST_WITHOUT_REFERENCE
		get();
#endif
		due = true
	:: else
	fi
}

// ---- without

// finish(): whoever has taken the state to Done.
inline finish()
{
	d_step { TOUCH; assert(completions == 0); completions++ } // EvtCleanup
	d_step { finished = true; listed = false; owned = false }
	d_step { put() } // what stood for its not being completed
}

inline cancel(fin)
{
#ifdef BUG_CANCEL_CHECKS_FIRST
	bool was_queued;
	d_step { was_queued = IS(Queued) }
	d_step {
		if
		:: was_queued -> canceled = true; state = Done; fin = true
		:: else -> cancel_locked(fin)
		fi;
		was_queued = false
	}
#else
	d_step { cancel_locked(fin) }
#endif
	if
	:: fin -> finish(); fin = false
	:: else
	fi
}

// The driver's WdfRequestComplete().
inline complete(won)
{
	d_step {
		TOUCH;
		won = true;
		if
		:: TAKE(Owned, Done)
		:: TAKE(Called, Done)
		:: TAKE(Cancelable, Done); assert(MAY_BREAK_RULES)
		:: TAKE(Cancelled, Done);
			assert(MAY_BREAK_RULES);
#ifndef BUG_EARLY_IS_NOT_NOTED
			early = true
#endif
		:: else ->
			assert(MAY_BREAK_RULES && IS(Done));
#ifndef BUG_COMPLETE_OF_DONE
			won = false
#endif
		fi
	}
	if
	:: won -> finish(); won = false
	:: else
	fi
}

// Ex: what is cancelled is not marked.
inline mark(ex, ok)
{
	d_step {
		TOUCH;
		ok = true;
		assert(IS(Owned));
#ifndef BUG_MARK_DURING_PURGE
		if
		:: purging[where] -> canceled = true
		:: else
		fi;
#endif
		if
		:: canceled && ex -> ok = false
		:: else ->
			if
			:: TAKE(Owned, Cancelable); unmarked = false
			fi;
#ifndef BUG_MARK_FORGETS_CANCEL
			if
			:: canceled -> cancel_marked_locked()
			:: else
			fi
#endif
		fi
	}
}

inline unmark(ok)
{
#ifdef BUG_UNMARK_CHECKS_FIRST
	bool was_marked;
	d_step { was_marked = IS(Cancelable) }
	d_step {
		ok = was_marked;
		if
		:: ok -> state = Owned; unmarked = true
		:: else
		fi
	}
#else
	d_step {
		TOUCH;
		ok = true;
		if
		:: TAKE(Cancelable, Owned); unmarked = true
#ifdef BUG_UNMARK_OF_CANCELLED
		:: IS(Cancelled) -> state = Owned; unmarked = true
#endif
		:: else -> ok = false; assert(IS(Cancelled) || called)
		fi
	}
#endif
}

inline present(queue)
{
	if
	:: TAKE(Queued, Owned); presented = true; owned = true
	fi
}

// ---- who there is

proctype Client()
{
	bool fin;

	d_step { listed = true } // submit()
	d_step {                 // enqueue()
		if
		:: accepts[1] && !canceled ->
			if
			:: TAKE(Owned, Queued); where = 1
			fi
		:: else ->
			if
			:: TAKE(Owned, Done); fin = true
			fi
		fi
	}
	if
	:: fin -> finish(); fin = false
	:: else
	fi;
	if
	:: finished
	:: source_kills -> // it leaves at once, whatever the driver does
		killed = true;
		cancel(fin)
	fi;
	d_step { put(); over++ }
}

proctype Canceller()
{
	bool fin;

	if
	:: source_cancels ->
		if
		:: d_step { listed -> get() }
			cancel(fin);
			d_step { put() }
		:: finished
		fi
	:: else
	fi;
	over++
}

proctype Purger()
{
	bool fin;
	bool found;
	byte queue;

	if
	:: source_purges ->
		queue = 1;
		do
		:: queue > 2 -> break
		:: else ->
			d_step { accepts[queue] = false; purging[queue] = true }
#ifndef BUG_PURGE_FORGETS_MARKED
			d_step {
				if
				:: owned && where == queue -> cancel_marked_locked()
				:: else
				fi
			}
#endif
			d_step {
				found = IS(Queued) && where == queue;
				if
				:: found -> get()
				:: else
				fi
			}
			if
			:: found ->
				cancel(fin);
				d_step { put(); found = false }
			:: else
			fi;
			queue++
		od;
		!listed // drain()
	:: else
	fi;
	over++
}

// The handler's part of what the driver does; its own thread's part: Driver.
inline handle(ok, won)
{
	d_step {
		TOUCH;
		if
		:: plan == Finishes || plan == Keeps || plan == Forwards -> get(); referenced = true
		:: else
		fi
	}
	if
	:: plan == Inline -> complete(won)
	:: plan == Waits || plan == Finishes ->
		if
		:: mark(true, ok)
		:: mark(false, ok)
		fi;
		if
		:: !ok -> complete(won)
		:: else
		fi;
		given = plan == Finishes
	:: else -> given = true
	fi;
	ok = false
}

proctype Worker()
{
	bool ok;
	bool won;

	do
	:: d_step {
			due ->
#ifndef BUG_CALLED_TWICE
			due = false;
#endif
			TOUCH;
			called = true;
			if
			:: TAKE(Cancelled, Called); ok = true
			:: else -> ok = early
			fi
		}
		if
		:: ok ->
			d_step { cancels++; assert(cancels == 1 && !unmarked); ok = false }
			complete(won);
#ifdef BUG_CALLED_TWICE
			due = false;
#endif
			d_step { put() } // the list's
		:: else
		fi
	:: d_step {
			due_on_queue -> due_on_queue = false;
			TOUCH;
			if
			:: TAKE(Cancelled, Owned); ok = true
			:: else -> ok = early
			fi
		}
		if
		:: ok ->
			d_step { told_cancels++; assert(told_cancels == 1); ok = false }
			complete(won)
		:: else
		fi;
		d_step { put() }
	:: d_step { IS(Queued) && where == 1 -> present(1) }
		handle(ok, won)
	:: over == ALL && !due && !due_on_queue && !IS(Queued) -> break
	od;
	workers++
}

// Into the other queue. busy: it takes nothing.
inline forward(fin, busy)
{
	d_step {
		TOUCH;
		assert(IS(Owned));
		fin = false;
		busy = false;
		if
#ifndef BUG_FORWARD_INTO_PURGED
		:: !accepts[2] -> busy = true
#endif
#ifndef BUG_FORWARD_FORGETS_CANCEL
		:: accepts[2] && canceled && !TELLS ->
			if
			:: TAKE(Owned, Done); fin = true
			fi
#endif
		:: else ->
			if
			:: TAKE(Owned, Queued); owned = false; where = 2
			fi;
#if defined(TOLD) && !defined(BUG_TOLD_FORGETS_CANCEL)
			if
			:: canceled -> cancel_locked(fin)
			:: else
			fi
#endif
		fi
	}
	if
	:: fin -> finish(); fin = false
	:: else
	fi
}

inline retrieve(ok)
{
#ifdef BUG_RETRIEVE_CHECKS_FIRST
	d_step { ok = IS(Queued) && where == 2 }
	d_step {
		if
		:: ok && IS(Queued) -> present(2)
		:: else
		fi
	}
#else
	d_step {
		ok = IS(Queued) && where == 2;
		if
		:: ok -> present(2)
		:: else
		fi
	}
#endif
}

proctype Driver()
{
	bool ok;
	bool fin;
	bool won;

	if
	:: given ->
		if
		:: plan == Keeps -> complete(won)
		:: plan == Finishes && completions == 0 ->
			unmark(ok);
			if
			:: ok -> complete(won)
			:: else
			fi
		:: plan == Finishes && completions > 0
		:: plan == Finishes && MAY_BREAK_RULES -> complete(won)
		:: plan == Forwards ->
			forward(fin, ok);
			if
			:: ok -> complete(won)
			:: !ok -> // a cancel may have to end it
				retrieve(ok);
				if
				:: ok -> complete(won)
				:: else
				fi
			:: !ok && (source_cancels || source_purges || source_kills)
			fi
		fi;
		d_step { put() }
	:: finished && !referenced
	fi;
	over++
}

init {
	atomic {
		if
		:: plan = Waits
		:: plan = Finishes
		:: plan = Keeps
		:: plan = Inline
		:: plan = Forwards
		fi;
		if
		:: source_cancels = true
		:: source_purges = true
		:: source_kills = true
		:: source_cancels = true; source_purges = true; source_kills = true
		fi;
		run Client();
		run Canceller();
		run Purger();
		run Driver();
		run Worker();
		run Worker()
	}
	atomic {
		over == ALL && workers == 2 ->
		assert(IS(Done) && completions == 1 && finished && freed && ref == 0);
		assert(!due && !due_on_queue && !owned && !listed);
		assert(!(unmarked && cancels > 0));
		all_over = true
	}
}

ltl ends { <> all_over }
