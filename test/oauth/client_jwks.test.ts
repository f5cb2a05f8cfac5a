import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { parseClientJwks } from '../../src/oauth/client_jwks.ts'

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ecPublic = ec.publicKey.export({ format: 'jwk' })
const rsaOf = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'jwk' })
const invalid = { name: 'OAuthError', code: 'invalid_client_metadata' }

test('RFC 7517: public keys are kept, with their public members only', () => {
  const ed = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const keys = [{ ...ecPublic, kid: 'a', use: 'sig', x5u: 'https://x.example' }, rsaOf(2048), ed]
  const parsed = parseClientJwks({ keys })
  assert.equal(parsed.keys.length, 3)
  assert.deepEqual(parsed.keys[0], { kty: 'EC', crv: 'P-256', x: ecPublic.x, y: ecPublic.y, kid: 'a', use: 'sig' })
})

test('RFC 7591 §2: key sets that are none, secret, weak, off the curve or too many are refused [threats 164]', () => {
  const bad: unknown[] = [
    [ecPublic],
    {},
    { keys: [] },
    { keys: {} },
    'keys',
    { keys: Array.from({ length: 21 }, () => ecPublic) },
    { keys: Array.from({ length: 10_000 }, () => ecPublic) },
    { keys: [null] },
    { keys: [[ecPublic]] },
    { keys: [ec.privateKey.export({ format: 'jwk' })] },
    { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] },
    { keys: [{ kty: 'oct' }] },
    { keys: [{ ...ecPublic, y: ecPublic.x }] },
    { keys: [{ ...ecPublic, crv: 'P-999' }] },
    { keys: [{ ...ecPublic, kid: 7 }] },
    { keys: [{ ...ecPublic, d: null }] },
    { keys: [rsaOf(1024)] },
    // 16384 bits: only the modulus matters, so it need not be a product of primes.
    { keys: [{ kty: 'RSA', e: 'AQAB', n: Buffer.alloc(2048, 0xff).toString('base64url') }] },
    { keys: [{ kty: 'RSA', e: 'AQAB', n: Buffer.alloc(64, 0xff).toString('base64url') }] },
  ]
  for (const jwks of bad) assert.throws(() => parseClientJwks(jwks), invalid, JSON.stringify(jwks).slice(0, 100))
})
