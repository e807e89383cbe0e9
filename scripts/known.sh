# shellcheck shell=bash
# Results that are kept: a check that depends on nothing but files and tools is not made again.  Sourced, after lib.sh.

# kb_known PATH... -- COMMAND...: run COMMAND, whose result depends on the files of
# the PATHs and on the tools alone, or print what it said when it passed with the
# same ones, and "known since DATE".  KEXTBRIDGE_ANEW=1: run it.
kb_known() {
	local inputs=() key kept said
	while [ "$1" != -- ]; do
		inputs+=("$1")
		shift
	done
	shift
	key=$({
		echo "$*"
		gcc-12 --version && g++-12 --version && g++ --version && spin -V && qemu-system-x86_64 --version
		find "${inputs[@]}" -type f -print0 | sort -z | xargs -0 sha256sum
	} | sha256sum | cut -c1-40)
	kept=$(kb_cache_dir)/passed/$key
	if [ -z "${KEXTBRIDGE_ANEW:-}" ] && [ -s "$kept" ]; then
		cat "$kept"
		echo "known since $(date -r "$kept" +%F)"
		return
	fi
	mkdir -p "${kept%/*}"
	said=$kept.$$
	# A process of its own: errexit holds in COMMAND, which a condition would turn off.
	(
		trap 'rm -f "$said"' EXIT
		"$@" | tee "$said"
		mv "$said" "$kept"
	)
	find "${kept%/*}" -type f -mtime +60 -delete
}
