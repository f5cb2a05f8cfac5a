import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { codeFor, policy, redeem, wikiServer } from '../daemon/load.ts'
import { wiki } from '../support/example_policy.ts'
import { install } from '../support/program.ts'

type Line = Record<string, unknown>
const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

/** Writes lines as an export has them, with the end that belongs to them. */
function write(file: string, lines: readonly Line[]): void {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  const end = { type: 'end', rows: lines.length - 1, sha256: createHash('sha256').update(text).digest('hex') }
  writeFileSync(file, `${text}${JSON.stringify(end)}\n`)
}

/** An installation in which alice has registered software, agreed to it, and signed in. */
async function used(t: TestContext) {
  const installation = await install(t, { policy })
  const daemon = await installation.serve()
  const alice = installation.at('127.0.0.2')
  const app = await alice.register()
  const tokens = await alice.signIn(app, wiki)
  await redeem(alice, await codeFor(alice))
  const file = join(installation.directory, 'state.jsonl')
  const exported = await installation.run('export', file)
  assert.deepEqual([exported.code, exported.stderr], [0, ''])
  return { ...installation, daemon, app, tokens, file }
}

test('export and import: software goes on with its secret and with what people agreed to, tokens do not; no row comes twice', async (t) => {
  const old = await used(t)
  const [head, ...rows] = linesOf(old.file)
  assert.deepEqual([head?.format, head?.version, head?.issuer, head?.tailnet], ['meshidp-export', 1, old.issuer, 'example.com'])
  const types = new Set(rows.map(({ type }) => type))
  assert.deepEqual([...types], ['client', 'consent', 'authorization', 'record', 'decision', 'end'])
  assert.equal(statSync(old.file).mode & 0o777, 0o600)
  const text = readFileSync(old.file, 'utf8')
  for (const secret of [old.app.registration_access_token, old.tokens.access_token, old.tokens.refresh_token])
    assert.ok(secret && !text.includes(secret))

  const other = await install(t, { policy })
  const taken = await other.run('import', old.file)
  assert.deepEqual([taken.code, taken.stderr], [0, ''])
  assert.match(taken.stdout, /^clients +1 +0$/m)
  assert.match((await other.run('import', old.file)).stdout, /^clients +0 +1$/m)
  const daemon = await other.serve()
  const alice = other.at('127.0.0.2')
  const headers = { authorization: `Bearer ${old.app.registration_access_token}` }
  assert.equal((await alice.send(`/register/${old.app.client_id}`, { headers })).status, 200, 'its secret is known')
  assert.equal((await alice.introspect(wikiServer, old.tokens.access_token)).active, false, 'its token is not')
  await assert.rejects(alice.refresh(old.app, old.tokens), /invalid_grant/)
  assert.equal((await alice.authorize(old.app, wiki)).status, 303, 'alice agreed on the old machine')
  await alice.refresh(old.app, await alice.signIn(old.app, wiki))
  const { decisions } = JSON.parse((await other.run('decisions', 'list', '--json')).stdout) as { decisions: Line[] }
  assert.ok(decisions.length > rows.filter(({ type }) => type === 'decision').length)
  const { authorizations } = JSON.parse((await other.run('authorizations', 'list', '--json')).stdout) as { authorizations: Line[] }
  assert.ok(
    authorizations.every(({ created_at }) => Number(created_at) >= Number(head?.made_at)),
    'only those of this machine live',
  )

  const live = await other.run('import', old.file)
  assert.deepEqual([live.code, /A daemon uses .* Stop it first/.test(live.stderr)], [1, true])
  await daemon.end()
})

test('an export that is cut short, changed, of another version or tailnet, or with a row that does not fit is refused, and nothing of it comes', async (t) => {
  const old = await used(t)
  const other = await install(t, { policy })
  const file = join(other.directory, 'state.jsonl')
  const refused = async (says: RegExp) => {
    const { code, stderr } = await other.run('import', file)
    assert.deepEqual([code, says.test(stderr)], [1, true], stderr)
  }
  const good = readFileSync(old.file, 'utf8')
  const lines = linesOf(old.file).slice(0, -1)
  const [head = {}, ...rows] = lines
  const at = rows.findIndex(({ type }) => type === 'consent')
  const withRow = (change: Line) => write(file, [head, ...rows.map((row, n) => (n === at ? { ...row, ...change } : row))])

  writeFileSync(file, good.slice(0, good.lastIndexOf('\n{')))
  await refused(/its end is missing/)
  writeFileSync(file, good.replace('wiki:read', 'wiki:admin'))
  await refused(/changed since it was written/)
  writeFileSync(file, 'hello\n')
  await refused(/state\.jsonl:1: this is no JSON object/)
  writeFileSync(file, Buffer.alloc(65 * 1024 * 1024, 'a'))
  await refused(/state\.jsonl:1: this line is longer than 64 MiB/)
  write(file, [{ ...head, version: 2 }, ...rows])
  await refused(/another version/)
  withRow({ agreed_at: 'yesterday' })
  await refused(new RegExp(`state\\.jsonl:${at + 2}: "agreed_at" must be a whole number`))
  withRow({ scopes: null })
  await refused(/"scopes" must be text/)
  withRow({ admin: true })
  await refused(/"admin" is no member/)
  withRow({ type: 'meta' })
  await refused(/"meta" is no kind of row/)
  withRow({})
  const taken = await other.run('import', file, '--json')
  const { came } = JSON.parse(taken.stdout) as { came: Record<string, { added: number; there: number }> }
  assert.deepEqual(
    [came.client, came.consent],
    [
      { added: 1, there: 0 },
      { added: 1, there: 0 },
    ],
    'nothing had come before',
  )
  write(file, [{ ...head, tailnet: 'elsewhere.example' }, ...rows])
  await refused(/User ids of two tailnets collide/)
})
