// SPDX-License-Identifier: GPL-2.0-only
// A kext from its load to the end of its text, with everybody who may start, keep, stop or delete it, for spin.
// selftests/model/run checks it; each BUG_ is a break that must be found. Each d_step is one scope of a Guard (or one
// operation of the kernel that is atomic by itself), with what its thread does before or after it that nobody sees.
//
//  process   mirrors
//  Insmod    kext.cpp load(), start(), leave_registry(); the kernel's module init
//  Asker     control.cpp unload(), unload.cpp begin_unload(), wait_done(): a program, which may be killed
//  Stopper   the same, with KEXTBRIDGE_UNLOAD_STOP_ONLY: the kext ends Loaded
//  Scan      unload.cpp scan_for_idle_kexts(), arm_next_scan_locked()
//  Life      unload.cpp advance(): stop(), hand_over(), conclude(), restart(); base/work.hpp
//  Exit      unload.cpp unload_from_exit(): enter_exit(), flush_and_stop(), leave_registry(), on the thread that deletes
//            the module, whoever that is; the kernel's free_module()
//  Daemon    daemon.cpp open_session(), fetch(), take_reply(), revoke_locked(); kextd's delete_module(O_NONBLOCK) and
//            finit_module(); the first one may die, or hang over it; then comes the next
//  Killer    the end of the first daemon's process
//  Deadline  in_flight.cpp expire_deadlines(), for the unload's message
//  Retainer  kext.cpp retain_locked(), release_locked()
//  Stranger  another module that takes and drops a reference to the kext's module
//  Loader    load.cpp load_kext(), release_loads_locked(), load_answered_locked(), unload.cpp restart_loaded()
//  Traffic   oskext.cpp submit() and a reply; Callback: kext.cpp run_callbacks() (both in full: request.pml)
//  Rmmod     rmmod -f, or plain rmmod of a KEXT_PLAIN_RMMOD kext
//
// Smaller than life: one request; a start fails once, a stop refuses once, one daemon dies. Time is not modelled: a
// deadline (once) and a scan that is armed may come at any moment. Who would be refused waits until he would not be, and
// may be refused all the same by then. The asker's message and the scan's have a place each, for one at a time.
//
// All of them at once are too many, and many never meet; so each check has some. STOP: it is stopped and not unloaded, once.
// SCAN: autounload. NO_ASKER: nobody
// asks for an unload. FORCE: rmmod -f. PLAIN: a KEXT_PLAIN_RMMOD kext, its rmmod. NO_LOADER, NO_TRAFFIC, NO_STRANGER,
// NO_RETAINER, NO_DEADLINE, NO_CRASH leave one out. RETAINS: how often it is retained.
//
// What selftests/model/run checks (safety: assertions and invalid end states; live: the claim at the end. Without
// fairness, for no schedule is endless: it needs none):
// CHECK life safety -DNO_LOADER: unload on request
// CHECK life live -DNO_LOADER: it comes to an end
// CHECK loads safety -DNO_TRAFFIC -DNO_STRANGER: and a load meanwhile
// CHECK loads live -DNO_TRAFFIC -DNO_STRANGER: which comes to an end, too
// CHECK autounload safety -DSCAN -DNO_ASKER: unload by the scan
// CHECK autounload live -DSCAN -DNO_ASKER -DNO_LOADER: which comes
// CHECK both safety -DSCAN -DNO_LOADER -DNO_TRAFFIC -DNO_DEADLINE: by either
// CHECK stop safety -DSTOP -DNO_TRAFFIC -DNO_STRANGER -DNO_DEADLINE: stop without unload, and start again
// CHECK stop live -DSTOP -DNO_TRAFFIC -DNO_STRANGER -DNO_DEADLINE -DNO_RETAINER: both come to an end
// CHECK stop_forced safety -DSTOP -DFORCE -DNO_ASKER -DNO_TRAFFIC -DNO_STRANGER: and rmmod -f
// CHECK forced safety -DFORCE -DNO_LOADER -DNO_STRANGER -DNO_RETAINER: rmmod -f at any moment
// CHECK forced live -DFORCE -DNO_LOADER -DNO_STRANGER -DNO_RETAINER: nobody waits for ever for what it overtook
// CHECK plain safety -DPLAIN -DNO_LOADER -DNO_STRANGER -DNO_DEADLINE: a kext that anybody may remove
// CHECK plain live -DPLAIN -DNO_LOADER -DNO_STRANGER -DNO_DEADLINE -DNO_TRAFFIC: and unloads of it come to an end
// CHECK plain_deadline deep safety -DPLAIN -DNO_TRAFFIC -DNO_LOADER -DRETAINS=2: and the rest of those who may meet it
// CHECK forced_load deep safety -DFORCE -DNO_TRAFFIC -DNO_STRANGER: rmmod -f, and a load
// CHECK both_deadline deep safety -DSCAN -DNO_LOADER -DNO_TRAFFIC: unload by either, with deadlines
// CHECK all deep safety: everybody who can meet a kext that nobody forces and no scan unloads
//
// What it must find, and with which options:
// BUG_RETAINS_IGNORED -DNO_LOADER: an unload of a retained kext
// BUG_RETAIN_WHILE_STOPPING -DNO_LOADER: a kext that is being stopped can be retained
// BUG_TWO_UNLOADS -DSCAN -DNO_LOADER -DNO_TRAFFIC: begin_unload() does not look whether one is under way
// BUG_STOP_DURING_CALLBACK -DNO_LOADER: the flush does not wait for the callback that runs
// BUG_DELETE_BEFORE_FLUSH -DNO_LOADER: the message goes to the daemon before the kext is stopped
// BUG_NO_BASE_ON_RESTART -DNO_LOADER: a kext that could not be deleted is started without a base reference
// BUG_LEASE_SURVIVES -DNO_LOADER: what a daemon was to delete when it died stays stopped
// BUG_CONCLUDE_DOES_NOT_LOOK_AGAIN -DPLAIN -DNO_LOADER: it starts a kext that module exit has taken
// BUG_EXIT_DOES_NOT_WAIT -DFORCE -DNO_LOADER: module exit does not wait for a start or an unload that runs
// BUG_LIFE_NOT_FLUSHED -DNO_LOADER: nor for the worker that unloads
// BUG_WAITERS_NEVER_WOKEN -DNO_LOADER: the end of an unload wakes nobody
// BUG_LOADS_NOT_RELEASED -DNO_TRAFFIC -DNO_STRANGER: nor does it release the loads that wait for it
// BUG_HANDED_OVER_TWICE -DSTOP -DNO_TRAFFIC -DNO_STRANGER -DNO_RETAINER -DNO_DEADLINE -DNO_CRASH: an unload that begins before the work for a load has run
// BUG_STOPPED_LOADS_WAIT -DSTOP -DNO_ASKER -DNO_TRAFFIC -DNO_STRANGER -DNO_RETAINER -DNO_DEADLINE: nobody starts a stopped kext for the loads that waited
// BUG_SCAN_IGNORES_PENDING -DSCAN -DNO_ASKER -DNO_LOADER: a scan unloads a kext with a pending request
// BUG_SCAN_WAITS_FOR_EVER live -DSCAN -DNO_ASKER -DNO_LOADER: a scan that waits for a daemon is forgotten
// BUG_NO_GRACE_PERIOD -DPLAIN -DNO_LOADER -DNO_STRANGER: the text goes while who released the kext is on its way out of it

