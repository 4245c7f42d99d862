#!/usr/bin/env bash
# Changes the packages that decide in small ways (mutmut), and counts the changes that the unit
# tests of that package alone notice. Survivors: build/mutate/PACKAGE.txt, to be read with
#   (cd build/mutate/PACKAGE && PYTHONPATH=../../../.venv/mutate python -m mutmut show NAME)
#   tools/mutate.sh [PACKAGE...]     PACKAGE: a folder of provisioner/, as plan/rules
set -euo pipefail
cd "$(dirname "$0")/.."

packages=("$@")
[ $# -gt 0 ] || packages=(reachability reconcile network plan/rules check)
house=$PWD
python=$house/.venv/bin/python

if [ ! -e .venv/mutate/mutmut ] || [ requirements-mutate.lock -nt .venv/mutate ]; then
    rm -rf .venv/mutate
    "$python" -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps \
        --target .venv/mutate --requirement requirements-mutate.lock
fi
export PYTHONPATH=$house/.venv/mutate

count() { # count PACKAGE: copies the tree, mutates the package, prints one line
    local package=$1 copy=build/mutate/${1//\//-}
    rm -rf "$copy" "$copy.txt"
    mkdir -p "$copy"
    git -c safe.directory="$house" ls-files -z | tar --null --files-from=- --create | tar -C "$copy" --extract
    cat >"$copy/setup.cfg" <<EOC
[mutmut]
source_paths=provisioner
only_mutate=provisioner/$package/*
pytest_add_cli_args_test_selection=tests/unit/$package
also_copy=
    docs
    examples
    images
    templates
    provisioner/examples
    provisioner/images
    provisioner/templates
    README.md
EOC
    # The tests of plan/rules are those of plan: a rule is seen in the complaints of a whole plan.
    [ -d "tests/unit/$package" ] || sed -i "s#^pytest_add.*#pytest_add_cli_args_test_selection=tests/unit/${package%/*}#" "$copy/setup.cfg"
    (cd "$copy" && "$python" -m mutmut run >mutmut.log 2>&1) || {
        tail -n 5 "$copy/mutmut.log" >&2
        echo "mutate: mutmut has failed on $package ($copy/mutmut.log)" >&2
        return 1
    }
    (cd "$copy" && "$python" -m mutmut results --all true) >"$copy.txt"
    awk -v package="$package" '
        / / { all++; if ($2 ~ /killed|timeout|segfault/) killed++ }
        END { printf "%-14s %5d of %5d killed, %3d %%\n", package, killed, all, all ? 100 * killed / all : 0 }
    ' "$copy.txt"
}

for package in "${packages[@]}"; do
    count "$package"
done
