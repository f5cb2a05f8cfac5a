/** The conditions of a grant, `posture` and `expires`, and its `reason`, from the front door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tellOfExpiry } from '../../src/janitor.ts'
import { changedPolicy, type PolicyObject, wiki } from '../support/example_policy.ts'
import type { Refusal } from '../support/person.ts'
import { start } from '../support/start.ts'

/** The grant that gives engineers the wiki, with more in it. */
const withWikiGrant = (more: object) =>
  changedPolicy(({ grants }: PolicyObject) => {
    const grant = grants.find(({ dst }) => dst?.includes('resource:wiki'))
    assert.ok(grant)
    Object.assign(grant, more)
  })

test('posture: what whois says of the node is asked at each use, and a page names the condition that fails, labelled self-reported', async (t) => {
  const posture = { os: ['macOS'], os_version: '14', attributes: ['custom:managed'], key_expiry: 'required' }
  const { alice, clock, mesh } = await start(t, { policy: withWikiGrant({ posture, reason: 'Only managed laptops; ask in #it.' }) })
  const client = await alice.register()
  mesh.change({
    machines: {
      'alice-laptop': {
        os_version: '14.2.1',
        attributes: ['custom:managed'],
        key_expiry: new Date((clock.now() + 86_400) * 1000).toISOString(),
      },
    },
  })
  const tokens = await alice.signIn(client, wiki)

  mesh.change({ machines: { 'alice-laptop': { os_version: '13.9' } } })
  await assert.rejects(alice.refresh(client, tokens), ({ error, answer }: Refusal) => {
    assert.equal(error, 'invalid_grant')
    assert.match(answer.text, /would match grant 5 from a node with os_version 14 or later \(self-reported\)\./)
    return true
  })
  const { status, text } = await alice.authorize(client, wiki)
  assert.equal(status, 403)
  assert.match(text, /<li>alice@example\.com would match grant 5 from a node with os_version 14 or later \(self-reported\)\.<\/li>/)
  assert.match(text, /About that the policy says: Only managed laptops; ask in #it\./)

  mesh.change({ machines: { 'alice-laptop': { os_version: '14.0' } } })
  assert.ok(await alice.refresh(client, tokens), 'nothing was spent, so it goes on')
})

test('expires: a grant is spoken of 30 days before its end, with its place, at start and each day; then it is dead, also for tokens that it gave', async (t) => {
  const clockNow = Math.floor(Date.now() / 1000)
  const end = new Date((clockNow + 31 * 86_400) * 1000).toISOString().replace(/\.\d+Z/, 'Z')
  const { alice, clock, daemon, logged } = await start(t, { policy: withWikiGrant({ expires: end }) })
  const warnings = () => logged.filter(({ level }) => level === 'warn').map(({ message }) => message)
  assert.deepEqual(warnings(), [])
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)

  clock.advance({ days: 2 })
  tellOfExpiry(daemon.deps)
  assert.match(
    warnings().at(-1) ?? '',
    /policy\.hujson:1:\d+: warning: Grant 5 expires soon \(\d{4}-\d\d-\d\d\); from then on it gives nothing\./,
  )
  assert.equal(daemon.reload().ok, true)
  assert.equal(warnings().length, 2, 'at each loading too')
  const more = await alice.refresh(client, tokens)

  clock.advance({ days: 29 })
  await assert.rejects(alice.refresh(client, more), ({ error, answer }: Refusal) => {
    assert.match(answer.text, /Grant 5 has expired\./)
    return error === 'invalid_grant'
  })
  assert.equal(daemon.reload().ok, true, 'a grant that has expired is no mistake')
  assert.match(warnings().at(-1) ?? '', /Grant 5 has expired \(\d{4}-\d\d-\d\d\), so it gives nothing\./)
})
