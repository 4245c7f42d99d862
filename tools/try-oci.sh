#!/usr/bin/env bash
# Tries the container image as a runtime would start it: see `make test-oci`.
#   tools/try-oci.sh FILE
# The image's root is started by util-linux (unshare, pivot_root, setpriv) with the capabilities that
# docker and podman give, and those that `vmnet doctor` asks for in there. A pair of guests comes up.
# What a runtime does besides is not tried: its seccomp filter, and the device rules of cgroups.
set -euo pipefail

fail() {
    printf 'try-oci: %s\n' "$1" >&2
    exit 1
}

# --- in the namespaces ---------------------------------------------------------------------------

enter() { # enter ROOT CAPABILITIES COMMAND: +name,+name,...
    local device
    cd "$1"
    mount --bind . .
    cd "$1"
    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
    mount -t tmpfs -o nosuid,mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        touch "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts dev/pts
    mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
    ln -s /proc/self/fd dev/fd
    ln -s pts/ptmx dev/ptmx
    mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
    touch run/.containerenv
    pivot_root . .
    umount -l .
    cd /root
    ip link set lo up
    exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        setpriv --bounding-set="-all,$2" --inh-caps=-all sh -euc "$3"
}

if [ "${1-}" = --inside ]; then
    shift
    enter "$@"
fi

# --- outside -------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || exec "$(dirname "$0")/as-root.sh" "$0" "$@"
image=$1
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir "$work/root"
tar --extract --to-stdout --file="$image" layer.tar |
    tar --extract --directory="$work/root" --numeric-owner --exclude='./dev/*'

usual=+chown,+dac_override,+fowner,+fsetid,+kill,+mknod,+net_bind_service,+setfcap,+setgid,+setpcap
usual+=,+setuid,+sys_chroot,+net_raw,+audit_write

started() { # started CAPABILITIES COMMAND
    unshare --mount --pid --net --uts --ipc --fork --kill-child \
        bash "$script" --inside "$work/root" "$@"
}

wanted=$(started "$usual" 'vmnet doctor || true' | grep -o -e '--cap-add [A-Z_]*' | sort -u)
[ -n "$wanted" ] || fail "vmnet doctor says nothing of a container's capabilities in there"
added=$(sed 's/--cap-add /,+/' <<<"$wanted" | tr '[:upper:]' '[:lower:]' | tr -d '\n')
echo "try-oci: started with" $wanted
started "$usual$added" '
    vmnet --version
    vmnet init --example pair
    vmnet up
    vmnet doctor >doctor.txt || true
    if grep "no VM holds" doctor.txt; then exit 1; fi
    vmnet down
    [ -z "$(ls /run/vmnet /var/lib/vmnet 2>/dev/null)" ]' || fail "no pair of guests came up, or something is left"
echo "try-oci: a pair of guests came up, and nothing is left"
