#!/usr/bin/env bash
# Pins what pyproject.toml asks for, with a hash for every file, in two files:
#   requirements-build.lock  what builds libvirt-python, which comes as source only
#   requirements.lock        everything else: what vmnet runs on, and what its tests use
# Neither names the place the packages came from: that is the business of pip's own settings.
# Resolve with the oldest Python that vmnet supports, the one in .venv on Debian 12.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pip-tools==7.6.2

pin() { # pin OUTPUT TITLE ARGUMENT...: writes OUTPUT; versions that still fit stay unless UPGRADE=1
    local output=$1 title=$2
    shift 2
    [ -z "${UPGRADE-}" ] && [ -e "$output" ] && cp "$output" "$work/pins"
    "$work/venv/bin/pip-compile" --quiet --no-header --generate-hashes --allow-unsafe \
        --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --no-emit-options --output-file "$work/pins" "$@" </dev/stdin
    if grep -nE '://|^--?[a-z]' "$work/pins"; then
        echo "lock: $output would name the place that packages come from" >&2
        exit 1
    fi
    { printf '# %s\n# Made by `make lock`.\n' "$title"; grep -v '^# ' "$work/pins"; } >"$output"
    rm "$work/pins"
}

pin requirements-build.lock "What builds libvirt-python, pinned." --no-annotate - <<<"setuptools>=77"
pin requirements.lock "What vmnet runs on and what its tests use, pinned." \
    --extra dev pyproject.toml </dev/null
