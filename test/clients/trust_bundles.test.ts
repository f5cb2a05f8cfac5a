/** Where the keys of SPIFFE trust domains come from, seen by whoever shows an SVID: real bundle endpoints over TLS, and real files. */
import assert from 'node:assert/strict'
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError, toConfig } from '../../src/config.ts'
import { asserted, jwkOf, jwtSpiffe, newPair, type Pair } from '../support/assertion.ts'
import { eventually } from '../support/eventually.ts'
import { type Started, start, temporaryDirectory } from '../support/start.ts'
import { inParallel } from '../support/token_request.ts'
import { bundleText, startTrustDomain, type TrustDomain } from '../support/trust_domain.ts'

type Source = { file: string } | { https_web: string; ca_file?: string }

/** `trust_domains` may be changed: a restart reads it again. */
const startWith = (t: TestContext, trust_domains: Record<string, Source>) => start(t, { config: { spiffe: { trust_domains } } })

const show = ({ alice, issuer, clock }: Started, td: Pick<TrustDomain, 'svid'>, by?: Pair) => {
  const svid = td.svid('/ns/ci/sa/builder', { aud: issuer, exp: clock.now() + 300 }, {}, by)
  return alice.send('/introspect', { form: { token: 'x', ...asserted(svid, jwtSpiffe) } })
}

const statusWith = async (started: Started, td: Pick<TrustDomain, 'svid'>, by?: Pair) => (await show(started, td, by)).status

const stateOf = ({ daemon }: Started, at = 0) => daemon.deps.trustBundles.list()[at]

const warned = ({ logged }: Started, words: RegExp) => logged.filter(({ level, message }) => level === 'warn' && words.test(message)).length

test('SPIFFE Federation §4.1: a bundle is fetched once, and again when its spiffe_refresh_hint says so: what it no longer holds is worth nothing', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const started = await startWith(t, { 'example.org': td.source })
  const [old] = td.pairs
  assert.deepEqual(
    (await inParallel(10, () => statusWith(started, td))).filter((status) => status !== 200),
    [],
  )
  assert.equal(td.asked, 1)
  td.rotate(newPair())
  started.clock.advance({ seconds: 299 })
  assert.equal(await statusWith(started, td, old), 200)
  assert.equal(td.asked, 1)
  started.clock.advance({ seconds: 1 })
  assert.equal(await statusWith(started, td, old), 401)
  assert.equal(await statusWith(started, td), 200)
  assert.equal(td.asked, 2)
  assert.deepEqual(stateOf(started), {
    trust_domain: 'example.org',
    source: td.source.https_web,
    sequence: '2',
    read_at: started.clock.now(),
    problem: null,
  })

  for (const [hint, early, late] of [
    [60, 59, 60],
    [0, 9, 10],
    [undefined, 299, 300],
    [86_400, 3599, 3600],
  ] as const) {
    td.more = { spiffe_refresh_hint: hint }
    started.clock.advance({ days: 1 })
    assert.equal(await statusWith(started, td), 200)
    const { asked } = td
    started.clock.advance({ seconds: early })
    await statusWith(started, td)
    assert.equal(td.asked, asked, `hint ${hint}`)
    started.clock.advance({ seconds: late - early })
    await statusWith(started, td)
    assert.equal(td.asked, asked + 1, `hint ${hint}`)
  }
})

test('a clock that was set back makes no bundle good for longer', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const started = await startWith(t, { 'example.org': td.source })
  const [old] = td.pairs
  assert.equal(await statusWith(started, td), 200)
  td.rotate(newPair())
  started.clock.advance({ days: -400 })
  assert.equal(await statusWith(started, td, old), 401)
  assert.equal(await statusWith(started, td), 200)
})

test('SPIFFE Bundle §4.2: a key that is new is found before its time, though strangers cannot make us fetch all the time', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const started = await startWith(t, { 'example.org': td.source })
  assert.equal(await statusWith(started, td), 200)
  td.rotate(...td.pairs, newPair())
  const fresh = td.pairs[1]
  assert.equal(await statusWith(started, td, fresh), 401)
  started.clock.advance({ seconds: 30 })
  assert.equal(await statusWith(started, td, fresh), 200)
  const { asked } = td
  for (const status of await inParallel(10, () => statusWith(started, td, newPair()))) assert.equal(status, 401)
  assert.equal(td.asked, asked)
})

