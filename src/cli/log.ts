/** The log: JSON lines on standard output, for journald; pretty where a person looks at a terminal. */
import { type DestinationStream, pino } from 'pino'
import type { Config } from '../config.ts'
import type { Log } from '../deps.ts'

/** Lines wait for each other, until there are so many letters or for so many milliseconds: under load a write each would cost more than the line. */
const gathered = { letters: 8192, every: 20 }

/** Standard output or error, in writes that hold several lines; what waits when the process ends is written then. */
function gathering(to: 1 | 2): DestinationStream {
  const stream = pino.destination({ dest: to, sync: false, minLength: 0 })
  let waiting = ''
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    if (waiting !== '') stream.write(waiting)
    waiting = ''
  }
  process.once('exit', () => {
    flush()
    stream.flushSync()
  })
  return {
    write(line) {
      waiting += line
      if (waiting.length >= gathered.letters) flush()
      else timer ??= setTimeout(flush, gathered.every).unref()
    },
  }
}

/** Where lines go: as they are, or through a printer that is loaded only where somebody looks. */
async function destination(interactive: boolean, to: 1 | 2): Promise<DestinationStream> {
  if (!interactive) return gathering(to)
  const { default: pretty } = await import('pino-pretty')
  return pretty({ destination: to, sync: true, colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' })
}

/** `to`: a file descriptor; 2 where standard output belongs to the command's own words. */
export async function createLog(level: Config['log_level'], { interactive, to = 1 }: { interactive: boolean; to?: 1 | 2 }): Promise<Log> {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  }
  const log = pino(options, await destination(interactive, to))
  // Not the logger itself: pino's type has a "then", which a promise must not resolve with.
  return { debug: log.debug.bind(log), info: log.info.bind(log), warn: log.warn.bind(log), error: log.error.bind(log) }
}
