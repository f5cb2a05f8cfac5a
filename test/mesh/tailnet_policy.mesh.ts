/** What the tailnet policy says arrives here by whois, and counts as far as the policy file takes it: grants, groups, attributes of nodes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { Refusal, TestClient, Tokens } from '../support/person.ts'
import { type Machine, type MeshDocument, mesh } from './mesh.ts'
import { document, policy, provider, wiki } from './provider.ts'

const capability = 'example.com/cap/meshidp'
const reads = { dst: ['resource:wiki'], app: { authorize: [{ scopes: ['wiki:read'], clients: ['*'], consent: 'once' }] } }
const admin = { app: { admin: [{ access: 'write' }] } }

/** A grant of the tailnet policy; `dst` are nodes. */
const tailnetGrant = (src: string, dst: string, ...values: unknown[]) => ({ src: [src], dst: [dst], app: { [capability]: values } })

/** The file says what there is and who may register; by itself it gives nobody the wiki. */
const [register, identityScopes] = policy.grants
const byTailnet = (more: object = {}, ...grants: object[]) => ({
  ...policy,
  mesh_grants: { capability, ...more },
  grants: [register, identityScopes, ...grants],
})

test('the tailnet policy, by whois', async (t) => {
  const lab = await mesh(t, document)
  const [idp, alice, bob, server] = (['idp', 'alice-laptop', 'bob-laptop', 'wiki-server'] as const).map(lab.machine) as [
    Machine,
    Machine,
    Machine,
    Machine,
  ]
  const grants = (...given: NonNullable<MeshDocument['grants']>) =>
    lab.change((said) => {
      said.grants = given
    })
  /** Waits until whois on `machine` has what the control plane said of `address` a moment ago. */
  const arrived = (machine: Machine, address: string, sign: RegExp) =>
    eventually(`${sign} at ${machine.name}`, async () => sign.test(await machine.tailscale('whois', '--json', address)))
  const asks = { resource: wiki, scope: 'wiki:read offline_access' }
  const refused = (attempt: Promise<Tokens>) =>
    attempt.then(
      () => null,
      (refusal: Refusal) => refusal.error,
    )

  await t.test(
    'a grant there lets alice use the wiki, at this provider only; taken back she is out, given again she goes on',
    async (t) => {
      const { at } = await provider(t, idp, { policy: byTailnet() })
      const person = at(alice)
      const client = await person.register()
      const denied = async (who: typeof person) => {
        const page = await who.authorize(client, asks)
        return /may not use/.test(page.text)
      }
      assert.ok(await denied(person), 'the file does not')
      await grants(tailnetGrant('alice@example.com', 'wiki-server', reads))
      await arrived(server, alice.address, /"example.com\/cap\/meshidp"/)
      assert.ok(await denied(person), 'what she may do at another node counts for nothing')

      await grants(tailnetGrant('alice@example.com', 'idp', reads))
      const tokens = await eventually('alice signs in', () => person.signIn(client, asks).catch(() => null))
      assert.equal(tokens.scope, 'wiki:read offline_access')
      assert.ok(await denied(at(bob)))

      await grants()
      const narrowed = await eventually('the wiki is gone', async () => {
        const next = await person.refresh(client, tokens, { scope: 'wiki:read' }).catch((refusal: Refusal) => refusal)
        return 'error' in next ? next : null
      })
      assert.equal(narrowed.error, 'invalid_grant')
      await grants(tailnetGrant('group:eng', 'tag:idp', reads))
      await eventually('alice goes on', () => person.refresh(client, tokens, { scope: 'wiki:read' }).catch(() => null))
    },
  )

  await t.test('a tagged machine introspects because the tailnet policy lets it; for bob the same entry means nothing', async (t) => {
    const own = { ...byTailnet(), clients: { 'client:wiki-server': { node: ['tag:wiki-server'] } } }
    const { at } = await provider(t, idp, { policy: own })
    const person = at(alice)
    const looks = { dst: ['resource:wiki'], app: { introspect: [{}] } }
    await grants(tailnetGrant('*', 'idp', looks), tailnetGrant('alice@example.com', 'idp', reads))
    const client = await person.register()
    const { access_token } = await eventually('alice signs in', () => person.signIn(client, asks).catch(() => null))
    const look = (machine: Machine) => at(machine).send('/introspect', { form: { client_id: 'client:wiki-server', token: access_token } })
    assert.equal((await look(server)).json().active, true)
    assert.equal((await look(bob)).json().error, 'invalid_client')
    await grants(tailnetGrant('alice@example.com', 'idp', reads))
    await eventually('no more', async () => (await look(server)).json().active === false)
  })

  await t.test('nobody becomes an admin there, unless the policy file says so; what gives nothing is in the log', async (t) => {
    await grants(tailnetGrant('alice@example.com', 'idp', 'nonsense', admin, reads))
    await arrived(idp, alice.address, /nonsense/)
    const isAdmin = async ({ at }: Awaited<ReturnType<typeof provider>>, machine: Machine) =>
      /For admins/.test((await at(machine).send('/', { headers: { accept: 'text/html' } })).text)

    const without = await provider(t, idp, { policy: byTailnet() })
    assert.equal(await isAdmin(without, alice), false)
    const client = await without.at(alice).register()
    assert.ok(await without.at(alice).signIn(client, asks), 'the entry beside it counts')
    const [line, ...more] = without.logged.filter(({ message }) => message.includes(capability))
    assert.match(line?.message ?? '', /Nobody becomes an admin by the tailnet policy/)
    assert.deepEqual(more, [])

    const withAdmins = await provider(t, idp, { policy: byTailnet({ admin: true }) })
    assert.deepEqual([await isAdmin(withAdmins, alice), await isAdmin(withAdmins, bob)], [true, false])
  })

  await t.test('groups that whois shows are let out as a claim; those that the file does not name count for nothing', async (t) => {
    await grants()
    const shown = { src: ['*'], dst: ['autogroup:registered'], app: { claims: [{ groups: ['group:eng'] }] } }
    const { at } = await provider(t, idp, { policy: { ...policy, mesh_groups: ['group:eng'], grants: [...policy.grants, shown] } })
    await lab.change(({ people }) =>
      Object.assign(people['alice@example.com'] as object, { groups: ['group:eng', 'group:not-in-the-file'] }),
    )
    await arrived(idp, alice.address, /not-in-the-file/)
    const groupsOf = async (machine: Machine, client: TestClient) => {
      const { access_token } = await at(machine).signIn(client, { scope: 'openid groups' })
      const answer = await at(machine).send('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })
      return answer.json().groups
    }
    const client = await at(alice).register()
    assert.deepEqual(await groupsOf(alice, client), ['group:eng'])
    assert.equal(await groupsOf(bob, client), undefined)
    assert.ok(await at(alice).signIn(client, asks))
  })

  await t.test('a posture by an attribute that the control plane gives the node: alice on her laptop, not on her phone', async (t) => {
    const [, , eng] = policy.grants
    const managed = { ...eng, posture: { attributes: ['example.com/managed'] } }
    const { at } = await provider(t, idp, { policy: { ...policy, grants: [register, identityScopes, managed] } })
    const phone = lab.machine('alice-phone')
    await lab.change(({ machines }) => Object.assign(machines['alice-laptop'] as object, { attributes: ['example.com/managed'] }))
    await arrived(idp, alice.address, /example.com\/managed/)
    const client = await at(alice).register()
    const tokens = await at(alice).signIn(client, asks)
    assert.match((await at(phone).authorize(client, asks)).text, /may not use/)
    await lab.change(({ machines }) => Object.assign(machines['alice-laptop'] as object, { attributes: [] }))
    await eventually('the laptop is managed no more', async () => (await refused(at(alice).refresh(client, tokens))) === 'invalid_grant')
  })
})
