import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import type { ConfigInput } from '../../src/config.ts'
import { migrations } from '../../src/store/migrations/index.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { printed } from '../support/printed.ts'
import { type Installation, install } from '../support/program.ts'

/** Starts the daemon in this process, and stops it at once. */
const serveOnce = ({ configFile }: Installation) => printed(['serve', '--config', configFile]).then(({ code }) => code)

/** The start is refused in words that match; nothing of the machine's is in them. */
const refused = (installation: Installation, words: RegExp) =>
  assert.rejects(serveOnce(installation), (error: Error) => {
    assert.match(error.message, words)
    assert.match(error.constructor.name, /^(?:ConfigError|PolicyError|KeyError|StoreRefused)$/, 'the command line says it without a stack')
    return true
  })

const quiet = { log_level: 'silent' } as const
const atRest = async (t: TestContext) => {
  const installation = await install(t, { config: quiet })
  await serveOnce(installation)
  return installation
}

const keysOf = ({ directory }: Installation) => join(directory, 'state', 'keys')
const keyFiles = (installation: Installation) => readdirSync(keysOf(installation)).sort()
const keyFile = (installation: Installation, name: string) =>
  join(keysOf(installation), keyFiles(installation).find((file) => file.includes(name)) ?? '')

const faults: { what: string; harm: (installation: Installation) => void; words: RegExp }[] = [
  {
    what: 'all of them missing',
    harm: (one) => rmSync(keysOf(one), { recursive: true }),
    words: /signing keys of this installation are missing from .*\/keys\. Put them back from a backup/,
  },
  {
    what: 'one missing',
    harm: (one) => rmSync(keyFile(one, 'rs256')),
    words: /no RS256 signing key in .*\/keys\. Put it back from a backup/,
  },
  {
    what: 'the key of the succession missing',
    harm: (one) => rmSync(keyFile(one, 'succession')),
    words: /succession\.key is missing\. Put it back from a backup/,
  },
  {
    what: 'one that others can read',
    harm: (one) => chmodSync(keyFile(one, 'es256'), 0o644),
    words: /signing-es256-.*\.jwk\.json can be read by others \(mode 644\)\. Run: chmod 600 \//,
  },
  {
    what: 'one that is no JSON',
    harm: (one) => writeFileSync(keyFile(one, 'es256'), readFileSync(keyFile(one, 'es256'), 'utf8').replace('"d":', '"d"')),
    words: /^The signing key .*signing-es256-.*\.jwk\.json cannot be used: it is not valid JSON\. Put it back from a backup/,
  },
  {
    what: 'one that is cut off',
    harm: (one) => writeFileSync(keyFile(one, 'succession'), 'AAAA'),
    words: /succession\.key must hold 32 bytes in base64url\. Put it back from a backup;/,
  },
]

