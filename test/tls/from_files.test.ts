import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { ConfigError, type ConfigInput } from '../../src/config.ts'
import type { Pair } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { until } from '../support/local_api.ts'
import { nodeName, pairAt, shownAt, startTlsNode, type TlsNode } from '../support/tls_node.ts'

const realNow = () => Math.floor(Date.now() / 1000)
const fingerprint = ({ cert }: Pair) => new X509Certificate(cert).fingerprint256
const filesIn = (directory: string) => ({ cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key') })

function write(directory: string, { cert, key }: Partial<Pair>): void {
  const files = filesIn(directory)
  if (cert !== undefined) writeFileSync(files.cert, cert)
  if (key !== undefined) writeFileSync(files.key, key, { mode: 0o600 })
}

const configured =
  (pair: Pair) =>
  (directory: string): Partial<ConfigInput> => {
    write(directory, pair)
    const { cert, key } = filesIn(directory)
    return { listen: { tls_certificate_file: cert, tls_key_file: key } }
  }

const nothing = () => 'nothing' as const
const startWith = (t: TestContext, pair: Pair) => startTlsNode(t, { gives: nothing }, configured(pair))
const shows = (node: TlsNode, pair: Pair) => until(async () => (await shownAt(node.port)) === fingerprint(pair))
const problem = async (node: TlsNode) => (await node.status()).certificate?.problem ?? null

/** As each of those who renew certificates writes them: in place, by renames, by a symbolic link that leads elsewhere. */
const ways: { how: string; replace: (directory: string, pair: Pair) => void }[] = [
  { how: 'in place', replace: write },
  {
    how: 'by renames, the key first',
    replace(directory, { cert, key }) {
      const files = filesIn(directory)
      for (const [name, text] of [
        [files.key, key],
        [files.cert, cert],
      ] as const) {
        writeFileSync(`${name}.new`, text)
        renameSync(`${name}.new`, name)
      }
    },
  },
  {
    how: 'by a link that leads elsewhere',
    replace(directory, { cert, key }) {
      const files = filesIn(directory)
      for (const [name, text] of [
        [files.cert, cert],
        [files.key, key],
      ] as const) {
        writeFileSync(`${name}.2`, text)
        rmSync(name)
        symlinkSync(`${name}.2`, name)
      }
    },
  },
]

suite('the certificate in files', { concurrency: 4 }, () => {
  for (const { how, replace } of ways)
    test(`it is read again when it changes ${how}, without a restart; tailscaled is not asked`, async (t) => {
      const [old, fresh] = [pairAt(realNow(), 10), pairAt(realNow())]
      const node = await startWith(t, old)
      await node.serving()
      assert.equal(await shownAt(node.port), fingerprint(old))
      assert.equal((await node.status()).certificate?.days_left, 10)
      const kept = await node.connected()
      replace(node.directory, fresh)
      await shows(node, fresh)
      assert.equal(await problem(node), null)
      const answered = new Promise<string>((resolve) => kept.once('data', (part) => resolve(String(part))))
      kept.write(`GET /readyz HTTP/1.1\r\nHost: ${nodeName}:${node.port}\r\n\r\n`)
      assert.match(await answered, /^HTTP\/1\.1 200 .*"days_left":90/s, 'who was connected still is')
      kept.destroy()
      assert.deepEqual(node.asked, [])
    })

  const other = pairAt(realNow())
  const bad: { what: string; change: Partial<Pair>; words: RegExp }[] = [
    { what: 'one that is cut off', change: { cert: other.cert.slice(0, 200) }, words: /cannot be used: the certificate is not PEM\./ },
    { what: 'a key that is not its own', change: { key: other.key }, words: /cannot be used: the key is not that of the certificate\./ },
    { what: 'a key that is none', change: { key: 'secret words' }, words: /cannot be used: the key is not PEM, or has a passphrase\./ },
    {
      what: 'one for another name',
      change: pairAt(realNow(), 90, 'other.tail1234.ts.net'),
      words: /is not for idp\.tail1234\.ts\.net, but for DNS:other\.tail1234\.ts\.net\./,
    },
    { what: 'one that has ended', change: pairAt(realNow() - 86_400, 0), words: /tls\.crt ended on \w{3}, .* GMT\./ },
  ]
  for (const { what, change, words } of bad)
    test(`${what} is not taken: the last good pair is served, everything says so, and the next good one heals it`, async (t) => {
      const good = pairAt(realNow(), 30)
      const node = await startWith(t, good)
      await node.serving()
      write(node.directory, change)
      const said = await eventually('it is said', () => problem(node))
      assert.match(said.message, words)
      assert.ok(!said.message.includes('secret words'))
      assert.equal(await shownAt(node.port), fingerprint(good))
      await until(async () => (await node.status()).ready) // in a process that is busy an answer of the mesh may be late, once
      assert.ok(node.lines.some(({ level, message }) => level === 'error' && words.test(message) && / stays\. /.test(message)))
      const fresh = pairAt(realNow())
      write(node.directory, fresh)
      await shows(node, fresh)
      await until(async () => (await problem(node)) === null)
    })

  test('one that has ended before the start is served, so that a new one needs no restart, and the log says that clients refuse it', async (t) => {
    const node = await startWith(t, pairAt(realNow() - 3 * 86_400, 0))
    await node.serving()
    assert.equal((await node.status()).ready, false)
    const ended = node.lines.filter(
      ({ level, message }) => level === 'error' && /ended on \d{4}-\d\d-\d\d: clients refuse it\. Renew it;/.test(message),
    )
    assert.equal(ended.length, 1)
    const fresh = pairAt(realNow())
    write(node.directory, fresh)
    await shows(node, fresh)
    await until(async () => (await node.status()).ready === true)
  })

  test('one that is not usable at the start is a sentence; the files are named, nothing of them is told', async (t) => {
    const node = await startWith(t, { ...pairAt(realNow()), key: 'secret words' })
    await assert.rejects(node.starting, (error: Error) => {
      assert.match(error.message, /^The certificate \S+tls\.crt with the key \S+tls\.key cannot be used: the key is not PEM/)
      assert.ok(!error.message.includes('secret words'))
      return error instanceof ConfigError
    })
  })
})
