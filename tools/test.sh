#!/usr/bin/env bash
# Runs the tests as root: they make real network devices, in namespaces of their own.
#   tools/test.sh [PYTEST_ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
tools/as-root.sh .venv/bin/pytest "$@" || status=$?
# What root wrote into a user's folder (caches, mostly) is the user's, who could not remove it.
if [ "$(id -u)" != 0 ]; then
    tools/as-root.sh find . -xdev -user root -exec chown -h "$(id -u):$(id -g)" {} +
fi
exit "$status"
