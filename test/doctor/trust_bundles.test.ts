import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import type { DaemonStatus } from '../../src/doctor/check.ts'
import { examinations } from '../../src/doctor/index.ts'
import { start } from '../support/start.ts'
import { startTrustDomain } from '../support/trust_domain.ts'

test('meshidp doctor and status: how it stands with the bundle of each SPIFFE trust domain', async (t) => {
  const td = await startTrustDomain(t, 'example.org')
  td.answer = { status: 500 }
  const { config, clock, daemon } = await start(t, { config: { spiffe: { trust_domains: { 'example.org': td.source } } } })
  const live = { ...daemon.deps, policyInForce: {} as never, addresses: daemon.addresses, stopping: () => false }
  const status = async () => (await runAction({ ...daemon.deps, live }, 'status', {})) as DaemonStatus
  const finding = async () => {
    for await (const one of examinations({
      config,
      now: clock.now,
      credentials: undefined,
      daemon: await status(),
      signIn: async () => null,
    }))
      if (one.id === 'trust_bundles') return `${one.outcome}: ${one.found}`
    return undefined
  }
  const look = () => daemon.deps.trustBundles.refresh()
  await look()
  assert.match(String(await finding()), /^fault: example\.org, https:\/\/127\.0\.0\.1:\d+\/bundle\.json: status 500\.$/)
  td.answer = null
  clock.advance({ seconds: 10 })
  await look()
  assert.equal(await finding(), 'well: example.org.')
  td.answer = { status: 404 }
  clock.advance({ seconds: 300 })
  await look()
  assert.match(String(await finding()), /^warning: example\.org, .*: status 404\.$/)
})
