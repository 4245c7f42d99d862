#!/usr/bin/env bash
# Runs the tests as root: they make real network devices, in namespaces of their own.
#   tools/test.sh [PYTEST_ARGUMENT...]
# Guests and the wire are waited for most of the time: one process more than there are cores runs the
# files side by side, each file in one of them (-n0: all in this one, as a debugger wants it).
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
tools/as-root.sh .venv/bin/pytest -n "$(($(nproc) + 1))" --dist loadfile --no-loadscope-reorder "$@" ||
    status=$?
# What root wrote into a user's folder (caches, mostly) is the user's, who could not remove it.
if [ "$(id -u)" != 0 ]; then
    tools/as-root.sh find . -xdev -user root -exec chown -h "$(id -u):$(id -g)" {} +
fi
exit "$status"
