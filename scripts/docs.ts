// Writes the documents that the code knows best, so that they never say anything else: `npm run docs`. With --check nothing is written; it fails where a
// file is not what would be written.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { commands } from '../src/cli/index.ts'
import { jsonSchemaOf } from '../src/config/json_schema.ts'
import { configKeys, configSchema } from '../src/config.ts'
import { policyJsonSchema } from '../src/policy/json_schema.ts'
import { example, unitsOf } from '../src/systemd/units.ts'
import { printed } from '../test/support/printed.ts'
import { areas, type Covering, gapsOf, threatsTable } from './threats.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const made = '<!-- Made by "npm run docs"; what is written here by hand is lost. -->'

type Schema = {
  type?: string
  enum?: readonly unknown[]
  minimum?: number
  exclusiveMinimum?: number
  maximum?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: readonly string[]
  default?: unknown
  description?: string
}

const jsonSchema = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input' }) as Schema

/** A cell of a table: `|` ends one, also within code. */
const row = (...cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
const code = (text: string) => `\`${text}\``

function typeOf({ type = '', enum: values, minimum, exclusiveMinimum, maximum, items }: Schema): string {
  if (values) return values.map((value) => code(String(value))).join(', ')
  if (items) return `list of ${typeOf(items)}`
  if (type !== 'integer') return type === 'string' ? 'text' : type
  const least = exclusiveMinimum === undefined ? minimum : exclusiveMinimum + 1
  const bounds = [least, maximum].map((bound) => (bound === undefined || Math.abs(bound) === Number.MAX_SAFE_INTEGER ? undefined : bound))
  if (bounds.every((bound) => bound === undefined)) return 'whole number'
  return bounds[1] === undefined ? `whole number, at least ${bounds[0]}` : `whole number, ${bounds[0]} to ${bounds[1]}`
}

/** One line a key, those of objects by their whole path. `standard`: the default of the object around, where it has one as a whole. */
function keysOf({ properties = {}, required = [] }: Schema, path = '', standard: Record<string, unknown> = {}): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const value = schema.default ?? standard[name]
    if (name.startsWith('$')) return []
    if (schema.properties) return keysOf(schema, `${path}${name}.`, value as Record<string, unknown>)
    const shown = value !== undefined ? code(JSON.stringify(value)) : path === '' && required.includes(name) ? 'required' : '–'
    return [row(code(path + name), typeOf(schema), shown, schema.description ?? '')]
  })
}

const configuration = () => `${made}

# Configuration

One file of JSON with comments and trailing commas. \`meshidp\` takes the one that \`--config\` names, else \`$MESHIDP_CONFIG\`, else
\`/etc/meshidp/config.hujson\`. Durations are whole seconds unless it says otherwise. Examples are in [operations.md](operations.md).

Each key can also be said in the environment and on the command line of every command that takes \`--config\`: \`${configKeys[0]?.name}\` as
\`${configKeys[0]?.variable}\` and \`--${configKeys[0]?.flag}\`, \`listen.port\` as \`MESHIDP_LISTEN_PORT\` and \`--listen-port\`: upper case and \`_\`, or \`-\`, for every dot. The
command line comes before the environment, that before the file, and that before the default. Lists are separated by commas, or written as JSON. Where all that is needed is said
so, no file is needed. \`meshidp config show\` prints each value in effect and where it comes from.

What is not a key is refused, in the file and in the environment, with its place and what was perhaps meant; \`meshidp config check\` says so before a start. An editor knows the keys by
[config.schema.json](../config/config.schema.json): put \`"$schema"\` at the top. No key holds a secret, and what looks like one is refused: secrets stand in files, which keys only
name, or in credentials of systemd, which are files too (\`/run/credentials/meshidp.service/NAME\`).

${row('Key', 'Type', 'Default', 'What it does')}
${row('---', '---', '---', '---')}
${keysOf(jsonSchema(configSchema)).join('\n')}
`

/** What a command line prints. */
const said = async (...argv: readonly string[]): Promise<string> => (await printed(argv)).stdout.trimEnd()

const block = (text: string) => `\`\`\`text\n${text}\n\`\`\``

async function commandLine(): Promise<string> {
  const parts = [`${made}\n\n# Commands\n\n${block(await said('--help'))}`]
  for (const name of commands.keys()) parts.push(`## ${name}\n\n${block(await said(...name.split(' '), '--help'))}`)
  return `${parts.join('\n\n')}\n`
}

const policySchema = () => `${JSON.stringify(policyJsonSchema(), null, 2)}\n`

/** A string that ends in `[threats 1, 2]`, in any quotes. */
const titled = /(['"`])((?:\\.|(?!\1)[^\\\n])*?) *\[threats ([\d, ]+)\]\1/g

/** What the titles of all tests say that they cover, in order. */
function coveringTests(): Covering[] {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.includes('node_modules/'),
  )
  const covering = files.flatMap((file) =>
    [...readFileSync(join(root, 'test', file), 'utf8').matchAll(titled)].flatMap(([, , title = '', numbers = '']) =>
      numbers
        .split(',')
        .map((number) => ({ number: Number(number), title: title.replaceAll(/\\(['"`])/g, '$1').replaceAll(/\$\{[^}]*\}/g, '…'), file })),
    ),
  )
  return covering.sort((a, b) => a.number - b.number || (a.file < b.file ? -1 : Number(a.file > b.file)))
}

const threats = () => `${made}

# Threats and the tests that cover them

What is tried against this server and what must come of it is in [scripts/threats.ts](../scripts/threats.ts); a test whose title ends in "threats" and
numbers, in brackets, covers those numbers. A due number without a test fails \`npm run docs -- --check\`. What the server does about them as a whole is told
in [security.md](security.md).

${threatsTable(areas, coveringTests(), row)}
`

const configJsonSchema = () => `${JSON.stringify(jsonSchemaOf(configSchema), null, 2)}\n`

const documents = new Map<string, () => string | Promise<string>>([
  ['docs/configuration.md', configuration],
  ['docs/commands.md', commandLine],
  ['docs/threats.md', threats],
  ['policy/policy.schema.json', policySchema],
  ['config/config.schema.json', configJsonSchema],
  ...[...unitsOf(example)].map(([name, text]): [string, () => string] => [`systemd/${name}`, () => text]),
])

/** As the linter wants what it knows. */
const formatted = (name: string, text: string) =>
  /\.(?:md|json)$/.test(name)
    ? execFileSync(join(root, 'node_modules/.bin/biome'), ['format', `--stdin-file-path=${name}`], {
        cwd: root,
        input: text,
        encoding: 'utf8',
      })
    : text

const existing = (file: string) => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

const stale: string[] = []
for (const [name, make] of documents) {
  const [file, text] = [join(root, name), formatted(name, await make())]
  if (existing(file) === text) continue
  stale.push(name)
  if (process.argv.includes('--check')) continue
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  console.log(`${name} is written.`)
}
if (process.argv.includes('--check')) {
  for (const name of stale) console.error(`${name} is not what the code says any more. Run: npm run docs`)
  const gaps = gapsOf(areas, coveringTests())
  for (const gap of gaps) console.error(gap)
  if (stale.length + gaps.length > 0) process.exitCode = 1
}