mtype = { Starting, Started, Flushing, Stopping, Stopped, Loaded, Gone }
mtype = { Pending, Fetched, Answered, Finished }
mtype = { Coming, Live, Going, Freed }

// ---- what the lock guards

mtype kext = Starting; // kext.state
byte unload;           // kext.unload: 0, or a message
byte retains;
bool autounload;
byte request;          // 0: none, else:
#define WAITING 1
#define ANSWERED 2
#define RUNNING 3
#define MESSAGES 4
#define ASKED 1        // the messages: the asker's, the scan's, the stopper's
#define SCANNED 2
#define STOPPED 3
bool stop_only;        // kext.stop_only
mtype state[MESSAGES];
byte ref[MESSAGES];
bool queued[MESSAGES]; // Pending, for the daemon
bool timed[MESSAGES];
bool notice[MESSAGES];
bool success[MESSAGES];
mtype load;            // the Loader's message
bool load_queued;
byte session;
bool armed;            // core.scan_armed
bool scan_waiting;     // core.scan_waiting

// ---- the kernel's, and references

mtype module = Coming;
#ifdef PLAIN
byte module_ref = 1;   // of a module that is being initialised
#else
byte module_ref = 2;   // and the base reference
#endif
byte kext_ref = 2;     // the registry's and load()'s
bool kext_freed;
bool life_queued;
bool life_running;
bool cb_queued;
bool cb_running;
byte in_text;          // which release is on its way out of the kext's text
byte done;             // who is on core.done: bits
bool gone;             // the first daemon's process is dead
bool forced;           // rmmod -f
bool strange;          // the stranger's reference
bool start_failed;     // once
bool stop_refused;     // once
bool expired;          // a deadline, once

