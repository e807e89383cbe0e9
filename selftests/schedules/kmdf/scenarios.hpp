// SPDX-License-Identifier: GPL-2.0-only
// The scenarios' functions, by topic; scenarios.cpp names them.
#pragma once

#include "kit.hpp"

namespace schedules {

void unmark_cancel();
void unmark_kill();
void unmark_passive();
void mark_cancel();
void mark_only();
void two_cancel();
void mark_serialized();
void complete_death();
void aio_cancel();
void aio_death();

void forward_cancel();
void forward_told();
void retrieve_cancel();
void purge_complete();
void stop_dispatch();
void suspend_complete();

void send_cancel();
void send_only();
void send_stop();
void send_close();
void send_remove();
void send_timeout();

void remove_open();
void rmmod_open();
void timer_stop();
void timer_anew();
void workitem_flush();
void handle_lookup();
void object_delete();
void object_delete_twice();

} // namespace schedules
