#!/usr/bin/env bash
# Runs a command on another release of Debian: in a clean minimal root of it, made for this run, in a
# copy of this tree where `make setup` has been run.
#   tools/in-release.sh [--tests | --package FILE] RELEASE COMMAND [ARGUMENT...]
#   tools/in-release.sh --sources RELEASE     prints where apt finds that release from here
#
# The command has mount, PID, IPC, UTS and network namespaces of its own: whatever it starts or mounts
# ends with it, and it reaches its loopback interface only. `make setup` before it has this machine's
# network, which leads to the packages. With --tests it is `make setup-tests`, and the command has
# this machine's network too: tests build images from packages, and their own traffic stays in
# namespaces that they make, here as anywhere.
#
# With --package FILE nothing is installed before the command, which has this machine's network and
# apt's fetched packages, too: FILE is there in /srv, for a command that installs it.
#
# The root is made by mmdebstrap from this machine's mirror (or MIRROR=URI) and kept as an archive
# in /var/cache/vmnet-releases (VMNET_RELEASES_DIR), beside the packages that were fetched. The
# settings of apt's transport and of pip come along. The exit status is the command's.
set -euo pipefail

say() { printf 'in-release: %s\n' "$*" >&2; }

fail() { # fail WHAT WHERE FIX
    printf 'in-release: %s\n  where: %s\n  fix: %s\n' "$@" >&2
    exit 4
}

# --- what process 1 of the namespaces does -------------------------------------------------------

enter() { # enter RELEASE ROOT BOUND COMMAND...: BOUND lists what of this machine is seen: FROM TO MODE
    local release=$1 root=$2 bound=$3 from to mode
    shift 3
    # A mount point of its own: changing how mounts propagate, as `ip netns` does, takes one.
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t sysfs -o nosuid,nodev,noexec sysfs sys # shows this network namespace
    mount --bind /dev dev # the kernel makes a macvtap's node here and nowhere else
    mount -t devpts -o newinstance,nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts dev/pts
    mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
    mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
    mkdir -m 1777 run/lock
    while read -r from to mode; do
        mkdir -p "./$to"
        mount --bind "$from" "./$to"
        mount -o "remount,bind,$mode" "./$to"
    done <"$bound"
    pivot_root . .
    umount -l .
    cd /srv/vmnet
    hash -r
    hostname "vmnet-$release"
    [ ! -x /usr/sbin/ip ] || ip link set lo up
    "$@"
}

if [ "${1-}" = --inside ]; then
    shift
    enter "$@"
    exit
fi

# --- arguments, rights, programs -----------------------------------------------------------------

usage() { (fail "$1" "$0" "tools/in-release.sh [--tests | --package FILE] trixie|bookworm COMMAND [ARGUMENT...]") || exit 2; }

target=setup show=''
arguments=("$@")
if [ "${1-}" = --tests ]; then
    target=setup-tests
    shift
elif [ "${1-}" = --sources ]; then
    show=1
    shift
elif [ "${1-}" = --package ]; then
    target='' package=$(readlink -e "${2-}") || usage "\"${2-}\" is no file"
    arguments[1]=$package
    shift 2
