/** `meshidp init` in a process of its own, on a node of a mesh. The doctor that it runs is the real one. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { parse } from 'jsonc-parser'
import { nextCommands } from '../../src/cli/init/next.ts'
import { obstacles } from '../../src/cli/init/obstacles.ts'
import { toConfig } from '../../src/config.ts'
import type { StatusAnswer } from '../../src/identity/answers.ts'
import { type Ended, meshidp } from '../support/program.ts'
import { freePort, temporaryDirectory } from '../support/start.ts'
import { connectedTo, type NodeOptions, nodeName, pairAt, startTailscaled } from '../support/tls_node.ts'

const certificate = pairAt(Math.floor(Date.now() / 1000))

type Somebody = { login?: string; tags?: string[]; shared?: boolean; id?: string }

/** What whois answers. */
const whoisOf =
  (known: Readonly<Record<string, Somebody>>): NonNullable<NodeOptions['whois']> =>
  (address) => {
    const found = known[address]
    if (!found) return null
    const { login = 'tagged-devices', tags, shared, id = 'nIDP' } = found
    const User = tags ? 2147455555 : 7
    return { Node: { StableID: id, User, Tags: tags, ...(shared && { Sharer: 8 }) }, UserProfile: { ID: User, LoginName: login } }
  }

const dana = { '127.0.0.1': { login: 'dana@example.com' } }
const tagged = { '127.0.0.1': { tags: ['tag:idp'] } }

/** A machine on which nothing was set up, and what `meshidp init` makes of it. */
async function machine(t: TestContext, { known = dana, ...node }: Partial<NodeOptions> & { known?: Record<string, Somebody> } = {}) {
  const { socket } = await startTailscaled(t, { gives: () => certificate, whois: whoisOf(known), ...node })
  const directory = temporaryDirectory(t)
  const [file, state, port] = [join(directory, 'etc', 'config.hujson'), join(directory, 'state'), await freePort()]
  const args = ['init', '--config', file, '--state-directory', state, '--mesh-socket', socket, '--listen-port', String(port)]
  const policy = join(directory, 'etc', 'policy.hujson')
  const init = (more: readonly string[] = [], surroundings: Parameters<typeof meshidp>[2] = {}): Promise<Ended> =>
    meshidp(t, [...args, ...more], { ...surroundings, env: { SSH_CONNECTION: undefined, ...surroundings.env } }).ended
  const files = () => readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted()
  return { directory, file, state, port, policy, init, files, issuer: `https://${nodeName}:${port}` }
}

const adminOf = (policy: string) => (parse(readFileSync(policy, 'utf8')) as { groups: Record<string, string[]> }).groups['group:admin']

