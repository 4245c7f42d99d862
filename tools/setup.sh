#!/usr/bin/env bash
# Installs what is missing and says what and why; nothing that is there is installed again.
#   tools/setup.sh [--tests]
# Afterwards vmnet needs no outside network; with --tests, its tests can be run, too. Nothing that is
# installed is enabled or started, and nobody is let in.
set -euo pipefail
cd "$(dirname "$0")/.."

# What each Debian package is for. Those it depends on come along, those it recommends do not.
packages_to_run() {
    cat <<'LIST'
qemu-system-x86             runs the VMs
qemu-utils                  qemu-img, which makes their disks
libvirt-daemon-driver-qemu  libvirt's QEMU driver, which vmnet loads without a daemon
zstd                        vmnet image build micro: unpacks the kernel of Debian 13
mmdebstrap                  vmnet image build debian-*: installs the guest's packages into a folder
e2fsprogs                   vmnet image build debian-*: mke2fs, its file system
fdisk                       vmnet image build debian-*: sfdisk, its partitions
dosfstools                  vmnet image build debian-*: mkfs.vfat, the partition that it boots from
mtools                      vmnet image build debian-*: mcopy, which writes there without a mount
syslinux                    vmnet image build debian-*: its boot loader for BIOS
syslinux-common             vmnet image build debian-*: the boot sector that starts it
iproute2                    ip, which vmnet's advice is written with
nftables                    nft: address translation, and the guard against forged frames
dnsmasq-base                DHCP and DNS on switches that vmnet makes
gpgv                        verifies the vendors' signatures of their lists of digests
openssh-client              ssh-keygen, which makes the key that a guest's ssh server is known by
openssl                     hashes passwords that a plan holds in the clear
libvirt-dev                 builds libvirt-python
pkg-config                  builds libvirt-python: finds libvirt-dev
gcc                         builds libvirt-python: compiles it
python3-dev                 builds libvirt-python: Python's headers
python3-venv                makes the virtual environment
LIST
}

packages_to_test() {
    cat <<'LIST'
libvirt-daemon-system       tests: a libvirt daemon, which a plan may use instead of the driver alone
libvirt-clients             tests: virt-xml-validate, libvirt's own judge of a VM's XML
libxml2-utils               tests: xmllint, which virt-xml-validate calls
tcpdump                     tests: shows what is really on a wire
iputils-ping                tests: a machine on the LAN that pings guests
iputils-arping              tests: a machine on the LAN that asks who has an address
gnupg                       tests: a vendor who signs a list of digests
openssh-server              tests: a machine on the LAN that is logged in to
ovmf                        tests: UEFI firmware for a guest
git                         tests: lists the files of this project
chromium                    tests: shows the page of a check
mandoc                      tests: judges the manual pages
LIST
}

apt_packages() {
    packages_to_run
    [ -z "$tests" ] || packages_to_test
}

say() { printf 'setup: %s\n' "$*"; }

fail() { # fail WHAT WHERE FIX
    printf 'setup: %s\n  where: %s\n  fix: %s\n' "$@" >&2
    exit 4
}

missing_apt_packages() {
    local -A here=()
    local name word
    # dpkg-query complains about names it has never heard of: those are missing, that is all.
    while read -r name word; do
        [ "$word" != installed ] || here[$name]=yes
    done < <(apt_packages | awk '{print $1}' |
        xargs dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null)
    while read -r name word; do
        [ -n "${here[$name]-}" ] || printf '%s %s\n' "$name" "$word"
    done < <(apt_packages)
}

# While packages are installed, this machine's services are left as they are, in the packages' own two
# ways: their scripts ask policy-rc.d before they start a service, and systemd's presets before they
# enable it. Upgrades do not enable later what the preset left alone. A policy-rc.d that is there
# already decides instead, and is not touched.
policy=/usr/sbin/policy-rc.d
presets=(/run/systemd/system-preset/00-vmnet-setup.preset /run/systemd/user-preset/00-vmnet-setup.preset)
policy_mark='# Made by make setup of vmnet while it installs packages, by process'

