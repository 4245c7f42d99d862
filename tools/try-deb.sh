#!/usr/bin/env bash
# Tries the Debian package as a user would, in a clean minimal root: see `make test-deb`.
#   tools/try-deb.sh FILE
# It is installed onto what it depends on alone, brings a pair of guests up and takes them down, is
# removed and purged; then each file of the root has to be one that was there before.
set -euo pipefail

deb=$1
work=$(mktemp -d)
export DEBIAN_FRONTEND=noninteractive

fail() {
    printf 'try-deb: %s\n' "$1" >&2
    exit 1
}

apt() { # nothing has to survive a loss of power here
    apt-get -qq --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-unsafe-io "$@" \
        </dev/null >"$work/apt.log" 2>&1 || {
        cat "$work/apt.log" >&2
        return 1
    }
}

packages() { dpkg-query -W -f '${Package}\n' | sort; }

files() { # but for what apt, dpkg, libvirt and useradd (its account stays) write, and shared caches
    find / /run -xdev -path "$work" -prune -o -path /proc -prune -o -path /sys -prune -o \
        -path '/srv/*' -prune -o -path '/var/log/*' -prune -o -path /run/libvirt -prune -o \
        -path /var/cache/pip -prune -o -path /var/cache/apt/archives -prune -o \
        -path /etc/shadow- -prune -o -print | sort -u
}

. /etc/os-release
echo "try-deb: $VERSION_CODENAME: $(basename "$deb"): installed into a clean root"
apt update
apt satisfy "$(dpkg-deb -f "$deb" Depends)"
packages >"$work/packages" && files >"$work/files"
apt install "$deb"
[ "$(packages | comm -13 "$work/packages" -)" = vmnet ] || fail "more than vmnet was installed"

cd "$work"
mkdir lab && cd lab
echo "try-deb: $(vmnet --version): a pair of guests comes up"
vmnet image build micro
vmnet init --example pair
vmnet validate
[ -e /usr/share/man/man1/vmnet-up.1.gz ] || fail "there is no manual page"
# Whatever ends it, no guest stays: the root has process numbers of its own.
unshare --net bash -euc '
    ip link set lo up
    vmnet up
    ! apt-get -qq remove vmnet </dev/null >"$1/refused" 2>&1
    grep -q "vmnet down --name pair" "$1/refused" || { cat "$1/refused" >&2; exit 1; }
    vmnet down' bash "$work"

echo "try-deb: removed and purged"
apt remove vmnet
[ ! -e /usr/bin/vmnet ] && [ ! -e /usr/lib/vmnet ] || fail "vmnet is there after its removal"
[ -e /var/cache/vmnet ] || fail "the removal has taken the image away, which only purge may"
apt purge vmnet
packages | diff "$work/packages" - || fail "other packages than before are installed"
files | diff "$work/files" - || fail "the files that are there differ from those before (<, >)"
echo "try-deb: $VERSION_CODENAME: nothing is left"
