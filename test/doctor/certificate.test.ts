import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { type ConfigInput, toConfig } from '../../src/config.ts'
import type { DaemonStatus } from '../../src/doctor/check.ts'
import { type Examination, examinations, type Patient } from '../../src/doctor/index.ts'
import { until } from '../support/local_api.ts'
import { temporaryDirectory } from '../support/start.ts'
import { type Gives, nodeName, pairAt, startTailscaled, startTlsNode } from '../support/tls_node.ts'

const realNow = () => Math.floor(Date.now() / 1000)

async function found(patient: Omit<Patient, 'credentials' | 'signIn'>): Promise<Examination> {
  for await (const one of examinations({ ...patient, credentials: undefined, signIn: async () => null }))
    if (one.id === 'certificate') return one
  throw new Error('there is no such check')
}

/** What is found where no daemon runs. */
async function onNode(t: TestContext, gives: Gives, more: { status?: object; listen?: ConfigInput['listen'] } = {}): Promise<Examination> {
  const { socket } = await startTailscaled(t, { gives, ...(more.status && { status: more.status }) })
  const directory = temporaryDirectory(t)
  const config = toConfig({
    issuer: `https://${nodeName}`,
    state_directory: join(directory, 'state'),
    policy_file: join(directory, 'policy.hujson'),
    mesh: { socket, identity: 'tun' },
    ...(more.listen && { listen: more.listen }),
  })
  return found({ config, now: realNow, daemon: null })
}

const assertFound = (one: Examination, outcome: Examination['outcome'], words: RegExp, remedy?: RegExp) => {
  assert.equal(one.outcome, outcome, one.found)
  assert.match(one.found, words)
  if (remedy) assert.match('remedy' in one ? one.remedy : '', remedy)
}

suite('the doctor, on the certificate', { concurrency: true }, () => {
  test('of the mesh: it is asked for, as the daemon would', async (t) => {
    const cases: [Gives, object, Examination['outcome'], RegExp, RegExp?][] = [
      [() => pairAt(realNow(), 63), {}, 'well', /^tailscaled gives it; good for 63 more days\.$/],
      [() => ({ status: 403, text: 'cert access denied' }), {}, 'fault', /to root only/, /TS_PERMIT_CERT_UID=\S+ \|/],
      [() => ({ status: 500, text: 'your Tailscale account …' }), { CertDomains: [] }, 'fault', /HTTPS certificates off/, /admin console/],
      [() => ({ status: 500, text: 'acme: down' }), {}, 'fault', /could not get .*: acme: down\.$/, /tried again/],
      [() => pairAt(realNow() - 3 * 86_400, 2), {}, 'fault', /^It ended on /],
      [() => pairAt(realNow() + 86_400), {}, 'fault', /^It is good from .* only\.$/, /clock/],
    ]
    for (const [gives, status, outcome, words, remedy] of cases) assertFound(await onNode(t, gives, { status }), outcome, words, remedy)
  })

  test('in files: days, name, and who can read the key', async (t) => {
    const directory = temporaryDirectory(t)
    const [cert, key] = [join(directory, 'tls.crt'), join(directory, 'tls.key')]
    const listen = { tls_certificate_file: cert, tls_key_file: key }
    const check = (days: number, mode: number) => {
      const pair = pairAt(realNow(), days)
      writeFileSync(cert, pair.cert)
      writeFileSync(key, pair.key)
      chmodSync(key, mode)
      return onNode(t, () => 'nothing', { listen })
    }
    assertFound(await check(40, 0o600), 'well', /^Good for 40 more days\.$/)
    assertFound(await check(13, 0o600), 'warning', /^It ends in 13 days\.$/, /Renew it/)
    assertFound(await check(40, 0o644), 'warning', /^Others can read its key/, /chmod o= /)
    writeFileSync(key, 'none')
    assertFound(await onNode(t, () => 'nothing', { listen }), 'fault', /the key is not PEM/, /readable by this user/)
  })

  test('of a running daemon: what it serves, and why it got no newer one', async (t) => {
    const pair = pairAt(realNow(), 90)
    const node = await startTlsNode(t, { gives: (least) => (least === null ? pair : { status: 500, text: 'acme: rate limited' }) })
    await node.serving()
    const now = node.clock.now
    const daemon = async () => (await node.status()) as unknown as DaemonStatus
    const { config } = node
    assertFound(await found({ config, now, daemon: await daemon() }), 'well', /^tailscaled gives it; good for 90 more days\.$/)
    node.clock.advance({ days: 80 })
    await until(async () => (await node.status()).certificate?.problem !== null)
    assertFound(
      await found({ config, now, daemon: await daemon() }),
      'warning',
      /^Good for \d+ more days\. .*acme: rate limited/,
      /tried again/,
    )
    node.clock.advance({ days: 20 })
    assertFound(await found({ config, now, daemon: await daemon() }), 'fault', /acme: rate limited/)
  })
})
