#!/usr/bin/env bash
# Makes .dev/python, the virtual environment in which tests run Python clients and servers. Says nothing where it is there already.
# Ends with 3, and one sentence, where it cannot be made; those tests then say that they did not run.
set -u
cd "$(dirname "$0")/.."
requirements=test/e2e/python/requirements.txt
place=.dev/python

cmp -s "$requirements" "$place/requirements.txt" && exit 0
fail() {
  echo "meshidp: no Python environment for tests: $1" >&2
  exit 3
}
command -v python3 >/dev/null || fail 'there is no python3.'
echo 'meshidp: making the Python environment for tests; the first time this takes a minute …' >&2
rm -rf "$place"
mkdir -p "$(dirname "$place")"
python3 -m venv "$place" >/dev/null 2>&1 || fail 'python3 -m venv does not work (Debian has it in python3-venv).'
"$place/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2 || fail 'pip could not install the packages; its own words are above.'
cp "$requirements" "$place/requirements.txt"
