import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserPrincipal } from '../../src/oauth/principal.ts'
import { compile, reachable } from '../../src/policy/index.ts'

const person = (login: string): UserPrincipal => ({
  kind: 'user',
  user_id: '1',
  login,
  display_name: null,
  picture: null,
  groups: null,
  capabilities: new Map(),
  node: { id: 'n1', name: 'laptop', addresses: ['100.64.0.1'], key_expiry: null, os: null, os_version: null },
  address: '100.64.0.1',
})

type Edge = { src?: string; dst: string; from: string; actors?: string[]; scopes: Record<string, string[]>; [more: string]: unknown }

/** Three resources in a row; `may`: at which of them people may sign in at all. */
function edges(may: string[], ...all: (Edge & { expires?: string })[]) {
  const compiled = compile(
    JSON.stringify({
      resources: Object.fromEntries(
        ['a', 'b', 'c'].map((r) => [`resource:${r}`, { uri: `https://${r}`, scopes: [`${r}:read`, `${r}:write`] }]),
      ),
      clients: { 'client:gate': { name: 'The gate' } },
      grants: [
        ...may.map((r) => ({ src: ['*'], dst: [`resource:${r}`], app: { authorize: [{ scopes: [`${r}:read`, `${r}:write`] }] } })),
        ...all.map(({ src = '*', dst, from, actors = ['client:gate'], expires, ...edge }) => ({
          src: [src],
          dst: [dst],
          ...(expires && { expires }),
          app: { exchange: [{ actors, from: [from], ...edge }] },
        })),
      ],
    }),
  )
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return (login: string, held: string[], now = 1_800_000_000) =>
    reachable(compiled.policy, person(login), 'resource:a', held, now).map(({ actor, resource, scopes }) => [
      actor,
      resource.name,
      ...scopes,
    ])
}

const aToB = { from: 'resource:a', dst: 'resource:b', scopes: { 'b:read': ['a:read'], 'b:write': ['a:write'] } }
const bToC = { from: 'resource:b', dst: 'resource:c', scopes: { 'c:read': ['b:read'] } }

test('exchange: an edge leads on with the scopes that it is held for, under the name of who acts', () => {
  const from = edges(['a', 'b'], aToB, { ...aToB, actors: ['tag:proxy'], scopes: { 'b:read': ['a:write', 'a:read'] } })
  assert.deepEqual(from('alice@example.com', ['a:read']), [
    ['The gate', 'resource:b', 'b:read'],
    ['tag:proxy', 'resource:b', 'b:read'],
  ])
  assert.deepEqual(from('alice@example.com', ['a:read', 'a:write'])[0], ['The gate', 'resource:b', 'b:read', 'b:write'])
  assert.deepEqual(from('alice@example.com', []), [])
})

test('exchange: an edge is for the people of its src, and until it expires', () => {
  const from = edges(['a', 'b'], { ...aToB, src: '*@example.com', expires: '2027-01-01T00:00:00Z' })
  const before = Date.parse('2027-01-01T00:00:00Z') / 1000 - 1
  assert.equal(from('alice@example.com', ['a:read'], before).length, 1)
  assert.deepEqual(from('mallory@other.com', ['a:read'], before), [])
  assert.deepEqual(from('alice@example.com', ['a:read'], before + 1), [])
})

test('exchange: a second hop needs a max_depth of two, and circles end', () => {
  const all = ['a', 'b', 'c']
  assert.deepEqual(edges(all, aToB, bToC)('alice@example.com', ['a:read']), [['The gate', 'resource:b', 'b:read']])
  const back = { from: 'resource:c', dst: 'resource:a', scopes: { 'a:read': ['c:read'], 'a:write': ['c:read'] }, max_depth: 16 }
  assert.deepEqual(edges(all, { ...aToB, max_depth: 16 }, { ...bToC, max_depth: 2 }, back)('alice@example.com', ['a:read']), [
    ['The gate', 'resource:b', 'b:read', 'b:write'],
    ['The gate', 'resource:c', 'c:read'],
    ['The gate', 'resource:a', 'a:write'],
  ])
})

test('exchange: without beyond_subject nobody gets further than they may themselves', () => {
  assert.deepEqual(edges(['a'], aToB)('alice@example.com', ['a:read']), [])
  assert.deepEqual(edges(['a'], { ...aToB, beyond_subject: true })('alice@example.com', ['a:read']), [['The gate', 'resource:b', 'b:read']])
})