// ---- what is to be proved

bool in_start;
bool in_stop;
bool in_callback;
bool up;               // started, and not stopped

#define TEXT assert(module != Freed)
#define KEXT assert(!kext_freed)
#define MODULE TEXT // the struct goes with the text

inline start_begins() { TEXT; assert(!in_start && !in_stop && !in_callback && !up); in_start = true }
inline start_ends(ok) { TEXT; assert(in_start && !in_callback); in_start = false; up = ok }
inline stop_begins() { TEXT; assert(!in_start && !in_stop && !in_callback && up); in_stop = true }
inline stop_ends(ok) { TEXT; assert(in_stop && !in_callback); in_stop = false; up = !(ok) }

// ---- references

inline put_kext()
{
	assert(kext_ref > 0);
	kext_ref--;
	if
	:: kext_ref == 0 -> assert(kext == Gone && unload == 0 && request == 0); kext_freed = true
	:: else
	fi
}

inline put(m)
{
	assert(ref[m] > 0);
	ref[m]--;
	if
	:: ref[m] == 0 ->
		assert(state[m] == Finished);
		put_kext()
	:: else
	fi
}

inline put_module()
{
	MODULE;
	assert(module_ref > 0);
	module_ref--
}

#ifdef PLAIN
#define OWN (retains -> 1 : 0)
#else
#define OWN 1
#endif

// ---- with the lock

#define ALLOWED (kext == Started || kext == Flushing)
#define IS_DAEMON(s) (session == (s) && !((s) == 1 && gone))
#define LIVE (request == WAITING || request == ANSWERED)
#define CANDIDATE (autounload && kext == Started && !retains)
#ifdef BUG_SCAN_IGNORES_PENDING
#define BUSY false
#else
#define BUSY (request != 0)
#endif
#define IDLE (CANDIDATE && !BUSY && module_ref == OWN)

inline wake_done()
{
#ifndef BUG_WAITERS_NEVER_WOKEN
	done = 0
#else
	skip
#endif
}

inline set_state(next)
{
	KEXT;
	kext = next;
	done = 0
}

inline arm_next_scan()
{
	if
	:: CANDIDATE -> armed = true
	:: else
	fi
}

inline release_loads()
{
	if
#ifndef BUG_LOADS_NOT_RELEASED
	:: load == Pending && !load_queued && kext == Gone -> load_queued = true
	:: load == Pending && !load_queued && kext != Gone -> load = Finished; done = 0
#endif
	:: else
	fi
}

// The message leaves the state that it is in.
inline leave(m, with_notice)
{
	if
	:: state[m] == Fetched && with_notice -> ref[m]++; notice[m] = true
	:: else
	fi;
	queued[m] = false;
	timed[m] = false
}

