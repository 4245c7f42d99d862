#!/usr/bin/env bash
# Makes a container image of vmnet, build/vmnet-oci.tar, which `podman load` and `docker load` take.
#   tools/oci.sh [RELEASE]
# It is a minimal Debian (this machine's release without an argument) from this machine's mirror, with
# the Debian package of `make deb` and the micro image in it.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { # fail WHAT WHERE FIX
    printf 'oci: %s\n  where: %s\n  fix: %s\n' "$@" >&2
    exit 4
}

[ "$(id -u)" = 0 ] || exec tools/as-root.sh "$0" "$@"
command -v mmdebstrap >/dev/null ||
    fail "mmdebstrap is not installed" "tools/oci.sh" "as root: apt-get install mmdebstrap"
release=${1-$(. /etc/os-release && echo "${VERSION_CODENAME-}")}
package=$(echo build/vmnet_*.deb)
[ -f "$package" ] || fail "there is no Debian package of vmnet" "$package" "make it first: make deb"

umask 022
work=$(mktemp -d build/oci-XXXXXX)
trap 'rm -rf "$work"' EXIT
tools/in-release.sh --sources "$release" >"$work/sources"
mkdir "$work/image"
layer=$work/image/layer.tar
export PACKAGE=$package
depends=$(dpkg-deb -f "$package" Depends | sed 's/ ([^)]*)//g; s/, /,/g')
# Its hooks are shells of their own; $1 is the root there.
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --format=tar --skip=cleanup/apt/lists \
    --include="$depends,dnsmasq-base" \
    --customize-hook='cp "$PACKAGE" "$1/vmnet.deb"' \
    --customize-hook='chroot "$1" dpkg --install /vmnet.deb >/dev/null' \
    --customize-hook='chroot "$1" vmnet image build micro >/dev/null' \
    --customize-hook='rm -rf "$1"/vmnet.deb "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    "$release" "$layer" "$work/sources" </dev/null >&2 ||
    fail "the image could not be made" "mmdebstrap, whose messages stand above" \
        "see that the mirrors have $release"
digest=$(sha256sum "$layer" | cut -d ' ' -f 1)
version=$(dpkg-deb -f "$package" Version)
cat >"$work/image/config.json" <<JSON
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "created": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
 "config": {"Entrypoint": ["vmnet"], "Cmd": ["--help"], "WorkingDir": "/root",
  "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
JSON
cat >"$work/image/manifest.json" <<JSON
[{"Config": "config.json", "RepoTags": ["localhost/vmnet:$version", "localhost/vmnet:latest"],
  "Layers": ["layer.tar"]}]
JSON
tar --create --directory="$work/image" --file="$work/vmnet-oci.tar" manifest.json config.json layer.tar
mv "$work/vmnet-oci.tar" build/
printf 'oci: made: build/vmnet-oci.tar, localhost/vmnet:%s\n' "$version" >&2
