/** Where the values come from. The command line comes before the environment, that before the file, and that before what is usual. */

import { didYouMean } from '../hujson/nearest.ts'
import type { Hujson, Path } from '../hujson/read.ts'
import { type Key, prefix, readAs } from './keys.ts'

export type Origin =
  | { from: 'command line' | 'environment'; name: string }
  | { from: 'file'; name: string; line: number; column: number }
  | { from: 'default' }

export type Sources = {
  file?: { name: string; hujson: Hujson } | undefined
  env?: Readonly<Record<string, string | undefined>>
  /** By flag, without its dashes. */
  flags?: Readonly<Record<string, string | undefined>>
}

export type Layered = { value: unknown; originOf: (path: Path) => Origin }

type Members = Record<string, unknown>

/** The value of `sources` on top of each other, and where each part of it comes from. */
export function layered(keys: readonly Key[], { file, env = {}, flags = {} }: Sources): Layered {
  const value = structuredClone(file?.hujson.value ?? {})
  const said = new Map<string, Origin>()
  for (const key of keys) {
    const origin = saidBy(key, env, flags)
    if (origin === undefined || !put(value, key.path, readAs(key, origin.text))) continue
    said.set(key.name, { from: origin.from, name: origin.name })
  }
  return {
    value,
    originOf(path) {
      for (let length = path.length; length > 0; length--) {
        const origin = said.get(path.slice(0, length).join('.'))
        if (origin) return origin
      }
      return file && isIn(file.hujson.value, path)
        ? { from: 'file', name: file.name, ...file.hujson.place(path, 'key') }
        : { from: 'default' }
    },
  }
}

function saidBy({ variable, flag }: Key, env: Sources['env'] = {}, flags: Sources['flags'] = {}) {
  if (flags[flag] !== undefined) return { from: 'command line', name: `--${flag}`, text: flags[flag] } as const
  return env[variable] === undefined ? undefined : ({ from: 'environment', name: variable, text: env[variable] } as const)
}

/** Puts a value at a path, and makes the objects on the way. False where the file has something else there, which the schema refuses. */
function put(root: unknown, [first = '', ...rest]: readonly string[], value: unknown): boolean {
  if (typeof root !== 'object' || root === null || Array.isArray(root)) return false
  const members = root as Members
  if (rest.length > 0) {
    members[first] ??= {}
    return put(members[first], rest, value)
  }
  members[first] = value
  return true
}

const isIn = (root: unknown, path: Path): boolean =>
  path.length > 0 && path.reduce<unknown>((value, segment) => (value as Members | undefined)?.[segment], root) !== undefined

/** Variables that begin like ours and are none: which file to read, what servers of resources are given, and what Kubernetes sets for a service called "meshidp". */
const others = /^MESHIDP_(?:CONFIG|CLIENT_SECRET|SERVICE_.*|PORT|PORT_\d+_.*)$/

/** A line for each variable that looks like a key and is none; a misspelt one must not be as good as no word at all. */
export function unknownVariables(keys: readonly Key[], env: Sources['env'] = {}): string[] {
  const known = new Set(keys.map(({ variable }) => variable))
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.has(name) && !others.test(name))
    .map((name) => `${name}: This is no key of the configuration. ${didYouMean(name, known)() ?? 'Unset it.'}`)
}
