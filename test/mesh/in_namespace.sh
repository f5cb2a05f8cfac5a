#!/usr/bin/env bash
# Runs a command in a network of its own: loopback, and one address that is up (with loopback alone tailscaled never signs in). No route leads out,
# so nothing leaves the machine. Root keeps its users, for tests in which a process is somebody else's; anybody else becomes root of a user namespace.
set -eu
user=()
[ "$(id -u)" -eq 0 ] || user=(--user --map-root-user)
exec unshare "${user[@]}" --net --mount -- bash -euc '
  ip link set lo up
  ip link add lab0 type veth peer name lab1
  ip address add 192.0.2.1/24 dev lab0
  ip link set lab0 up
  ip link set lab1 up
  exec "$@"' in-namespace "$@"
