#!/usr/bin/env bash
# Makes a Debian package of vmnet, build/vmnet_VERSION_ARCHITECTURE.deb.
#   tools/deb.sh [--output FOLDER] [PYTHON_VERSION...]
# It brings the Python packages of requirements.lock in /usr/lib/vmnet, but for libvirt's and PyYAML,
# which are Debian's own: they are made for its libvirt, and contain a library of its, libyaml. Those with machine code are there once for each version of Python, 3.11 to 3.14 without
# arguments, side by side: one package does for all releases of Debian and Ubuntu that have one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'deb: %s\n' "$*" >&2; }

fail() { # fail WHAT WHERE FIX
    printf 'deb: %s\n  where: %s\n  fix: %s\n' "$@" >&2
    exit 4
}

for name in dpkg-deb:dpkg strip:binutils gzip:gzip; do
    command -v "${name%:*}" >/dev/null ||
        fail "${name%:*} is not installed" "tools/deb.sh" "as root: apt-get install ${name#*:}"
done
output=build
if [ "${1-}" = --output ]; then
    output=$2
    shift 2
fi
[ $# -gt 0 ] || set -- 3.11 3.12 3.13 3.14
for version; do
    [[ $version =~ ^3\.[0-9]+$ ]] ||
        fail "\"$version\" is not a version of Python" "tools/deb.sh $*" "write it as in: tools/deb.sh 3.11 3.13"
done

umask 022
mkdir -p build
work=$(mktemp -d build/deb-XXXXXX)
trap 'rm -rf "$work"' EXIT
python=.venv/bin/python
root=$work/root
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
architecture=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-The maintainers of vmnet} <${DEBEMAIL:-vmnet@packages.example}>"

# --- wheels: .venv has those of its own Python, the others' are fetched --------------------------

wheels=build/wheels
mkdir -p "$wheels"
cp -n .venv/wheels/*.whl "$work/" # the versions that requirements.lock pins, and no others
compiled() { # the names of packages with machine code, but for Debian's own
    find .venv/wheels -name '*.whl' -not -name '*-any.whl' -not -name 'libvirt_python-*' -not -name 'pyyaml-*' -printf '%f\n' |
        sed 's/-.*//; s/_/-/g'
}
compiled >"$work/compiled"
awk 'NR == FNR { wanted[$1]; next } /^[a-z]/ { split($1, name, "=="); on = name[1] in wanted } on' \
    "$work/compiled" requirements.lock >"$work/compiled.lock"
own=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version_of_python; do
    [ "$version_of_python" != "$own" ] || continue
    found=$wheels/$version_of_python-$(sha256sum "$work/compiled.lock" | cut -c -12)
    if [ ! -d "$found" ]; then
        say "fetching $(wc -l <"$work/compiled") packages for Python $version_of_python"
        "$python" -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes \
            --only-binary=:all: --python-version "$version_of_python" --dest "$work/fetched" \
            --requirement "$work/compiled.lock" >"$work/pip.log" 2>&1 || {
            tail -n 20 "$work/pip.log" >&2
            fail "the packages for Python $version_of_python could not be fetched" \
                "pip download, whose messages stand above" \
                "see that this machine reaches a package index, or leave that version out: make deb PYTHONS='$own'"
        }
        mv "$work/fetched" "$found"
    fi
    cp "$found"/*.whl "$work/"
done

# --- the tree of the package ---------------------------------------------------------------------

"$python" tools/install.py install /usr --destdir "$root" --wheels "$work" --without libvirt_python \
    --without pyyaml --python /usr/bin/python3 --no-compile >/dev/null
rm "$root/usr/lib/vmnet/installed" # dpkg has a list of its own
find "$root/usr/lib/vmnet" -name '*.so' -exec strip --strip-unneeded {} +

control=$root/DEBIAN about=$root/usr/share/doc/vmnet
mkdir -p "$control" "$about"
cp packaging/deb/copyright "$about/"
when=$(date -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
printf 'vmnet (%s) unstable; urgency=medium\n\n  * Version %s.\n\n -- %s  %s\n' \
    "$version" "$version" "$maintainer" "$when" | gzip -9n >"$about/changelog.gz"

first=$(printf '%s\n' "$@" | sort -V | head -n 1)
last=$(printf '%s\n' "$@" | sort -V | tail -n 1)
depends="python3 (>= $first~), python3 (<< 3.$((${last#3.} + 1))~), python3-libvirt (>= 9), python3-yaml (>= 6), libc6 (>= 2.28)"
depends+=", $(awk 'NF && !/^#/ { printf "%s%s", sep, $1; sep = ", " }' packaging/deb/depends)"
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@DEPENDS@/$depends/" \
    -e "s/@MAINTAINER@/$maintainer/; s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f 1)/" \
    packaging/deb/control >"$control/control"
for script in postinst prerm postrm; do
    sed -e '/^#ACCOUNT#$/{' -e 'r packaging/account.sh' -e 'd' -e '}' "packaging/deb/$script" >"$control/$script"
    chmod 755 "$control/$script"
done
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$control/md5sums"

result=$output/vmnet_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$work/vmnet.deb" >/dev/null
mkdir -p "$output"
rm -f "$output"/vmnet_*.deb # of earlier versions
mv "$work/vmnet.deb" "$result"
say "made: $result"
