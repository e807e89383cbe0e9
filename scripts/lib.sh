# shellcheck shell=bash
# Functions shared by the scripts in this directory.  Sourced, never run.

kb_me=${0##*/}

# depmod, modinfo: not on a plain user's path
PATH=$PATH:/usr/sbin:/sbin

kb_note() { printf '%s: %s\n' "$kb_me" "$*" >&2; }

kb_die() {
	kb_note "$*"
	exit 1
}

# kb_usage FILE: print the comment block at the top of FILE as the help text.
kb_usage() { sed -n '2,/^[^#]/{/^#/!q;s/^# \{0,1\}//p}' "$1"; }

kb_cache_dir() { printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/kextbridge"; }

# kb_need GROUP TOOL...: fail with the command that installs what is missing.
kb_need() {
	local group=$1 tool missing=()
	shift
	for tool; do
		command -v "$tool" >/dev/null || missing+=("$tool")
	done
	[ ${#missing[@]} -eq 0 ] ||
		kb_die "not found: ${missing[*]}; run scripts/install-deps $group"
}

# kb_as_root COMMAND...: run as root, through sudo if need be.
kb_as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		kb_die "this needs root and there is no sudo; as root, run: $*"
	fi
}

# kb_apt_update: run apt-get update, once per process, never two at a time.
kb_apt_updated=
kb_apt_update() {
	[ -z "$kb_apt_updated" ] || return 0
	kb_apt_updated=1
	kb_note "apt-get update"
	local dir
	dir=$(kb_cache_dir)
	mkdir -p "$dir"
	(
		flock 9
		kb_as_root apt-get -qq -o DPkg::Lock::Timeout=120 update
	) 9>"$dir/.apt-lock" >&2 || kb_die "apt-get update failed; check the network and the apt sources"
}

# kb_result_head TREE KERNEL KO: the comment lines by which selftests/conformance knows what a result is of.
kb_result_head() {
	echo "# kernel $2 $("$1/scripts/kernel" release "$2")"
	echo "# build-id $(readelf -n "$3" | sed -n 's/.*Build ID: //p')"
	echo "# commit $(git -C "$1" rev-parse HEAD)$([ -z "$(git -C "$1" status --porcelain)" ] || echo ' dirty')"
}
