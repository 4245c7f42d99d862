#!/usr/bin/env bash
# Pins what pyproject.toml asks for, with a hash for every file, in four files:
#   requirements-build.lock  what builds libvirt-python, which comes as source only, and vmnet
#   requirements.lock        what vmnet runs on
#   requirements-dev.lock    what its tests use besides
#   requirements-mutate.lock what make mutate uses besides
# None names the place the packages came from: that is the business of pip's own settings.
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
    [ -z "${UPGRADE-}" ] && [ -e "$output" ] && cat "${known[@]}" "$output" /dev/null >"$work/pins"
    "$work/venv/bin/pip-compile" --quiet --no-header --generate-hashes --allow-unsafe \
        --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --no-emit-options --output-file "$work/pins" "$@" </dev/stdin
    if grep -nE '://|^--?[a-z]' "$work/pins"; then
        echo "lock: $output would name the place that packages come from" >&2
        exit 1
    fi
    { printf '# %s\n# Made by `make lock`.\n' "$title"
      grep -v '^# ' "$work/pins" |
          awk -F == -v known="$(cat "${known[@]}" /dev/null | sed -n 's/==.*//p' | tr '\n' ' ')" '
              BEGIN { split(known, names, " "); for (i in names) there[names[i]] = 1 }
              /^[a-z0-9]/ { skip = $1 in there } !skip'; } >"$output.new"
    mv "$output.new" "$output"
    rm "$work/pins"
}

known=() # the locks whose packages the next one leaves out, at the versions that they pin
pin requirements-build.lock "What builds libvirt-python and vmnet, pinned." --no-annotate - \
    <<<"setuptools>=77"$'\n'"hatchling>=1.27"
pin requirements.lock "What vmnet runs on, pinned." --extra micro pyproject.toml </dev/null
known=(requirements-build.lock requirements.lock)
pin requirements-dev.lock "What vmnet's tests use besides, pinned." --extra dev --extra micro \
    --constraint requirements-build.lock --constraint requirements.lock pyproject.toml </dev/null
known+=(requirements-dev.lock)
pin requirements-mutate.lock "What make mutate uses besides, pinned." --no-annotate - \
    --constraint requirements.lock --constraint requirements-dev.lock <<<"mutmut>=3.8"
