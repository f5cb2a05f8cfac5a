/** meshidp as it is run for real: the daemon's own command, on a disk, with a mesh to ask. Only limits are lifted, in its files; not for the flood. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { start } from '../child.ts'
import { LOAD_CORE } from '../machine.ts'
import { crowd } from './crowd.ts'
import { fill } from './fill.ts'
import { REDIRECT_URI, type Server } from './server.ts'

const root = new URL('../../', import.meta.url)
const program = new URL('dist/bin/meshidp.mjs', root)
const executable = fileURLToPath(new URL(`dist/meshidp-linux-${process.arch}`, root))
/** All the load comes from one address, as one person; but not in a crowd. */
const unlimited = { rate: 1e9, burst: 1e9 }
const RESOURCE = 'https://api.bench.internal/mcp'
const GATEWAY = 'https://gateway.bench.internal/mcp'

type Variant = {
  /** With how many refresh tokens the database begins. */
  rows?: number
  /** Whether many people at addresses of their own use it: then its limits are those that it comes with. */
  crowded?: boolean
  /** Whether it is the single executable, and not JavaScript run by the Node that runs this. */
  binary?: boolean
}

export const meshidp = (name: string, { rows = 0, crowded = false, binary = false }: Variant = {}): Server => ({
  name,
  version: JSON.parse(readFileSync(new URL('package.json', root), 'utf8')).version,
  setup: `${binary ? 'the single executable; ' : ''}SQLite, WAL, synchronous=FULL: an fsync behind every answer that changes something; whois asked over its socket`,

  async prepare({ directory, port, idTokenAlg }) {
    execFileSync(process.execPath, [fileURLToPath(new URL(`scripts/${binary ? 'build_binary' : 'build'}.mjs`, root))], { stdio: 'pipe' })
    const run = binary ? [executable] : [process.execPath, ...flags(), fileURLToPath(program)]
    const issuer = `http://localhost:${port}`
    const app = { client_id: 'app', client_secret: 'app-secret-0123456789' }
    const api = { client_id: 'api', client_secret: 'api-secret-0123456789' }
    const gateway = { client_id: 'gateway', client_secret: 'gateway-secret-0123456789' }
    const sockets = await mkdtemp(join(tmpdir(), 'meshidp-bench-')) // the kernel takes short paths only
    const files = {
      config: join(directory, 'meshidp.hujson'),
      policy: join(directory, 'policy.hujson'),
      secrets: join(directory, 'secrets'),
      state: join(directory, 'state'),
      mesh: join(sockets, 'mesh.sock'),
      people: join(directory, 'mesh.json'),
    }

    const config = {
      issuer,
      listen: { host: '127.0.0.1', port },
      state_directory: files.state,
      runtime_directory: sockets,
      secrets_directory: files.secrets,
      policy_file: files.policy,
      mesh: { socket: files.mesh },
      development: true,
      email_domains: ['example.com'],
      log_level: 'warn',
      ...(!crowded && { limits: { per_address: unlimited, per_principal: unlimited, connecting: unlimited } }),
    }

    const policy = {
      resources: {
        'resource:api': { uri: RESOURCE, scopes: ['read'], token_format: 'jwt', signing_alg: 'ES256' },
        'resource:gateway': { uri: GATEWAY, scopes: ['call'], token_format: 'jwt', signing_alg: 'ES256' },
      },
      clients: {
        'client:app': {
          client_id: app.client_id,
          redirect_uris: [REDIRECT_URI],
          client_secret_file: 'app',
          id_token_signed_response_alg: idTokenAlg,
        },
        'client:api': { client_id: api.client_id, client_secret_file: 'api' },
        'client:gateway': { client_id: gateway.client_id, client_secret_file: 'gateway' },
      },
      grants: [
        { src: ['*@example.com'], app: { register: [{ max_clients: 1_000_000 }] } },
        {
          src: ['*@example.com'],
          dst: ['resource:api'],
          app: { authorize: [{ scopes: ['read'], clients: ['client:app'], consent: 'never' }] },
        },
        { src: ['*@example.com'], dst: ['client:app'], app: { authorize: [{ scopes: ['openid', 'email'], consent: 'never' }] } },
        { src: ['client:api'], dst: ['resource:api'], app: { introspect: [{}] } },
        { src: ['client:gateway'], dst: ['resource:api'], app: { client_credentials: [{ scopes: ['read'] }] } },
        {
          src: ['*@example.com'],
          dst: ['resource:gateway'],
          app: { authorize: [{ scopes: ['call'], clients: ['client:app'], consent: 'never' }] },
        },
        {
          src: ['*@example.com'],
          dst: ['resource:api'],
          app: { exchange: [{ actors: ['client:gateway'], from: ['resource:gateway'], scopes: { read: ['call'] } }] },
        },
      ],
    }

    await mkdir(files.secrets, { mode: 0o700 })
    for (const [name, { client_secret }] of Object.entries({ app, api, gateway })) {
      await writeFile(join(files.secrets, name), client_secret, { mode: 0o600 })
    }
    await writeFile(files.policy, JSON.stringify(policy, null, 2))
    await writeFile(files.config, JSON.stringify(config, null, 2))
    if (crowded) await writeFile(files.people, JSON.stringify(crowd(), null, 2))
    const ofMesh = [fileURLToPath(new URL('mesh_process.ts', import.meta.url)), files.mesh, ...(crowded ? [files.people] : [])]
    const mesh = start(LOAD_CORE, [process.execPath, ...ofMesh])
    await Promise.race([appears(files.mesh), mesh.failed])

    return {
      issuer,
      command: [...run, 'serve', '--config', files.config],
      ...(binary && { size: statSync(executable).size / 2 ** 20 }),
      env: { NODE_ENV: 'production' },
      profile: {
        metadata_path: '/.well-known/openid-configuration',
        app,
        redirect_uri: REDIRECT_URI,
        scope: 'openid email read',
        resource: RESOURCE,
        introspection: { client: api, scope: 'read', resource: RESOURCE },
        workload: { client: gateway, scope: 'read', resource: RESOURCE },
        exchange: { client: gateway, shown: { scope: 'call', resource: GATEWAY }, resource: RESOURCE },
      },
      ...(rows > 0 && { fill: (progress) => fill(join(files.state, 'meshidp.db'), rows, RESOURCE, progress) }),
      async close() {
        await mesh.stop()
        await rm(sockets, { recursive: true, force: true })
      },
    }
  },
})

/** How the program is to be run, as its own first line says. */
const flags = () => /^#!.* node (--.*)$/m.exec(readFileSync(program, 'utf8'))?.[1]?.split(' ') ?? []

/** Resolves when there is a file. */
async function appears(path: string): Promise<void> {
  while (!existsSync(path)) await pause(10)
}
