# SPDX-License-Identifier: GPL-2.0-only
# From the lines "KEY RUN VALUE" of bench.c: the table, the goals and, into the file `json`, all of it.
# Exit status 1: a figure is missing, or cancel is not flat.

{ value[$1, $2] = $3 + 0 }

function fail(text) {
	print "bench: " text > "/dev/stderr"
	failed = 1
}

# The three runs of a figure: least[key], spread[key] in percent. 0: at least one is missing.
function gather(key,    i, v, most) {
	if (key in least)
		return 1
	for (i = 1; i <= 3; i++) {
		if (!((key, i) in value)) {
			fail("no figure: " key ", run " i)
			return 0
		}
		v = value[key, i]
		if (i == 1 || v < least[key])
			least[key] = v
		if (i == 1 || v > most)
			most = v
	}
	if (least[key] <= 0 && key !~ /^memory/)
		fail(key " is " least[key])
	spread[key] = least[key] ? 100 * (most - least[key]) / least[key] : 0
	return 1
}

function digits(v,    text) {
	text = sprintf("%.0f", v)
	while (match(text, /^[0-9]+[0-9][0-9][0-9]( |$)/))
		text = substr(text, 1, RLENGTH - 3 - (text ~ /^[0-9]+ /)) " " substr(text, RLENGTH - 2 - (text ~ /^[0-9]+ /))
	return text
}

function head(text) {
	printf "\n%-52s %12s %8s %9s  %s\n", text, "", "spread", "x floor", "(floor row)"
}

# A row of the table; `of` is the floor's row to compare with, or empty.
function row(label, key, of,    ratio, extra) {
	if (!gather(key)) {
		printf "%-52s %12s\n", label, "MISSING"
		return
	}
	ratio = "-"
	if (of && gather(of))
		ratio = sprintf("%.2f", least[key] / least[of])
	if ((key ".batch", 1) in value)
		extra = sprintf("; %.1f requests a fetch", value[key ".batch", 1])
	if ((key ".later", 1) in value)
		extra = sprintf("%.0f of them later, by RCU", value[key ".later", 1])
	printf "%-52s %12s %7.2f%% %9s  %s%s\n", label, digits(least[key]), spread[key], ratio,
		of ? of : "", extra
	add_json(label, key, of, ratio)
}

function add_json(label, key, of, ratio) {
	if (!(key in labels)) {
		labels[key] = label
		keys[++key_count] = key
	}
	if (ratio != "-")
		ratios[key] = ratios[key] (ratios[key] ? ", " : "") sprintf("\"%s\": %.3f", of, ratio)
}

function json_rows(    i, key, rows) {
	for (i = 1; i <= key_count; i++) {
		key = keys[i]
		rows = rows (rows ? ",\n" : "") sprintf("  {\"key\": \"%s\", \"label\": \"%s\", \"runs\": [%.2f, %.2f, %.2f], " \
			"\"min\": %.2f, \"spread_percent\": %.2f, \"ratio\": {%s}}", key, labels[key],
			value[key, 1], value[key, 2], value[key, 3], least[key], spread[key], ratios[key])
	}
	return rows
}

function goal(name, text, met) {
	printf "%-4s %s: %s\n", name, text, met ? "met" : "not met"
	goals = goals (goals ? ",\n" : "") sprintf("  {\"goal\": \"%s\", \"text\": \"%s\", \"met\": %s}", name, text, met ? "true" : "false")
}

function most_of(keys, count,    i, most) {
	for (i = 1; i <= count; i++)
		if (least[keys[i]] > most)
			most = least[keys[i]]
	return most
}

