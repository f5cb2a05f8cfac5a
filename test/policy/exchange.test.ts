import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodePrincipal, UserPrincipal } from '../../src/oauth/principal.ts'
import { type Asked, compile, evaluate } from '../../src/policy/index.ts'

const node = { id: 'n1', name: 'laptop', addresses: [], key_expiry: null, os: null, os_version: null }
const rest = { capabilities: new Map<string, unknown[]>(), node, address: '100.64.0.1' }
const user = (login: string): UserPrincipal => ({
  kind: 'user',
  user_id: login,
  login,
  display_name: null,
  picture: null,
  groups: null,
  ...rest,
})
const tagged = (tag: string): NodePrincipal => ({ kind: 'node', tags: [tag], ...rest })

const alice = user('alice@example.com')
const gateway = { client_id: 'client:gateway', name: 'client:gateway' }
const unnamed = { client_id: 'abc', name: null }

/** alice may "read" at the wiki, and no more; the gateway wants `scopes` there for tokens that it got. */
function verdict(capability: string, asked: Partial<Extract<Asked, { app: 'exchange' }>>, more = '') {
  const compiled = compile(`{
    "resources": {
      "resource:wiki": { "uri": "https://wiki", "scopes": ["read", "write"] },
      "resource:gateway": { "uri": "https://gateway", "scopes": ["call", "list"] },
    },
    "clients": { "client:gateway": {}, "client:web": {} },
    "grants": [
      { "src": ["alice@example.com"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["read"], "clients": ["client:web"], "access_token_ttl": "60s" }] } },
      { "src": ["tag:ci"], "dst": ["resource:wiki"], "app": { "client_credentials": [{ "scopes": ["write"] }] } },
      { "src": ["*", "tag:ci"], "dst": ["resource:wiki"], "reason": "Ticket 7.", "app": { "exchange": [
        { "actors": ["client:gateway", "tag:gw"], "from": ["resource:gateway"], "scopes": { "read": ["call"], "write": ["call", "list"] } ${capability} }] } },
      ${more}
    ],
  }`)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  const common = { principal: alice, client: gateway, actor: null, from: 'resource:gateway', held: ['call'], depth: 1, impersonate: false }
  return evaluate(compiled.policy, { app: 'exchange', resource: 'resource:wiki', scopes: [], ...common, ...asked })
}
const scopes = (...given: Parameters<typeof verdict>) => {
  const found = verdict(...given)
  return found.allowed ? found.scopes : found.reason
}

test('RFC 8693 §2.1: an exchange gives what the grant maps from the held scopes, and only what the subject could get itself', () => {
  assert.deepEqual(scopes('', {}), ['read'])
  assert.deepEqual(scopes('', { scopes: ['write', 'read'] }), ['read'])
  assert.equal(scopes('', { scopes: ['write'] }), 'scope')
  assert.equal(scopes('', { held: ['list'] }), 'scope') // maps to "write", which alice may not
  assert.equal(scopes('', { held: [] }), 'scope')
  assert.equal(scopes('', { principal: user('bob@example.com') }), 'subject')
})

test('an exchange says which grants gave it, why they exist, and keeps the lifetime that the subject has', () => {
  const found = verdict('', { scopes: ['read', 'write'] })
  assert.ok(found.allowed)
  const { grants, reasons, dropped, limits } = found
  assert.deepEqual(
    { grants, reasons, dropped, ttl: limits.access_token_ttl },
    { grants: [0, 2], reasons: ['Ticket 7.'], dropped: ['write'], ttl: 60 },
  )
})

test('an exchange beyond the subject is given only where a grant says beyond_subject', () => {
  assert.deepEqual(scopes(', "beyond_subject": true', {}), ['read', 'write'])
  assert.deepEqual(scopes(', "beyond_subject": true', { principal: user('bob@example.com') }), ['read', 'write'])
})

test('what an exchange gives beyond the subject is no shorter because the subject may do some of it, for a shorter time', () => {
  const beyond = verdict(', "beyond_subject": true', { scopes: ['read'] })
  assert.ok(beyond.allowed && beyond.limits.access_token_ttl === null)
})

test('a tagged subject is cut to what client_credentials gives it', () => {
  assert.deepEqual(scopes('', { principal: tagged('tag:ci') }), ['write'])
  assert.equal(scopes('', { principal: tagged('tag:other') }), 'no_grant')
})

test('an exchange is for the actors that the grant names, a client or the tagged node that it calls from', () => {
  assert.deepEqual(scopes('', { client: unnamed, actor: tagged('tag:gw') }), ['read'])
  assert.equal(scopes('', { client: unnamed }), 'client')
  assert.equal(scopes('', { client: { client_id: 'client:web', name: 'client:web' } }), 'client')
  assert.equal(scopes('', { client: unnamed, actor: tagged('tag:other') }), 'client')
})

test('RFC 8693 §4.1: an exchange is bound to where the token is from, how deep the chain is, and whether the actor may hide', () => {
  assert.equal(scopes('', { from: 'resource:wiki' }), 'from')
  assert.equal(scopes('', { depth: 2 }), 'depth')
  assert.deepEqual(scopes(', "max_depth": 2', { depth: 2 }), ['read'])
  assert.equal(scopes('', { impersonate: true }), 'client')
  assert.deepEqual(scopes(', "impersonate": true', { impersonate: true }), ['read'])
  assert.equal(scopes('', { resource: 'resource:gone' }), 'target')
})

test('fields of two exchange grants never mix', () => {
  const other = `{ "src": ["*"], "dst": ["resource:wiki"], "app": { "exchange": [
    { "actors": ["client:web"], "from": ["resource:gateway"], "scopes": { "read": ["list"] }, "max_depth": 9, "beyond_subject": true }] } }`
  assert.equal(scopes('', { depth: 2 }, other), 'depth')
  assert.equal(scopes('', { held: ['list'], scopes: ['read'] }, other), 'client') // the other grant would do, for another actor
  assert.equal(scopes('', { scopes: ['write'] }, other), 'scope')
})