keep_services_off() {
    local maker
    if [ -e "$policy" ] && maker=$(sed -n "s/^$policy_mark //p" "$policy") && [ -n "$maker" ] &&
        [ ! -e "/proc/$maker" ]; then
        tools/as-root.sh rm -f "$policy" # of a run that was killed
    fi
    # shellcheck disable=SC2016  # expanded by that shell
    tools/as-root.sh sh -c 'set -C
        made=$1 mark=$2; shift 2
        { printf "#!/bin/sh\n%s\nexit 101\n" "$mark" >"$made" && chmod 755 "$made"; } 2>/dev/null || true
        set +C
        for preset; do mkdir -p "${preset%/*}"; echo "disable *" >"$preset"; done
    ' sh "$policy" "$policy_mark $$" "${presets[@]}"
}

let_services_be() {
    local made=("${presets[@]}")
    [ ! -e "$policy" ] || ! grep -qxF "$policy_mark $$" "$policy" || made+=("$policy")
    tools/as-root.sh rm -f "${made[@]}"
    trap - EXIT
}

# VMs run as the account that Debian's libvirt uses. Debian 13 makes it with the driver, Debian 12 only
# with the daemon, which nobody needs here: it is made as there, so that the daemon finds it.
make_account() {
    getent passwd libvirt-qemu >/dev/null && return
    say "account: libvirt-qemu, which VMs run as"
    # shellcheck disable=SC2016  # expanded by that shell
    tools/as-root.sh sh -c 'set -e
        own=64055 # reserved for it by Debian
        getent group kvm || groupadd --system kvm
        getent group libvirt-qemu || groupadd --system --gid $own libvirt-qemu ||
            groupadd --system libvirt-qemu
        ! getent passwd $own || own=""
        useradd --system ${own:+--uid $own} --gid kvm --groups libvirt-qemu --comment "Libvirt Qemu" \
            --home-dir /var/lib/libvirt --no-create-home --shell /usr/sbin/nologin libvirt-qemu
    ' >/dev/null
    changed=yes
}

install_apt_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        fail "this is not Debian or a relative of it, and make setup knows no other packages" \
            "$(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME-}" || uname -s)" \
            "use Debian 12 or newer, a VM or a container of it will do"
    fi
    local missing name reason names=()
    missing=$(missing_apt_packages)
    [ -n "$missing" ] || return 0
    while read -r name reason; do
        say "apt: $name ($reason)"
        names+=("$name")
    done <<<"$missing"
    export DEBIAN_FRONTEND=noninteractive
    # Old lists name files that the mirror no longer has. If fresh ones cannot be had, the old ones
    # may still do, so only the second step decides.
    tools/as-root.sh apt-get update -qq || true
    trap let_services_be EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    keep_services_off
    tools/as-root.sh apt-get install -qq --no-install-recommends -o DPkg::Lock::Timeout=120 \
        -o Dpkg::Use-Pty=0 "${names[@]}" </dev/null || fail "apt could not install ${names[*]}" \
        "apt-get install, whose own words stand above" \
        "see that this machine reaches its package mirror (apt-get update), then again: make setup"
    let_services_be
    changed=yes
}

find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "vmnet needs Python 3.11 or newer" \
        "/usr/bin/python3 is $(/usr/bin/python3 -V 2>/dev/null || echo not there), none other in PATH" \
        "use Debian 12 or newer, or put a python3.11 with its headers into PATH"
}

# A virtual environment is good for one Python, one place and one set of locks.
wanted_venv() { readlink -f .venv/bin/python; pwd; sha256sum requirements-build.lock requirements.lock; }
wanted_dev() { wanted_venv; sha256sum requirements-dev.lock; }
wanted_vmnet() { sha256sum pyproject.toml; }
wanted_image() {
    find images/micro provisioner/host/image/micro -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
    ls -d /var/cache/vmnet/images/micro-*/initrd 2>/dev/null || echo none
}
is_stamped() { [ -e ".venv/$1.stamp" ] && [ "$("wanted_$1")" = "$(<".venv/$1.stamp")" ]; }
stamp() { "wanted_$1" >".venv/$1.stamp"; }