inline finish_unload(m, ok)
{
	m = unload;
	if
	:: m == 0
	:: else ->
		unload = 0;
		assert(state[m] != Finished);
		leave(m, true);
		state[m] = Finished;
		success[m] = ok;
		wake_done();
		if
#ifdef STOP
		:: stop_only && kext == Loaded && load == Pending && !load_queued ->
#ifndef BUG_STOPPED_LOADS_WAIT
			queue_life()
#else
			skip
#endif
#endif
		:: else -> release_loads()
		fi;
		put(m); // the table's
		put(m)  // unload's
	fi;
	m = 0
}

inline queue_life()
{
	KEXT;
	life_queued = true
}

// m is unload, or was.
inline answer_unload(m, ok, by_daemon, scratch)
{
	assert(state[m] == Pending || state[m] == Fetched);
	leave(m, !by_daemon);
	state[m] = Answered;
	if
	:: kext != Gone -> queue_life()
	:: else ->
		finish_unload(scratch, true);
		armed = true // scan_now_locked()
	fi
}

inline revoke(scratch)
{
	if
	:: load == Fetched -> load = Pending; load_queued = true
	:: else
	fi;
	if
	:: notice[ASKED] -> notice[ASKED] = false; put(ASKED)
	:: else
	fi;
	if
	:: notice[SCANNED] -> notice[SCANNED] = false; put(SCANNED)
	:: else
	fi;
	session = 0;
	// What is Fetched, and with refuse_unloads_locked() what is not.
	if
#ifndef BUG_LEASE_SURVIVES
	:: unload != 0 && state[unload] == Fetched -> answer_unload(unload, false, true, scratch)
	:: unload != 0 && state[unload] == Pending && queued[unload] && kext == Stopped ->
		answer_unload(unload, false, false, scratch)
#endif
	:: else
	fi
}

// begin_unload() by somebody who holds a reference to the kext. began: it was not refused.
inline begin_unload(m, automatically)
{
	KEXT;
	began = false;
	if
	:: kext == Gone
#ifndef BUG_TWO_UNLOADS
	:: kext != Gone && unload != 0
#endif
	:: kext != Started && kext != Loaded
#ifndef BUG_RETAINS_IGNORED
	:: retains != 0
#endif
	:: automatically && BUSY
	:: (kext == Started || kext == Loaded) && module_ref != OWN
	:: session == 0
	:: else ->
		began = true;
		MODULE;
		assert(unload == 0);
		assert(!automatically || !LIVE);
		kext_ref++;
		state[m] = Pending;
		ref[m] = 3;
		unload = m;
		stop_only = false;
		if
		:: kext == Started -> set_state(Flushing)
		:: else -> set_state(Stopped)
		fi;
#ifdef BUG_DELETE_BEFORE_FLUSH
		put_module();
		queued[m] = true;
#endif
		queue_life()
	fi
}

#define ASKABLE ((kext == Started || kext == Loaded) && unload == 0 && !retains && module_ref == OWN && session != 0)

#ifndef NO_ASKER
active proctype Asker()
{
	bool began, killed;
#ifdef PLAIN
	// Else this could keep an rmmod waiting for ever: each time that it looks, another unload has begun.
	byte tries;
#define TRY_AGAIN (tries < 2)
#else
#define TRY_AGAIN true
#endif

	do
	:: kext == Gone || !TRY_AGAIN -> break
	:: d_step {
		ref[ASKED] == 0 && ASKABLE && TRY_AGAIN ->
#ifdef PLAIN
		tries++;
#endif
		kext_ref++ // find_kext_locked()
	};
		d_step {
			begin_unload(ASKED, false);
			if
			:: began -> done = done | 1 // wait_done()
			:: !began -> put_kext()
			fi
		}
		do
		:: !began -> break
		:: atomic {
			began && state[ASKED] == Finished ->
			done = done & ~1;
			began = false;
			put(ASKED);
			put_kext()
		}
		:: else ->
			if
			:: atomic { !(done & 1) -> done = done | 1 }
			:: atomic {
				!killed ->
				killed = true;
				done = done & ~1;
				began = false;
				put(ASKED);
				put_kext()
			}
			fi
		od
	od
}
#endif

