/** meshidp on a machine of the lab: the real daemon, on that machine's own tailscaled, with the policy of these tests. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type ConfigInput, toConfig } from '../../src/config.ts'
import { type Daemon, startDaemon } from '../../src/daemon.ts'
import { type Person, personBy } from '../support/person.ts'
import { freePort, type LogLine, temporaryDirectory, testLog } from '../support/start.ts'
import type { Machine, MeshDocument } from './mesh.ts'

export const wiki = 'https://wiki.mesh.test/mcp'

/** Alice is an engineer, bob is not; the wiki's server is a tagged machine. */
export const document: MeshDocument = {
  people: {
    'alice@example.com': { id: 101, name: 'Alice Example', groups: ['group:eng'] },
    'bob@example.com': { id: 102, name: 'Bob Örtlich', groups: ['group:sales'] },
  },
  machines: {
    idp: { tags: ['tag:idp'] },
    'alice-laptop': { person: 'alice@example.com' },
    'alice-phone': { person: 'alice@example.com' },
    'bob-laptop': { person: 'bob@example.com' },
    'wiki-server': { tags: ['tag:wiki-server'] },
  },
}

/** Who is in group:eng only the mesh says. */
export const policy = {
  mesh_groups: ['group:eng', 'group:sales'],
  resources: { 'resource:wiki': { uri: wiki, scopes: ['wiki:read'], allow_unverified_clients: true } },
  grants: [
    { src: ['*'], app: { register: [{}] } },
    {
      src: ['*'],
      dst: ['autogroup:registered'],
      app: { authorize: [{ scopes: ['openid', 'groups', 'offline_access'], consent: 'once' }] },
    },
    { src: ['group:eng'], dst: ['resource:wiki'], app: { authorize: [{ scopes: ['wiki:read'], clients: ['*'], consent: 'once' }] } },
  ],
}

export type Provider = {
  issuer: string
  daemon: Daemon
  logged: LogLine[]
  clock: { advance: (seconds: number) => void }
  /** Whoever sits at this machine. */
  at: (machine: Machine) => Person
}

/** Starts it, and resolves when it listens. It stops when the test ends. */
export async function provider(
  t: TestContext,
  machine: Machine,
  { config = {}, policy: written = policy as object }: { config?: Partial<ConfigInput>; policy?: object } = {},
): Promise<Provider> {
  const directory = temporaryDirectory(t)
  const port = await freePort()
  const { issuer = `https://${machine.host}:${port}` } = config
  const policy_file = join(directory, 'policy.hujson')
  writeFileSync(policy_file, JSON.stringify(written))
  const { log, lines: logged } = testLog()
  let ahead = 0
  const daemon = await startDaemon({
    config: toConfig({
      issuer,
      state_directory: join(directory, 'state'),
      policy_file,
      listen: { port, tls_certificate_file: machine.certificate.cert, tls_key_file: machine.certificate.key },
      mesh: { socket: machine.socket },
      ...config,
    } satisfies ConfigInput),
    log,
    now: () => Math.floor(Date.now() / 1000) + ahead,
  })
  t.after(() => daemon.close())
  return {
    issuer,
    daemon,
    logged,
    clock: {
      advance(seconds) {
        ahead += seconds
      },
    },
    at: ({ dispatcher, address }) => personBy(dispatcher, issuer, address),
  }
}

/** What the home page says of whoever asks for it: a login name, or why they are nobody. */
export const whoIn = (page: string): string =>
  /You are <strong>([^<]*)/.exec(page)?.[1] ?? /you are nobody\. ([^<]*)/.exec(page)?.[1] ?? page