suite('refuses to start', { concurrency: 4 }, () => {
  for (const { what, harm, words } of faults)
    test(`with a key that is not as it was, ${what}: a sentence, and never a new key over an old installation [threats 499]`, async (t) => {
      const installation = await atRest(t)
      harm(installation)
      const before = what.startsWith('all') ? [] : keyFiles(installation)
      await refused(installation, words)
      await refused(installation, words)
      if (before.length > 0) assert.deepEqual(keyFiles(installation), before)
      else assert.throws(() => keyFiles(installation), { code: 'ENOENT' })
    })

  test('keys that were put there by an admin belong to the installation too: once they are gone it does not make others [threats 499]', async (t) => {
    const donor = await atRest(t)
    const installation = await install(t, { config: quiet })
    mkdirSync(join(installation.directory, 'state'), { mode: 0o700 })
    renameSync(keysOf(donor), keysOf(installation))
    await serveOnce(installation)
    renameSync(keysOf(installation), keysOf(donor))
    await refused(installation, /signing keys of this installation are missing/)
  })

  test('a first start that was killed while it made the keys is no installation yet: the next one begins again', async (t) => {
    const installation = await install(t, { config: quiet })
    const state = join(installation.directory, 'state')
    mkdirSync(join(state, 'keys.unfinished'), { recursive: true, mode: 0o700 })
    chmodSync(state, 0o700)
    writeFileSync(join(state, 'keys.unfinished', 'signing-es256-half.jwk.json'), '{"kty":"EC"', { mode: 0o600 })
    assert.equal(await serveOnce(installation), 0)
    assert.equal(keyFiles(installation).length, 3)
  })

  test('a database that a newer program wrote is refused, and left as it is [threats 470]', async (t) => {
    const installation = await atRest(t)
    const file = join(installation.directory, 'state', 'meshidp.db')
    const newer = await openSqlite(file, {
      migrations: [...migrations, { id: 9999, name: 'tomorrow', sql: 'CREATE TABLE tomorrow (id TEXT)' }],
    })
    await newer.close()
    await refused(
      installation,
      /database is newer than this program: it has migration 9999 \(tomorrow\).* Start the newer version again, or restore/,
    )
  })

  test('a state directory that others can enter is refused', async (t) => {
    const installation = await atRest(t)
    chmodSync(join(installation.directory, 'state'), 0o755)
    await refused(installation, /Others can enter the state directory .*\/state\. Close it with: chmod 700 \//)
  })

  for (const name of ['meshidp.db', 'meshidp.db-wal', 'meshidp.db-journal', 'lock.db', 'lock.db-journal'])
    test(`${name} that is a link: what it leads to is neither written, nor given away, nor made, by whatever command`, async (t) => {
      const installation = await atRest(t)
      const path = join(installation.directory, 'state', name)
      const target = join(installation.directory, 'of-root')
      writeFileSync(target, 'precious', { mode: 0o644 })
      rmSync(path, { force: true })
      symlinkSync(target, path)
      const words = new RegExp(
        `/${name} is a symbolic link\\. The files of a state are its own: put the file itself there, or remove the link\\.`,
      )
      await refused(installation, words)
      const opensDatabase = [
        ['backup', join(installation.directory, 'a.tar')],
        ['export', join(installation.directory, 'a.jsonl')],
        ['doctor'],
      ]
      for (const command of [['keys', 'list'], ...(name.startsWith('meshidp') ? opensDatabase : [])]) {
        const { code, stdout, stderr } = await installation.run(...command)
        assert.deepEqual([command[0], code], [command[0], 1])
        assert.match(stdout + stderr, words)
      }
      assert.deepEqual([readFileSync(target, 'utf8'), lstatSync(target).mode & 0o777], ['precious', 0o644])
      rmSync(target)
      await refused(installation, words)
      assert.equal(existsSync(target), false)
    })

  test('a lock that is damaged: it is no database that a backup would bring back, and the sentence says so', async (t) => {
    const installation = await atRest(t)
    const lock = join(installation.directory, 'state', 'lock.db')
    writeFileSync(lock, 'no lock')
    await refused(installation, /lock\.db is damaged\. It holds nothing but a lock: where no meshidp runs on this state, remove it\.$/)
    rmSync(lock)
    assert.equal(await serveOnce(installation), 0)
  })

  test('a database that was lost, while the keys are there: the new one is served, and the log says what that means', async (t) => {
    const installation = await install(t)
    const first = await installation.serve()
    await first.end()
    assert.doesNotMatch(first.said(), /keys were in/)
    const database = join(installation.directory, 'state', 'meshidp.db')
    for (const suffix of ['-wal', '-shm']) rmSync(database + suffix, { force: true })
    truncateSync(database)
    const second = await installation.serve()
    assert.match(
      second.said(),
      /"level":"warn".*The database in .*\/state was empty or not there, and keys were in .* stop the daemon and restore a backup\./,
    )
    await second.end()
    const third = await installation.serve()
    assert.doesNotMatch(third.said(), /keys were in/)
  })

  test('a policy that does not compile: every problem with file, line and column, and nothing is allowed by default [threats 371]', async (t) => {
    const installation = await install(t, { config: quiet, policy: '{\n  "grops": {},\n  "grants": [],\n  "resorces": {},\n}\n' })
    await refused(installation, /policy\.hujson:2:3: "grops" .*\n.*policy\.hujson:4:3: "resorces" /)
  })

  test('a policy file, or a secret that it names, that is not there: a sentence with its name', async (t) => {
    const [one, other] = await Promise.all([install(t, { config: quiet }), install(t, { config: quiet })])
    rmSync(one.policyFile)
    await refused(one, /^The policy file cannot be read: .*policy\.hujson/)
    rmSync(join(other.directory, 'grafana'))
    await refused(other, /^client:grafana has its secret in .*\/grafana, which cannot be read/)
  })

  const tooLong = join(tmpdir(), 'meshidp-'.padEnd(100, 'x'))
  after(() => rmSync(tooLong, { recursive: true, force: true }))
  const configured: { what: string; config: Partial<ConfigInput> | ((port: number) => Partial<ConfigInput>); words: RegExp }[] = [
    ...['0.0.0.0', '::', '192.0.2.1', '100.64.0.1'].map((host) => ({
      what: `the development mesh on ${host} [threats 506, 508]`,
      config: { listen: { port: 0, host } },
      words: /"host" must be a loopback address, .*for anywhere else a stranger could say who they are, not "/,
    })),
    {
      what: 'the development mesh with an issuer that others use [threats 508]',
      config: { issuer: 'https://idp.example.com' },
      words: /development mesh believes whoever calls from 127\.0\.0\.x, so its issuer must be http:\/\/localhost/,
    },
    {
      what: 'plain http on a mesh address [threats 413]',
      config: { development: false },
      words:
        /On a mesh address meshidp speaks https only: an https "issuer", and "listen\.tls" not false\. Or leave https to "tailscale serve"/,
    },
    {
      what: 'a mesh that gives no certificates, and none in files',
      config: { development: false, issuer: 'https://idp.example.com' },
      words: /This tailscaled gets no certificates\.\nInstall one that does, or name one of your own in "listen\.tls_certificate_file"/,
    },
    {
      what: 'a certificate without its key',
      config: { listen: { port: 0, tls_certificate_file: '/dev/null' } },
      words: /"listen\.tls_certificate_file" and "listen\.tls_key_file" go together/,
    },
    {
      what: 'a certificate that is none',
      config: { listen: { port: 0, tls_certificate_file: '/dev/null', tls_key_file: '/etc/hostname' } },
      words: /^The certificate \/dev\/null with the key \/etc\/hostname cannot be used: the certificate is not PEM\./,
    },
    {
      what: 'a folder for the socket that is not there',
      config: { mesh: { identity: 'serve' }, development: false, listen: { socket: '/nonexistent/http.sock' } },
      words: /^The socket \/nonexistent\/http\.sock cannot be made: there is no folder \/nonexistent that this user could see\. Make it/,
    },
    {
      what: 'a folder whose path is too long for a socket',
      config: { runtime_directory: tooLong },
      words:
        /"runtime_directory" must be a path of \d+ bytes at most, for a unix socket will be in it, and takes 107, not "\S*\/meshidp-x+/,
    },
    { what: 'a runtime directory that is a file', config: { runtime_directory: '/dev/null' }, words: /\/dev\/null/ },
  ]
  for (const { what, config, words } of configured)
    test(`${what.replace(/ \[.*/, '')}: a sentence that says what to do${what.match(/ \[.*/)?.[0] ?? ''}`, async (t) => {
      const installation = await install(t, { config: { ...quiet, ...(config as Partial<ConfigInput>) } })
      await refused(installation, words)
    })

  test('a port that another program listens on: its name, and what to do', async (t) => {
    const installation = await install(t, { config: quiet })
    const other = createServer()
    await new Promise<void>((done) => other.listen(installation.port, '127.0.0.1', done))
    t.after(() => other.close())
    await refused(installation, /^127\.0\.0\.1:\d+ is in use by another program\. Stop that one, or choose another port\.$/)
  })

  test('a configuration that is none names its file, the line or the key', async (t) => {
    const installation = await install(t)
    for (const [text, words] of [
      ['{\n  "issuer" "x"\n}', /config\.hujson:2:12: A colon is expected after a key\./],
      [
        '{ "isuer": "https://idp.example.com" }',
        /config\.hujson:1:1: "policy_file" is missing\..*\n.*:1:3: "isuer" is not a key .* Did you mean "issuer"\?$/s,
      ],
      ['{ "issuer": "http://idp.example.com" }', /:1:13: "issuer" must be an https URL \(or http on localhost\)/],
    ] as const) {
      writeFileSync(installation.configFile, text)
      await refused(installation, words)
    }
    rmSync(installation.configFile)
    await refused(installation, /^The configuration cannot be read: .*config\.hujson/)
  })
})
