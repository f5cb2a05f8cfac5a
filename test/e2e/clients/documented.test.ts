/** The examples of docs/clients.md, run as they stand but for their ports: each section's policy and program. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parse } from 'jsonc-parser'
import { browserSession } from '../../support/browser_session.ts'
import { policyClient } from '../../support/example_policy.ts'
import { freePort, start } from '../../support/start.ts'

const document = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8')
const [, grants = ''] = /^### The policy for the examples$[\s\S]*?^```jsonc\n([\s\S]*?)^```$/m.exec(document) ?? []
const examples = [...document.matchAll(/^### (\S+)\n+```jsonc\n([\s\S]*?)^```\n+```js\n([\s\S]*?)^```$/gm)]

/** A folder from which the packages of these clients are found, and which git does not see. */
const beside = fileURLToPath(new URL('node_modules/.documented', import.meta.url))

async function run(t: TestContext, program: string, env: Record<string, string>): Promise<void> {
  mkdirSync(beside, { recursive: true })
  const directory = mkdtempSync(join(beside, 'example-'))
  const file = join(directory, 'rota.mjs')
  writeFileSync(file, program)
  const child = spawn(process.execPath, [file], { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] })
  t.after(async () => {
    const ended = child.exitCode === null && once(child, 'exit')
    child.kill()
    await ended
    rmSync(directory, { recursive: true })
  })
}

test('docs/clients.md has an example for each of these', () => {
  assert.deepEqual(
    examples.map(([, name]) => name),
    ['express-openid-connect', 'passport-openidconnect', 'better-auth', 'oauth4webapi'],
  )
})

test('docs/clients.md: each version that it names is the one that the tests run', () => {
  const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
  const named = [...document.matchAll(/^\| `([@\w/-]+)` +\| (\d\S*) /gm)]
  assert.ok(named.length >= 5)
  const folders = { node_modules: 'package.json', '../../../node_modules': '../../../package.json' }
  for (const [folder, list] of Object.entries(folders)) {
    const { dependencies, devDependencies } = read(list)
    for (const [, name = '', version] of named)
      if (name in { ...dependencies, ...devDependencies }) assert.equal(version, read(`${folder}/${name}/package.json`).version, name)
  }
})

for (const [, name, entry = '', program = ''] of examples)
  test(`docs/clients.md: the example for ${name} signs alice in, with the policy beside it`, async (t) => {
    const port = await freePort()
    const at = (text: string) => text.replaceAll('localhost:3000', `localhost:${port}`).replaceAll('listen(3000)', `listen(${port})`)
    const started = await start(t, { policy: JSON.stringify({ ...parse(grants), ...parse(at(entry)) }) })
    const { client_secret } = policyClient(started, 'rota')
    await run(t, at(program).replaceAll('http://localhost:8484', started.issuer), { CLIENT_SECRET: client_secret })
    const browser = browserSession(started.alice)
    const login = async (triesLeft: number) => {
      try {
        return await browser.open(`http://localhost:${port}/login`)
      } catch (error) {
        if (triesLeft === 0) throw error
        await setTimeout(100)
        return login(triesLeft - 1)
      }
    }
    const page = await login(300)
    assert.equal(page.status, 200, page.text)
    assert.match(page.text, /Alice Example/)
  })
