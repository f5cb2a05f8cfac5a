/** Clients that never send `resource` (RFC 8707): the policy says what their requests are for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeJwt } from 'jose'
import { assertSentBack } from '../support/answers.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'

const wikiForGrafana = {
  src: ['group:eng'],
  dst: ['resource:wiki', 'resource:notes'],
  app: { authorize: [{ scopes: ['wiki:read', 'notes:read'], consent: 'never' }] },
}

test("RFC 8707 §2: a request without resource is for its client's default, else for that of all, if it asks for more than who somebody is", async (t) => {
  const started = await start(t, {
    policy: changedPolicy(({ resources, clients, grants }) => {
      if (resources['resource:notes']) Object.assign(resources['resource:notes'], { default: true, token_format: 'jwt' })
      if (clients['client:grafana']) clients['client:grafana'].default_resource = 'resource:wiki'
      grants.push(wikiForGrafana)
    }),
  })
  const { alice } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const audience = async (client: typeof grafana | Awaited<ReturnType<typeof alice.register>>, params: Record<string, string>) =>
    decodeJwt((await alice.signIn(client, params)).access_token).aud
  assert.equal(await audience(grafana, { scope: 'openid wiki:read' }), wiki.resource)
  assert.equal(await audience(grafana, {}), wiki.resource)
  assert.equal(await audience(grafana, { scope: 'openid email' }), started.issuer)
  assert.equal(await audience(grafana, { resource: 'http://localhost:8491/mcp', scope: 'notes:read' }), 'http://localhost:8491/mcp')
  assertSentBack(started, await alice.authorize(grafana, { scope: 'notes:read' }), 'invalid_scope', grafana)
  const registered = await alice.register()
  assert.equal(await audience(registered, { scope: 'notes:read' }), 'http://localhost:8491/mcp')
  assert.equal(await audience(registered, {}), 'http://localhost:8491/mcp')

  const tokens = await alice.signIn(grafana, { scope: 'wiki:read' })
  assert.equal(decodeJwt((await alice.refresh(grafana, tokens)).access_token).aud, wiki.resource)
})

test('RFC 8707 §2: where no default is, a request without resource is for this server itself, and for API scopes it is refused', async (t) => {
  const started = await start(t)
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  assert.equal(decodeJwt((await started.alice.signIn(grafana, { scope: 'openid' })).access_token).aud, started.issuer)
  assertSentBack(started, await started.alice.authorize(grafana, { scope: 'wiki:read' }), 'invalid_scope', grafana)
})
