/** `oidc-provider` as a neighbour to compare with, in memory and in SQLite: a person signed in and consented without a page. */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { REDIRECT_URI, type Server } from './server.ts'

const manifest = new URL('../../node_modules/oidc-provider/package.json', import.meta.url)

const person = 'each authorization is a new person, signed in and consented by a middleware'

/** The two are the same but for where they keep things. `database`: a file's name; null for memory. */
const oidcProvider = (name: string, setup: string, database: string | null): Server => ({
  name,
  version: JSON.parse(readFileSync(manifest, 'utf8')).version,
  setup: `${setup}; ${person}`,

  async prepare({ directory, port, idTokenAlg }) {
    const issuer = `http://localhost:${port}`
    const app = { client_id: 'app', client_secret: 'app-secret-0123456789' }
    const api = { client_id: 'api', client_secret: 'api-secret-0123456789' }
    const settings: Settings = {
      port,
      issuer,
      database: database && join(directory, database),
      keys: [privateJwk('RS256'), privateJwk('ES256')],
      clients: [
        {
          ...app,
          redirect_uris: [REDIRECT_URI],
          grant_types: ['authorization_code', 'refresh_token'],
          id_token_signed_response_alg: idTokenAlg,
        },
        { ...api, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
      ],
    }
    const file = join(directory, 'settings.json')
    await writeFile(file, JSON.stringify(settings), { mode: 0o600 })
    return {
      issuer,
      command: [process.execPath, fileURLToPath(new URL('oidc_provider_process.mjs', import.meta.url)), file],
      env: { NODE_ENV: 'production' },
      profile: {
        metadata_path: '/.well-known/openid-configuration',
        app,
        redirect_uri: REDIRECT_URI,
        scope: 'openid email read',
        resource: 'urn:api:jwt',
        // It does not introspect its own JWTs, so it looks an opaque token up: the lighter work of the two.
        introspection: { client: api, scope: 'read', resource: 'urn:api:opaque' },
        // A JWT of a workload it does not store, an opaque token it does: on disk it has to.
        workload: { client: api, scope: 'read', resource: database === null ? 'urn:api:jwt' : 'urn:api:opaque' },
        exchange: null, // it has none
      },
      close: async () => {},
    }
  },
})

export const oidcProviderInMemory = oidcProvider('oidc-provider', 'in memory, nothing on disk', null)

export const oidcProviderInSqlite = oidcProvider(
  'oidc-provider-sqlite',
  'SQLite, WAL, synchronous=FULL: an fsync behind every record that it writes',
  'oidc-provider.db',
)

/** What the process is told, in a file. */
export type Settings = { port: number; issuer: string; database: string | null; keys: object[]; clients: object[] }

/** The key sizes of meshidp: RSA of 2048 bits, P-256. */
function privateJwk(alg: 'RS256' | 'ES256'): object {
  const { privateKey } =
    alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomUUID() }
}
