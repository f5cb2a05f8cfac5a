/** Sockets that systemd opened before the daemon was there, and keeps open while it is not (sd_listen_fds(3)). */

const first = 3

/** Their file descriptors; none where they are meant for another process, or systemd opened none. */
export function inheritedSockets({ LISTEN_PID, LISTEN_FDS }: Readonly<Record<string, string | undefined>>, pid: number): number[] {
  const count = LISTEN_PID === String(pid) ? Number(LISTEN_FDS ?? 0) : 0
  return Number.isInteger(count) && count > 0 ? Array.from({ length: count }, (_, at) => first + at) : []
}
