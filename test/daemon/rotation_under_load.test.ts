import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { eventually } from '../support/eventually.ts'
import { install } from '../support/program.ts'
import { unhurried } from '../support/start.ts'
import { codeFor, grafana, policy, redeem, wikiServer } from './load.ts'

/** How long a verifier keeps what it has fetched: it looks at nothing else meanwhile, whatever kid it meets. Milliseconds. */
const kept = 1000
const rotations = 4

test('keys rotate under load: no token fails, neither where keys are kept for a while nor here, and whoever is served does not notice [threats 497]', async (t) => {
  const installation = await install(t, {
    policy,
    config: {
      keys: { rotate_every: 0, publish_ahead: 4 },
      limits: { ...unhurried, per_principal: { rate: 1e9, burst: 1e9 } },
      log_level: 'info',
    },
  })
  const daemon = await installation.serve()
  const alice = installation.at('127.0.0.2')
  const fetched = async () => createLocalJWKSet((await alice.send('/jwks')).json() as unknown as JSONWebKeySet)
  let known = await fetched()
  let done = false
  const signedBy = new Map<string, number>()
  const fetching = (async () => {
    while (!done) {
      await pause(kept)
      known = await fetched()
    }
  })()

  async function works(): Promise<void> {
    let tokens = await redeem(alice, await codeFor(alice))
    for (let round = 1; !done; round++) {
      tokens = await alice.refresh(grafana, tokens)
      const { access_token } = tokens
      await jwtVerify(access_token, known, { issuer: installation.issuer })
      const { kid = '' } = decodeProtectedHeader(access_token)
      signedBy.set(kid, (signedBy.get(kid) ?? 0) + 1)
      if (round % 10 === 0) assert.equal((await alice.introspect(wikiServer, access_token)).active, true)
    }
  }
  const since = performance.now()
  const working = Promise.all(Array.from({ length: 8 }, works))
  for (let rotation = 0; rotation < rotations; rotation++) {
    const { code, stdout, stderr } = await installation.run('keys', 'rotate')
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout.match(/^[\w-]{43} +ES256 tokens /gm)?.length, rotation + 2, 'a new one is there')
    const enough = eventually(
      'the new key signs',
      () => signedBy.size === rotation + 2 && [...signedBy.values()].every((count) => count > 20),
      60_000,
    )
    await Promise.race([enough, working])
  }
  done = true
  await Promise.all([working, fetching])
  const verified = [...signedBy.values()].reduce((sum, count) => sum + count, 0)
  t.diagnostic(`${verified} tokens, ${Math.round((1000 * verified) / (performance.now() - since))} a second, of ${signedBy.size} keys`)
  assert.equal(signedBy.size, rotations + 1)
  assert.doesNotMatch(daemon.said(), /"level":"(?:warn|error)"/)
})
