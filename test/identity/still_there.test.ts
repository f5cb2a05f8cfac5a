import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Remembered } from '../../src/identity/identity.ts'
import { nobody } from '../../src/identity/nobody.ts'
import { machineThere, stillThere } from '../../src/identity/still_there.ts'
import { Unavailable } from '../../src/oauth/error.ts'
import { identityOn, onDevMesh, startLocalApi } from '../support/local_api.ts'

const alice: Remembered = { user_id: '101', node_id: 'alice-laptop', address: '127.0.0.2', bind: 'user' }
const bound: Remembered = { ...alice, bind: 'node' }

async function start(t: TestContext) {
  const { mesh, identity } = await onDevMesh(t)
  /** The node where they are now, or why they are not there. */
  const where = async (remembered: Remembered) => {
    const answer = await identity.stillThere(remembered)
    return answer.there ? `${answer.principal.login} at ${answer.principal.node.id}` : answer.reason
  }
  const both = async () => [await where(alice), await where(bound)]
  return { mesh, identity, where, both }
}

test('whois by the remembered bare address finds the same person; the list of peers is not asked for', async (t) => {
  const { mesh, both } = await start(t)
  assert.deepEqual(await both(), ['alice@example.com at alice-laptop', 'alice@example.com at alice-laptop'])
  assert.equal(mesh.asked('whois 127.0.0.2'), 2)
  assert.equal(mesh.asked('status peers=true'), 0)
})

test('what counts is who they are today: groups, capabilities, name [threats 365]', async (t) => {
  const { mesh, identity } = await start(t)
  mesh.change({
    people: { 'alicia@example.com': { id: '101', groups: ['group:eng'] } },
    machines: { 'alice-laptop': { owner: 'alicia@example.com', capabilities: { 'example.com/cap/meshidp': [{ role: 'admin' }] } } },
  })
  const answer = await identity.stillThere(alice)
  assert.ok(answer.there)
  assert.equal(answer.principal.login, 'alicia@example.com')
  assert.deepEqual(answer.principal.groups, ['group:eng'])
  assert.deepEqual([...answer.principal.capabilities.keys()], ['example.com/cap/meshidp'])
})

test('the node is gone: another one of the same person will do, unless bound to the node [threats 367]', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-laptop': { removed: true } } })
  assert.deepEqual(await both(), ['alice@example.com at alice-phone', 'unknown'])
  mesh.change({ machines: { 'alice-laptop': { removed: false } } })
  assert.deepEqual(await both(), ['alice@example.com at alice-laptop', 'alice@example.com at alice-laptop'], 'a mistake undone heals')
})

test('the node has expired: another one will do, unless bound to the node (S6)', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-laptop': { expired: true } } })
  assert.deepEqual(await both(), ['alice@example.com at alice-phone', 'expired'])
  mesh.change({ machines: { 'alice-phone': { key_expiry: '2027-01-15T07:00:00Z' } } })
  assert.deepEqual(await both(), ['expired', 'expired'])
  mesh.change({ machines: { 'alice-phone': { removed: true }, 'alice-laptop': { removed: true } } })
  assert.deepEqual(await both(), ['unknown', 'unknown'])
})

test('the node has another address now: it is found by its id', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-laptop': { address: '127.0.0.20' }, 'alice-phone': { removed: true } } })
  assert.deepEqual(await both(), ['alice@example.com at alice-laptop', 'alice@example.com at alice-laptop'])
})

test('the address is somebody else’s now: that one is not them [threats 332]', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-phone': { removed: true }, 'alice-laptop': { owner: 'bob@example.com' } } })
  assert.deepEqual(await both(), ['unknown', 'unknown'])
})

test('another machine of theirs at the same address: the person is there, the node is not', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-laptop': { id: 'reinstalled' }, 'alice-phone': { removed: true } } })
  assert.deepEqual(await both(), ['alice@example.com at reinstalled', 'unknown'])
})

test('the same login with another user id is another person [threats 331, 365]', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ people: { 'alice@example.com': { id: '999' } } })
  assert.deepEqual(await both(), ['unknown', 'unknown'])
})