suite('meshidp init', { concurrency: 2 }, () => {
  test('a machine in a mesh becomes an installation that is well: configuration, policy that passes its tests, state, keys; it can be served', async (t) => {
    const { file, state, port, policy, init, issuer } = await machine(t)
    const { code, stdout, stderr } = await init()
    assert.deepEqual([code, stderr], [0, ''], stdout)
    assert.match(
      stdout,
      /^ {2}node +idp\.tail1234\.ts\.net \(127\.0\.0\.1\)\n {2}issuer +https:\/\/\S+\n {2}admin +dana@example\.com, whose machine this is\n/,
    )
    assert.match(stdout, /✓ the certificate +tailscaled gives it; good for 90 more days\.\n/)
    assert.match(stdout, /✓ a whole sign-in against itself/)
    const next = `\nNext:\n  meshidp serve --config ${file}\n  meshidp doctor --config ${file}\n  meshidp policy check ${policy}\n`
    assert.ok(stdout.endsWith(next), stdout.slice(-600))

    const written = parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    assert.deepEqual([written.issuer, written.state_directory, written.policy_file, written.listen], [issuer, state, policy, { port }])
    assert.equal(statSync(state).mode & 0o777, 0o700)
    assert.equal(readdirSync(join(state, 'keys')).length, 3)
    const checked = await meshidp(t, ['policy', 'check', policy]).ended
    assert.deepEqual([checked.code, checked.stderr], [0, ''], checked.stdout)

    const daemon = meshidp(t, ['serve', '--config', file])
    await daemon.says(/"msg":"meshidp serves /)
    assert.equal(/"level":"warn".*"msg":"This daemon runs as root/.test(daemon.said()), process.getuid?.() === 0)
    const socket = await connectedTo(port, { rejectUnauthorized: true, ca: certificate.cert })
    const answer = new Promise<string>((resolve) => socket.once('data', (part) => resolve(String(part))))
    socket.write(`GET /readyz HTTP/1.1\r\nHost: ${nodeName}:${port}\r\nConnection: close\r\n\r\n`)
    assert.match(await answer, /^HTTP\/1\.1 200 /)
    const status = await meshidp(t, ['status', '--config', file]).ended
    assert.match(status.stdout, /^certificate +of the mesh for idp\.tail1234\.ts\.net: good for 90 more days\.$/m)
    const running = await init()
    assert.equal(running.code, 0, running.stdout)
    assert.match(running.stdout, /\n {2}state +\S+, in use by a daemon\n/)
  })

  test('it changes nothing that is there: run again it says so, and no file is another one', async (t) => {
    const { directory, policy, init, files } = await machine(t)
    await init()
    writeFileSync(policy, readFileSync(policy, 'utf8').replace('"max_clients": 20', '"max_clients": 3'))
    const seen = () =>
      files()
        .filter((name) => /\.(?:hujson|json|key)$/.test(name))
        .map((name) => [name, readFileSync(join(directory, name), 'utf8')])
    const before = seen()
    assert.equal(before.length, 5)
    const { code, stdout } = await init(['--admin', 'mallory@example.com'])
    assert.match(
      stdout,
      /\n {2}policy +\S+, there already, left as it is\n {2}configuration +\S+, there already, left as it is\n {2}state +\S+, there already, left as it is\n/,
    )
    assert.doesNotMatch(stdout, /mallory/)
    assert.deepEqual(seen(), before)
    assert.equal(code, 0)
  })

  test('paths that the command line says from this folder are whole in the file, so that every command finds the same state from wherever it is run', async (t) => {
    const { directory, file, init } = await machine(t)
    const places = ['--policy-file', 'here/policy.hujson', '--runtime-directory', './run', '--secrets-directory', '../secrets']
    const { stdout } = await init(places, { cwd: directory })
    const { policy_file, runtime_directory, secrets_directory } = parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    assert.deepEqual(
      [policy_file, runtime_directory, secrets_directory],
      [join(directory, 'here/policy.hujson'), join(directory, 'run'), join(directory, '../secrets')],
      stdout,
    )
  })

  test('--dry-run prints both files, and makes nothing', async (t) => {
    const { init, files, issuer } = await machine(t)
    const { code, stdout } = await init(['--dry-run'])
    assert.equal(code, 0)
    assert.ok(stdout.includes(`"issuer": "${issuer}"`) && stdout.includes('"group:admin": ["dana@example.com"]'))
    assert.match(stdout, /would be written:[\s\S]*would be written:[\s\S]*would be made/)
    assert.deepEqual(files(), [])
  })

  const shell = ['sh', '-c', 'env -u SSH_CONNECTION "$@"; exit $?', 'sh'] as const
  const ssh = { env: { SSH_CONNECTION: '100.64.0.9 50000 100.64.0.1 22' } }
  const admins: {
    what: string
    known: Record<string, Somebody>
    more?: string[]
    how?: Parameters<typeof meshidp>[2]
    admin: string
    words: RegExp
  }[] = [
    {
      what: 'whom --admin names, before all others',
      known: { ...dana, '100.64.0.9': { login: 'erin@example.com', id: 'nERIN' } },
      more: ['--admin', 'alice@example.com'],
      how: ssh,
      admin: 'alice@example.com',
      words: /alice@example\.com, as --admin says/,
    },
    {
      what: 'whoever is here by SSH over the mesh, before the owner of the machine',
      known: { ...dana, '100.64.0.9': { login: 'erin@example.com', id: 'nERIN' } },
      how: ssh,
      admin: 'erin@example.com',
      words: /erin@example\.com, who is here by SSH from 100\.64\.0\.9/,
    },
    {
      what: 'the same by sudo, which takes the variable away',
      known: { ...tagged, '100.64.0.9': { login: 'erin@example.com', id: 'nERIN' } },
      how: { ...ssh, under: shell },
      admin: 'erin@example.com',
      words: /by SSH from 100\.64\.0\.9/,
    },
    {
      what: 'the owner, where SSH came from a machine of nobody',
      known: { ...dana, '100.64.0.9': { tags: ['tag:ci'], id: 'nCI' } },
      how: ssh,
      admin: 'dana@example.com',
      words: /whose machine this is/,
    },
    {
      what: 'the owner, where SSH came from a machine that another tailnet shares',
      known: { ...dana, '100.64.0.9': { login: 'mallory@other.com', shared: true, id: 'nMAL' } },
      how: ssh,
      admin: 'dana@example.com',
      words: /whose machine this is/,
    },
  ]
  for (const { what, known, more = [], how, admin, words } of admins)
    test(`the admin is ${what}`, async (t) => {
      const { init, policy } = await machine(t, { known })
      const { stdout, stderr } = await init(more, how)
      assert.match(stdout, words, stderr)
      assert.deepEqual(adminOf(policy), [admin])
    })

  test('where nobody is known as a person it refuses, with the command to run; a name that is none is refused, too; nothing is written', async (t) => {
    const { init, files } = await machine(t, { known: tagged })
    const { code, stderr } = await init()
    assert.equal(code, 1)
    assert.match(stderr, /not clear who is to be the admin.*\n {2}meshidp init --admin alice@example\.com\n$/s)
    for (const name of ['tag:ci', '*@example.com']) {
      const refused = await init(['--admin', name])
      assert.deepEqual([refused.code, /--admin must be a login name/.test(refused.stderr)], [2, true], name)
    }
    assert.deepEqual(files(), [])
  })

  test('a tailnet that has HTTPS off, and a user who may have no certificate, are told plainly what to do', async (t) => {
    const refusal = { status: 500, text: 'your Tailscale account does not support getting TLS certs' }
    const off = await machine(t, { gives: () => refusal, status: { CertDomains: null } })
    for (const more of [[], ['--dry-run']]) {
      const { stdout } = await off.init(more)
      assert.match(
        stdout,
        /\nBefore it can serve:\n {2}This tailnet has HTTPS certificates off, so tailscaled gets none\.\n {4}Switch them on in the admin console, under DNS;/,
      )
    }
    const denied = await machine(t, { gives: () => ({ status: 403, text: 'cert access denied' }) })
    const { code, stdout } = await denied.init()
    assert.equal(code, 1)
    assert.match(stdout, /✗ the certificate +tailscaled gives the certificate of \S+ to root only\./)
    assert.match(
      stdout,
      /\nBefore it can serve:\n.*to root only\.\n {4}Let \S+ have it: echo TS_PERMIT_CERT_UID=\S+ \| sudo tee -a \/etc\/default\/tailscaled; sudo systemctl restart tailscaled\n/,
    )
  })

  test('the service runs as a user of its own, and what lets that one have the certificate is said', async () => {
    const config = { ...toConfig({ state_directory: '/s', policy_file: '/p' }), issuer: `https://${nodeName}` }
    const status = { BackendState: 'Running', CertDomains: [nodeName] } as StatusAnswer
    const [obstacle = '', ...more] = await obstacles(config, status, { asService: true, dry: true })
    assert.match(obstacle, /the service runs as meshidp\.\n {2}Let meshidp have it: echo TS_PERMIT_CERT_UID=meshidp \| sudo tee /)
    assert.deepEqual([more, await obstacles(config, status, { asService: false, dry: true })], [[], []])
    assert.deepEqual(nextCommands(config, '/etc/meshidp/config.hujson', true), [
      'sudo meshidp service install --now',
      'sudo meshidp doctor',
      'meshidp policy check /p',
    ])
  })

  test('behind tailscale serve no certificate is asked for, and the command for tailscaled is among the next ones', async (t) => {
    const { init, file, state } = await machine(t, { gives: () => 'nothing', status: { CertDomains: null } })
    const { stdout } = await init(['--mesh-identity', 'serve'])
    assert.doesNotMatch(stdout, /Before it can serve/)
    assert.match(
      stdout,
      /\nNext:\n {2}meshidp serve .*\n {2}tailscale --socket=\S+ serve --bg --https=443 unix:\S+\/state\/http\.sock\n {2}meshidp doctor .*\n$/,
    )
    const { issuer, mesh } = parse(readFileSync(file, 'utf8')) as { issuer: string; mesh: { identity: string } }
    assert.deepEqual([issuer, mesh.identity], [`https://${nodeName}`, 'serve'])
    assert.ok(statSync(state).isDirectory())
  })

  test('a machine that is in no mesh yet is told how to join, and nothing is written', async (t) => {
    const { init, files } = await machine(t, { status: { BackendState: 'NeedsLogin', Self: { ID: '' } } })
    const { code, stderr } = await init()
    assert.equal(code, 1)
    assert.match(stderr, /tailscaled says "NeedsLogin"\. Run: tailscale --socket=\S+ up\n/)
    assert.deepEqual(files(), [])
  })
})
