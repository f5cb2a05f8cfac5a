import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, type JWK, jwtVerify } from 'jose'
import { ask } from '../../src/cli/ask.ts'
import type { ShownKey } from '../../src/keys/keyring.ts'
import { afterlife } from '../../src/keys/rotation.ts'
import { changedPolicy, grafanaCallback, policyClient } from '../support/example_policy.ts'
import type { Tokens } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'

const ahead = 86_400
const anHour = 3600

/** `meshidp keys ACTION` on a running daemon, over its control socket. */
const keys = async ({ config }: Started, action: 'list' | 'rotate' | 'import' | 'retire', input = {}) =>
  (await ask(config, `keys.${action}`, input, undefined)).keys as ShownKey[]
const states = async (started: Started) =>
  (await keys(started, 'list')).filter(({ alg }) => alg === 'ES256').map(({ kid, state }) => [kid, state] as const)

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)
const jwksOf = async ({ alice }: Started) => (await alice.send('/jwks')).json() as unknown as JSONWebKeySet
const published = async (started: Started) => (await jwksOf(started)).keys.map(({ kid }) => kid)
/** A server that verifies by itself, with what it has fetched. */
const verifies = (jwks: JSONWebKeySet, token: string, currentDate: Date) => jwtVerify(token, createLocalJWKSet(jwks), { currentDate })