test('never a tagged node: a machine that was tagged is nobody’s [threats 326]', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-phone': { removed: true }, 'alice-laptop': { owner: undefined, tags: ['tag:ci'] } } })
  assert.deepEqual(await both(), ['unknown', 'unknown'])
})

test('the placeholder of tagged nodes is not still there either [threats 326]', async (t) => {
  const { where } = await start(t)
  assert.equal(await where({ user_id: '2147455555', node_id: 'ci-runner', address: '127.0.0.6', bind: 'user' }), 'unknown')
})

test('a node of theirs that is shared in or unsigned does not count, and says so', async (t) => {
  const { mesh, both } = await start(t)
  mesh.change({ machines: { 'alice-phone': { removed: true }, 'alice-laptop': { shared: true } } })
  assert.deepEqual(await both(), ['shared', 'shared'])
  mesh.change({ machines: { 'alice-laptop': { shared: false, unsigned: true } } })
  assert.deepEqual(await both(), ['unsigned', 'unsigned'])
})

test('whoever signed in at the browser of the development mesh is still there when somebody else sits there', async (t) => {
  const { mesh, where } = await start(t)
  const atBrowser = { ...alice, address: '127.0.0.1' }
  assert.equal(await where(atBrowser), 'alice@example.com at alice-laptop')
  mesh.change({ browser: 'bob-laptop' })
  assert.equal(await where(atBrowser), 'alice@example.com at alice-laptop')
  assert.equal(await where({ ...atBrowser, bind: 'node' }), 'alice@example.com at alice-laptop')
})

test('the mesh goes down between the two questions: 503, not "gone" (S7)', async (t) => {
  const { mesh, identity } = await start(t)
  mesh.change({ machines: { 'alice-laptop': { removed: true } } })
  await identity.refresh()
  mesh.change({ state: 'Starting' })
  await assert.rejects(identity.stillThere(alice), Unavailable)
})

test('a person’s own machine on which meshidp runs is one of theirs, where it counts as theirs at all (S5)', async (t) => {
  const own = { ID: 'nIDP', UserID: 101, TailscaleIPs: ['127.0.0.1'] }
  const { socket } = await startLocalApi(t, ({ url = '' }, response) => {
    if (url.includes('/status')) return void response.end(JSON.stringify({ BackendState: 'Running', TUN: true, Self: own }))
    if (!url.endsWith('addr=127.0.0.1')) return void response.writeHead(404).end()
    response.end(JSON.stringify({ Node: { StableID: own.ID, User: 101 }, UserProfile: { ID: 101, LoginName: 'alice@example.com' } }))
  })
  for (const allowSelf of [true, false]) {
    const identity = await identityOn(t, socket, { allowSelf })
    const answer = await identity.stillThere(alice)
    assert.equal(answer.there && answer.principal.node.id, allowSelf && own.ID)
    assert.equal((await identity.present()).has(alice), allowSelf, 'the list of all agrees')
  }
})

test('an answer that says "not there" is a sentence with what to do', async (t) => {
  const { mesh, identity } = await start(t)
  mesh.change({ machines: { 'alice-phone': { removed: true }, 'alice-laptop': { removed: true } } })
  const gone = await identity.stillThere(alice)
  assert.ok(!gone.there)
  assert.match(gone.sentence, /^The person who signed in from 127\.0\.0\.2 is not in the mesh now\. .*\.$/)
})

test('what cannot be read of any machine of theirs is 503, not "gone": it is no reason to end anything', async () => {
  const whois = async (address: string) => nobody(address === '100.64.0.2' ? 'unknown' : 'malformed', address)
  const peer = (id: string, ip: string) => ({ ID: id, UserID: '101', TailscaleIPs: [ip] })
  const nodes = async () => [peer('alice-laptop', '100.64.0.9'), peer('other', '100.64.0.8')] as never
  const asks = { whois, nodes, now: () => 0 }
  await assert.rejects(stillThere({ ...alice, address: '100.64.0.2' }, asks), Unavailable)
  await assert.rejects(machineThere({ node_id: 'alice-laptop', address: '100.64.0.2' }, asks), Unavailable)
})
