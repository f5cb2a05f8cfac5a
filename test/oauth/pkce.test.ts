import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCodeChallenge, isCodeVerifier, matchesChallenge } from '../../src/oauth/pkce.ts'

// RFC 7636 Appendix B
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

test('RFC 7636 Appendix B: the example verifier matches its challenge, and no other does', () => {
  assert.equal(matchesChallenge(verifier, challenge), true)
  assert.equal(matchesChallenge(`${verifier.slice(0, -1)}l`, challenge), false)
  assert.equal(matchesChallenge(verifier, `${challenge}=`), false)
  assert.equal(matchesChallenge(challenge, challenge), false)
  assert.equal(matchesChallenge('', challenge), false)
})

test('RFC 7636 §4.2: a challenge is 43 characters of base64url, without padding [threats 47]', () => {
  assert.equal(isCodeChallenge(challenge), true)
  for (const bad of [
    '',
    'a'.repeat(42),
    'a'.repeat(44),
    'a'.repeat(129),
    `${'a'.repeat(42)}=`,
    `${'a'.repeat(42)}+`,
    `${'a'.repeat(42)}~`,
    `${challenge}\n`,
  ])
    assert.equal(isCodeChallenge(bad), false, bad)
})

test('RFC 7636 §4.1: a verifier is 43 to 128 unreserved characters', () => {
  for (const good of ['a'.repeat(43), 'a'.repeat(128), `${'~.-_'.repeat(11)}`]) assert.equal(isCodeVerifier(good), true, good)
  for (const bad of ['a'.repeat(42), 'a'.repeat(129), `${'a'.repeat(43)} `, `${'a'.repeat(43)}\n`, 'ä'.repeat(50), 'a'.repeat(50_000)])
    assert.equal(isCodeVerifier(bad), false, bad.slice(0, 60))
})
