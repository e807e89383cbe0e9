# shellcheck shell=bash
# The guest of scripts/vm: its root file system, made of busybox, what was put
# in and the libraries of that, packed into $tmp/initrd.  Sourced by scripts/vm.
# shellcheck disable=SC2154,SC2034,SC2164 # shares its variables and set -e

root=$tmp/root
mkdir -p "$root"/{dev,proc,sys,tmp,run,root,etc,vm,mnt,var,usr/bin,usr/lib,usr/lib64}
for d in bin lib lib64; do
	ln -s "usr/$d" "$root/$d"
done
ln -s usr/bin "$root/sbin"
ln -s bin "$root/usr/sbin"
ln -s ../tmp "$root/var/tmp"
cp "$busybox" "$root/usr/bin/busybox"
# The links that this makes name the absolute path of the host's busybox.
"$busybox" --install -s "$root/usr/bin"
busybox=$(readlink "$root/usr/bin/sh")
case $busybox in
/bin/busybox | /usr/bin/busybox) ;;
*) mkdir -p "$root${busybox%/*}" && ln -s /usr/bin/busybox "$root$busybox" ;;
esac
cat >"$root/etc/passwd" <<-END
	root:x:0:0:root:/root:/bin/sh
	nobody:x:65534:65534:nobody:/nonexistent:/bin/sh
END
cat >"$root/etc/group" <<-END
	root:x:0:
	nogroup:x:65534:
END
echo '127.0.0.1 localhost kextbridge-vm' >"$root/etc/hosts"

# overlay DIR: lay DIR over the guest's root; /lib may be a directory in DIR.
overlay() {
	tar -C "$1" -cf - . | tar -C "$root" -xf - --no-same-owner --keep-directory-symlink
}

elves=()

# kextbridge: what this tree builds, for a guest that nothing else was put into.
kextbridge() {
	local ko=$here/../.build/$release/kextbridge.ko program
	if [ ! -e "$ko" ] || [ ! -e "$here/../userspace/build/kextctl" ]; then
		kb_note "building kextbridge for $release"
		make --no-print-directory -s -C "$here/.." modules-if-new userspace KERNEL="$kernel" >&2
	fi
	mkdir -p "$root/usr/lib/modules/$release/extra"
	cp "$ko" "$root/usr/lib/modules/$release/extra/kextbridge.ko"
	for program in kextd kextctl; do
		cp "$here/../userspace/build/$program" "$root/usr/bin/"
		elves+=("$(readlink -f "$here/../userspace/build/$program")")
	done
}
if [[ -z $bare && $kernel != */* && ${#adds[@]} -eq 0 && ${#roots[@]} -eq 0 ]]; then
	kextbridge
else
	bare=1
fi
for r in "${roots[@]}"; do
	[ -d "$r" ] || kb_die "--root: $r is not a directory"
	overlay "$r"
	while IFS= read -r -d '' f; do
		elves+=("$f")
	done < <(find "$(readlink -f "$r")" -type f ! -name '*.ko' ! -name '*.o' -print0)
done
for a in "${adds[@]}"; do
	src=${a%%:*}
	dest=/usr/bin/${src##*/}
	[ "$src" = "$a" ] || dest=${a#*:}
	[ -f "$src" ] || kb_die "--add: no such file: $src"
	case $dest in
	*/) dest=$dest${src##*/} ;;
	/*) ;;
	*) kb_die "--add: $dest is not an absolute path" ;;
	esac
	mkdir -p "$root${dest%/*}"
	cp -L --remove-destination "$src" "$root$dest"
	elves+=("$(readlink -f "$src")")
done

# libraries FILE...: add the shared libraries that the FILEs need.
libraries() {
	local f magic dynamic=() path line
	for f; do
		magic=
		LC_ALL=C IFS= read -r -n 4 -d '' magic <"$f" 2>/dev/null || true
		[ "$magic" = $'\x7fELF' ] || continue
		! LC_ALL=C ldd "$f" >/dev/null 2>&1 || dynamic+=("$f")
	done
	[ ${#dynamic[@]} -gt 0 ] || return 0
	LC_ALL=C LD_LIBRARY_PATH="$root/usr/lib:$root/usr/lib/x86_64-linux-gnu:${LD_LIBRARY_PATH:-}" \
		ldd "${dynamic[@]}" >"$tmp/ldd"
	if grep -q 'not found' "$tmp/ldd"; then
		kb_note "libraries are missing; put them in with --add or --root, or set LD_LIBRARY_PATH:"
		grep -E ':$|not found' <(echo "${dynamic[0]}:" && cat "$tmp/ldd") | uniq >&2
		exit 1
	fi
	while read -r line; do
		case $line in
		*' => /'*) path=${line#* => } ;;
		/*'(0x'*) path=$line ;;
		*) continue ;;
		esac
		path=${path% (0x*}
		case $path in
		"$root"/*) continue ;;
		/lib*/* | /usr/lib*/*) ;;
		*) # The guest's loader searches /usr/lib, not the build tree.
			[ -e "$root/usr/lib/${path##*/}" ] ||
				cp -L "$path" "$root/usr/lib/${path##*/}"
			continue
			;;
		esac
		if [ ! -e "$root$path" ]; then
			mkdir -p "$root${path%/*}"
			cp -L "$path" "$root$path"
		fi
	done < <(sort -u "$tmp/ldd")
}
libraries "${elves[@]}"

