# shellcheck shell=bash
# scripts/vm --each: a guest is booted and prepared once, and each command runs
# in a machine of its own that goes on from there.  Sourced by scripts/vm.
# shellcheck disable=SC2154,SC2034,SC2164 # shares its variables and set -e
#
# The guest's memory is the file "ram".  The first machine writes to it, and is
# stopped for good; the others map it privately, so that a restored machine
# reads no more of it than it uses.  What else a machine is made of, a few
# kilobytes, is in the file "state".

# with_memory on|off: the arguments for memory that is shared or a private copy.
with_memory() {
	memory=(-machine 'pc,memory-backend=ram'
		-object "memory-backend-file,id=ram,size=${mem}M,mem-path=$tmp/ram,share=$1"
		-serial file:out -serial file:err -chardev 'pipe,id=cmd,path=cmd' -serial chardev:cmd)
}

# Channels of a machine: "cmd" brings the command and takes away the result.
open_channels() { exec {cmd_fd}<>cmd.out {in_fd}<>cmd.in {mon_fd}<>mon.in; }
close_channels() { exec {cmd_fd}>&- {in_fd}>&- {mon_fd}>&-; }

# make_snapshot: boot, prepare, and leave "ram" and "state"; exit if the preparation fails.
make_snapshot() {
	local receiver size timeout=$((timeout + 180))
	new_machine "$tmp/first" cmd
	open_channels
	with_memory on
	(
		read -r size && head -c "$size" >result
	) <cmd.out {cmd_fd}>&- &
	receiver=$!
	boot_machine "${memory[@]}" "${boot[@]}"
	watch_machine "$receiver"
	if [ -z "$timed_out" ] && kill -0 "$qemu_pid" 2>/dev/null; then
		echo 'migrate_set_parameter max-bandwidth 100G' >&"$mon_fd"
		echo 'migrate_set_capability x-ignore-shared on' >&"$mon_fd"
		echo 'migrate "exec:cat >../state"' >&"$mon_fd"
		echo quit >&"$mon_fd"
		watch_machine
	fi
	kill "$receiver" 2>/dev/null || true
	close_channels
	end_machine
	unpack_result
	[ ! -s result.d/release ] || release=$(cat result.d/release)
	judge
	if [ "$verdict" -ne 0 ]; then
		kb_note "the guest could not be prepared:"
		cat out err >&2
		exit "$verdict"
	fi
	[ -s ../state ] || kb_die "QEMU made no snapshot"
	kb_note "$release, $accel, boot $(cat result.d/start) s, prepared in $(seconds "$total") s," \
		"snapshot $(du -cm ../ram ../state | tail -n 1 | cut -f 1) MB"
	cd "$tmp"
	rm -r first
}

# run_fresh INDEX: in a subshell; runs the command in a machine of its own.
# Leaves out, err, report, dmesg and, last, status.
run_fresh() {
	local seed=${KEXTBRIDGE_SEED:-$((SRANDOM << 31 | SRANDOM >> 1))} status
	pids=()
	trap stop_all EXIT
	trap 'exit 143' INT TERM HUP
	new_machine "$tmp/$1" cmd
	open_channels
	with_memory off
	exec 2>report
	cat <cmd.out >result {cmd_fd}>&- &
	readers=($!)
	# A restored port may lose a character.
	printf '\n\n\n\nrun %s %s\n' "$seed" "${each_command[$1]}" >&"$in_fd"
	echo 'migrate_set_capability x-ignore-shared on' >&"$mon_fd"
	echo 'migrate_incoming "exec:cat ../state"' >&"$mon_fd"
	start_machine "${memory[@]}" -incoming defer
	watch_machine
	close_channels
	end_machine
	unpack_result
	judge
	[ ! -e result.d/dmesg ] || mv scan dmesg
	[ -e dmesg ] || cp console dmesg
	status=
	[ ! -s result.d/status ] || status=$(<result.d/status)
	keep_out "${out:+$out/${each_name[$1]}}"
	echo "== ${each_name[$1]} status=$verdict seconds=$(seconds "$total") log=$log_state exit=${status:-none} seed=$seed" >status
}

# give INDEX: print or keep what the run has left; sets failed.
give() {
	local name=${each_name[$1]} f
	cd "$tmp/$1"
	[ -s status ] || echo "== $name status=98 seconds=0 log=lost exit=none seed=none" >status
	[[ $(<status) == *' status=0 '* ]] || failed=$((failed + 1))
	if [ -n "$each_out" ]; then
		echo "$(<status)"
		for f in out err report dmesg status; do
			[ ! -e $f ] || mv $f "$each_out/$name.$f"
		done
	else
		cat out || true
		cat err report >&2 || true
		cat status
	fi
	cd "$tmp"
	rm -rf "${tmp:?}/$1"
}

# read_commands: fill each_name and each_command from the file.
read_commands() {
	local line number=0 name
	local -A seen=()
	each_name=()
	each_command=()
	while IFS= read -r line || [ -n "$line" ]; do
		number=$((number + 1))
		name=$number
		if [[ $line == *$'\t'* ]]; then
			name=${line%%$'\t'*}
			line=${line#*$'\t'}
		fi
		[ -n "$line" ] || continue
		[[ $name =~ ^[A-Za-z0-9_][A-Za-z0-9_.,:=+-]*$ ]] || usage_error "--each: no good name in line $number: '$name'"
		[ -z "${seen[$name]:-}" ] || usage_error "--each: two commands are named '$name'"
		# A line that a terminal takes, in raw mode or not.
		[ ${#line} -lt 4000 ] || usage_error "--each: line $number is too long"
		seen[$name]=1
		each_name+=("$name")
		each_command+=("$line")
	done <"$each"
	[ ${#each_name[@]} -gt 0 ] || usage_error "--each: no commands in $each"
}

# run_each: all commands, so many at once; returns the exit status of scripts/vm.
run_each() {
	local i=0 pid running=0 count start=$EPOCHSECONDS
	local -A index=()
	read_commands
	count=${#each_name[@]}
	failed=0
	if [ -n "$each_out" ]; then
		each_out=$(readlink -m "$each_out")
		mkdir -p "$each_out"
	fi
	make_snapshot
	while ((i < count || running > 0)); do
		if ((i < count && running < jobs)); then
			run_fresh "$i" &
			index[$!]=$i
			pids=("${!index[@]}")
			i=$((i + 1))
			running=$((running + 1))
		else
			wait -n -p pid "${!index[@]}" || true
			give "${index[$pid]}"
			unset "index[$pid]"
			pids=("${!index[@]}")
			running=$((running - 1))
		fi
	done
	kb_note "$((count - failed)) of $count commands without a fault, $((EPOCHSECONDS - start)) s"
	[ "$failed" -eq 0 ] || exit 1
}