test('SPIFFE Federation §4.2: while a bundle cannot be had the last good one stays, also after a restart; without one it is 503, never a yes', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const broken: NonNullable<TrustDomain['answer']>[] = [
    { status: 500 },
    { status: 404 },
    { status: 302, headers: { location: td.source.https_web } },
    { body: '' },
    { body: 'null' },
    { body: '[]' },
    { body: '{}' },
    { body: '{"keys":{}}' },
    { body: '<html>' },
    { body: bundleText(td.pairs, { spiffe_sequence: 'x' }) },
    { body: bundleText(td.pairs, { spiffe_sequence: -1 }) },
    { body: bundleText(td.pairs, { spiffe_refresh_hint: '300' }) },
    { body: bundleText(td.pairs, { spiffe_refresh_hint: 1.5 }) },
    { body: td.bundle().replace('{', '{"keys":[],') },
    { body: bundleText(td.pairs, { padding: 'x'.repeat(1024 * 1024) }) },
  ]
  td.answer = broken[0] ?? null
  const first = await startWith(t, { 'example.org': td.source })
  const dark = await show(first, td)
  assert.deepEqual([dark.status, dark.json().error], [503, 'temporarily_unavailable'])
  assert.match(String(dark.headers['retry-after']), /^\d+$/)
  assert.equal(warned(first, /Its workloads get 503/), 1)
  td.answer = null
  assert.equal(await statusWith(first, td), 503, 'not asked again at once')
  first.clock.advance({ seconds: 10 })
  assert.equal(await statusWith(first, td), 200)

  for (const answer of broken) {
    td.answer = answer
    first.clock.advance({ seconds: 300 })
    assert.equal(await statusWith(first, td), 200, JSON.stringify(answer).slice(0, 100))
    assert.notEqual(stateOf(first)?.problem, null, JSON.stringify(answer).slice(0, 100))
  }
  assert.ok(warned(first, /The last good one stays/) > 0)
  const again = await first.restart()
  assert.equal(await statusWith(again, td), 200, 'what was good is on disk')
  assert.equal(await statusWith(again, td, newPair()), 401)
  td.answer = null
  again.clock.advance({ seconds: 10 })
  assert.equal(await statusWith(again, td), 200)
  assert.equal(stateOf(again)?.problem, null)
})

test('SPIFFE Bundle §4.1.1: a sequence that goes back is refused and reported, also after a restart: a key that was taken back does not come again', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const [stolen = newPair()] = td.pairs
  td.sequence = 10
  const old = td.bundle()
  const trust_domains: Record<string, Source> = { 'example.org': td.source }
  const first = await startWith(t, trust_domains)
  assert.equal(await statusWith(first, td, stolen), 200)
  td.rotate(newPair())
  first.clock.advance({ seconds: 300 })
  assert.equal(await statusWith(first, td, stolen), 401)

  td.answer = { body: old }
  first.clock.advance({ seconds: 300 })
  assert.equal(await statusWith(first, td, stolen), 401)
  assert.equal(await statusWith(first, td), 200)
  assert.match(String(stateOf(first)?.problem), /spiffe_sequence went back from 11 to 10/)
  assert.equal(warned(first, /went back from 11 to 10.*The last good one stays/), 1)

  const again = await first.restart()
  assert.equal(await statusWith(again, td, stolen), 401)
  assert.equal(await statusWith(again, td), 200)

  for (const sequence of ['9007199254740993', '9007199254740992']) {
    td.answer = { body: td.bundle().replace('"spiffe_sequence":11', `"spiffe_sequence":${sequence}`) }
    again.clock.advance({ seconds: 300 })
    await statusWith(again, td)
  }
  assert.match(String(stateOf(again)?.problem), /from 9007199254740993 to 9007199254740992/, 'no digit is lost')

  td.answer = { body: bundleText([stolen], { spiffe_sequence: undefined }) }
  again.clock.advance({ seconds: 300 })
  assert.equal(await statusWith(again, td, stolen), 401, 'nor by a bundle that says none')
  assert.match(String(stateOf(again)?.problem), /no spiffe_sequence, and the last one had 9007199254740993/)
})

