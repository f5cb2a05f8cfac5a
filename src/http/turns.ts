/** Turns: so many requests of one key (an address, a connection) are worked on at a time, its others wait in a line of their own. So a burst of one is no queue for everybody. */

export type Turns<Key> = {
  /** Calls `go` now, or when it is its turn. False, and `go` is not called, where too many of this key wait already. */
  take: (key: Key, go: Go) => boolean
  /** One that went is done; the next of its line goes. */
  done: (key: Key) => void
}

/** Begins; false where nobody waits for it any more, so that it is no turn. */
export type Go = () => boolean

type Line = { going: number; waiting: Go[] }

/** @param atOnce of one key @param mostWaiting of one key: others' lines are not shorter for it */
export function createTurns<Key>(atOnce: number, mostWaiting: number): Turns<Key> {
  const lines = new Map<Key, Line>()
  return {
    take(key, go) {
      const line = lines.get(key)
      if (line && line.going >= atOnce) {
        if (line.waiting.length >= mostWaiting) return false
        line.waiting.push(go)
        return true
      }
      if (line) line.going++
      else lines.set(key, { going: 1, waiting: [] })
      if (!go()) this.done(key)
      return true
    },
    done(key) {
      const line = lines.get(key)
      if (!line) return
      for (let next = line.waiting.shift(); next; next = line.waiting.shift()) if (next()) return
      if (--line.going === 0) lines.delete(key)
    },
  }
}
