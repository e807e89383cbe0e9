/* SPDX-License-Identifier: GPL-2.0-only */
/* Handing answers to the kernel, so that whoever asked is answered whatever the kernel thinks of them. */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../lib/kextbridge.h"
#include "job.hpp"
#include "resource.hpp"

namespace kext {

struct Reply {
	JobPtr job;
	Answer answer;
};

/* A job in a log line: what was asked for. */
std::string label(const Job &job);

/* A notice in a log line: what has happened. */
std::string describe(const kextbridge_record &notice);

/* The wire form; it points into `reply`. */
kextd_reply wire_form(const Reply &reply);

/*
 * What to answer instead when the kernel has refused a reply with `status`; nothing when the request is
 * not in hand any more.
 */
std::optional<OSReturn> second_answer(OSReturn status);

/*
 * Replaces `replies`, of which the kernel has judged the first `done`, by those that must be handed in
 * now: the ones it did not look at and second answers. Logs the refusals.
 */
void settle(std::vector<Reply> &replies, const std::vector<kextd_reply> &wire, size_t done);

/* The wire forms of at most KEXTD_EXCHANGE_MAX replies. */
std::vector<kextd_reply> wire_forms(const std::vector<Reply> &replies);

/* Hands in all replies; does not sleep. Empties `replies`. 0 or a negative errno. */
int hand_in(kextbridge_daemon *daemon, std::vector<Reply> &replies);

} // namespace kext
