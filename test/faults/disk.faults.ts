import assert from 'node:assert/strict'
import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fill } from '../../bench/servers/fill.ts'
import { codeFor, grafana, policy, redeem, wikiServer } from '../daemon/load.ts'
import { eventually } from '../support/eventually.ts'
import { type Person, Refusal, type Tokens } from '../support/person.ts'
import { install, meshidp } from '../support/program.ts'
import { filled, frozen, inMemory, onDisk, unable, withoutLoop } from './place.ts'

/** A daemon whose state is in `folder`, and alice, who has signed in. */
async function signedIn(t: TestContext, folder: string) {
  const state = join(folder, 'state')
  mkdirSync(state, { mode: 0o700 })
  const installation = await install(t, { policy, config: { state_directory: state } })
  const daemon = await installation.serve()
  const alice = installation.at('127.0.0.2')
  const held = await redeem(alice, await codeFor(alice))
  return { installation, daemon, alice, held, state, database: join(state, 'meshidp.db') }
}

const ready = async (alice: Person) => (await alice.send('/readyz')).json() as { ready: boolean; store: string }

/** What nothing is written for: the keys, the metadata, what a token is worth. */
async function assertReads(alice: Person, { access_token }: Tokens): Promise<void> {
  for (const path of ['/jwks', '/.well-known/openid-configuration', '/healthz']) assert.equal((await alice.send(path)).status, 200, path)
  assert.equal((await alice.introspect(wikiServer, access_token)).active, true)
}

/** Whatever writes is 503 with Retry-After and these words, and nothing is spent. */
async function assertNoWrites(alice: Person, held: Tokens, words: RegExp): Promise<void> {
  const registration = await alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1:9/callback'] } })
  for (const answer of [registration, await refused(alice.refresh(grafana, held))]) {
    assert.equal(answer.status, 503, answer.text)
    assert.ok(Number(answer.headers['retry-after']) > 0)
    assert.equal(answer.json().error, 'temporarily_unavailable')
    assert.match(String(answer.json().error_description), words)
  }
}

const refused = async (asked: Promise<unknown>) => {
  const refusal = await asked.then(
    () => assert.fail('it was answered'),
    (error: unknown) => error,
  )
  assert.ok(refusal instanceof Refusal, String(refusal))
  return refusal.answer
}