#ifdef STOP
active proctype Stopper()
{
	bool began;

	if
	:: d_step { kext == Started && unload == 0 && !retains && module_ref == OWN -> kext_ref++ };
		d_step {
			KEXT;
			if
			:: kext != Started || unload != 0 || retains != 0 || module_ref != OWN -> put_kext()
			:: else ->
				began = true;
				done = done | 8;
				kext_ref++;
				state[STOPPED] = Pending;
				ref[STOPPED] = 3;
				unload = STOPPED;
				stop_only = true;
				set_state(Flushing);
				done = done | 8;
				queue_life()
			fi
		}
		do
		:: !began -> break
		:: atomic {
			began && state[STOPPED] == Finished ->
			done = done & ~8;
			began = false;
			put(STOPPED);
			put_kext()
		}
		:: else -> atomic { !(done & 8) -> done = done | 8 }
		od
	:: skip
	fi
}
#endif

#ifdef SCAN
// Another scan that would find nothing, and be armed again, is left out.
active proctype Scan()
{
	bool began;

end:
	do
	:: d_step { armed && session == 0 -> armed = false; scan_waiting = true }
	:: d_step { armed && session != 0 && !CANDIDATE -> armed = false }
	:: d_step { armed && session != 0 && IDLE && ref[SCANNED] == 0 -> armed = false; kext_ref++ };
		d_step {
			begin_unload(SCANNED, true);
			if
			:: began -> put(SCANNED)
			:: else
			fi;
			put_kext();
			began = false
		}
		// The next round finds none below this one's tag.
		d_step { arm_next_scan() }
	od
}
#endif

// ---- start and stop

inline started()
{
	start_ends(true);
	set_state(Started);
	if
	:: request == ANSWERED -> cb_queued = true
	:: else
	fi;
	if
	:: autounload -> arm_next_scan()
	:: else
	fi
}

inline discard_request()
{
	if
	:: LIVE -> request = 0; put_kext()
	:: else
	fi
}

inline flush()
{
	d_step {
		if
		:: request == WAITING -> request = ANSWERED; cb_queued = true
		:: else
		fi
	}
	// How a wait at the barrier is woken: request.pml
#ifdef BUG_STOP_DURING_CALLBACK
	!LIVE;
#else
	request == 0;
#endif
	d_step { set_state(Stopping); stop_begins() }
}

#ifndef BUG_HANDED_OVER_TWICE
#define HANDED_OVER (state[unload] == Fetched || queued[unload])
#else
#define HANDED_OVER false
#endif

