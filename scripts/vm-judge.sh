# shellcheck shell=bash
# The verdict on a run of a guest, by what it has left in the working directory:
# the archive "result" of vm-init, the console, and for a hung guest
# console.before, the console without what SysRq printed.  Sourced by scripts/vm.
# shellcheck disable=SC2154,SC2034,SC2164 # shares its variables and set -e

bad_log='Call Trace:|BUG:|WARNING:|INFO: task|INFO: rcu|possible circular|UBSAN:|ODEBUG:|refcount_t:|list_(add|del) corruption|Oops|general protection|KASAN|KCSAN|CFI failure|lockup|blocked for more than|refusing to freeze|suspected memory leak|kernel NULL pointer|lockdep is turned off|vm: trouble:'

# interesting: of the tasks that SysRq t printed, keep the user processes and
# the kernel threads that are in a module; keep all other lines.
interesting() {
	awk '
		function flush() { if (!kthread || module) printf "%s", block; block = "" }
		/ task:/ { flush(); kthread = / ppid:(2|0) / && !/ pid:1 /; module = 0 }
		/ (Sched Debug|runnable tasks:|Showing busy workqueues|Showing all locks)/ { flush(); kthread = 0 }
		/ Sched Debug/ { exit }
		/\+0x[0-9a-f]+\/0x[0-9a-f]+ \[/ { module = 1 }
		{ block = block $0 "\n" }
		END { flush() }'
}

# last_lines FILE: the last lines of a console, from the first report on.
last_lines() {
	tail -n 200 "$1" | awk -v bad="$bad_log" '
		{ line[NR] = $0 }
		/vm: start/ { first = 0; next }
		!first && $0 ~ bad { first = NR }
		END {
			from = NR - 59
			if (first && first - 3 < from) from = first - 3
			for (i = from < 1 ? 1 : from; i <= NR; i++) print line[i]
		}'
}

# unpack_result: fill the directory result.d with what the guest has sent.
unpack_result() {
	tar -xf result -C result.d --no-same-owner --exclude=out 2>/dev/null || true
}

# judge: set verdict to the status that scripts/vm promises for this run, and
# log_state to what is to be said of the kernel log: clean, trouble, timeout,
# stopped (before the end) or broken (the guest is not what was asked for).
# The reasons go to stderr.
judge() {
	local known='IRQ lockup detection disabled'
	if [ ! -e result.d/end ]; then
		verdict=98
		if [ -n "$timed_out" ]; then
			log_state=timeout
			kb_note "no end within $timeout s; the last lines of the console, then SysRq w, d, l and t (without idle kernel threads):"
			last_lines console.before >&2
			echo ---- >&2
			tail -c "+$(($(wc -c <console.before) + 1))" console |
				interesting | head -n 600 >&2 || true
		else
			log_state=stopped
			kb_note "the guest stopped before the end (QEMU's status: $qemu_status); the last lines of the console:"
			last_lines console >&2
		fi
		return
	fi
	verdict=$(<result.d/status)
	if [ "$verdict" = broken ]; then
		verdict=98
		log_state=broken
		return
	fi
	log_state=clean
	# From the marker on; all of it if the marker has left the buffer.
	sed -n '/vm: start$/,$p' result.d/dmesg >scan
	if [ ! -s scan ]; then
		{
			echo 'vm: trouble: the kernel log has overflowed, or was cleared'
			cat result.d/dmesg
		} >scan
	fi
	# A race between functions of the kernel itself: no module is named in the first line of its report.
	[ "$kernel" != kcsan ] || known+='|BUG: KCSAN: data-race in [^[]*$'
	if grep -naE -e "$bad_log" scan >reports; then
		grep -avE -e "$known${allow:+|$allow}" reports >kept || true
		mv kept reports
	fi
	if [ -s reports ]; then
		kb_note "the kernel log has $(wc -l <reports) line(s) of trouble (the command's status: $verdict):"
		cut -d: -f1 reports | awk '
			NR == FNR { for (i = $1 - 3; i <= $1 + 25; i++) keep[i] = 1; next }
			keep[FNR]' - scan | head -n 300 >&2 || true
		verdict=99
		log_state=trouble
	fi
}

# keep_out DIR: put the guest's /out into DIR, if there is one.
keep_out() {
	case $log_state in clean | trouble) ;; *) return 0 ;; esac
	[ -n "$1" ] || return 0
	mkdir -p "$1"
	tar -xf result -C "$1" --no-same-owner --strip-components=1 out
}
