/** The keys of the configuration, each with its names: in the file, in the environment, on the command line. */
import type { z } from 'zod'

/** What a key holds, as far as that says how a text is read; `json`: what has no shorter form. */
type Kind = 'text' | 'number' | 'boolean' | 'list' | 'json'

export type Key = {
  path: readonly string[]
  /** In the file and in sentences: `listen.port`. */
  name: string
  /** In the environment: `MESHIDP_LISTEN_PORT`. */
  variable: string
  /** On the command line, without its dashes: `listen-port`. */
  flag: string
  kind: Kind
}

export const prefix = 'MESHIDP_'

const kinds = new Map<string, Kind>([
  ['string', 'text'],
  ['enum', 'text'],
  ['number', 'number'],
  ['int', 'number'],
  ['boolean', 'boolean'],
  ['array', 'list'],
])

type Def = { type: string; innerType?: z.ZodType; shape?: Record<string, z.ZodType> }

/** A schema without what only says that it may be left out. */
function bare(schema: z.ZodType): Def {
  const def = schema.def as Def
  return def.innerType ? bare(def.innerType) : def
}

/** Every key of an object's schema, in the order of the schema; those of objects inside by their whole path. `$schema` is for editors, and no key. */
export function keysOf(schema: z.ZodType, above: readonly string[] = []): Key[] {
  return Object.entries(bare(schema).shape ?? {}).flatMap(([last, value]) => {
    const path = [...above, last]
    const { type, shape } = bare(value)
    if (shape) return keysOf(value, path)
    if (last.startsWith('$')) return []
    const words = path.join('_')
    return [
      {
        path,
        name: path.join('.'),
        variable: prefix + words.toUpperCase(),
        flag: words.replaceAll('_', '-'),
        kind: kinds.get(type) ?? ('json' as const),
      },
    ]
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text // the schema says what it should have been
  }
}

const readers: Record<Kind, (text: string) => unknown> = {
  text: (text) => text,
  number: (text) => (/^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' || text === 'false' ? text === 'true' : text),
  list: (text) => (text.startsWith('[') ? parsed(text) : text === '' ? [] : text.split(',').map((item) => item.trim())),
  json: parsed,
}

/** The value that a text of the environment or the command line stands for; a text that stands for none stays one, and the schema refuses it. */
export const readAs = ({ kind }: Key, text: string): unknown => readers[kind](text)