# modules NAME...: add modules of the stock kernel.
modules() {
	local dir base m action path rest
	[[ $kernel != */* ]] || kb_die "--kmod needs a kernel of scripts/kernel, not a file"
	kb_need build depmod modprobe
	dir=$("$here/kernel" modules "$kernel")
	base=${dir%/lib/modules/*}
	mkdir -p "$root/usr/lib/modules/$release"
	for m; do
		modprobe -C /dev/null -d "$base" -S "$release" --show-depends "$m" >"$tmp/depends" ||
			kb_die "--kmod: $kernel has no module $m"
		while read -r action path rest; do
			[ "$action" = insmod ] || continue
			rest=$root/usr/lib/${path#"$base"/lib/}
			mkdir -p "${rest%/*}"
			case $path in
			*.xz) xz -dc "$path" >"${rest%.xz}" ;;
			*.zst) zstd -qdc "$path" >"${rest%.zst}" ;;
			*) cp "$path" "$rest" ;;
			esac
		done <"$tmp/depends"
	done
	cp "$dir"/modules.{order,builtin,builtin.modinfo} "$root/usr/lib/modules/$release"
	depmod -b "$root" "$release"
}
[ ${#kmods[@]} -eq 0 ] || modules "${kmods[@]}"

# quote WORD: WORD for any POSIX shell.
quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

{
	echo "vm_cpus=$smp"
	echo "vm_shell=$shell"
	echo "vm_out=${out:+1}"
	echo "vm_bare=$bare"
	echo "vm_leaks=$leaks"
	echo "vm_each=${each:+1}"
	echo "vm_seed=$(quote "${KEXTBRIDGE_SEED:-}")"
	if [ -n "$shell" ]; then
		read -r rows cols < <(stty size)
		[ "$rows" -gt 0 ] && [ "$cols" -gt 0 ] || rows=24 cols=80
		echo "vm_rows=$rows vm_cols=$cols vm_term=$(quote "${TERM:-dumb}")"
	fi
} >"$root/vm/config"
printf '%s\n' "${prepare:-:}" >"$root/vm/prepare"
{
	printf 'exec'
	for word in "${command[@]}"; do
		printf ' %s' "$(quote "$word")"
	done
	echo
} >"$root/vm/command"
cp "$here/vm-init" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . -mindepth 1 -print0 | cpio -o -0 -H newc -R 0:0 --quiet) >"$tmp/initrd"