/** A sign-in of alice at Grafana: an access token for the wiki, read by anybody. */
function signIn(started: Started): Promise<Tokens> {
  return started.alice.signIn(policyClient(started, 'grafana', grafanaCallback), { scope: 'openid', nonce: 'n-1' })
}
const refreshed = (started: Started, tokens: Tokens) => started.alice.refresh(policyClient(started, 'grafana', grafanaCallback), tokens)
/** Whether this server itself takes the token. */
const isGood = async ({ alice }: Started, { access_token }: Tokens) =>
  (await alice.send('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })).status === 200

test('OpenID Connect Core §10.1.1: a new key is published a day before it signs, and the old one until the last token that it signed is dead [threats 313, 497]', async (t) => {
  const started = await start(t, { config: { lifetimes: { access_token: 86_400, id_token: 86_400 }, keys: { rotate_every: 0 } } })
  const { clock, daemon } = started
  const first = await signIn(started)
  const old = kidOf(first.access_token)
  const etag = (await started.alice.send('/jwks')).headers.etag

  const rotated = await keys(started, 'rotate')
  const next = rotated.find(({ alg, state }) => alg === 'ES256' && state === 'published')
  assert.ok(next)
  assert.equal(next.signs_from, clock.now() + ahead)
  assert.deepEqual(
    rotated.map(({ state }) => state),
    ['signing', 'published', 'signing', 'published', 'signing'],
  )
  const told = await started.alice.send('/jwks', { headers: { 'if-none-match': String(etag) } })
  assert.equal(told.status, 200, 'whoever has the keys of before is told')
  const fetched = await jwksOf(started)
  await keys(started, 'rotate')
  assert.equal((await published(started)).length, 4, 'said twice it is done once')

  clock.advance({ seconds: ahead - 1 })
  const last = await signIn(started)
  assert.equal(kidOf(last.access_token), old)
  clock.advance({ seconds: 1 })
  const fresh = await signIn(started)
  assert.deepEqual([kidOf(fresh.access_token), kidOf(String(fresh.id_token)) === kidOf(String(first.id_token))], [next.kid, false])
  await verifies(fetched, fresh.access_token, new Date(clock.now() * 1000)) // it was fetched a day ago, and is not fetched anew
  assert.deepEqual(await states(started), [
    [old, 'retiring'],
    [next.kid, 'signing'],
  ])

  clock.advance({ seconds: ahead - 2 })
  assert.equal(await isGood(started, last), true)
  clock.advance({ seconds: 1 })
  for (const uptime of [0, anHour]) await daemon.deps.keys.tend(uptime)
  assert.ok((await published(started)).includes(old), 'whoever has a slow clock still needs it')
  clock.advance({ seconds: afterlife - ahead + 1 })
  for (const uptime of [2 * anHour, 3 * anHour]) await daemon.deps.keys.tend(uptime)
  assert.deepEqual(await states(started), [[next.kid, 'signing']])
  assert.equal((await published(started)).includes(old), false)

  const again = await started.restart()
  assert.deepEqual(await states(again), [[next.kid, 'signing']], 'as on disk')
})

test('RFC 7517 §4, §9.3: /jwks has public members only, and one key for a kid, after every kind of change [threats 245, 497]', async (t) => {
  const started = await start(t)
  const { clock } = started
  await keys(started, 'rotate')
  clock.advance({ days: 2 })
  await keys(started, 'rotate', { now: true })
  await keys(started, 'import', { text: pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) })
  await keys(started, 'retire', { kid: (await states(started))[0]?.[0] })
  const jwks = await jwksOf(started)
  assert.ok(jwks.keys.length >= 5)
  for (const key of jwks.keys) {
    const members = key.kty === 'EC' ? ['kty', 'crv', 'x', 'y'] : ['kty', 'n', 'e']
    assert.deepEqual(Object.keys(key), [...members, 'kid', 'alg', 'use'])
  }
  assert.equal(new Set(jwks.keys.map(({ kid }) => kid)).size, jwks.keys.length)
})

test('a key that was stolen is gone at once: what it signed is worthless everywhere here, refresh tokens go on, and it stays gone [threats 500]', async (t) => {
  const started = await start(t)
  const tokens = await signIn(started)
  assert.equal(await isGood(started, tokens), true)
  const stolen = kidOf(tokens.access_token)
  const file = readdirSync(join(started.config.state_directory, 'keys')).find((name) => name.includes(stolen)) ?? ''
  const loot = readFileSync(join(started.config.state_directory, 'keys', file), 'utf8')

  started.clock.advance({ seconds: 1 })
  await keys(started, 'retire', { kid: stolen })
  assert.equal((await published(started)).includes(stolen), false)
  assert.equal(await isGood(started, tokens), false, 'also where it had been looked at before')
  const hint = await started.alice.authorize(policyClient(started, 'grafana', grafanaCallback), {
    scope: 'openid',
    prompt: 'none',
    id_token_hint: tokens.id_token,
  })
  assert.notEqual(kidOf(tokens.id_token ?? ''), stolen, 'the other algorithm')
  assert.equal(hint.status, 303)
  const next = await refreshed(started, tokens)
  assert.notEqual(kidOf(next.access_token), stolen)
  assert.equal(await isGood(started, next), true)
  assert.equal(existsSync(join(started.config.state_directory, 'keys', file)), false)
  assert.ok(loot.includes('"d":'))

  const again = await started.restart()
  assert.deepEqual([await isGood(again, tokens), await isGood(again, next)], [false, true])
})

test('where the stolen key waits for its turn, the one that signs goes on; where it signs, the one that waits begins [threats 500]', async (t) => {
  const started = await start(t)
  const [signs = ''] = (await states(started))[0] ?? []
  await keys(started, 'rotate')
  const waits = async () => (await states(started)).find(([, state]) => state === 'published')?.[0]
  await keys(started, 'retire', { kid: await waits() })
  assert.deepEqual(await states(started), [[signs, 'signing']])
  await keys(started, 'rotate')
  const next = await waits()
  started.clock.advance({ seconds: 2 })
  await keys(started, 'retire', { kid: signs })
  assert.deepEqual(await states(started), [[next, 'signing']])
  await assert.rejects(keys(started, 'retire', { kid: signs }), /There is no key .*See: meshidp keys list/)
})

test('the key of the refresh tokens stolen: with a new one nobody can refresh, everybody signs in anew, and access tokens go on [threats 500]', async (t) => {
  const started = await start(t)
  const tokens = await signIn(started)
  await keys(started, 'retire', { kid: 'succession' })
  await assert.rejects(refreshed(started, tokens), { error: 'invalid_grant' })
  assert.equal(await isGood(started, tokens), true)
  await refreshed(started, await signIn(started))
})

const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }).toString()