test('SPIFFE Federation §4.2: of a trust domain that never said a sequence the latest bundle counts', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const [old] = td.pairs
  td.sequence = undefined
  const started = await startWith(t, { 'example.org': td.source })
  assert.equal(await statusWith(started, td), 200)
  td.pairs = [newPair()]
  started.clock.advance({ seconds: 300 })
  assert.deepEqual([await statusWith(started, td), await statusWith(started, td, old)], [200, 401])
  td.pairs = [old as Pair]
  started.clock.advance({ seconds: 300 })
  assert.equal(await statusWith(started, td, old), 200)
})

test('SPIFFE Bundle §4.1.1: the sequence is that of the bundle, whatever its keys say, and however the name is written', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const [first = newPair()] = td.pairs
  const text = (pair: Pair, sequence: unknown, inKey: unknown) =>
    JSON.stringify({ keys: [{ ...jwkOf(pair, { use: 'jwt-svid' }), spiffe_sequence: inKey }], spiffe_sequence: sequence })
  td.answer = { body: text(first, 20, 7) }
  const started = await startWith(t, { 'example.org': td.source })
  assert.deepEqual([await statusWith(started, td), stateOf(started)?.sequence], [200, '20'])
  const next = newPair()
  const bodies = {
    'went back from 20 to 8': [text(next, 8, 999), text(next, 8, 999).replace(/"spiffe_sequence":8/, '"spiffe_\\u0073equence":8')],
    'has no spiffe_sequence': [text(next, undefined, 999)],
    'no SPIFFE bundle': [text(next, '999', 999), text(next, null, 999), text(next, 999.5, 999), text(next, {}, 999)],
  }
  for (const [says, all] of Object.entries(bodies))
    for (const body of all) {
      td.answer = { body }
      started.clock.advance({ seconds: 300 })
      assert.equal(await statusWith(started, td, next), 401, body)
      assert.match(String(stateOf(started)?.problem), new RegExp(says), body)
    }
  td.answer = { body: text(next, 21, 1) }
  started.clock.advance({ seconds: 300 })
  assert.deepEqual([await statusWith(started, td, next), stateOf(started)?.sequence], [200, '21'])
})

test('SPIFFE Bundle §4.1.1: nor does a file go back while the daemon is down; one at another place begins anew', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const [stolen] = td.pairs
  const [file, other] = ['bundle.json', 'other.json'].map((name) => join(temporaryDirectory(t), name)) as [string, string]
  const trust_domains: Record<string, Source> = { 'example.org': { file } }
  const old = td.bundle()
  td.rotate(newPair())
  writeFileSync(file, td.bundle())
  const first = await startWith(t, trust_domains)
  assert.equal(await statusWith(first, td), 200)
  writeFileSync(file, old)
  writeFileSync(other, old)
  const again = await first.restart()
  assert.deepEqual([await statusWith(again, td, stolen), await statusWith(again, td)], [401, 200])
  assert.match(String(stateOf(again)?.problem), /went back from 2 to 1/)
  rmSync(file)
  const without = await again.restart()
  assert.deepEqual([await statusWith(without, td, stolen), await statusWith(without, td)], [401, 200], 'the last good one stays')
  trust_domains['example.org'] = { file: other }
  const moved = await without.restart()
  assert.equal(await statusWith(moved, td, stolen), 200)
})

test('SPIFFE Bundle §4.1.1: a trust domain that was taken out of the configuration begins anew, with whatever sequence', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  td.sequence = 10
  const trust_domains: Record<string, Source> = { 'example.org': td.source }
  const first = await startWith(t, trust_domains)
  assert.equal(await statusWith(first, td), 200)
  td.pairs = [newPair()]
  td.sequence = 1
  const again = await first.restart()
  assert.equal(await statusWith(again, td), 401)
  delete trust_domains['example.org']
  const without = await again.restart()
  assert.equal(await statusWith(without, td), 401)
  const { deps } = without.daemon
  await eventually('it is forgotten', async () => (await deps.store.trustBundles.list()).length === 0)
  trust_domains['example.org'] = td.source
  const anew = await without.restart()
  assert.deepEqual([await statusWith(anew, td), stateOf(anew)?.sequence], [200, '1'])
})

