#!/usr/bin/env bash
# Runs a program with the rights of root: as it is for root, through sudo for anybody else.
#   tools/as-root.sh PROGRAM [ARGUMENT...]
set -euo pipefail

# `su` without a dash and Debian's users lack the folders where nft and ip live; sudo adds them.
export PATH="$PATH:/usr/sbin:/sbin"

[ "$(id -u)" = 0 ] && exec "$@"

if ! command -v sudo >/dev/null; then
    printf '%s\n' \
        "vmnet: network devices and VMs take the rights of root, and there is no sudo here" \
        "  where: $1, run as $(id -un)" \
        "  fix: run it as root, or as root: apt-get install sudo && adduser $(id -un) sudo" >&2
    exit 4
fi

# sudo empties the environment; these say how to talk and how to reach the packages.
keep=()
for name in CI DEBIAN_FRONTEND NO_COLOR http_proxy https_proxy no_proxy; do
    [ -z "${!name-}" ] || keep+=("$name=${!name}")
done
exec sudo env "${keep[@]}" "$@"