reach_an_index="see that this machine reaches a package index (pip config list), then again: make setup"

pip() { # pip WHAT_FAILED FIX ARGUMENT...: its words matter only when it fails
    local what=$1 fix=$2
    shift 2
    if ! .venv/bin/python -m pip --disable-pip-version-check "$@" >.venv/pip.log 2>&1; then
        tail -n 40 .venv/pip.log >&2
        fail "$what" "pip $1, whose own words stand above and in .venv/pip.log" "$fix"
    fi
}

compile() { # compile FOLDER: ahead of time even where PYTHONDONTWRITEBYTECODE is set, start-up counts
    PYTHONDONTWRITEBYTECODE='' .venv/bin/python -m compileall -q -j 0 "$1"
}

make_venv() {
    [ -x .venv/bin/python ] && is_stamped venv && return
    local python
    python=$(find_python)
    say "python: a virtual environment in .venv, with $python"
    rm -rf .venv
    "$python" -m venv .venv || fail "Python cannot make a virtual environment" \
        "$python -m venv .venv" "install the venv module of that Python, then again: make setup"
    say "python: what builds libvirt-python and vmnet (requirements-build.lock)"
    pip "the build tools could not be installed" "$reach_an_index" \
        install --no-compile --require-hashes --requirement requirements-build.lock
    # The wheels stay: the tests install vmnet from them into an empty environment, without network.
    say "python: $(grep -c == requirements.lock) packages that vmnet runs on (requirements.lock)"
    pip "the packages of requirements.lock could not be fetched or built" "$reach_an_index" \
        wheel --require-hashes --no-deps --no-build-isolation --wheel-dir .venv/wheels \
        --requirement requirements.lock
    pip "the packages of requirements.lock could not be installed" "make clean setup" \
        install --no-compile --no-index --no-deps .venv/wheels/*.whl
    compile .venv/lib
    stamp venv
    changed=yes
}

add_test_packages() {
    is_stamped dev && return
    say "python: $(grep -c == requirements-dev.lock) packages that its tests use (requirements-dev.lock)"
    pip "the packages of requirements-dev.lock could not be fetched or installed" "$reach_an_index" \
        install --no-compile --require-hashes --no-deps --requirement requirements-dev.lock
    compile .venv/lib
    stamp dev
    changed=yes
}

install_vmnet() {
    if ! is_stamped vmnet; then
        say "python: vmnet itself, editable: what you change here runs at once"
        pip "vmnet could not be installed into .venv" "mend pyproject.toml, or: make clean setup" \
            install --no-index --no-deps --no-build-isolation --editable .
        stamp vmnet
        changed=yes
    fi
    compile provisioner
}

build_image() {
    # vmnet itself knows best whether the image is good, but asks apt, which takes seconds.
    is_stamped image && return
    if ! tools/as-root.sh .venv/bin/vmnet image build micro; then
        say "apt: fresh lists of packages, the old ones may be missing or outdated"
        tools/as-root.sh apt-get update -qq || true
        tools/as-root.sh .venv/bin/vmnet image build micro
    fi
    stamp image
    changed=yes
}

changed='' tests=''
case "$*" in
    '') ;;
    --tests) tests=yes ;;
    *) fail "\"$*\" is not an option" "tools/setup.sh" "tools/setup.sh, or: tools/setup.sh --tests" ;;
esac
exec 9<Makefile
flock 9 # two runs at once would build one .venv together
install_apt_packages
make_account
make_venv
[ -z "$tests" ] || add_test_packages
install_vmnet
exec 9<&-
build_image
[ -n "$changed" ] || say "nothing was missing"