active proctype Life()
{
	byte scratch;
	bool flushing, wanted;

end:
	do
	:: atomic {
		life_queued ->
		// advance()
		KEXT;
		life_queued = false;
		life_running = true;
#ifdef STOP
		// What it finds may have been queued a second time since.
	};
	atomic {
		wanted = kext == Loaded && unload == 0 && load == Pending && !load_queued;
#endif
		flushing = kext == Flushing
	};
		if
		:: wanted ->
			// start_for_loads(), restart_loaded()
			wanted = false;
			if
			:: d_step { kext == Loaded -> set_state(Starting); start_begins() };
				if
				:: d_step { started() }
				:: d_step {
						!start_failed ->
						start_failed = true;
						start_ends(false);
						discard_request();
						set_state(Loaded)
					}
				fi
			:: kext != Loaded
			fi;
			d_step {
				if
				:: unload == 0 -> release_loads()
				:: else
				fi
			};
			goto out
		:: flushing ->
			flushing = false;
			flush();
			if
			:: d_step { !stop_refused -> stop_refused = true; stop_ends(false) };
				d_step {
					set_state(Started);
					finish_unload(scratch, false);
					if
					:: autounload -> arm_next_scan()
					:: else
					fi
				};
				goto out
			:: d_step { stop_only -> stop_ends(true); set_state(Loaded); finish_unload(scratch, true) };
				goto out
			:: d_step { !stop_only -> stop_ends(true); set_state(Stopped) }
			fi
		:: !flushing && !wanted
		fi;
		if
		:: unload == 0 || kext != Stopped || HANDED_OVER
		:: d_step {
			unload != 0 && kext == Stopped && state[unload] != Answered && !HANDED_OVER ->
			// hand_over()
#if !defined(PLAIN) && !defined(BUG_DELETE_BEFORE_FLUSH)
			put_module()
#endif
		};
			// Nobody but a stranger can make the delete fail.
			assert(module == Going || module_ref == strange);
			if
#ifndef NO_DEADLINE
			:: d_step {
				unload != 0 && kext == Stopped && session != 0 && !expired ->
				queued[unload] = true;
				timed[unload] = true
			}
#endif
			:: d_step { unload != 0 && kext == Stopped && session != 0 -> queued[unload] = true }
			:: d_step {
				unload != 0 && kext == Stopped && session == 0 ->
				answer_unload(unload, false, false, scratch)
			}
			:: !(unload != 0 && kext == Stopped)
			fi
		:: d_step {
			unload != 0 && kext == Stopped && state[unload] == Answered ->
			// conclude()
			MODULE;
#if !defined(PLAIN) && !defined(BUG_NO_BASE_ON_RESTART)
			if
			:: module == Going -> scratch = 1
			:: else -> module_ref++
			fi
#endif
		};
			if
			:: scratch == 1 -> scratch = 0
#ifdef BUG_CONCLUDE_DOES_NOT_LOOK_AGAIN
			:: d_step { scratch == 0 -> set_state(Starting); start_begins() };
#else
			:: scratch == 0 && !(unload != 0 && kext == Stopped)
			:: d_step { scratch == 0 && unload != 0 && kext == Stopped -> set_state(Starting); start_begins() };
#endif
				if
				:: d_step { started() }
				:: d_step {
						!start_failed ->
						start_failed = true;
						start_ends(false);
						discard_request();
						set_state(Loaded)
					}
				fi;
				d_step { finish_unload(scratch, false) }
			fi
		fi;
out:
		atomic { KEXT; life_running = false }
	od
}

// After the kext is Gone: nobody queues a work of it any more.
#ifdef BUG_LIFE_NOT_FLUSHED
#define WORKS_OVER (!cb_running)
#else
#define WORKS_OVER (!cb_running && !life_queued && !life_running)
#endif

inline leave_registry(scratch)
{
	d_step {
		set_state(Gone);
		assert(!up && !in_start && !in_stop);
		// unload_gone_locked()
		if
		:: unload != 0 && state[unload] != Fetched -> finish_unload(scratch, true)
		:: else
		fi;
		release_loads();
		discard_request()
	}
	d_step {
		WORKS_OVER ->
		cb_queued = false;
		if
#ifdef PLAIN
		:: retains -> put_module()
#endif
		:: else
		fi;
		retains = 0;
		put_kext(); // the registry's
		put_kext()  // the caller's
	}
	d_step {
#ifndef BUG_NO_GRACE_PERIOD
		in_text == 0 -> // synchronize_rcu_tasks(); nobody new has got in since it is Gone
#endif
		// and the kernel frees the module
		assert(!in_start && !in_stop && !in_callback && !in_text && !up);
		module = Freed
	}
}

active proctype Insmod()
{
	byte scratch;

	d_step { start_begins() }
	if
	:: d_step { started() };
		d_step {
			put_kext(); // load()'s
			module = Live
#ifdef FORCE
			// rmmod -f between these two would be the kernel's own gap.
			;
			put_module()
		}
#else
		}
		d_step { put_module() } // the kernel's, for the time of init
#endif
	:: d_step { !start_failed -> start_failed = true; start_ends(false) };
		leave_registry(scratch)
	fi
}

