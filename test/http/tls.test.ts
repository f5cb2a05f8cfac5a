import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ConfigError } from '../../src/config.ts'
import { connectedTo, pairAt, startTlsNode } from '../support/tls_node.ts'

const pair = pairAt(Math.floor(Date.now() / 1000))

suite('TLS', { concurrency: true }, () => {
  test('RFC 9325 §3.1.1, §4.2: TLS 1.3 and 1.2 with authenticated encryption and forward secrecy are spoken', async (t) => {
    const node = await startTlsNode(t, { gives: () => pair })
    await node.serving()
    const spoken = [
      ['TLSv1.3', undefined],
      ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
      ['TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
      ['TLSv1.2', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
    ] as const
    for (const [version, ciphers] of spoken) {
      const socket = await node.connected({ maxVersion: version, ...(ciphers && { ciphers }) })
      assert.equal(socket.getProtocol(), version)
      if (ciphers) assert.equal(socket.getCipher().name, ciphers)
      socket.destroy()
    }
  })

  test('RFC 9325 §3.1.1, §4.1: what is older, or has no authenticated encryption or no forward secrecy, is refused', async (t) => {
    const node = await startTlsNode(t, { gives: () => pair })
    await node.serving()
    // @SECLEVEL=0, for this client would not even offer some of them otherwise.
    const refused = [
      { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' },
      { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' },
      ...[
        'ECDHE-ECDSA-AES128-SHA256',
        'ECDHE-ECDSA-AES256-SHA384',
        'ECDHE-ECDSA-AES128-SHA',
        'ECDHE-ECDSA-AES128-CCM',
        'AES128-GCM-SHA256',
        'DHE-RSA-AES128-GCM-SHA256',
        'NULL',
        'aNULL',
      ].map((ciphers) => ({ maxVersion: 'TLSv1.2', ciphers: `${ciphers}@SECLEVEL=0` }) as const),
    ] as const
    for (const offer of refused)
      await assert.rejects(
        connectedTo(node.port, offer),
        /alert (?:handshake failure|protocol version|insufficient security)/,
        JSON.stringify(offer),
      )
    const socket = await node.connected()
    socket.destroy()
  })

  test('RFC 9325 §3.5: a connection is not renegotiated', async (t) => {
    const node = await startTlsNode(t, { gives: () => pair })
    await node.serving()
    const socket = await node.connected({ maxVersion: 'TLSv1.2' })
    const error = await new Promise<Error | null>((resolve) => {
      socket.on('error', resolve)
      socket.renegotiate({ rejectUnauthorized: false }, resolve)
    })
    assert.match(error?.message ?? 'it was renegotiated', /no.renegotiation/i)
    socket.destroy()
  })

  test('plain http where others could listen in is refused at the start, with a sentence [threats 413]', async (t) => {
    const { starting, asked } = await startTlsNode(t, { gives: () => pair }, { listen: { tls: false } })
    await assert.rejects(starting, (error: Error) => {
      assert.match(error.message, /^On a mesh address meshidp speaks https only: .* Or leave https to "tailscale serve"/)
      return error instanceof ConfigError
    })
    assert.deepEqual(asked, [])
  })

  test('on loopback, where tailscaled has no TUN device and something else speaks https, "tls": false is plain http', async (t) => {
    const node = await startTlsNode(t, { gives: () => pair, status: { TUN: false } }, (directory) => ({
      listen: { tls: false, port: 0 },
      state_directory: directory,
    }))
    const daemon = await node.serving()
    const [address = ''] = daemon.addresses()
    const answer = await fetch(`http://${address}/healthz`)
    assert.equal(answer.status, 421, 'http, to whoever asks under another name than the issuer')
    assert.equal((await node.status()).certificate, null)
  })

  test('files of a certificate where plain http is spoken are a contradiction, and a sentence', async (t) => {
    const { starting } = await startTlsNode(t, { gives: () => pair }, (directory) => ({
      mesh: { identity: 'serve' },
      listen: { tls_certificate_file: `${directory}/a`, tls_key_file: `${directory}/b` },
    }))
    await assert.rejects(starting, /"listen\.tls_certificate_file" is for a listener that speaks https, and .* Remove one of them\.$/)
  })
})