test('SPIFFE Federation §5.2.1: the endpoint shows a certificate for its own name by an authority that is trusted, else its bundle is none', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const elsewhere = await startTrustDomain(t, 'elsewhere.example')
  const url = new URL(td.source.https_web)
  const untrusted: Source[] = [
    { https_web: td.source.https_web },
    { https_web: td.source.https_web, ca_file: elsewhere.source.ca_file },
    { https_web: td.source.https_web, ca_file: '/nowhere/ca.pem' },
    { https_web: `https://127.0.0.2:${url.port}/bundle.json`, ca_file: td.source.ca_file },
    { https_web: `https://127.0.0.1:1/bundle.json`, ca_file: td.source.ca_file },
  ]
  for (const source of untrusted)
    assert.equal(await statusWith(await startWith(t, { 'example.org': source }), td), 503, JSON.stringify(source))
  assert.equal(td.asked, 0)
})

test('spiffe.trust_domains: a bundle file is read again when it changes; one that is gone, broken, older or writable by everybody leaves the last good one', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  const file = join(temporaryDirectory(t), 'bundle.json')
  const started = await startWith(t, { 'example.org': { file } })
  const [old] = td.pairs
  const written = (text: string) => {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
    started.clock.advance({ seconds: 10 })
  }
  assert.equal(await statusWith(started, td), 503)
  written(td.bundle())
  assert.equal(await statusWith(started, td), 200)
  td.rotate(newPair())
  written(td.bundle())
  assert.deepEqual([await statusWith(started, td, old), await statusWith(started, td)], [401, 200])

  const problem = async (says: RegExp) => {
    assert.equal(await statusWith(started, td), 200)
    assert.match(String(stateOf(started)?.problem), says)
  }
  written('{"keys":')
  await problem(/no SPIFFE bundle/)
  written(bundleText([old as Pair], { spiffe_sequence: 1 }))
  await problem(/went back from 2 to 1/)
  written(td.bundle())
  chmodSync(file, 0o666)
  await problem(/everybody on this machine can write it/)
  rmSync(file)
  started.clock.advance({ seconds: 10 })
  await problem(/ENOENT/)
  written(td.bundle())
  assert.equal(await statusWith(started, td), 200)
  assert.equal(stateOf(started)?.problem, null)
  td.rotate()
  written(td.bundle())
  assert.equal(await statusWith(started, td, old), 401, 'a bundle may hold no key at all')
  assert.equal(td.asked, 0)
})

test('spiffe.trust_domains: each bundle is kept by the name of its own trust domain; one that is broken hurts no other', async (t) => {
  const [good, bad] = [await startTrustDomain(t, 'example.org'), await startTrustDomain(t, 'partner.example')]
  bad.answer = { status: 500 }
  const started = await startWith(t, { 'example.org': good.source, 'partner.example': bad.source })
  assert.deepEqual([await statusWith(started, good), await statusWith(started, bad)], [200, 503])
  bad.answer = { body: good.bundle() }
  started.clock.advance({ seconds: 10 })
  assert.equal(await statusWith(started, bad), 401)
  assert.equal(await statusWith(started, bad, good.pairs[0]), 200, 'whose keys sign for whom is what the configuration says')
})

test('spiffe.trust_domains: what is no trust domain and no source is a mistake of the configuration', () => {
  const base = { state_directory: '/tmp/x', policy_file: '/tmp/p' }
  for (const trust_domains of [
    { 'spiffe://example.org': { file: '/b' } },
    { 'Example.org': { file: '/b' } },
    { 'a/b': { file: '/b' } },
    { 'example.org': {} },
    { 'example.org': { file: '' } },
    { 'example.org': { https_web: 'http://example.org/b' } },
    { 'example.org': { https_web: 'example.org' } },
    { 'example.org': { https_web: 'https://user:password@example.org/b' } },
    { 'example.org': { file: '/b', https_web: 'https://example.org/b' } },
    { 'example.org': { https_web: 'https://example.org/b', ca: 'x' } },
  ])
    assert.throws(() => toConfig({ ...base, spiffe: { trust_domains } }), ConfigError, JSON.stringify(trust_domains))
})
