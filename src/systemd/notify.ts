/**
 * What systemd is told (sd_notify(3)). Node has no datagram unix sockets, so the program `systemd-notify` tells it: some 15 ms a word, in a process of its own,
 * one after the other so that they arrive in order. Where systemd did not ask, nothing happens.
 */
import { closeSync, openSync } from 'node:fs'

export type Word = 'READY=1' | 'RELOADING=1' | 'STOPPING=1' | 'WATCHDOG=1'

export type Notify = {
  /** Tells a word, with a status for people where there is one. Resolves when it is told, or could not be. */
  (word: Word | null, status?: string): Promise<void>
  /** How often systemd wants to hear of us, in milliseconds; null where it does not. */
  watchdog: number | null
}

type Environment = Readonly<Record<string, string | undefined>>

/** `failed` hears of a word that could not be told: the program is missing, or systemd does not listen. */
export function createNotify(env: Environment, pid: number, failed: (error: Error) => void = () => undefined): Notify {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID = String(pid) } = env
  const microseconds = WATCHDOG_PID === String(pid) ? Number(WATCHDOG_USEC ?? 0) : 0
  const watchdog = NOTIFY_SOCKET && microseconds > 0 ? microseconds / 1000 : null
  const spare = spareDescriptors(watchdog === null ? 0 : enough)
  let line = Promise.resolve()
  const told = async (words: readonly string[]) => {
    const { spawn } = await import('node:child_process') // 2 ms of a start that systemd does not ask about
    return new Promise<void>((resolve) => {
      const fail = (error: Error) => {
        failed(error)
        resolve()
      }
      const child = spare.lent(() => spawn('systemd-notify', words, { env: { ...env, NOTIFY_SOCKET }, timeout: 5000, stdio: 'ignore' }))
      child.once('error', fail)
      child.once('exit', (code, signal) => (code === 0 ? resolve() : fail(new Error(`systemd-notify ended: ${code ?? signal}`))))
    })
  }
  const notify = (word: Word | null, status?: string): Promise<void> => {
    if (!NOTIFY_SOCKET) return Promise.resolve()
    const words = [...(word === null ? [] : [word]), ...(status === undefined ? [] : [`STATUS=${status.replaceAll(/\s+/g, ' ')}`])]
    line = line.then(() => told(words))
    return line
  }
  return Object.assign(notify, { watchdog })
}

/** A process takes two for as long as it is made; other threads of this one may be quicker than that. */
const enough = 10

/** Descriptors that are kept back: where callers have taken all others, the watchdog must still hear that this daemon lives. */
function spareDescriptors(count: number): { lent: <T>(make: () => T) => T } {
  let kept: number[] = []
  const keep = () => {
    try {
      while (kept.length < count) kept.push(openSync('/dev/null', 'r'))
    } catch {} // as many as there are
  }
  keep()
  return {
    lent(make) {
      for (const fd of kept) closeSync(fd)
      kept = []
      try {
        return make()
      } finally {
        keep()
      }
    },
  }
}