fi
release=${1-}
[[ $release =~ ^[a-z]+$ ]] || usage "\"$release\" is not the name of a release of Debian"
shift
[ $# -gt 0 ] || [ -n "$show" ] || usage "no command is given"

taken=(MIRROR VMNET_RELEASES_DIR SSL_CERT_FILE REQUESTS_CA_BUNDLE "${!PIP_@}")
if [ "$(id -u)" != 0 ]; then # sudo empties the environment
    given=("CALLER_HOME=$HOME")
    for name in "${taken[@]}"; do [ -z "${!name-}" ] || given+=("$name=${!name}"); done
    exec "$(dirname "$0")/as-root.sh" env "${given[@]}" "$0" "${arguments[@]}"
fi
script=$(readlink -f "$0")
cd "$(dirname "$script")/.."
home=${CALLER_HOME:-${HOME:-/root}}
cache=${VMNET_RELEASES_DIR:-/var/cache/vmnet-releases}
unset PIP_CACHE_DIR # it has one of its own

for name in apt-get:apt mmdebstrap:mmdebstrap git:git unshare:util-linux; do
    command -v "${name%:*}" >/dev/null ||
        fail "${name%:*} is not installed" "tools/in-release.sh" "as root: apt-get install ${name#*:}"
done

# --- the root ------------------------------------------------------------------------------------

listed_sources() { # the sources of this machine's release, with that name replaced
    local own
    own=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    # shellcheck disable=SC2016  # apt's own variables
    apt-get indextargets --format '$(COMPONENT) $(CODENAME) $(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' | sort -u |
        awk -v own="$own" -v release="$release" '$1 == "main" && own != "" {
            if ($2 == own) print "deb", $3, release, $1
            if ($2 == own "-updates") print "deb", $3, release "-updates", $1
            if ($2 == own "-security") print "deb", $3, release "-security", $1
        }'
}

sources() {
    local found
    if [ -n "${MIRROR-}" ]; then
        echo "deb $MIRROR $release main"
        return
    fi
    found=$(listed_sources)
    [ -n "$found" ] || { apt-get update -qq >&2 || true; found=$(listed_sources); }
    [ -n "$found" ] || fail "this machine's apt has no lists of its own release of Debian" \
        "apt-get indextargets" "name a mirror that has $release: MIRROR=URI $0 ..."
    printf '%s\n' "$found"
}

if [ -n "$show" ]; then
    sources
    exit
fi

transport() { # how this machine's apt reaches its sources: proxies, certificates, retries, clocks
    apt-config dump Acquire |
        grep -E '^Acquire::((https?|ftp)::|Retries |Check-(Valid-Until|Date) |ForceIPv[46] )' |
        grep -v ' "";$' || true
}

make_base() { # writes $base whole or not at all
    compgen -G "/usr/share/keyrings/debian-archive-$release-*" >/dev/null ||
        fail "this machine has no keys of Debian's release $release" /usr/share/keyrings \
            "see the name of the release, then: apt-get update && apt-get install debian-archive-keyring"
    say "making a minimal root of $release with mmdebstrap: $base"
    rm -f "$cache/base-$release"-*
    # It mounts things into its folder: they end with it, whatever ends it.
    TMPDIR=$work setpriv --pdeathsig KILL \
        unshare --mount --pid --fork --kill-child --mount-proc \
        mmdebstrap --quiet --mode=root --variant=minbase --include="$include" --format=tar \
        --aptopt="$work/transport" "$release" "$base.part" "$work/sources" </dev/null >&2 ||
        fail "mmdebstrap could not make a root of $release" "mmdebstrap, whose messages stand above" \
            "see that the mirrors have $release: $(tr '\n' ';' <"$work/sources")"
    mv "$base.part" "$base"
}

unpack_base() {
    rm -rf "$root"
    mkdir -m 755 "$root"
    tar --extract --file="$base" --directory="$root" --numeric-owner --preserve-permissions \
        --xattrs --xattrs-include='*'
}

# --- what of this machine comes along ------------------------------------------------------------

pip_settings() { # copies pip's files of settings; what they name follows
    local file
    for file in /etc/xdg/pip/pip.conf /etc/pip.conf "${PIP_CONFIG_FILE-}"; do
        [ ! -f "$file" ] || install -D -m 644 "$file" "$root$file"
    done
    for file in .pip/pip.conf .config/pip/pip.conf; do
        [ ! -f "$home/$file" ] || install -D -m 644 "$home/$file" "$root/root/$file"
    done
    { find "$root/etc/xdg" "$root/etc/pip.conf" "$root/root" -name pip.conf -exec cat {} + || true
      for name in "${taken[@]:2}"; do printf '%s\n' "${!name-}"; done; } 2>/dev/null |
        grep -oE '(file://)?/[A-Za-z0-9._/+-]+' | sed 's,^file://,,' | sort -u
}

