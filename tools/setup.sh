#!/usr/bin/env bash
# Installs what is missing and says what and why; nothing that is there is installed again.
#   tools/setup.sh [--tests]
# Afterwards vmnet needs no outside network; with --tests, its tests can be run, too. Nothing that is
# installed is enabled or started, and nobody is let in.
set -euo pipefail
cd "$(dirname "$0")/.."

# What packages are called here, and what each is for, stands in templates/platforms.txt. Those they
# depend on come along, those they recommend do not.
family() { # the column of this distribution, or of a relative of it; nothing for an unknown one
    local ID='' ID_LIKE='' word
    # shellcheck disable=SC1091
    [ ! -r /etc/os-release ] || . /etc/os-release
    for word in $ID $ID_LIKE; do
        case $word in
            debian | ubuntu | fedora | arch) echo "$word" ;;
            rhel | centos) echo fedora ;;
            *) continue ;;
        esac
        return
    done
}

rows() { # rows USES: of this distribution, what Debian calls it, what it is called here, and why
    awk -F ' [|] ' -v column="$family" -v uses="$1" '
        $1 == "use" { for (i = 3; i < NF; i++) if ($i == column) at = i }
        at && NF > 3 && index(" " uses " ", " " $1 " ") && $at != "-" { print $2 "|" $at "|" $NF }
    ' templates/platforms.txt
}

fact() { rows fact | awk -F '|' -v what="$1" '$1 == what { print $2 }'; }

wanted_packages() { # a line for each: its name, what it is for
    rows "run build $tests" | awk -F '|' '!there[$2]++ { print $2, $3 }'
}

say() { printf 'setup: %s\n' "$*"; }

fail() { # fail WHAT WHERE FIX
    printf 'setup: %s\n  where: %s\n  fix: %s\n' "$@" >&2
    exit 4
}

installed() { # installed NAME...: those of the names that are
    # Each complains about names it has never heard of: those are missing, that is all.
    case $manager in
        apt-get) dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" | sed -n 's/ installed$//p' ;;
        dnf) for name; do ! rpm -q --quiet --whatprovides "$name" || echo "$name"; done ;;
        pacman) pacman -Qq "$@" ;;
    esac 2>/dev/null || true
}

missing_packages() {
    local -A here=()
    local name why names=()
    while read -r name why; do names+=("$name"); done < <(wanted_packages)
    while read -r name; do here[$name]=yes; done < <(installed "${names[@]}")
    while read -r name why; do
        [ -n "${here[$name]-}" ] || printf '%s %s\n' "$name" "$why"
    done < <(wanted_packages)
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

give_account() {
    getent passwd libvirt-qemu >/dev/null && return
    say "account: libvirt-qemu, which VMs run as"
    tools/as-root.sh sh -ec '. packaging/account.sh; make_account' >/dev/null
    changed=yes
}

run_manager() { # run_manager NAME...: installs them
    case $manager in
        apt-get)
            export DEBIAN_FRONTEND=noninteractive
            # Old lists name files that the mirror no longer has. If fresh ones cannot be had, the old
            # ones may still do, so only the second step decides.
            tools/as-root.sh apt-get update -qq || true
            tools/as-root.sh apt-get install -qq --no-install-recommends -o DPkg::Lock::Timeout=120 \
                -o Dpkg::Use-Pty=0 "$@" </dev/null
            ;;
        dnf) tools/as-root.sh dnf install -y --setopt=install_weak_deps=False "$@" </dev/null ;;
        pacman) tools/as-root.sh pacman -S --needed --noconfirm "$@" </dev/null ;;
    esac
}

install_packages() {
    if [ -z "$manager" ] || ! command -v "$manager" >/dev/null; then
        # shellcheck disable=SC1091
        fail "make setup does not know the packages of this distribution" \
            "$(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME-}" || uname -s)" \
            "use Debian 12 or newer, a VM or a container of it will do"
    fi
    local missing name reason names=()
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    while read -r name reason; do
        say "${manager%-get}: $name ($reason)"
        names+=("$name")
    done <<<"$missing"
    trap let_services_be EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    keep_services_off
    run_manager "${names[@]}" || fail "${manager%-get} could not install ${names[*]}" \
        "$(fact install), whose own words stand above" \
        "see that this machine reaches its package mirror, then again: make setup"
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
    local second
    second=$(fact python)
    fail "vmnet needs Python 3.11 or newer" \
        "/usr/bin/python3 is $(/usr/bin/python3 -V 2>/dev/null || echo not there), none other in PATH" \
        "${second:+$(fact install) $second, or }put a python3.11 with its headers into PATH"
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
    if [ "$manager" != apt-get ]; then
        say "image: micro is made of Debian's packages, docs/installing.md says how it comes here"
        return
    fi
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
    --tests) tests=test ;;
    *) fail "\"$*\" is not an option" "tools/setup.sh" "tools/setup.sh, or: tools/setup.sh --tests" ;;
esac
family=$(family)
manager=$(fact manager)
exec 9<Makefile
flock 9 # two runs at once would build one .venv together
install_packages
give_account
make_venv
[ -z "$tests" ] || add_test_packages
install_vmnet
exec 9<&-
build_image
[ -n "$changed" ] || say "nothing was missing"
