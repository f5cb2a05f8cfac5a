import assert from 'node:assert/strict'
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { beginEpoch } from '../../src/store/epoch.ts'
import { migrations } from '../../src/store/migrations/index.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { codeFor, grafana, policy, redeem, wikiServer } from '../daemon/load.ts'
import { asserted, assertionClaims, jwkOf, jwtBy, newPair } from '../support/assertion.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { Refusal } from '../support/person.ts'
import { install } from '../support/program.ts'
import { start } from '../support/start.ts'

const refusal = (sentence: RegExp) => (error: unknown) =>
  error instanceof Refusal && error.error === 'invalid_grant' && sentence.test(String(error.answer.json().error_description))

test('a restored backup revives nothing: codes, pages, tokens, refresh tokens, consents and initial access tokens of its time are void, and people sign in anew [threats 467]', async (t) => {
  const installation = await install(t, { policy })
  const { directory, serve, run } = installation
  let daemon = await serve()
  const alice = installation.at('127.0.0.2')
  const app = await alice.register()
  const first = await redeem(alice, await codeFor(alice))
  const unused = await redeem(alice, await codeFor(alice))
  const code = await codeFor(alice)
  const page = await alice.authorize(app, wiki)
  const agreed = await alice.signIn(app, wiki)
  assert.equal((await alice.authorize(app, wiki)).status, 303, 'alice agreed once, and is not asked again')
  const { token } = JSON.parse((await run('tokens', 'initial', 'create', '--for', '*', '--json')).stdout) as { token: string }

  const file = join(directory, 'yesterday.tar')
  assert.equal((await run('backup', file)).code, 0)

  // What happens until the disk is lost.
  const second = await alice.refresh(grafana, first)
  const fromCode = await redeem(alice, code)
  const { sid } = JSON.parse(Buffer.from(agreed.access_token.split('.')[1] ?? '', 'base64url').toString()) as { sid: string }
  await run('authorizations', 'revoke', sid)
  await daemon.end('SIGKILL')
  rmSync(join(directory, 'state'), { recursive: true })

  const restored = await run('restore', file)
  assert.deepEqual([restored.code, restored.stderr], [0, ''])
  assert.match(restored.stdout, /^Restored .*yesterday\.tar of 20\d\d-.*Z\.\nEverybody signs in anew/)
  daemon = await serve()

  for (const [what, tokens] of Object.entries({ first, unused, agreed })) {
    await assert.rejects(
      alice.refresh(what === 'agreed' ? app : grafana, tokens),
      refusal(/of the time before this server was restored from a backup. Sign in again/),
      what,
    )
    assert.equal((await alice.introspect(wikiServer, tokens.access_token)).active, false, what)
  }
  for (const [what, tokens] of Object.entries({ second, fromCode })) {
    await assert.rejects(alice.refresh(grafana, tokens), refusal(/Sign in again/), what)
    assert.equal((await alice.introspect(wikiServer, tokens.access_token)).active, false, what)
  }
  await assert.rejects(redeem(alice, code), refusal(/Start the sign-in again/))
  assert.match((await alice.answer(page, 'approve')).text, /answered already, or it has waited for too long/)
  assert.equal((await alice.authorize(app, wiki)).status, 200, 'alice is asked again')
  const registration = await alice.send('/register', {
    json: { redirect_uris: ['http://127.0.0.1/cb'] },
    headers: { authorization: `Bearer ${token}` },
  })
  assert.equal(registration.status, 401)

  const anew = await redeem(alice, await codeFor(alice))
  assert.equal((await alice.introspect(wikiServer, anew.access_token)).active, true)
  await alice.refresh(grafana, anew)
  await daemon.end()
})

test('a backup is not restored over a live state, nor over one that is there without a word; the former one is kept, and can be brought back', async (t) => {
  const installation = await install(t, { policy })
  const { directory, serve, run } = installation
  const state = join(directory, 'state')
  let daemon = await serve()
  const alice = installation.at('127.0.0.2')
  const file = join(directory, 'backup.tar')
  await run('backup', file)
  const later = await redeem(alice, await codeFor(alice))
  const live = await run('restore', file, '--replace')
  assert.deepEqual([live.code, live.stderr], [1, `meshidp: A daemon uses ${state}. Stop it first.\n`])
  await daemon.end()
  const there = await run('restore', file)
  assert.match(
    there.stderr,
    /^meshidp: There is a state in .* already \(meshidp\.db, keys\)\. To put the backup in its place, say --replace/,
  )
  assert.deepEqual([there.code, readdirSync(state).filter((name) => /restore|replaced/.test(name))], [1, []])

  const { former } = JSON.parse((await run('restore', file, '--replace', '--json')).stdout) as { former: string }
  assert.deepEqual(readdirSync(former).sort(), ['keys', 'meshidp.db'])
  daemon = await serve()
  assert.equal((await alice.introspect(wikiServer, later.access_token)).active, false)
  await daemon.end()

  // An admin who has erred: what was there is a state as ever.
  for (const name of ['meshidp.db', 'keys']) {
    rmSync(join(state, name), { recursive: true })
    cpSync(join(former, name), join(state, name), { recursive: true })
  }
  daemon = await serve()
  assert.equal((await alice.introspect(wikiServer, later.access_token)).active, true)
  await daemon.end()
})

