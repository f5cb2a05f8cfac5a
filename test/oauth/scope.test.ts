import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isScopeToken, parseScope, scopeOf } from '../../src/oauth/scope.ts'

const invalid = { name: 'OAuthError', code: 'invalid_scope' }

test('RFC 6749 §3.3: scopes come apart at spaces, each once, in order', () => {
  assert.deepEqual(parseScope('openid wiki:read openid wiki:write'), ['openid', 'wiki:read', 'wiki:write'])
  assert.deepEqual(parseScope(''), [])
  assert.deepEqual(parseScope('  openid   email '), ['openid', 'email'])
  assert.deepEqual(parseScope('__proto__ constructor'), ['__proto__', 'constructor'])
  assert.equal(scopeOf(parseScope('a b a')), 'a b')
})

test('RFC 6749 §3.3: quotes, backslashes, controls and what is not ASCII are no part of a scope', () => {
  for (const bad of ['a"b', 'a\\b', 'a\tb', 'a\nb', 'a\0b', 'ä', '\x7f', '\ud800']) {
    assert.throws(() => parseScope(bad), invalid, JSON.stringify(bad))
    assert.equal(isScopeToken(bad), false)
  }
  assert.equal(isScopeToken('wiki:read'), true)
  assert.equal(isScopeToken(''), false)
  assert.equal(isScopeToken('a b'), false)
})

test('RFC 6749 §3.3: 4096 characters and 100 scopes are the most, however long the text is [threats 52, 434]', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => `s${index}`)
  assert.equal(parseScope(hundred.join(' ')).length, 100)
  assert.equal(parseScope('a'.repeat(4096)).length, 1)
  for (const bad of [[...hundred, 'more'].join(' '), 'a'.repeat(4097), 'a'.repeat(50_000), 'a '.repeat(10_000), `${'a'.repeat(50_000)}!"`])
    assert.throws(() => parseScope(bad), invalid)
})
