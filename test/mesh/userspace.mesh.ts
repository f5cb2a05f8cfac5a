import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { Refusal } from '../support/person.ts'
import { mesh } from './mesh.ts'
import { document, provider, wiki } from './provider.ts'

test('a real mesh: people sign in through their own tailscaled, groups come from whois, and who is removed is out', async (t) => {
  const lab = await mesh(t, document)
  const { at, daemon } = await provider(t, lab.machine('idp'))
  assert.equal(daemon.deps.identity.status().strategy, 'userspace')
  const [alice, bob] = [at(lab.machine('alice-laptop')), at(lab.machine('bob-laptop'))]

  const client = await alice.register()
  const tokens = await alice.signIn(client, { resource: wiki, scope: 'wiki:read offline_access' })
  assert.equal(tokens.scope, 'wiki:read offline_access')

  await t.test('bob, who is not in the group that whois would have to show, is refused', async () => {
    const page = await bob.authorize(await bob.register(), { resource: wiki, scope: 'wiki:read' })
    assert.match(String(page.headers.location ?? page.text), /access_denied|may not use/)
  })

  await t.test('taken out of the group at the control plane, alice is out at the next refresh; back in it, she goes on', async () => {
    await lab.change(({ people }) => Object.assign(people['alice@example.com'] as object, { groups: [] }))
    const refused = await eventually('a refusal', () =>
      alice.refresh(client, tokens).then(
        () => null,
        (error: Refusal) => error,
      ),
    )
    assert.equal(refused.error, 'invalid_grant')
    await lab.change(({ people }) => Object.assign(people['alice@example.com'] as object, { groups: ['group:eng'] }))
    await eventually('a token', () => alice.refresh(client, tokens).catch(() => null))
  })
})
