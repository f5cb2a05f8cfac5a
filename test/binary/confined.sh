#!/usr/bin/env bash
# confined.sh PROJECT COMMAND … — runs the command (a program of the project, or another by its path) as "nobody", where nothing can be written to but /tmp.
# Needs root. The project is seen at /tmp/project, since nobody may not enter the folders above it.
set -euo pipefail
if [ "${CONFINED:-}" = '' ]; then CONFINED=1 exec unshare --mount --propagation private bash "$0" "$@"; fi

project=${1%/} command=$2
shift 2
documented=test/e2e/clients/node_modules/.documented # where examples of the documents are put, to find their packages
mkdir -p "$project/$documented"
cd "$project"
mount --bind "$project" /mnt # the project may itself be below /tmp
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
mkdir -m 755 /tmp/project
mkdir -m 777 /tmp/home
mount --move /mnt /tmp/project
cd /tmp/project
mount -t tmpfs -o mode=1777 tmpfs "$documented"
# Some are hidden below another, and cannot be had at all.
awk '{ print $2 }' /proc/self/mounts | while read -r place; do
  case $place in /tmp | /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | */.documented) ;; *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;; esac
done
for place in / /var/tmp /tmp/project "$project"; do
  [ -d "$place" ] || continue
  if touch "$place/written" 2>/dev/null; then echo "$place can be written to." >&2; exit 1; fi
done

case $command in "$project"/*) command=/tmp/project/${command#"$project"/} ;; esac
exec env HOME=/tmp/home TESTED_EXECUTABLE="/tmp/project/$TESTED_EXECUTABLE" \
  setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$command" "$@"
