/** "From the command line" of docs/policy.md: each command that it shows is run, and prints what it shows. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { format } from '../../src/policy/index.ts'
import { program } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'

const document = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
const [, file = ''] = /^```hujson\n([\s\S]*?)^```$/m.exec(document) ?? []
const blocks = [...document.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text)

/** Commands of a block, each with what it shows. */
const commandsOf = (block: string) =>
  block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)] as const)

test('docs/policy.md: the commands that it shows print what it shows', (t) => {
  const directory = temporaryDirectory(t)
  writeFileSync(join(directory, 'policy.hujson'), file)
  const run = (command: string) => {
    const shell = `meshidp() { "${process.execPath}" "${program}" "$@"; }\n${command} 2>&1 || true`
    return execFileSync('bash', ['-c', shell], {
      cwd: directory,
      encoding: 'utf8',
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, NO_COLOR: '1' },
    })
  }
  const commands = blocks.flatMap(commandsOf)
  assert.ok(commands.length >= 6, `${commands.length} commands`)
  for (const [command, shown] of commands) assert.equal(run(command), shown, command)
})

test('docs/policy.md: the file that it shows is laid out as fmt does it', () => {
  assert.deepEqual(format(file), { ok: true, text: file })
})
