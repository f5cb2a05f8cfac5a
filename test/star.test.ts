/** `*` in a policy, from outside: it is the people of this tailnet, and nobody else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertPage, counts } from './support/answers.ts'
import { changedPolicy, grafanaCallback, policyClient } from './support/example_policy.ts'
import { start } from './support/start.ts'
import { changeMesh } from './support/token_request.ts'

const registration = { redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'none' }

test('a star lets in no tagged node, nobody of another tailnet, nobody unknown or expired; and whoever is of this one [threats 379]', async (t) => {
  const policy = changedPolicy(({ grants }) => {
    for (const grant of grants) if (!grant.app.introspect && !grant.app.client_credentials) grant.src = ['*']
  })
  const started = await start(t, { policy })
  const { alice, ci, mallory } = started
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const openid = { scope: 'openid', resource: undefined }
  const made = async () => {
    const { clients, authorizations, codes } = await counts(started)
    return { clients, authorizations, codes }
  }
  const shut = async (who: typeof alice, what: string) => {
    const before = await made()
    assertPage(await who.authorize(grafana, openid), 403)
    const answer = await who.send('/register', { method: 'POST', json: registration })
    assert.equal(answer.status, 403, `${what}: ${answer.text}`)
    assert.deepEqual(await made(), before, what)
  }

  await shut(ci, 'tagged')
  for (const state of [{ shared: true }, { unsigned: true }, { expired: true }, { removed: true }]) {
    await changeMesh(started, {
      machines: { 'alice-laptop': { shared: false, unsigned: false, expired: false, removed: false, ...state } },
    })
    await shut(alice, JSON.stringify(state))
  }

  assert.equal((await mallory.authorize(grafana, openid)).status, 303)
  assert.ok((await mallory.register()).client_id)
})