suite('the disk', { skip: unable, concurrency: 2 }, () => {
  test('full: 503 with Retry-After where something is to be saved, reads go on, not ready; with room again all goes on by itself, and nothing was spent [threats 319]', async (t) => {
    const folder = inMemory(t, 12)
    const { installation, daemon, alice, held } = await signedIn(t, folder)
    const empty = filled(folder)
    // The log has room of its own for a while.
    await eventually(
      'a refusal',
      async () => (await alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1/'] } })).status === 503,
    )
    await assertNoWrites(alice, held, /^The disk is full, nothing was saved\.$/)
    await assertReads(alice, held)
    assert.deepEqual(await ready(alice), { ...(await ready(alice)), ready: false, store: 'the disk is full' })
    await daemon.says(
      /"level":"error".*"msg":"Not ready\. [^"]*meshidp\.db: The disk is full\. Free some space; the daemon goes on by itself\./,
    )
    assert.match((await installation.run('status')).stdout, /The disk is full\. Free some space/)
    empty()
    await eventually('ready again', async () => (await ready(alice)).ready)
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
    await daemon.says(/"msg":"store: all is well again"/)
    assert.equal((await daemon.end()).code, 0)
  })

  test('full at the start: a sentence and exit code 1; with room again it starts, and nothing is half made', async (t) => {
    const folder = inMemory(t, 1)
    const state = join(folder, 'state')
    mkdirSync(state, { mode: 0o700 })
    const installation = await install(t, { policy, config: { state_directory: state } })
    const empty = filled(folder)
    const { code, stderr } = await meshidp(t, ['serve', '--config', installation.configFile]).ended
    assert.equal(code, 1)
    assert.match(stderr, /^meshidp: [^\n]*(?:disk is full|no space left)[^\n]*\n$/i)
    empty()
    await installation.serve()
    const alice = installation.at('127.0.0.2')
    await eventually('ready', async () => (await ready(alice)).ready)
  })

  test('read-only after an error of its own: the same, and the daemon stops cleanly; mended, the next one goes on where this one was', {
    skip: withoutLoop,
  }, async (t) => {
    const { folder, breaks, mends } = onDisk(t)
    const { installation, daemon, alice, held } = await signedIn(t, folder)
    breaks()
    await assertNoWrites(alice, held, /nothing was saved\.$/)
    await assertReads(alice, held)
    assert.match((await ready(alice)).store, /^cannot be written to$/)
    await daemon.says(/"msg":"Not ready\. /)
    assert.equal((await daemon.end()).code, 0)
    mends()
    await installation.serve()
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
  })

  test('files that nobody may change (chattr +i): the same; given back, all goes on by itself', { skip: withoutLoop }, async (t) => {
    const { folder } = onDisk(t)
    const { daemon, alice, held, database } = await signedIn(t, folder)
    const thaw = frozen(database, `${database}-wal`)
    await assertNoWrites(alice, held, /nothing was saved\.$/)
    await assertReads(alice, held)
    assert.deepEqual((await ready(alice)).store, 'cannot be written to')
    await daemon.says(/"msg":"Not ready\. /)
    thaw()
    await eventually('ready again', async () => (await ready(alice)).ready)
    assert.ok((await alice.refresh(grafana, held)).refresh_token)
    await daemon.says(/"msg":"store: all is well again"/)
  })

  test('the state is deleted, or moved away, under the daemon: noticed within seconds, nothing more is promised; put back, all goes on', async (t) => {
    const { daemon, alice, held, state } = await signedIn(t, inMemory(t, 32))
    renameSync(state, `${state}.away`)
    const gone = () => eventually('noticed', async () => (await ready(alice)).store === 'its files are gone')
    await gone()
    await assertNoWrites(alice, held, /^The files of the database are gone, nothing was saved\.$/)
    await assertReads(alice, held)
    await daemon.says(
      /"msg":"Not ready\. [^"]*meshidp\.db was deleted or replaced under the running daemon.* Put the same file back, or stop the daemon and restore a backup\./,
    )
    renameSync(`${state}.away`, state)
    await eventually('ready again', async () => (await ready(alice)).ready)
    const next = await alice.refresh(grafana, held)
    rmSync(state, { recursive: true })
    await gone()
    await assertNoWrites(alice, next, /^The files of the database are gone/)
    assert.equal((await daemon.end()).code, 0)
  })
})

// By itself: it fills the database in this process, in which the mesh of the others is, and so would keep those waiting for too long.
test('a page is damaged: said as soon as it is read, then nothing is answered from this database, and it is not started again', {
  skip: unable,
}, async (t) => {
  const { installation, daemon, alice, held, database } = await signedIn(t, inMemory(t, 256))
  await daemon.end()
  await fill(database, 20_000, 'http://localhost:8490/mcp', () => undefined)
  const second = await installation.serve()
  // All but the first pages, which SQLite has read already; more than it keeps in memory.
  const { size } = statSync(database)
  const rubbish = Buffer.alloc(size - 40 * 4096, 0xa5)
  const descriptor = openSync(database, 'r+')
  writeSync(descriptor, rubbish, 0, rubbish.length, 40 * 4096)
  closeSync(descriptor)
  const answer = await eventually('damage is met', async () => {
    const asked = await alice.refresh(grafana, held).catch((error: Refusal) => error.answer)
    return 'status' in asked
      ? asked
      : redeem(alice, await codeFor(alice)).then(
          () => null,
          () => null,
        )
  })
  assert.deepEqual([answer.status, answer.json().error_description], [503, 'The database is damaged.'])
  const introspection = await alice.send('/introspect', {
    form: { token: held.access_token },
    headers: { authorization: `Basic ${btoa(`${wikiServer.client_id}:${wikiServer.client_secret}`)}` },
  })
  assert.equal(introspection.status, 503, 'what stands on other pages may be wrong as well')
  assert.equal((await alice.send('/jwks')).status, 200)
  assert.equal((await ready(alice)).store, 'damaged')
  await second.says(/"msg":"Not ready\. [^"]*meshidp\.db is damaged \(.*\)\. .* Stop the daemon, keep this file, and restore a backup\./)
  assert.equal((await second.end()).code, 0)
  const { code, stderr } = await meshidp(t, ['serve', '--config', installation.configFile]).ended
  assert.equal(code, 1)
  assert.match(stderr, /^meshidp: \S+meshidp\.db is damaged \(.*\)\. Restore a backup, and keep this file/)
})