test('RFC 8725 §3.2, §3.5: a key that was made elsewhere is taken as a JWK or as PEM, if it is fit; no setting gives a weaker signature [threats 499, 502]', async (t) => {
  const started = await start(t, { config: { keys: { rotate_every: 0, publish_ahead: 60 } } })
  const { clock } = started
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const jwk = { ...p256.export({ format: 'jwk' }), kid: 'mine-1' }
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  const bad: [string, string, RegExp][] = [
    ['of too few bits', pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey), /RSA key of 2048 bits at least/],
    ['with exponent 3', pem(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey), /RSA key of 2048 bits/],
    ['on another curve', pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey), /EC key on P-256/],
    ['of another type', pem(generateKeyPairSync('ed25519').privateKey), /EC key on P-256/],
    ['that is shared', JSON.stringify({ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }), /must be a private key/],
    ['for another algorithm', JSON.stringify({ ...jwk, alg: 'none' }), /its "alg" is none, not ES256/],
    ['of two halves', JSON.stringify({ ...jwk, x: other.x, y: other.y }), /must be a private key|public half/],
    ['without its private half', JSON.stringify({ ...jwk, d: undefined }), /must be a private key/],
    ['whose name leads elsewhere', JSON.stringify({ ...jwk, kid: '../../x' }), /its "kid" must be letters/],
    ['whose name is an option', JSON.stringify({ ...jwk, kid: '-x' }), /its "kid" must be letters.* not begin with "-"/],
    ['whose name is that of another', JSON.stringify({ ...jwk, kid: 'succession' }), /its "kid" must not be "succession"/],
    ['that is cut off', JSON.stringify(jwk).slice(0, 60), /not valid JSON/],
    ['that is a text', 'hello', /must be a private key/],
  ]
  const before = await keys(started, 'list')
  for (const [what, text, words] of bad)
    await assert.rejects(keys(started, 'import', { text }), (error: Error) => {
      assert.match(error.message, words, what)
      assert.ok(!jwk.d || !error.message.includes(jwk.d), 'no sentence quotes a key')
      return true
    })
  assert.deepEqual(await keys(started, 'list'), before)
  const policy = readFileSync(started.config.policy_file, 'utf8')
  for (const signing_alg of ['HS256', 'none', 'PS256', 'RS1'])
    assert.equal(
      started.setPolicy(changedPolicy(({ resources }) => Object.assign(resources['resource:wiki'] ?? {}, { signing_alg }))).ok,
      false,
    )
  started.setPolicy(policy)

  await keys(started, 'import', { text: JSON.stringify(jwk) })
  await assert.rejects(keys(started, 'import', { text: pem(p256) }), /waits for its turn\. First say: meshidp keys retire mine-1/)
  clock.advance({ seconds: 60 })
  assert.equal(kidOf((await signIn(started)).access_token), 'mine-1')
  await assert.rejects(keys(started, 'import', { text: JSON.stringify(jwk) }), /There is a key mine-1 already/)
  const { privateKey: rsa } = await promisify(generateKeyPair)('rsa', { modulusLength: 3072 }) // which takes long: the daemon is in this process
  await keys(started, 'import', { text: rsa.export({ format: 'pem', type: 'pkcs1' }).toString(), now: true })
  clock.advance({ seconds: 1 })
  const { keys: all } = await jwksOf(started)
  const { id_token = '' } = await signIn(started)
  assert.equal(all.find(({ kid }) => kid === kidOf(id_token))?.n, createPrivateKey(pem(rsa)).export({ format: 'jwk' }).n)

  const directory = join(started.config.state_directory, 'keys')
  await started.close()
  const [file = ''] = readdirSync(directory).filter((name) => name.includes('mine-1'))
  const text = readFileSync(join(directory, file), 'utf8')
  for (const alg of ['HS256', 'none', 'RS256']) {
    writeFileSync(join(directory, file), text.replace('"ES256"', JSON.stringify(alg)))
    await assert.rejects(started.restart(), /The signing key .*mine-1\.jwk\.json cannot be used: it must be an EC key/)
  }
})