active proctype Exit()
{
	byte scratch;

end:
	// unload_from_exit(), enter_exit()
	d_step { module == Going -> kext_ref++; done = done | 2 }
	do
#ifdef BUG_EXIT_DOES_NOT_WAIT
	:: atomic { kext != Started -> set_state(Gone); break }
#else
	:: atomic { kext == Stopped || kext == Loaded -> set_state(Gone); break }
#endif
	:: atomic { kext == Started -> set_state(Flushing); break }
	:: else -> atomic { !(done & 2) -> done = done | 2 }
	od;
	if
	:: kext == Flushing ->
		flush();
		atomic { stop_ends(true) } // whatever it says
	:: kext != Flushing
	fi;
	assert(forced || retains == 0);
	leave_registry(scratch)
}

// ---- requests and callbacks

#ifndef NO_TRAFFIC
active proctype Traffic()
{
	if
	:: atomic { (kext == Starting || kext == Started) && request == 0 -> request = WAITING; kext_ref++ };
		if
		:: d_step {
			request == WAITING ->
			request = ANSWERED;
			if
			:: ALLOWED -> cb_queued = true
			:: else
			fi
		}
		:: request != WAITING
		fi
	:: skip
	fi
}

active proctype Callback()
{
end:
	do
	:: d_step {
		cb_queued ->
		cb_queued = false;
		KEXT;
		if
		:: ALLOWED && request == ANSWERED ->
			request = RUNNING;
			cb_running = true;
			TEXT;
			assert(up && !in_start && !in_stop);
			in_callback = true
		:: else
		fi
	};
		if
		:: cb_running ->
			d_step {
				TEXT;
				assert(up && !in_start && !in_stop);
				in_callback = false;
				request = 0
			}
			d_step { KEXT; put_kext(); KEXT; cb_running = false }
		:: else
		fi
	od
}
#endif

// ---- retain and release

#ifndef NO_RETAINER
#ifndef RETAINS
#define RETAINS 1
#endif
active proctype Retainer()
{
	byte rounds;
	bool mine;

	do
	:: rounds == RETAINS -> break
	:: rounds < RETAINS ->
		if
		:: d_step {
			kext == Starting || kext == Started || kext == Loaded ->
#ifdef PLAIN
			if
			:: !retains && module == Going
			:: !retains && module != Going -> MODULE; module_ref++; mine = true
			:: retains -> mine = true
			fi;
#else
			mine = true;
#endif
			if
			:: mine -> retains++; autounload = true
			:: else
			fi
		}
#ifdef BUG_RETAIN_WHILE_STOPPING
		:: d_step { kext != Gone -> mine = true; retains++; autounload = true }
#endif
		:: skip
		fi;
		d_step {
			rounds++;
			if
			:: mine && kext != Gone ->
				retains--;
				if
#ifdef PLAIN
				:: retains == 0 -> put_module()
#endif
				:: else
				fi;
				in_text = rounds;
				armed = true
			:: else
			fi;
			mine = false
		}
		in_text = 0
	od
}
#endif

#ifndef NO_STRANGER
active proctype Stranger()
{
	if
	:: d_step { module == Live -> module_ref++; strange = true };
		d_step {
			if
			:: module == Live -> module_ref--
			:: else // rmmod -f did not ask
			fi;
			strange = false
		}
	:: skip
	fi
}
#endif

#if defined(FORCE) || defined(PLAIN)
active proctype Rmmod()
{
	if
#ifdef PLAIN
	:: atomic { module == Live && module_ref == 0 -> module = Going }
#else
	:: atomic { module == Live -> module = Going; forced = true }
#endif
	:: skip
	fi
}
#endif

// ---- OSKextLoadKextWithIdentifier()

