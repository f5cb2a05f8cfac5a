/**
 * The lines of the log on their way to a file descriptor. What cannot be written is lost, and counted: a disk that is full, or a reader that is gone, stops no
 * daemon, for the record of what was decided is in the database.
 */
import { write, writeSync } from 'node:fs'

/** Lines wait for each other, until there are so many letters or for so many milliseconds: under load a write each would cost more than the line. */
const gathered = { letters: 8192, every: 20 }
/** What waits at the most, in letters: whoever reads the log may be slow. */
const most = 4 * 1024 * 1024
/** How long a reader is given to make room, in milliseconds. */
const room = 10

type Lines = { write: (line: string) => void }

/** Standard output or error, in writes that hold several lines; what waits when the process ends is written then. */
export function gathering(to: 1 | 2): Lines {
  let waiting = ''
  let timer: NodeJS.Timeout | undefined
  let isBusy = false
  let lost = 0
  let why = ''

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (isBusy || waiting === '') return
    const bytes = Buffer.from(taken())
    isBusy = true
    send(bytes, 0)
  }

  /** What waits, and before it how much of what came earlier is missing. */
  function taken(): string {
    const text = lost > 0 ? `${lostLine(lost, why)}${waiting}` : waiting
    waiting = ''
    return text
  }

  function send(bytes: Buffer, from: number): void {
    write(to, bytes, from, bytes.length - from, null, (error, written) => {
      if (error?.code === 'EAGAIN') return void setTimeout(send, room, bytes, from)
      if (!error && from + written < bytes.length) return send(bytes, from + written)
      isBusy = false
      if (error) missed(bytes.toString(), error)
      else lost = 0
      if (waiting !== '') timer ??= setTimeout(flush, gathered.every).unref()
    })
  }

  /** Of what was to say how much is missing nothing is missing. */
  function missed(text: string, { message }: Error): void {
    lost += text.split('\n').length - 1 - (lost > 0 ? 1 : 0)
    why = message
  }

  process.once('exit', () => {
    try {
      if (waiting !== '') writeSync(to, taken())
    } catch {
      // Nobody is left who could hear of it.
    }
  })
  return {
    write(line) {
      if (waiting.length >= most) return missed(line, new Error('it is read too slowly'))
      waiting += line
      if (waiting.length >= gathered.letters) flush()
      else timer ??= setTimeout(flush, gathered.every).unref()
    },
  }
}

const lostLine = (lost: number, why: string): string =>
  `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), lost, msg: `${lost} lines of the log could not be written, and are lost: ${why}` })}\n`
