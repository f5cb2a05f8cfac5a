/** `meshidp resource`: what it says, and that every snippet which it prints is a server that gets it right. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { snippets } from '../../src/cli/resource_snippets.ts'
import { changedPolicy, policyClient } from '../support/example_policy.ts'
import { until } from '../support/local_api.ts'
import { printed } from '../support/printed.ts'
import { program, repository, spawned } from '../support/program.ts'
import { freePort, type Started, start } from '../support/start.ts'

const python = join(repository, '.dev/python/bin/python')
const withoutPython = existsSync(python) ? false : 'There is no Python environment for tests; scripts/python_environment.sh makes it.'

/** What the command prints, and its exit code. */
async function said(started: Pick<Started, 'configFile'>, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await printed(['resource', ...words, '--config', started.configFile])
  assert.equal(code, 0)
  return stdout + stderr
}

test('meshidp resource list and show: audience, metadata document (RFC 9728 §3.1) and who may introspect, with and without a running daemon', async (t) => {
  const started = await start(t)
  assert.match(
    await said(started, 'list'),
    /resource:wiki +Wiki +http:\/\/localhost:8490\/mcp +jwt +local +–\nresource:notes +Notes .* opaque +introspect/,
  )
  const shown = await said(started, 'show', 'resource:notes')
  assert.match(shown, /audience +http:\/\/localhost:8491\/mcp/)
  assert.match(shown, /Serve this at http:\/\/localhost:8491\/\.well-known\/oauth-protected-resource\/mcp/)
  for (const kind of snippets.keys()) assert.ok(shown.includes(`── ${kind} ─`), kind)
  const json = JSON.parse(await said(started, 'show', 'notes', '--json', '--for', 'python'))
  assert.deepEqual([json.may_introspect, Object.keys(json.snippets)], [['client:notes-server'], ['python']])
  assert.deepEqual(json.metadata.authorization_servers, [started.issuer])
  await started.close()
  assert.match(await said(started, 'show', 'wiki', '--for', 'fastmcp'), /JWTVerifier/)
})

test('meshidp resource show: an unknown name is told what was perhaps meant, and servers that could check nothing what to add', async (t) => {
  const started = await start(t, {
    policy: changedPolicy((policy) => {
      policy.grants = policy.grants.filter(({ app }) => !app.introspect)
    }),
  })
  await assert.rejects(said(started, 'show', 'wikki'), /names no resource "wikki"\. Did you mean "resource:wiki"\?/)
  await assert.rejects(said(started, 'show', 'wiki', '--for', 'cobol'), /--for takes typescript, python, fastmcp/)
  for (const words of [[], ['show'], ['show', 'wiki', 'more'], ['hide']])
    await assert.rejects(said(started, ...words), /Say: meshidp resource list/)
  assert.match(await said(started, 'show', 'notes'), /No client may look at its tokens yet.*"introspect": \[\{\}\]/s)
  assert.doesNotMatch(await said(started, 'show', 'wiki'), /No client may look/)
})

/** How each kind of snippet is run. */
const runners = new Map<string, { file: string; command: string; skip: string | false; outage: number }>([
  ['typescript', { file: 'server.ts', command: process.execPath, skip: false, outage: 503 }],
  ['python', { file: 'server.py', command: python, skip: withoutPython, outage: 503 }],
  ['fastmcp', { file: 'server.py', command: python, skip: withoutPython, outage: 401 }], // its own words: see the snippet
])

/** Runs what `resource show` prints, on the port that the policy's URI says. */
async function running(t: TestContext, started: Started, name: string, kind: string, uri: string): Promise<void> {
  const { file, command } = runners.get(kind) ?? assert.fail(kind)
  const code = JSON.parse(await said(started, 'show', name, '--json', '--for', kind)).snippets[kind]
  mkdirSync(join(repository, '.dev'), { recursive: true })
  const folder = mkdtempSync(join(repository, '.dev/snippet-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  symlinkSync(join(repository, 'examples/mcp-helper'), join(folder, 'mcp-helper'))
  writeFileSync(join(folder, file), code)
  const env = { MESHIDP_CLIENT_SECRET: policyClient(started, `${name}-server`).client_secret, PYTHONUNBUFFERED: '1' }
  const { ended, said: words } = spawned(t, command, [join(folder, file)], { cwd: folder, env })
  let over = false
  void ended.then(() => {
    over = true
  })
  await until(async () => {
    if (over) assert.fail(words())
    return (await fetch(uri, { method: 'POST' }).catch(() => undefined)) !== undefined
  })
}

const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }

const ask = (uri: string, token?: string) =>
  fetch(uri, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-06-18',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(call),
  })

for (const [kind, { skip, outage }] of runners)
  for (const name of ['wiki', 'notes'])
    test(`The ${kind} snippet for the ${name}: whoami answers alice; no token, another audience and an ID token are 401 with where to sign in; an outage is ${outage}`, {
      skip,
      timeout: 120_000,
    }, async (t) => {
      const port = await freePort()
      const uri = `http://localhost:${port}/mcp`
      const started = await start(t, {
        policy: changedPolicy(({ resources }) => {
          if (resources[`resource:${name}`]) Object.assign(resources[`resource:${name}`] as object, { uri })
        }),
      })
      const { alice } = started
      const client = await alice.register()
      const scope = `${name}:read`
      const tokens = await alice.signIn(client, { resource: uri, scope: `${scope} openid` })
      const other = await alice.signIn(client, { scope: 'openid' })
      await running(t, started, name, kind, uri)

      const good = await ask(uri, tokens.access_token)
      const words = await good.text()
      assert.deepEqual([good.status, words.includes('userid:101')], [200, true], words)
      for (const token of [undefined, 'x', other.access_token, tokens.id_token, tokens.refresh_token]) {
        const refused = await ask(uri, token)
        assert.equal(refused.status, 401, await refused.text())
        const challenge = refused.headers.get('www-authenticate') ?? ''
        assert.match(challenge, /^Bearer .*resource_metadata="http:\/\/localhost:\d+\/\.well-known\/oauth-protected-resource\/mcp"/)
        const metadata = await fetch(/resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? '')
        const document = (await metadata.json()) as { resource: string; authorization_servers: string[] }
        assert.deepEqual([document.resource, document.authorization_servers.map((one) => one.replace(/\/$/, ''))], [uri, [started.issuer]])
      }
      await started.close()
      // What was kept a moment ago may still count; nobody has seen this one.
      const fresh =
        name === 'wiki' ? `${tokens.access_token.split('.').slice(0, 2).join('.')}.AAAA` : `${tokens.access_token.slice(0, -3)}AAA`
      if (name === 'notes') assert.equal((await ask(uri, fresh)).status, outage)
      else assert.equal((await ask(uri, tokens.access_token)).status, 200, 'keys that are known need nobody')
    })

test('meshidp resource --help teaches what it is for', async (t) => {
  const { ended } = spawned(t, program, ['resource', '--help'])
  const { code, stdout } = await ended
  assert.equal(code, 0)
  assert.match(stdout, /Usage: meshidp resource list \| show NAME/)
})