#ifndef NO_LOADER
active proctype Loader()
{
	if
	:: kext == Started || kext == Starting
	:: atomic { kext == Loaded && unload == 0 -> kext_ref++ };
		// restart_loaded()
		if
		:: d_step { kext == Loaded -> set_state(Starting); start_begins() };
			if
			:: d_step { started() }
			:: d_step {
					!start_failed ->
					start_failed = true;
					start_ends(false);
					discard_request();
					set_state(Loaded)
				}
			fi
		:: kext != Loaded // Deferred
		fi;
		d_step { put_kext() }
	:: atomic {
		(kext == Flushing || kext == Stopping || kext == Stopped || kext == Gone) ->
		load = Pending;
		load_queued = kext == Gone || unload == 0
	};
		do
		:: done = done | 4;
			if
			:: atomic { load == Finished -> done = done & ~4; break }
			:: else -> !(done & 4)
			fi
		od
	:: skip
	fi
}
#endif

// ---- the daemons

#ifndef NO_DEADLINE
active proctype Deadline()
{
	byte scratch;

end:
	do
	:: d_step { unload != 0 && timed[unload] -> expired = true; answer_unload(unload, false, false, scratch) }
	od
}
#endif

inline daemon_came()
{
	if
#ifndef BUG_SCAN_WAITS_FOR_EVER
	:: scan_waiting -> scan_waiting = false; armed = true
#endif
	:: else
	fi
}

#define DEAD (s == 1 && gone)

// s: its session. The first one is followed by another, which does not die.
active proctype Daemon()
{
	byte s = 1;
	byte m, scratch;
	bool ok;

	d_step { session = 1; daemon_came() }
end:
	do
	:: !IS_DAEMON(s) ->
		// Its file is closed, unless a thread is still busy deleting: then the next open takes over.
		if
		:: d_step { session == 1 && module != Going -> revoke(scratch) }
		:: skip
		fi;
		d_step {
			if
			:: session == 1 -> revoke(scratch)
			:: else
			fi;
			s = 2;
			session = 2;
			daemon_came()
		}
	:: atomic { IS_DAEMON(s) && notice[ASKED] -> notice[ASKED] = false; put(ASKED) }
	:: atomic { IS_DAEMON(s) && notice[SCANNED] -> notice[SCANNED] = false; put(SCANNED) }
	:: atomic {
		IS_DAEMON(s) && unload != 0 && state[unload] == Pending && queued[unload] ->
		m = unload;
		queued[m] = false;
		state[m] = Fetched
	};
		if
		:: DEAD
		:: d_step { !DEAD && module == Live && module_ref == 0 ->
			// delete_module()
			assert(retains == 0);
#ifndef PLAIN
			assert(kext == Stopped && !up);
#endif
			module = Going
		};
			module == Freed || DEAD;
			ok = true
		:: !DEAD && module == Freed -> ok = true
		:: !DEAD && (module == Going || module == Coming || module_ref != 0)
		:: atomic { timed[m] -> DEAD || notice[m] || state[m] == Finished } // it hangs
		fi;
		if
		:: DEAD
		:: d_step {
			!DEAD ->
			if
			:: session == s && state[m] == Fetched -> answer_unload(m, ok, true, scratch)
			:: else
			fi
		}
		fi;
		d_step { m = 0; ok = false }
	:: atomic { IS_DAEMON(s) && load == Pending && load_queued -> load = Fetched; load_queued = false };
		// It finds the module, or loads it again, which is another's life.
		if
		:: DEAD
		:: d_step { !DEAD && session == s && load == Fetched && module != Going ->
			load = Finished; done = 0 }
		fi
	od
}

#ifndef NO_CRASH
active proctype Killer()
{
	if
	:: skip
	:: session == 1 -> gone = true
	fi
}
#endif

#define OVER (module == Freed && kext_freed && ref[ASKED] == 0 && ref[SCANNED] == 0 && ref[STOPPED] == 0 && load != Pending && load != Fetched)

#ifdef NO_ASKER
// It leaves by itself once it was retained, unless its start failed.
ltl ends { <> [] (OVER || kext == Loaded || !autounload) }
#elif defined(PLAIN)
// Who began has ended, and nobody waits.
ltl ends { <> [] (unload == 0 && done == 0) }
#else
ltl ends { <> OVER }
#endif
