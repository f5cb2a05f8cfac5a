/**
 * The lines of the log on their way to a file descriptor. What cannot be written is lost, and counted: a disk that is full, or a reader that is gone or reads no
 * more, stops no daemon and holds up no end of it, for the record of what was decided is in the database.
 */
import { write, writeSync } from 'node:fs'

/** Lines wait for each other, until there are so many letters or for so many milliseconds: under load a write each would cost more than the line. */
const gathered = { letters: 8192, every: 20 }
/** What waits at the most, in letters: whoever reads the log may be slow. */
const most = 4 * 1024 * 1024
/** How long a reader is given to make room, in milliseconds, and how often a process that has nothing else to do waits for that: a second in all. */
const room = { every: 10, times: 100 }

type Lines = { write: (line: string) => void }

/** Standard output or error, in writes that hold several lines; what waits when the process ends is written then. */
export function gathering(to: 1 | 2): Lines {
  let waiting = ''
  let timer: NodeJS.Timeout | undefined
  let isBusy = false
  /** What a reader who is behind has no room for yet. */
  let stuck: Buffer | undefined
  let lost = 0
  let why = ''

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (isBusy || waiting === '') return
    isBusy = true
    const [lines, told] = [waiting.split('\n').length - 1, lost]
    send(Buffer.from(taken()), 0, { lines, told })
  }

  /** What waits, and before it how much of what came earlier is missing. */
  function taken(): string {
    const text = lost > 0 ? `${lostLine(lost, why)}${waiting}` : waiting
    waiting = ''
    return text
  }

  /** `bytes` hold so many `lines`, and tell of so many that were lost before. */
  function send(bytes: Buffer, from: number, holds: { lines: number; told: number }): void {
    write(to, bytes, from, bytes.length - from, null, (error, written) => {
      stuck = error?.code === 'EAGAIN' ? bytes.subarray(from) : undefined
      if (stuck) return void setTimeout(send, room.every, bytes, from, holds).unref()
      if (!error && from + written < bytes.length) return send(bytes, from + written, holds)
      isBusy = false
      if (error) missed(holds.lines, error.message)
      else lost -= holds.told
      if (waiting !== '') timer ??= setTimeout(flush, gathered.every).unref()
    })
  }

  function missed(lines: number, because: string): void {
    lost += lines
    why = because
  }

  let patience = room.times
  process.on('beforeExit', () => {
    flush()
    if (stuck && patience-- > 0) setTimeout(() => undefined, room.every)
  })
  process.once('exit', () => {
    const rest = Buffer.concat([stuck ?? Buffer.alloc(0), Buffer.from(waiting === '' ? '' : taken())])
    try {
      for (let from = 0; from < rest.length; ) from += writeSync(to, rest, from)
    } catch {
      // Nobody is left who could hear of it.
    }
  })
  return {
    write(line) {
      if (waiting.length >= most) return missed(1, 'it is read too slowly')
      waiting += line
      if (waiting.length >= gathered.letters) flush()
      else timer ??= setTimeout(flush, gathered.every).unref()
    },
  }
}

const lostLine = (lost: number, why: string): string =>
  `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), lost, msg: `${lost} lines of the log could not be written, and are lost: ${why}` })}\n`