bring_along() { # settings and files, where they are here
    local path
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    { cat /etc/hosts; echo "127.0.1.1 vmnet-$release"; } >"$root/etc/hosts"
    cp "$work/transport" "$root/etc/apt/apt.conf.d/90in-release"
    [ ! -d /usr/local/share/ca-certificates ] ||
        cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
    while read -r path; do
        path=${path%/simple} # an index in such a folder has its files beside it
        if [ -e "$root$path" ] || [ "$path" = "" ]; then
            continue
        elif [ -d "$path" ]; then
            echo "$path $path ro" >>"$work/bound"
        elif [ -f "$path" ]; then
            install -D -m 644 "$path" "$root$path"
        fi
    done < <(pip_settings)
}

copy_tree() { # what git has or would take, as it is now; a repository again, without history
    local to=$root/srv/vmnet
    mkdir "$to"
    git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
        while IFS= read -r -d '' name; do
            if [ -e "$name" ] || [ -L "$name" ]; then printf '%s\0' "$name"; fi
        done | tar --create --owner=0 --group=0 --no-recursion --null --files-from=- |
        tar --extract --directory="$to"
    chmod -R u+rwX,go+rX "$to"
    git init --quiet "$to"
}

# --- the way through -----------------------------------------------------------------------------

inside() { # inside NETWORK_OPTION COMMAND...: waits for it; a signal to us ends it at once
    local options=(--mount --pid --ipc --uts --fork --kill-child) name settings=()
    [ -z "$1" ] || options+=("$1")
    shift
    for name in CI TERM NO_COLOR DEBIAN_FRONTEND {http,https,ftp,all,no}_proxy \
        {HTTP,HTTPS,FTP,ALL,NO}_PROXY "${taken[@]:2}"; do
        [ -z "${!name-}" ] || settings+=("$name=${!name}")
    done
    settings+=(PIP_CACHE_DIR=/var/cache/pip HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    # In the background for `wait`, which a signal ends; the shell would let it ignore Ctrl-C.
    setpriv --pdeathsig KILL env -i --default-signal=INT,QUIT "${settings[@]}" \
        unshare "${options[@]}" "$script" --inside "$release" "$root" "$work/bound" "$@" <&0 9>&- &
    child=$!
    local status=0
    wait "$child" || status=$?
    child=''
    return "$status"
}

clear_away() {
    [ -z "${child-}" ] || kill -KILL "$child" 2>/dev/null || true
    exec 8>&-
    # Everything inside holds the lock, too: it is free when the last process is gone.
    [ -z "${work-}" ] || flock --wait 30 "$work" rm -rf --one-file-system "$work"
}
trap clear_away EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$cache/packages-$release/partial" "$cache/pip"
exec 9>"$cache/$release.lock"
flock 9 # the archive and the fetched packages: one user at a time
for left in "$cache/run-$release"-*; do # of a run that was killed
    [ ! -d "$left" ] || flock --nonblock "$left" rm -rf --one-file-system "$left" || true
done
work=$(mktemp -d "$cache/run-$release-XXXXXX")
exec 8<"$work"
flock 8
root=$work/root
include=make
sources >"$work/sources"
transport >"$work/transport"
key=$({ cat "$work/sources"; echo "$include"; dpkg --print-architecture; } | sha256sum | cut -c -12)
base=$cache/base-$release-$key.tar
[ -e "$base" ] || make_base
if ! unpack_base; then
    say "the archive is damaged and made again: $base"
    make_base
    unpack_base
fi
bring_along
copy_tree
cat >>"$work/bound" <<LIST
$cache/packages-$release /var/cache/apt/archives rw
$cache/pip /var/cache/pip rw
LIST
if [ -z "$target" ]; then
    cp "$package" "$root/srv/"
    say "$release: $*"
    inside '' "$@"
    exit
fi
say "$release: make $target"
inside '' bash -c "make $target && apt-get -qq autoclean" >&2 || {
    status=$?
    say "$release: make $target failed with status $status"
    exit "$status"
}
exec 9>&-
sed -i '/ rw$/d' "$work/bound"
say "$release: $*"
network=--net
[ "$target" = setup ] || network=''
inside "$network" "$@"
