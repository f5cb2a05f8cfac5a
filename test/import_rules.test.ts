import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../src', import.meta.url))

/** Who may import whom (docs/architecture.md). A file at the top of src is a room of its own, by its name. */
const mayImport: Record<string, readonly string[]> = {
  oauth: [],
  hujson: [],
  policy: ['oauth', 'hujson'],
  store: ['oauth'],
  identity: ['oauth', 'node_http'],
  keys: ['oauth', 'store'],
  clients: ['oauth', 'policy', 'store', 'keys', 'deps'],
  config: ['hujson'],
  node_http: [],
  deps: ['clients', 'config', 'decide', 'identity', 'keys', 'observe', 'policy', 'store', 'tls'],
  tls: ['config', 'deps', 'identity', 'node_http', 'policy_file', 'rounds', 'this_user'],
  this_user: [],
  observe: ['oauth', 'identity', 'keys', 'store', 'decide', 'deps'],
  decide: ['oauth', 'policy', 'store', 'deps', 'observe'],
  http: ['oauth', 'policy', 'store', 'identity', 'config', 'deps', 'node_http', 'tls', 'observe'],
  tokens: ['oauth', 'policy', 'keys', 'store', 'clients', 'config', 'deps', 'observe'],
  client_auth: ['oauth', 'keys', 'store', 'clients', 'deps', 'decide'],
  grant_types: ['oauth', 'policy', 'store', 'clients', 'deps', 'decide', 'tokens'],
  authorization: ['oauth', 'policy', 'store', 'identity', 'clients', 'deps', 'decide', 'tokens', 'http'],
  endpoints: [
    'oauth',
    'policy',
    'keys',
    'store',
    'clients',
    'client_auth',
    'deps',
    'decide',
    'tokens',
    'grant_types',
    'authorization',
    'http',
    'observe',
  ],
}

/** Who wires the others together, and so may import anything. */
const wiring = [
  'admin',
  'app',
  'backup',
  'cli',
  'daemon',
  'doctor',
  'janitor',
  'load_policy',
  'main',
  'policy_file',
  'rounds',
  'self_check',
  'state',
  'sure_clock',
  'sweep',
  'systemd',
  'this_node',
]

/** What only some rooms may use of the world outside. */
const onlyIn: Record<string, readonly string[]> = {
  fastify: ['app', 'http', 'endpoints', 'admin'],
  'better-sqlite3': ['store'],
  'age-encryption': ['backup'],
  jose: ['keys'],
  pino: ['cli'],
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const roomOf = (file: string) => file.split('/')[0]?.replace(/\.ts$/, '') ?? ''
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

/** What a file imports: of ours as paths below src, of others as names. */
function importsOf(file: string): string[] {
  return [...textOf(file).matchAll(/(?:^|\n)(?:import|export)[^'"\n;]*(?:\{[^}]*\}[^'"]*)?from '([^']+)'|import\('([^']+)'\)/g)].map(
    ([, fixed, dynamic]) => {
      const name = fixed ?? dynamic ?? ''
      return name.startsWith('.') ? relative(root, join(root, dirname(file), name)) : name
    },
  )
}

test('architecture: a room imports only from the rooms that it may', () => {
  const breaches = files.flatMap((file) => {
    if (wiring.includes(roomOf(file))) return []
    const allowed = mayImport[roomOf(file)] ?? []
    if (!mayImport[roomOf(file)]) return [`src/${file} is in a room that has no rule`]
    return importsOf(file)
      .filter((name) => name.endsWith('.ts') && roomOf(name) !== roomOf(file) && !allowed.includes(roomOf(name)))
      .map((name) => `src/${file} imports src/${name}`)
  })
  assert.deepEqual(breaches, [])
})

test('architecture: endpoints know nothing of each other; only their list does', () => {
  const breaches = files
    .filter((file) => roomOf(file) === 'endpoints' && file !== 'endpoints/index.ts')
    .flatMap((file) =>
      importsOf(file)
        .filter((name) => roomOf(name) === 'endpoints')
        .map((name) => `src/${file} imports src/${name}`),
    )
  assert.deepEqual(breaches, [])
})

test('architecture: fastify, SQLite, age, jose and pino each have their rooms', () => {
  const breaches = files.flatMap((file) =>
    importsOf(file)
      .filter((name) => onlyIn[name] && !onlyIn[name].includes(roomOf(file)))
      .map((name) => `src/${file} imports ${name}`),
  )
  assert.deepEqual(breaches, [])
})

test('architecture: SQL stands only in the store', () => {
  const sql = /\b(?:SELECT\s[\s\S]+?\sFROM|INSERT INTO|DELETE FROM|UPDATE\s+\w+\s+SET)\b/
  assert.deepEqual(
    files.filter((file) => roomOf(file) !== 'store' && sql.test(textOf(file))),
    [],
  )
})

test('architecture: only main and cli read the process', () => {
  const reads = /(?<![\w.])process\.(?!hrtime|nextTick)/
  assert.deepEqual(
    files.filter((file) => !['main', 'cli'].includes(roomOf(file)) && reads.test(textOf(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''))),
    [],
  )
})

test('architecture: the policy engine has no clock, no chance and no I/O', () => {
  const engine = files.filter((file) => ['policy', 'hujson'].includes(roomOf(file)))
  const others = new Set(engine.flatMap(importsOf).filter((name) => !name.endsWith('.ts')))
  assert.deepEqual([...others].sort(), ['jsonc-parser', 'node:crypto', 'node:net', 'zod'])
  const named = (module: string) =>
    engine.flatMap((file) => [...textOf(file).matchAll(new RegExp(`import \\{ (.*) \\} from '${module}'`, 'g'))].map(([, names]) => names))
  assert.deepEqual([new Set(named('node:crypto')), new Set(named('node:net'))], [new Set(['hash']), new Set(['isIP'])])
  const outside =
    /\bDate\.now|new Date\(\)|\b(?:Math\.random|performance|set(?:Timeout|Interval|Immediate)|queueMicrotask|fetch|console|globalThis|async|await)\b/
  assert.deepEqual(
    engine.filter((file) => outside.test(textOf(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'|`[^`]*`/g, ''))),
    [],
  )
})

test('architecture: the rules speak of rooms that exist', () => {
  const rooms = new Set(files.map(roomOf))
  assert.deepEqual(
    [...Object.keys(mayImport), ...wiring].filter((room) => !rooms.has(room)),
    [],
  )
  assert.ok(files.flatMap(importsOf).length > 300, 'the imports were found')
})
