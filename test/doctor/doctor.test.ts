import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { runAction } from '../../src/admin/actions.ts'
import { type ConfigInput, toConfig } from '../../src/config.ts'
import type { DaemonStatus } from '../../src/doctor/check.ts'
import { areas, type Examination, examinations, type Patient, signInAgainstItself } from '../../src/doctor/index.ts'
import { validFor } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { startLocalApi } from '../support/local_api.ts'
import { install, meshidp } from '../support/program.ts'
import { freePort, type Started, start, temporaryDirectory } from '../support/start.ts'

const tables =
  'clients authorizations codes refresh_tokens access_tokens revoked_tokens tickets consents auth_times decisions records'.split(' ')

/** How many rows each table has. */
async function rowsOf({ daemon }: Started): Promise<Record<string, number>> {
  const { engine } = daemon.deps.store
  const counts = tables.map(async (table) => [table, (await engine.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`, {}))?.n ?? 0])
  return Object.fromEntries(await Promise.all(counts)) as Record<string, number>
}

async function examined(patient: Patient): Promise<Map<string, Examination>> {
  const all = new Map<string, Examination>()
  for await (const one of examinations(patient)) all.set(one.id, one)
  return all
}

/** The daemon as a patient; as it answers over the control socket. */
async function patientOf({ config, clock, daemon }: Started): Promise<Patient> {
  const live = { ...daemon.deps, policyInForce: {} as never, addresses: daemon.addresses, stopping: () => false }
  const status = (await runAction({ ...daemon.deps, live }, 'status', {})) as DaemonStatus
  return { config, now: clock.now, credentials: undefined, daemon: status, signIn: () => signInAgainstItself(daemon.deps) }
}

const withoutDaemon = async (started: Started): Promise<Patient> => {
  const patient = await patientOf(started)
  await started.close()
  return { ...patient, daemon: null, signIn: async () => null }
}

const outcomes = (all: Map<string, Examination>, ...wanted: Examination['outcome'][]) =>
  [...all.values()].filter(({ outcome }) => wanted.includes(outcome)).map(({ id, found }) => `${id}: ${found}`)

type Breakage = {
  what: string
  id: string
  outcome: Examination['outcome']
  words: RegExp
  breaks: (started: Started, t: TestContext) => Promise<Patient>
}

/** A fault of the files, found while no daemon runs. */
const file = (what: string, id: string, outcome: Examination['outcome'], words: RegExp, change: (started: Started) => void): Breakage => ({
  what,
  id,
  outcome,
  words,
  async breaks(started) {
    const patient = await withoutDaemon(started)
    change(started)
    return patient
  },
})

const keyOf = ({ config }: Started) => {
  const keys = join(config.state_directory, 'keys')
  return join(keys, readdirSync(keys).find((name) => name.startsWith('signing-es256')) ?? '')
}
const database = ({ config }: Started) => join(config.state_directory, 'meshidp.db')

const breakages: readonly Breakage[] = [
  {
    what: 'a state directory in memory [threats 482]',
    id: 'file_system',
    outcome: 'warning',
    words: /in memory: a reboot loses everything/,
    async breaks(started, t) {
      const patient = await withoutDaemon(started)
      const state_directory = mkdtempSync('/dev/shm/meshidp-')
      t.after(() => rmSync(state_directory, { recursive: true }))
      return { ...patient, config: { ...patient.config, state_directory } }
    },
  },
  file('a state directory that others can enter', 'state_directory', 'fault', /mode 755/, ({ config }) =>
    chmodSync(config.state_directory, 0o755),
  ),
  file('a key that others can read', 'keys', 'fault', /can be read by others/, (started) => chmodSync(keyOf(started), 0o644)),
  file('a key that is missing', 'keys', 'fault', /There is no ES256 signing key/, (started) => rmSync(keyOf(started))),
  file('keys that are old', 'key_age', 'warning', /^\d{3} days\.$/, (started) => {
    const keys = join(started.config.state_directory, 'keys')
    const old = started.clock.now() - 500 * 86_400
    // One says since when it signs; the other is as old as its file.
    for (const [at, name] of readdirSync(keys).entries()) {
      const path = join(keys, name)
      writeFileSync(path, readFileSync(path, 'utf8').replace(/"signs_from":\d+/, `"signs_from":${at === 0 ? old : 0}`))
      utimesSync(path, 0, old)
    }
  }),
  file('a database that is damaged', 'database', 'fault', /malformed|not a database/, (started) => {
    writeFileSync(database(started), 'no database')
    rmSync(`${database(started)}-wal`, { force: true })
  }),
  file('a policy that does not compile', 'policy', 'fault', /:1:\d+: /, ({ config }) =>
    writeFileSync(config.policy_file, '{ "grants": 1 }'),
  ),
  file('a policy that everybody can write', 'policy', 'fault', /Everybody on this machine can write/, ({ config }) =>
    chmodSync(config.policy_file, 0o666),
  ),
  file('a secret that others can read', 'secrets', 'warning', /Others can read/, ({ config }) =>
    chmodSync(join(config.secrets_directory, readdirSync(config.secrets_directory)[0] ?? ''), 0o644),
  ),
  {
    what: 'a clock that was set back',
    id: 'clock',
    outcome: 'fault',
    words: /made 3600 s from now/,
    async breaks(started) {
      const patient = await withoutDaemon(started)
      return { ...patient, now: () => started.clock.now() - 3600 }
    },
  },
  {
    what: 'a policy file that is not the policy in force',
    id: 'policy_in_force',
    outcome: 'fault',
    words: /but the file holds/,
    async breaks(started) {
      writeFileSync(started.config.policy_file, '{ "grants": [] }')
      return patientOf(started)
    },
  },
  {
    what: 'a port that another program has',
    id: 'port',
    outcome: 'fault',
    words: /Another program listens/,
    async breaks(started, t) {
      const patient = await withoutDaemon(started)
      const server = createServer().listen(started.config.listen.port, '127.0.0.1')
      await new Promise((done) => server.once('listening', done))
      t.after(() => server.close())
      return patient
    },
  },
  {
    what: 'another tailnet than that of the people who are known',
    id: 'tailnet',
    outcome: 'fault',
    words: /^example\.com, but this node is in other\.com\.$/,
    async breaks(started) {
      await started.mesh.change({ tailnet: 'other.com' })
      return patientOf(started)
    },
  },
  {
    what: 'a state that was moved away under its daemon',
    id: 'daemon',
    outcome: 'fault',
    words:
      /meshidp\.db was deleted or replaced under the running daemon, .* Put the same file back, or stop the daemon and restore a backup\.$/,
    async breaks(started) {
      const { state_directory } = started.config
      renameSync(state_directory, `${state_directory}-elsewhere`)
      await eventually('noticed', async () => started.daemon.deps.troubles().length > 0)
      const patient = await patientOf(started)
      renameSync(`${state_directory}-elsewhere`, state_directory)
      return patient
    },
  },
  {
    what: 'a store that does not take what a sign-in writes',
    id: 'sign_in',
    outcome: 'fault',
    words: /could not be registered: 503/,
    async breaks(started) {
      const patient = await patientOf(started)
      const { deps } = started.daemon
      await deps.store.engine.close()
      return { ...patient, signIn: () => signInAgainstItself(deps) }
    },
  },
]

/** What is true of the node; the rest is as it should be. */
type Node = {
  state?: string
  expiry?: number
  health?: string[]
  online?: boolean
  tun?: boolean
  name?: string
  addresses?: string[]
  stranger?: boolean
  names?: string[]
}

/** An address that every machine has. */
const own = '127.0.0.9'

/** Examines an installation on a node of a mesh whose tailscaled says these things. */
async function onNode(t: TestContext, node: Node): Promise<Map<string, Examination>> {
  const {
    state = 'Running',
    expiry,
    health = [],
    online = true,
    tun = true,
    name = 'idp.example.ts.net.',
    addresses = [own],
    stranger = false,
  } = node
  const directory = temporaryDirectory(t)
  const KeyExpiry = expiry === undefined ? {} : { KeyExpiry: new Date(Date.now() + expiry * 86_400_000 + 60_000).toISOString() }
  const Self = { ID: 'nIDP', UserID: 1, DNSName: name, TailscaleIPs: addresses, Online: online, Tags: ['tag:idp'], ...KeyExpiry }
  const peer = { ID: 'nALICE', UserID: 2, DNSName: 'alice.example.ts.net.', TailscaleIPs: ['100.64.0.2'] }
  const status = { BackendState: state, TUN: tun, Self, CurrentTailnet: { Name: 'example.com' }, Health: health }
  const whois = (address: string) => ({
    Node: { StableID: addresses.includes(address) && !stranger ? 'nIDP' : 'nALICE', User: 2, Addresses: [`${address}/32`] },
    UserProfile: { ID: 2, LoginName: 'alice@example.com', Groups: ['group:eng'] },
    CapMap: { 'example.com/cap/meshidp': [{}] },
  })
  const { socket, close } = await startLocalApi(t, ({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://x')
    const answer = pathname.endsWith('/whois')
      ? whois(searchParams.get('addr') ?? '')
      : { ...status, ...(searchParams.get('peers') !== 'false' && { Peer: { a: peer } }) }
    response.end(JSON.stringify(answer))
  })
  const { key, cert } = validFor(0.5, ...(node.names ?? ['idp.example.ts.net']))
  const places = { policy: join(directory, 'policy.hujson'), cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
  writeFileSync(places.policy, '{ "mesh_grants": { "capability": "example.com/cap/meshidp" }, "grants": [] }')
  writeFileSync(places.cert, cert)
  writeFileSync(places.key, key)
  const config: ConfigInput = {
    issuer: 'https://idp.example.ts.net',
    state_directory: join(directory, 'state'),
    policy_file: places.policy,
    listen: { tls_certificate_file: places.cert, tls_key_file: places.key, port: await freePort() },
    mesh: { socket, identity: 'tun' },
  }
  const now = () => Math.floor(Date.now() / 1000)
  const found = await examined({ config: toConfig(config), now, credentials: undefined, daemon: null, signIn: async () => null })
  await close()
  return found
}

suite('the doctor', { concurrency: 4 }, () => {
  test('meshidp doctor: of a daemon that is well it says so, check by check, also as JSON; exit code 0', async (t) => {
    const { serve, run } = await install(t)
    await serve()
    const [people, json] = await Promise.all([run('doctor'), run('doctor', '--json')])
    assert.deepEqual([people.code, people.stderr], [0, ''], people.stdout)
    assert.match(people.stdout, /^mesh\n {2}✓ tailscaled's socket {2,}\S+ answers\.$/m)
    assert.match(
      people.stdout,
      /✓ a whole sign-in against itself {2,}registered, authorized, redeemed, refreshed, revoked, refused after that, removed/,
    )
    assert.match(people.stdout, /^\d+ checks, .*It is well\.$/m)
    const { well, checks } = JSON.parse(json.stdout) as { well: boolean; checks: Examination[] }
    assert.equal(well, true)
    assert.ok(checks.length >= 20)
    for (const { id, area, title, why, outcome, found } of checks) {
      assert.ok(area && title && found, id)
      assert.match(why, /[.]$/, id)
      assert.ok(['well', 'skipped', 'warning'].includes(outcome), `${id}: ${found}`)
    }
  })

  test('meshidp doctor: where no daemon runs, and before the first start, it examines all the same; a fault is exit code 1', async (t) => {
    const { run, mesh, serve } = await install(t)
    const fresh = await run('doctor')
    assert.equal(fresh.code, 0, fresh.stdout + fresh.stderr)
    assert.match(fresh.stdout, /– the state directory {2,}\S+ is not there yet/)
    assert.match(fresh.stdout, /– a whole sign-in against itself {2,}There is no state yet\./)
    const daemon = await serve()
    await daemon.end()
    const stopped = await run('doctor')
    assert.equal(stopped.code, 0, stopped.stdout)
    assert.match(stopped.stdout, /✓ a whole sign-in against itself/)
    await mesh.stop()
    const dark = await run('doctor')
    assert.equal(dark.code, 1)
    assert.match(dark.stdout, /✗ tailscaled's socket .*is not there\.\n {6}meshidp asks it .*\n {6}→ Start tailscaled/)
  })

  test('a whole sign-in against itself leaves no row behind, and no decision; also where browsers are asked to confirm', async (t) => {
    for (const sign_in of ['ambient', 'confirm'] as const) {
      const started = await start(t, { config: { sign_in } })
      await started.alice.register()
      const before = await rowsOf(started)
      for (let times = 0; times < 3; times++)
        assert.deepEqual(await signInAgainstItself(started.daemon.deps), [
          'registered',
          'authorized',
          'redeemed',
          'refreshed',
          'revoked',
          'refused after that',
          'removed',
        ])
      assert.deepEqual(await rowsOf(started), before)
    }
  })

  for (const { what, id, outcome, words, breaks } of breakages)
    test(`the doctor finds: ${what}`, async (t) => {
      const started = await start(t)
      await started.alice.register()
      const patient = await breaks(started, t)
      const all = await examined(patient)
      const one = all.get(id) as Examination
      assert.equal(one.outcome, outcome, `${one.found}`)
      assert.match(one.found, words)
      assert.ok('remedy' in one && one.remedy.length > 10)
    })

  test('on a node of a real mesh: name, key, strategy, whois, groups and capability are looked at', async (t) => {
    const good = await onNode(t, {})
    assert.deepEqual(outcomes(good, 'fault'), [])
    assert.match(good.get('whois')?.found ?? '', /^127\.0\.0\.9 is idp\.example\.ts\.net\.$/)
    assert.match(good.get('groups')?.found ?? '', /^whois shows groups\.$/)
    assert.match(good.get('certificate')?.found ?? '', /^It ends in 0 days\.$/)
    const cases: [Node, string, Examination['outcome'], RegExp][] = [
      [{ state: 'NeedsLogin' }, 'mesh_running', 'fault', /NeedsLogin/],
      [{ expiry: 5 }, 'node_key', 'warning', /expires in 5 days/],
      [{ expiry: -1 }, 'node_key', 'fault', /has expired/],
      [{ health: ['not in map poll'] }, 'mesh_health', 'warning', /not in map poll/],
      [{ online: false }, 'mesh_health', 'warning', /control server is out of reach/],
      [{ addresses: ['100.64.0.1'] }, 'port', 'fault', /^100\.64\.0\.1:\d+: not an address of this machine now\.$/],
      [{ addresses: [own, '100.64.0.1'] }, 'port', 'warning', /^100\.64\.0\.1:\d+: not an address of this machine now\.$/],
      [{ addresses: ['100.64.0.1'], state: 'Stopped' }, 'port', 'warning', /^100\.64\.0\.1:\d+: not an address/],
      [{ tun: false }, 'identity_strategy', 'fault', /without a TUN/],
      [{ name: 'other.example.ts.net.' }, 'issuer_name', 'warning', /this node is other\.example\.ts\.net/],
      [{ stranger: true }, 'whois', 'fault', /does not answer with this node/],
      [{ names: ['elsewhere.example.ts.net'] }, 'certificate', 'fault', /not for idp\.example\.ts\.net/],
    ]
    for (const [node, id, outcome, words] of cases) {
      const one = (await onNode(t, node)).get(id)
      assert.equal(one?.outcome, outcome, `${id}: ${one?.found}`)
      assert.match(one?.found ?? '', words)
    }
  })

  test('every check has an id of its own', () => {
    const ids = [...areas.values()].flat().map(({ id }) => id)
    assert.equal(new Set(ids).size, ids.length)
  })
})

const nameless = ['unshare', '--map-user=54321']
const noNamespace = spawnSync(nameless[0] as string, [...nameless.slice(1), 'true']).status !== 0 && 'no user namespaces here'

test('a user who is nobody in /etc/passwd, as in a container, serves and is ready; the doctor calls them by their number', {
  skip: noNamespace,
}, async (t) => {
  const installation = await install(t)
  await installation.serve({ under: nameless })
  const readiness = await installation.at('127.0.0.2').send('/readyz')
  assert.deepEqual([readiness.status, readiness.json().doctor], [200, undefined], readiness.text)
  const { stdout } = await meshidp(t, ['doctor', '--config', installation.configFile], { under: nameless }).ended
  assert.match(stdout, /state, of 54321 alone\./)
})

const unmapped = ['unshare', '--user']

test('S3: in a user namespace that hides who owns tailscaled’s socket, the doctor names the setting; where nobody asks, it is no fault', {
  skip: noNamespace,
}, async (t) => {
  for (const TUN of [false, true]) {
    const { socket } = await startLocalApi(t, ({ url = '' }, response) => {
      const Self = { ID: 'nIDP', UserID: 1, DNSName: 'idp.example.ts.net.', TailscaleIPs: [own] }
      const whois = { Node: { StableID: 'nIDP', User: 1 }, UserProfile: { ID: 1, LoginName: 'tagged-devices' } }
      response.end(JSON.stringify(url.includes('/whois') ? whois : { BackendState: 'Running', TUN, Self }))
    })
    const config = { development: false, issuer: 'https://idp.example.ts.net', mesh: { socket }, listen: { tls: false } }
    const { configFile } = await install(t, { config })
    const { stdout } = await meshidp(t, ['doctor', '--json', '--config', configFile], { under: unmapped }).ended
    const { checks } = JSON.parse(stdout) as { checks: Examination[] }
    const one = checks.find(({ id }) => id === 'user_namespace')
    assert.equal(one?.outcome, TUN ? 'well' : 'fault', one?.found)
    if (!TUN)
      assert.match(one && 'remedy' in one ? one.remedy : '', /^Run meshidp without PrivateUsers= \(systemd\), or in the user namespace/)
  }
})