test('RFC 7523 §3: an assertion that may have been used before a backup was restored is not taken, and one that was made since is [threats 467]', async (t) => {
  const pair = newPair('ES256')
  const client_id = 'client:signer'
  const { alice, issuer, clock, daemon } = await start(t, {
    policy: changedPolicy(({ clients }) => {
      clients[client_id] = { jwks: { keys: [jwkOf(pair)] } }
    }),
  })
  const made = (more: Record<string, unknown> = {}) => asserted(jwtBy(pair, assertionClaims(client_id, issuer, clock.now(), more)))
  const send = async (form: Record<string, string>) => {
    const { status, text } = await alice.send('/introspect', { form: { token: 'x', ...form } })
    return [status, status === 200 ? '' : /restored from a backup/.test(text) ? 'restored' : 'refused']
  }
  const timeless = () => made({ iat: undefined })
  const [old, oldTimeless] = [made(), timeless()]
  clock.advance({ seconds: 5 })
  // What a restore does, on a state in which no assertion was used yet.
  await daemon.deps.store.commit(beginEpoch(clock.now()))
  assert.deepEqual(await send(old), [503, 'restored'])
  assert.deepEqual(await send(oldTimeless), [503, 'restored'])
  clock.advance({ seconds: 61 })
  const fresh = made()
  assert.deepEqual(await send(fresh), [200, ''])
  assert.deepEqual(await send(fresh), [401, 'refused'])
  assert.deepEqual(await send(old), [503, 'restored'])
  assert.deepEqual(await send(timeless()), [503, 'restored'])
  clock.advance({ minutes: 5 })
  assert.deepEqual(await send(timeless()), [200, ''])
})

test('every table is thought of when a backup is restored: what is in it either cannot be used by itself, or is void', async (t) => {
  const installation = await install(t)
  const daemon = await installation.serve()
  await daemon.end()
  const db = new Database(join(installation.directory, 'state', 'meshidp.db'), { readonly: true })
  t.after(() => db.close())
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").pluck().all()
  // Whoever adds one says in src/store/epoch.ts what becomes of it, and then here.
  const ofAuthorizations = ['access_tokens', 'codes', 'refresh_tokens']
  const gone = ['auth_times', 'authorizations', 'consents', 'initial_access_tokens', 'tickets', 'trust_bundles']
  // Of what is not here it cannot be told whether it was used since: so none of that time is taken (client_assertions.ts).
  const guarded = ['client_assertions']
  const kept = ['clients', 'decisions', 'meta', 'migrations', 'records', 'registrants', 'revoked_tokens']
  assert.deepEqual(tables, [...ofAuthorizations, ...gone, ...guarded, ...kept].sort())
})

test('before its schema changes the database is copied, and that copy can be restored: the keys stay [threats 470]', async (t) => {
  const installation = await install(t, { policy })
  const { directory, serve, run } = installation
  const state = join(directory, 'state')
  let daemon = await serve()
  await daemon.end()
  // As the program before the last migration left it.
  rmSync(join(state, 'meshidp.db'))
  const older = await openSqlite(join(state, 'meshidp.db'), { migrations: migrations.slice(0, -1) })
  await older.commit([{ sql: "INSERT INTO meta (name, value) VALUES ('keys_since', '1'), ('tailnet', 'example.com')", params: {} }])
  await older.close()

  daemon = await serve()
  const { stdout: keys } = await run('keys', 'list')
  await daemon.end()
  const copies = readdirSync(state).filter((name) => name.startsWith('meshidp-schema-'))
  assert.match(copies.join(' '), new RegExp(`^meshidp-schema-${migrations.at(-2)?.id}-\\d{8}T\\d{6}Z\\.db$`))
  const copy = join(state, copies[0] ?? '')
  assert.equal(statSync(copy).mode & 0o777, 0o600)
  const restored = await run('restore', copy, '--replace')
  assert.deepEqual([restored.code, restored.stderr], [0, ''])
  assert.match(restored.stdout, /The signing keys are those that were there/)
  daemon = await serve()
  assert.equal((await run('keys', 'list')).stdout, keys)
  const alice = installation.at('127.0.0.2')
  await redeem(alice, await codeFor(alice))
  await daemon.end()
})
