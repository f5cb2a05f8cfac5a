/** The log: JSON lines on standard output, for journald; pretty where a person looks at a terminal. */
import { type DestinationStream, pino } from 'pino'
import type { Config } from '../config.ts'
import type { Log } from '../deps.ts'
import { gathering } from './gathered_lines.ts'

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
