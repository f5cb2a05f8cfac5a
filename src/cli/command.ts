/** What a command of `meshidp` is. */
import type { ParseArgsOptionsConfig } from 'node:util'
import type { ProcessUsage } from '../observe/gauges.ts'

/** What a command may touch of the process it runs in. */
export type Terminal = {
  env: Readonly<Record<string, string | undefined>>
  /** Of this process. */
  pid: number
  /** Of this process, for the metrics of a daemon. */
  usage?: ProcessUsage
  /** The path of this program. */
  program: string
  /** Whether people read along. */
  interactive: boolean
  /** How many letters a line has; undefined where nobody looks, or any number is right. */
  columns?: number | undefined
  write: (text: string) => void
  writeError: (text: string) => void
  /** Asks whoever sits there, and resolves with what they typed; undefined where nobody does. */
  question?: ((text: string) => Promise<string>) | undefined
  /** From now on what this process makes is for its own user alone, until it says otherwise. */
  keepPrivate: () => void
  /** From now on SIGHUP is heard, which otherwise ends a process. */
  onHangup: (heard: () => void) => void
  /** Resolves with the name of the signal that asks to stop. */
  untilStopped: () => Promise<string>
}

type Option = ParseArgsOptionsConfig[string] & {
  /** For `--help`: what stands in its place, and what it does. */ argument?: string
  help: string
}

/** Of an option that may be there several times a list. */
export type Values = Record<string, string | boolean | string[] | undefined>

export type Command = {
  /** One line, for the list of commands. */
  summary: string
  /** What follows the command's name, such as "list | show CLIENT_ID"; without it nothing may. */
  usage?: string
  /** Whole sentences, for the command's own help. */
  description: string
  options: Record<string, Option>
  /** Resolves with the exit code: 0 well, 1 falls short, 2 unusable. */
  run: (terminal: Terminal, values: Values, words: readonly string[]) => Promise<number>
}

/** The command line is not understood; the message says what is. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** What a command was given cannot be worked with, such as a file that is not there; the message says why. Exit code 2. */
export class Unusable extends Error {
  override name = 'Unusable'
}
