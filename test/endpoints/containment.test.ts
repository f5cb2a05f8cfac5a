/** What software that the policy does not name can never do, whatever it registers; one test a rule, where no other file has it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { deleteOrphans } from '../../src/janitor.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import type { Refusal } from '../support/person.ts'
import { type Started, start } from '../support/start.ts'

const notes = { resource: 'http://localhost:8491/mcp', scope: 'notes:read' }

const clientsOf = async ({ daemon }: Pick<Started, 'daemon'>) =>
  ((await runAction(daemon.deps, 'clients.list', {})) as { clients: { client_id: string; earlier: number }[] }).clients

test('software that nobody named gets the scopes that a resource opened to it, and no others, also of a token that it has', async (t) => {
  const withOpened = (opened: unknown) =>
    changedPolicy(({ resources, clients, grants }) => {
      resources['resource:wiki'] = { ...resources['resource:wiki'], allow_unverified_clients: opened }
      clients['client:grafana'] = { ...clients['client:grafana'], redirect_uris: [grafanaCallback] }
      for (const { dst, app } of grants) if (dst?.includes('resource:wiki') && app.authorize) app.authorize.push({ scopes: ['wiki:write'] })
    })
  const started = await start(t, { policy: withOpened(true) })
  const { alice } = started
  const client = await alice.register()
  const both = { ...wiki, scope: 'wiki:read wiki:write' }
  const tokens = await alice.signIn(client, both)
  assert.equal(tokens.scope, 'wiki:read wiki:write')

  assert.equal(started.setPolicy(withOpened(['wiki:read'])).ok, true)
  assert.equal((await alice.refresh(client, tokens)).scope, 'wiki:read')
  assert.equal((await alice.signIn(client, both)).scope, 'wiki:read')
  const refused = await alice.authorize(client, { ...wiki, scope: 'wiki:write' })
  assert.match(refused.text, /resource:wiki with the scope wiki:write is for software that the policy names, and dcr_\w+ is not\./)
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  assert.equal((await alice.signIn(grafana, both)).scope, 'wiki:read wiki:write', 'software that an admin named gets both')

  assert.equal(started.setPolicy(withOpened(false)).ok, true)
  assert.match((await alice.authorize(client, wiki)).text, /resource:wiki is for software that the policy names/)
})

test('RFC 8707: a token is for one resource, and worth nothing at another that is open to unverified software too', async (t) => {
  const started = await start(t)
  const { alice } = started
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const [atWiki, atNotes] = [policyClient(started, 'wiki-server'), policyClient(started, 'notes-server')]
  assert.equal((await alice.introspect(atWiki, tokens.access_token)).active, true)
  assert.equal((await alice.introspect(atNotes, tokens.access_token)).active, false)
  await assert.rejects(alice.refresh(client, tokens, { resource: notes.resource }), { error: 'invalid_target' })
})

test('software whose answers may go to some hosts only sends nobody elsewhere after a logout either, also by an update [threats 317]', async (t) => {
  const { alice } = await start(t, { policy: withRegistration({ redirect_uris: ['*.example.com'] }) })
  const metadata = { redirect_uris: ['https://app.example.com/cb'], token_endpoint_auth_method: 'none' }
  const elsewhere = { post_logout_redirect_uris: ['https://app.example.com/bye', 'https://evil.example/'] }
  assert.equal((await alice.send('/register', { json: { ...metadata, ...elsewhere } })).status, 403)
  const { client_id, registration_access_token } = await alice.register({
    ...metadata,
    post_logout_redirect_uris: ['https://a.example.com/'],
  })
  const update = (more: object) =>
    alice.send(`/register/${client_id}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${registration_access_token}` },
      json: { client_id, ...metadata, ...more },
    })
  const refused = await update(elsewhere)
  assert.deepEqual([refused.status, refused.json().error], [403, 'access_denied'])
  assert.equal((await update({})).status, 200)
})

test('software falls with whoever brought it: gone from the mesh for a day, it goes with every authorization, also those of others', async (t) => {
  const started = await start(t)
  const { alice, bob, clock, mesh, daemon } = started
  const [his, hers] = [await bob.register(), await alice.register()]
  const tokens = await alice.signIn(his, wiki)
  const bobs = (removed: boolean) => mesh.change({ machines: { 'bob-laptop': { removed } } })
  const round = async (hours: number) => {
    clock.advance({ hours })
    await deleteOrphans(daemon.deps)
    return (await clientsOf(started)).map(({ client_id }) => client_id)
  }
  const both = [his.client_id, hers.client_id].sort()
  bobs(true)
  assert.deepEqual((await round(1)).sort(), both)
  bobs(false)
  assert.deepEqual((await round(30)).sort(), both, 'they came back')
  bobs(true)
  assert.deepEqual((await round(1)).sort(), both)
  mesh.change({ state: 'Stopped' })
  await assert.rejects(round(30), Unavailable, 'a dark mesh says nothing about anybody')
  mesh.change({ state: 'Running' })

  assert.deepEqual(await round(1), [hers.client_id])
  await assert.rejects(alice.refresh(his, tokens), ({ error }: Refusal) => error === 'invalid_client')
  assert.match((await alice.authorize(his, wiki)).text, /is not known here/)
  assert.equal((await alice.signIn(hers, wiki)).scope, 'wiki:read')
})

test('a key that has expired is no absence: whoever only has to sign in to the mesh again keeps their software', async (t) => {
  const started = await start(t)
  const { bob, clock, mesh, daemon } = started
  await bob.register()
  mesh.change({ machines: { 'bob-laptop': { expired: true } } })
  for (const days of [1, 2, 3]) {
    clock.advance({ days })
    await deleteOrphans(daemon.deps)
  }
  assert.equal((await clientsOf(started)).length, 1)
})

test('the same software brought again by the same person is recognised, and reported in the log, in the decision and in the list', async (t) => {
  const started = await start(t, { policy: withRegistration({ max_clients: 10 }) })
  const { alice, alicePhone, bob, logged, daemon } = started
  const at = (port: number, client_name = 'Editor') => ({ client_name, redirect_uris: [`http://127.0.0.1:${port}/cb`] })
  const first = await alice.register(at(9001))
  await alice.register(at(9001, 'Another editor'))
  await bob.register(at(9001))
  assert.deepEqual(
    logged.filter(({ fields }) => fields.again),
    [],
  )

  const second = await alicePhone.register(at(9002))
  const third = await alice.register(at(9003))
  assert.deepEqual(
    logged.filter(({ fields }) => fields.again).map(({ level, fields, message }) => [level, fields.again, message]),
    [
      ['info', [first.client_id], 'alice@example.com registers software that they registered before'],
      ['info', [first.client_id, second.client_id], 'alice@example.com registers software that they registered before'],
    ],
  )
  const earlier = Object.fromEntries((await clientsOf(started)).map((client) => [client.client_id, client.earlier]))
  assert.deepEqual([earlier[first.client_id], earlier[second.client_id], earlier[third.client_id]], [0, 1, 2])
  assert.equal(Object.values(earlier).filter((count) => count > 0).length, 2, 'another name, or another person, is other software')

  const { decisions } = (await runAction(daemon.deps, 'decisions.list', { client_id: third.client_id })) as { decisions: { id: string }[] }
  const { detail } = (await runAction(daemon.deps, 'decisions.show', { id: decisions[0]?.id })) as { detail: { again: string[] } }
  assert.deepEqual(detail.again, [first.client_id, second.client_id])
})
