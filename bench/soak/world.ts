/** What the server of the soak lives on: files, people at mesh addresses, and a time that flies. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { validFor } from '../../test/support/certificate.ts'
import type { Profile } from '../servers/server.ts'

export const tailnet = 'example.com'
export const nodeName = 'idp.example.ts.net'
export const issuer = `https://${nodeName}`
export const ownAddress = '100.64.0.1'
export const people = ['100.64.0.2', '100.64.0.3', '100.64.0.4', '100.64.0.5']

/** Seconds of the server's clock in one of ours: what is removed a day after its end goes within the soak, and a code of ten minutes lives long enough. */
export const speed = 900

export const aDay = 86_400
/** Seconds of the server's clock. */
export const lifetimes = { code: 600, access_token: 3600, refresh_token: 3600, refresh_token_idle: 3600, decisions: aDay }

const unlimited = { rate: 1e9, burst: 1e9 }
const resource = 'https://api.soak.internal/mcp'
const redirect_uri = 'http://127.0.0.1:9/callback'
const app = { client_id: 'client:app', client_secret: 'app-secret-0123456789abcdef' }
const api = { client_id: 'client:api', client_secret: 'api-secret-0123456789abcdef' }

export const profile: Profile = {
  metadata_path: '/.well-known/openid-configuration',
  app,
  redirect_uri,
  scope: 'openid email read',
  resource,
  introspection: { client: api, scope: 'read', resource },
  // The soak asks for neither.
  workload: { client: api, scope: 'read', resource },
  exchange: null,
}

export type Files = ReturnType<typeof filesOf>
export const filesOf = (directory: string) => ({
  config: join(directory, 'config.hujson'),
  policy: join(directory, 'policy.hujson'),
  state: join(directory, 'state'),
  run: join(directory, 'run'),
  mesh: join(directory, 'run', 'mesh.sock'),
  certificate: join(directory, 'tls.crt'),
  key: join(directory, 'tls.key'),
})

/** A new certificate and key in the place of the old. */
export function writeCertificate({ certificate, key }: Files): void {
  const pair = validFor(3650, nodeName)
  writeFileSync(key, pair.key, { mode: 0o600 })
  writeFileSync(certificate, pair.cert)
}

/** The policy; another one for each `edition`, which means the same. */
export function writePolicy({ policy }: Files, edition: number): void {
  const grants = [
    { src: [`*@${tailnet}`], app: { register: [{ max_clients: 1_000_000, client_ttl: '1d' }] } },
    { src: [`*@${tailnet}`], dst: ['resource:api'], app: { authorize: [{ scopes: ['read'], clients: ['client:app'], consent: 'never' }] } },
    { src: [`*@${tailnet}`], dst: ['client:app'], app: { authorize: [{ scopes: ['openid', 'email'], consent: 'never' }] } },
    { src: ['client:api'], dst: ['resource:api'], app: { introspect: [{}] } },
  ]
  const document = {
    resources: { 'resource:api': { uri: resource, scopes: ['read'] } },
    clients: {
      'client:app': { redirect_uris: [redirect_uri], client_secret_file: 'app' },
      'client:api': { client_secret_file: 'api' },
    },
    grants,
  }
  writeFileSync(policy, `// edition ${edition}\n${JSON.stringify(document, null, 2)}`)
}

/** Writes all of it below `directory`. */
export function makeWorld(directory: string): Files {
  const files = filesOf(directory)
  const secrets = join(directory, 'secrets')
  for (const folder of [secrets, files.run]) mkdirSync(folder, { mode: 0o700 })
  for (const [name, { client_secret }] of Object.entries({ app, api })) writeFileSync(join(secrets, name), client_secret, { mode: 0o600 })
  const config = {
    issuer,
    state_directory: files.state,
    runtime_directory: files.run,
    secrets_directory: secrets,
    policy_file: files.policy,
    listen: { port: 443, tls_certificate_file: files.certificate, tls_key_file: files.key },
    mesh: { socket: files.mesh },
    email_domains: [tailnet],
    lifetimes,
    log_level: 'warn',
    limits: { per_address: unlimited, per_principal: unlimited, connecting: unlimited, at_once: 1000 },
  }
  writeFileSync(files.config, JSON.stringify(config, null, 2))
  writeCertificate(files)
  writePolicy(files, 0)
  return files
}
