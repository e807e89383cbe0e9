// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios.hpp"

namespace schedules {

const Scenario scenarios[] = {
	{"kmdf-unmark", unmark_cancel, 2, 3, 1, "unmark against cancel"},
	{"kmdf-unmark-kill", unmark_kill, 2, 3, 0, "unmark against the death of the client, which closes its file"},
	{"kmdf-unmark-passive", unmark_passive, 2, 3, 0, "the same of a queue whose handlers are in workers"},
	{"kmdf-mark-only", mark_only, 2, 3, 1, "mark against cancel: nobody else ends it"},
	{"kmdf-two", two_cancel, 2, 3, 0, "two requests that are cancelled at once"},
	{"kmdf-mark", mark_cancel, 2, 3, 1, "mark, with and without Ex, against cancel"},
	{"kmdf-mark-serialized", mark_serialized, 2, 3, 0, "the same in a queue that calls one callback at a time"},
	{"kmdf-death", complete_death, 2, 3, 1, "complete against the death of the client"},
	{"kmdf-aio-cancel", aio_cancel, 2, 3, 0, "complete against io_cancel()"},
	{"kmdf-aio-death", aio_death, 2, 3, 0, "complete against the exit of a process with an asynchronous request"},
	{"kmdf-forward", forward_cancel, 2, 3, 1, "forward to a manual queue against cancel"},
	{"kmdf-forward-told", forward_told, 2, 3, 0, "the same with an EvtIoCanceledOnQueue"},
	{"kmdf-retrieve", retrieve_cancel, 2, 3, 1, "retrieve against cancel"},
	{"kmdf-purge", purge_complete, 2, 3, 0, "purge against complete"},
	{"kmdf-stop", stop_dispatch, 2, 3, 0, "stop against dispatch"},
	{"kmdf-suspend", suspend_complete, 2, 3, 0, "suspend and resume against dispatch and complete"},
	{"kmdf-send-cancel", send_cancel, 2, 3, 0, "complete below against the cancels of its sender and of a program"},
	{"kmdf-send-only", send_only, 2, 3, 1, "a send against the cancel of a program: nobody else ends it"},
	{"kmdf-send-stop", send_stop, 1, 2, -1, "the same, and a stop and start of the target"},
	{"kmdf-send-close", send_close, 2, 3, 0, "a send against the target's close"},
	{"kmdf-send-remove", send_remove, 2, 3, 0, "a send and its cancel against the removal of the device below"},
	{"kmdf-send-timeout", send_timeout, 2, 3, 0, "complete below against a cancel and the send's timeout"},
	{"kmdf-remove", remove_open, 2, 3, 0, "removal of a device against an open and a request"},
	{"kmdf-rmmod", rmmod_open, 2, 3, 0, "the driver's unload against an open and a request"},
	{"kmdf-timer", timer_stop, 2, 3, 0, "a timer's stop, its function and its delete"},
	{"kmdf-timer-anew", timer_anew, 2, 3, 0, "a timer that is due against its start for another time"},
	{"kmdf-workitem", workitem_flush, 2, 3, 1, "a work item's enqueue, flush and delete"},
	{"kmdf-handle", handle_lookup, 2, 3, 1, "look-ups of a handle against the object's delete"},
	{"kmdf-delete-twice", object_delete_twice, 2, 3, 1, "two deletes of an object"},
	{"kmdf-object", object_delete, 2, 3, 1, "dereferences against delete: the order of cleanup and destroy"},
	{},
};

} // namespace schedules
