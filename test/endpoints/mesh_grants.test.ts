/** Grants that the tailnet policy sends along with a caller, from the front door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { changedPolicy, type PolicyObject, policyClient, wiki } from '../support/example_policy.ts'
import type { Refusal } from '../support/person.ts'
import { start } from '../support/start.ts'

const capability = 'example.com/cap/meshidp'
const withMeshGrants = (more: object = {}) =>
  changedPolicy((policy: PolicyObject) => Object.assign(policy, { mesh_grants: { capability, ...more } }))
const readsTheWiki = { dst: ['resource:wiki'], app: { authorize: [{ scopes: ['wiki:read'], clients: ['*'], consent: 'once' }] } }

test('the tailnet policy lets carol use the wiki, and what it takes back is gone at the next refresh and introspection', async (t) => {
  const started = await start(t, { policy: withMeshGrants() })
  const { alice, carol, mesh } = started
  const client = await alice.register()
  const brought = (entries: unknown[]) => mesh.change({ machines: { 'carol-laptop': { capabilities: { [capability]: entries } } } })

  assert.equal((await carol.authorize(client, wiki)).status, 403, 'the file does not')
  brought([readsTheWiki])
  const tokens = await carol.signIn(client, wiki)
  const server = policyClient(started, 'wiki-server')
  assert.equal((await alice.introspect(server, tokens.access_token)).active, true)

  brought([{ ...readsTheWiki, dst: ['resource:notes'] }])
  assert.equal((await alice.introspect(server, tokens.access_token)).active, false)
  await assert.rejects(carol.refresh(client, tokens), { error: 'invalid_grant' })
  brought([readsTheWiki])
  assert.ok(await carol.refresh(client, tokens))
})

test('a malformed entry is in the log once and in the record of each decision, and costs its bearer nothing', async (t) => {
  const { alice, mesh, daemon, logged } = await start(t, { policy: withMeshGrants() })
  const admin = { app: { admin: [{ access: 'write' }] } }
  const entries = ['nonsense', { ...readsTheWiki, app: { authorise: [] } }, admin]
  mesh.change({ machines: { 'alice-laptop': { capabilities: { [capability]: entries } } } })
  const client = await alice.register()
  await alice.signIn(client, wiki)
  await assert.rejects(alice.signIn(client, { ...wiki, resource: 'http://localhost:9999' }), (thrown: Refusal) => Boolean(thrown))

  const lines = logged.filter(({ message }) => message.includes(capability))
  assert.deepEqual(
    lines.map(({ level, fields, message }) => [level, fields.principal, message.split('\n').length]),
    [['warn', 'alice@example.com', 3]],
  )
  const { decisions } = (await runAction(daemon.deps, 'decisions.list', {})) as { decisions: { id: string; entry: string }[] }
  assert.ok(decisions.length >= 3)
  for (const { id } of decisions) {
    const { detail } = (await runAction(daemon.deps, 'decisions.show', { id })) as { detail: { mesh_grants_without_effect: string[] } }
    assert.equal(detail.mesh_grants_without_effect.length, 3)
    assert.match(detail.mesh_grants_without_effect[1] ?? '', /"authorise" is not a key of "app"\. Did you mean "authorize"\?/)
  }
})