function report() {
	print release ", one CPU, instructions: the least of 3 runs, and how far above it the worst one is"

	head("The floor: a bare device")
	row("pipe, there and back, 2 processes", "pipe", "floor_block_1")
	row("asker sleeps, 1 in flight", "floor_block_1")
	row("asker sleeps, 32 in flight", "floor_block_32")
	row("callback in the daemon's call, 1 in flight", "floor_callback_1")
	row("callback in the daemon's call, 32 in flight", "floor_callback_32")
	row("callback in a worker, 1 in flight", "floor_worker_1")
	row("callback in a worker, 32 in flight", "floor_worker_32")
	row("the same, 1 KiB, 1 in flight", "floor_worker_1_1k")
	row("the same, 1 KiB, 32 in flight", "floor_worker_32_1k")
	row("the same, 1 MiB", "floor_worker_1m")
	row("the same, 16 MiB", "floor_worker_16m")

	head("Request to callback, per request")
	row("1 in flight", "callback_1", "floor_callback_1")
	row("  against a floor that has a worker too", "callback_1", "floor_worker_1")
	row("32 in flight", "callback_32", "floor_block_32")
	row("  against a floor that has a worker too", "callback_32", "floor_worker_32")
	row("asker sleeps until its callback, 1 in flight", "block_1", "floor_block_1")
	row("1 KiB by bytes, 1 in flight", "callback_1_1k", "floor_worker_1_1k")
	row("1 KiB by bytes, 32 in flight", "callback_32_1k", "floor_worker_32_1k")
	row("1 MiB by bytes", "callback_1m", "floor_worker_1m")
	row("1 MiB by descriptor", "callback_1m_fd", "floor_worker_1m")
	row("16 MiB by bytes", "callback_16m", "floor_worker_16m")
	row("16 MiB by descriptor", "callback_16m_fd", "floor_worker_16m")

	head("Cancel, per call")
	row("1 pending", "cancel_1")
	split("random newest oldest", orders, " ")
	cancels[1] = "cancel_1"
	for (i = 1; i <= 3; i++) {
		row("1 000 pending, " orders[i], cancels[1 + i] = "cancel_1000_" orders[i])
		row("100 000 pending, " orders[i], cancels[4 + i] = "cancel_100000_" orders[i])
	}
	row("all of 100 000, random, with no request between", cancels[8] = "drain")

	head("Submit, per call")
	row("1 pending", "submit_1")
	for (i = 1; i <= 3; i++) {
		row("1 000 pending, after a cancel of the " orders[i], "submit_1000_" orders[i])
		row("100 000 pending, after a cancel of the " orders[i], "submit_100000_" orders[i])
	}
	row("0 to 100 000, in a row", "fill")

	head("By kexts loaded")
	row("request and cancel, 1 kext", "pair_1")
	row("request and cancel, 200 kexts", "pair_200")
	row("retain and release, 1 kext", "retain_1")
	row("retain and release, 200 kexts", "retain_200")

	head("Memory per pending request, bytes besides its names")
	for (i = 32; i <= 96; i += 32)
		row("names of " i " bytes", "memory_" i)

	print ""
	if (failed)
		return
	ratio = least["callback_1"] / least["floor_callback_1"]
	goal("G2", sprintf("callback, 1 in flight: %.0f, %.2f x the floor's callback of %.0f (goal <= 1.5 x)",
		least["callback_1"], ratio, least["floor_callback_1"]), ratio <= 1.5)
	ratio = least["callback_32"] / least["floor_block_32"]
	goal("G3", sprintf("32 in flight: %.0f, %.2f x the floor's 32 in flight of %.0f (goal <= 1.5 x)",
		least["callback_32"], ratio, least["floor_block_32"]), ratio <= 1.5)
	most = most_of(cancels, 8)
	goal("G10", sprintf("cancel, any order, 1 to 100 000 pending, RCU's part included: at most %.0f (goal <= 400)", most), most <= 400)
	split("memory_32 memory_64 memory_96", memories, " ")
	most = most_of(memories, 3)
	goal("G15", sprintf("memory per pending request: %.0f, %.0f, %.0f bytes besides names of 32, 64, 96 (goal <= 192)",
		least["memory_32"], least["memory_64"], least["memory_96"]), most <= 192)
	for (i = 5; i <= 7; i++)
		far[i - 4] = cancels[i]
	ratio = most_of(far, 3) / least["cancel_1"]
	printf "cancel flat from 1 to 100 000 pending: ratio %.2f (goal <= 2)\n", ratio
	goals = goals sprintf(",\n  {\"goal\": \"cancel flat\", \"ratio\": %.3f, \"met\": %s}", ratio, ratio <= 2 ? "true" : "false")
	if (ratio > 2)
		failed = 1
}

END {
	report()
	printf "{\"kernel\": \"%s\", \"ok\": %s, \"figures\": [\n%s\n], \"goals\": [\n%s\n]}\n", release,
		failed ? "false" : "true", json_rows(), goals > json
	exit failed
}
