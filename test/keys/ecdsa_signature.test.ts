import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { toConcatenated, toDer } from '../../src/keys/ecdsa_signature.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p1363 = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const

test('RFC 7518 §3.4: a DER signature becomes r‖s, and back, as OpenSSL itself spells both', () => {
  const lengths = new Set<number>()
  // Short numbers (leading zero bytes) come once in 256, and both kinds of sign byte all the time.
  for (let round = 0; round < 1500; round++) {
    const data = Buffer.from(`message ${round}`)
    const der = sign('sha256', data, privateKey)
    lengths.add(der.length)
    const both = toConcatenated(der)
    assert.equal(both.length, 64)
    assert.ok(verify('sha256', data, p1363, both))
    assert.deepEqual(toDer(both), der)
  }
  assert.ok(lengths.size >= 3, 'signatures of several lengths were seen')
})

test('RFC 7518 §3.4: what is not 64 bytes is no signature; zeros and ones at the edges are spelled as DER wants', () => {
  for (const length of [0, 1, 63, 65, 70, 72]) assert.equal(toDer(Buffer.alloc(length, 1)), undefined)
  assert.deepEqual(toDer(Buffer.alloc(64)), Buffer.from([0x30, 6, 2, 1, 0, 2, 1, 0]))
  const high = Buffer.alloc(64, 0xff)
  assert.equal(toDer(high)?.length, 2 + 2 * (2 + 33))
  assert.deepEqual(toConcatenated(toDer(high) ?? Buffer.alloc(0)), high)
})