test('keys rotate by themselves when it is time; a clock that is wrong for a while neither makes nor removes any [threats 490, 491]', async (t) => {
  const started = await start(t)
  const { clock, daemon } = started
  const { tend } = daemon.deps.keys
  const count = async () => (await published(started)).length
  const idle = { made: [], removed: [] }
  const [old = ''] = (await states(started))[0] ?? []
  clock.advance({ days: 88 })
  for (const uptime of [0, 2 * anHour]) assert.deepEqual(await tend(uptime), idle)

  clock.advance({ days: 300 })
  assert.deepEqual(await tend(3 * anHour), idle, 'seen once')
  clock.advance({ days: -300 })
  assert.deepEqual(await tend(5 * anHour), idle, 'it was a mistake')
  clock.advance({ days: 1 })
  assert.deepEqual(await tend(6 * anHour), idle)
  const { made } = await tend(7 * anHour)
  assert.deepEqual([made.length, await count()], [2, 4])
  assert.deepEqual(await tend(9 * anHour), idle, 'they wait for their turn')

  const tokens = await signIn(started)
  assert.equal(kidOf(tokens.access_token), old)
  clock.advance({ days: 1 })
  const next = await signIn(started)
  assert.ok(made.includes(kidOf(next.access_token)))
  clock.advance({ days: -80 })
  assert.equal(kidOf((await signIn(started)).access_token), old, 'the clock says so')
  clock.advance({ days: 80 + 365 })
  assert.deepEqual(await tend(10 * anHour), idle)
  clock.advance({ days: -365 })
  assert.deepEqual(await tend(12 * anHour), idle)
  assert.equal(await isGood(started, next), true)
  clock.advance({ days: 2 })
  await tend(13 * anHour)
  assert.equal((await tend(14 * anHour)).removed.length, 2)
  assert.equal(await count(), 2)
})

test('keys that were made by a clock that was ahead sign, are replaced and retired like others when it is set right [threats 490, 500]', async (t) => {
  const started = await start(t, { config: { keys: { rotate_every: 90 * ahead, publish_ahead: ahead } } })
  const { clock } = started
  const [born = ''] = (await states(started))[0] ?? []
  const now = async () => (await states(started)).filter(([, state]) => state === 'signing').map(([kid]) => kid)
  clock.advance({ days: -400 })
  const early = await started.restart()
  assert.deepEqual(await states(early), [[born, 'signing']])

  await keys(early, 'rotate', { now: true })
  clock.advance({ seconds: 1 })
  const [second = ''] = await now()
  assert.notEqual(second, born)
  assert.equal(kidOf((await signIn(early)).access_token), second)
  const again = await early.restart()
  await keys(again, 'retire', { kid: born })
  assert.deepEqual(await states(again), [[second, 'signing']])
})

test('the only key, made by a clock that was ahead, is retired: another one is on disk, signs, and is there at the next start [threats 490, 500]', async (t) => {
  const started = await start(t)
  const { clock } = started
  await keys(started, 'rotate')
  const kids = (await states(started)).map(([kid]) => kid)
  clock.advance({ days: -400 })
  for (const kid of kids) await keys(started, 'retire', { kid })
  const left = await states(started)
  assert.deepEqual([left.length, kids.includes(left[0]?.[0] ?? '')], [1, false])
  clock.advance({ seconds: 2 })
  const again = await started.restart()
  assert.deepEqual(await states(again), left)
  assert.equal(kidOf((await signIn(again)).access_token), left[0]?.[0])
})

test('keys of a clock that was ahead rotate by themselves as if they had been made when it was set right [threats 490]', async (t) => {
  const started = await start(t)
  const { clock, daemon } = started
  const { tend } = daemon.deps.keys
  const [born = ''] = (await states(started))[0] ?? []
  await keys(started, 'rotate')
  clock.advance({ days: -400 })
  let uptime = 0
  async function hourLater() {
    uptime += anHour
    return tend(uptime)
  }
  for (let hours = 0; hours < 3; hours++) assert.deepEqual(await hourLater(), { made: [], removed: [] })
  clock.advance({ days: 89 })
  await hourLater()
  assert.equal((await hourLater()).made.length, 2)
  clock.advance({ days: 2 })
  assert.deepEqual(
    (await states(started)).map(([kid, state]) => [kid === born, state]),
    [
      [true, 'retiring'],
      [false, 'signing'],
    ],
  )
})

test('RFC 7638: a key without a name is called by its thumbprint, but never so that a command line takes it for an option', async (t) => {
  const started = await start(t)
  for (;;) {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const thumbprint = await calculateJwkThumbprint(key.export({ format: 'jwk' }) as JWK)
    if (!thumbprint.startsWith('-')) continue
    await keys(started, 'import', { text: pem(key) })
    assert.ok((await published(started)).includes(`_${thumbprint.slice(1)}`))
    return
  }
})
