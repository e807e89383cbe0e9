# shellcheck shell=bash
# The virtual machine of scripts/vm: QEMU, its pipes, and the eye on it.  A
# machine's pipes and files are in the working directory.  Sourced by scripts/vm.
# shellcheck disable=SC2154,SC2034,SC2164 # shares its variables and set -e

# kvm_works: whether a kernel boots under KVM; a /dev/kvm alone says little.
kvm_works() {
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
	local state boot_id line
	state=$(kb_cache_dir)/kvm-probe
	boot_id=$(cat /proc/sys/kernel/random/boot_id)
	line=
	[ ! -e "$state" ] || read -r line <"$state" || true
	case $line in
	"$boot_id yes") return 0 ;;
	"$boot_id no") return 1 ;;
	esac
	# Without a root file system the kernel panics and so ends QEMU.
	(
		timeout 4 qemu-system-x86_64 -accel kvm -cpu max -m 512 \
			-smp 2,sockets=2,cores=1,threads=1 -display none -nodefaults \
			-no-user-config -no-reboot -serial "file:$tmp/probe" \
			-kernel "$image" -append 'console=ttyS0 panic=-1' </dev/null || true
	) >/dev/null 2>&1
	if grep -aq 'Kernel panic' "$tmp/probe"; then
		line=yes
	else
		line=no
	fi
	mkdir -p "${state%/*}"
	echo "$boot_id $line" >"$tmp/state"
	mv "$tmp/state" "$state"
	[ "$line" = yes ]
}

if [ -z "$accel" ]; then
	accel=tcg
	! kvm_works || accel=kvm
fi

qemu=(qemu-system-x86_64 -m "$mem" -display none -nodefaults -no-user-config -no-reboot
	-chardev 'pipe,id=mon,path=mon' -mon 'chardev=mon,mode=readline'
	-chardev 'pipe,id=con,path=con' -serial 'chardev:con')
# KASAN would be silent after its first report.
# On a busy host the timer may look broken when the kernel tries it.
line="console=ttyS0 panic=-1 log_buf_len=4M kasan_multi_shot no_timer_check"
if [ -n "$icount" ]; then
	accel=icount
	qemu+=(-accel 'tcg,thread=single' -icount 'shift=0,sleep=off' -smp 1 -cpu 'max,-erms,-fsrm')
	line+=" loglevel=1 nokaslr norandmaps"
else
	line+=" loglevel=5"
	qemu+=(-smp "$smp,sockets=$smp,cores=1,threads=1" -cpu max)
	case $accel in
	kvm) qemu+=(-accel kvm) ;;
	tcg) qemu+=(-accel 'tcg,thread=multi') ;;
	esac
fi
# On an RT kernel the interrupt handler of the serial ports is a thread, and
# QEMU's port raises an interrupt for each byte that the thread writes.  The
# kernel would take most of them for spurious and turn the line off.
[[ $version != *PREEMPT_RT* ]] || line+=" noirqdebug"
line+=$append
boot=(-kernel "$image" -initrd "$tmp/initrd" -append "$line")

readers=()
boot_seconds=${KEXTBRIDGE_BOOT_SECONDS:-120}
exec 7</dev/null

# new_machine DIR [CHANNEL...]: the working directory of one machine, with the
# pipes of its monitor, its console and more channels.
new_machine() {
	mkdir -p "$1/result.d"
	cd "$1"
	shift
	set -- mon con "$@"
	mkfifo "${@/%/.in}" "${@/%/.out}"
}

# end_machine: after QEMU's end, when all else that writes to its pipes is gone too.
end_machine() {
	local p
	exec {con_fd}>&-
	for p in "${readers[@]}"; do
		wait "$p" || true
	done
	readers=()
	pids=()
	qemu_pid=
}

# start_machine ARGUMENT...: start QEMU with these arguments too, read its
# console, and start the clock.  Readers of other pipes must not have con_fd,
# or none of them would see the end.
start_machine() {
	: >console
	exec {con_fd}<>con.out
	if [ -n "$verbose" ]; then
		tee console <con.out >&2 {con_fd}>&- &
	else
		cat <con.out >console {con_fd}>&- &
	fi
	console_reader=$!
	readers+=("$console_reader")
	began=${EPOCHREALTIME//[.,]/}
	# Our child itself, so that a signal cannot get lost on the way to it, and never without us.
	setpriv --pdeathsig KILL "${qemu[@]}" "$@" <&7 &
	qemu_pid=$!
	sleep "$timeout" &
	sleep_pid=$!
	pids+=("${readers[@]}" "$qemu_pid" "$sleep_pid")
}

# boot_machine ARGUMENT...: start_machine, and up to twice more if the kernel does not
# get as far as its first process: 6.1 with PROVE_RCU sometimes waits for ever in
# its own test of RCU tasks.  Nothing of ours has run by then.
boot_machine() {
	local try since
	for try in 1 2 3; do
		start_machine "$@"
		since=$SECONDS
		while kill -0 "$qemu_pid" 2>/dev/null && ((SECONDS - since < boot_seconds)); do
			! grep -q '^vm: init runs' console || return 0
			sleep 0.2
		done
		# From here on the time limit is what counts.
		if ((try == 3)) || ! kill -0 "$qemu_pid" 2>/dev/null; then
			return 0
		fi
		kb_note "the kernel has not come up after $boot_seconds s and is started again; the console ended with: $(tail -n 1 console)"
		kill -KILL "$qemu_pid" "$sleep_pid" 2>/dev/null || true
		wait "$qemu_pid" "$sleep_pid" 2>/dev/null || true
		# Or two of them would share what the next one says.
		exec {con_fd}>&-
		wait "$console_reader" || true
	done
}

# sysrq KEY...: press SysRq keys on the guest's serial console, and wait for
# what they print.  Opening for both directions cannot block.
sysrq() {
	local key size=-1 i
	for key; do
		echo 'chardev-send-break con' 1<>mon.in
		sleep 0.3
		printf '%s' "$key" 1<>con.in
		sleep 0.3
	done
	for ((i = 0; i < 20 && size != $(stat -c %s console); i++)); do
		size=$(stat -c %s console)
		sleep 0.5
	done
}

# watch_machine [PID]: wait for the end of QEMU (or first of the process PID);
# a guest that is too slow is asked for its tasks and locks, and stopped.
watch_machine() {
	local first
	timed_out=
	qemu_status=0
	wait -n -p first "$qemu_pid" "$sleep_pid" "$@" || qemu_status=$?
	if [ "$first" = "$sleep_pid" ]; then
		timed_out=1
		cp console console.before
		sysrq 9 w d l t
		echo quit 1<>mon.in
		(sleep 3 && kill -KILL "$qemu_pid") 2>/dev/null &
		pids+=($!)
		wait "$qemu_pid" || true
	elif [ "$first" != "$qemu_pid" ]; then
		return
	else
		kill "$sleep_pid" 2>/dev/null || true
		wait "$sleep_pid" 2>/dev/null || true
	fi
	total=$((${EPOCHREALTIME//[.,]/} - began))
}

# seconds MICROSECONDS: with one decimal.
seconds() { printf '%d.%d' $(($1 / 1000000)) $(($1 / 100000 % 10)); }
