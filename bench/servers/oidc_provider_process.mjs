/**
 * oidc-provider, listening: `node oidc_provider_process.mjs SETTINGS.json`. Plain JavaScript, as those who use it run it: stripping types
 * would cost it time at the start and memory.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Provider from 'oidc-provider'
import { memoryAdapter } from './memory_adapter.mjs'
import { sqliteAdapter } from './sqlite_adapter.mjs'

/** @type {import('./oidc_provider.ts').Settings} */
const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))

const ACCESS_TOKEN_TTL = 300
const DAYS = 86_400

const resourceServers = new Map([
  [
    'urn:api:jwt',
    { scope: 'read', audience: 'urn:api:jwt', accessTokenFormat: 'jwt', accessTokenTTL: ACCESS_TOKEN_TTL, jwt: { sign: { alg: 'ES256' } } },
  ],
  ['urn:api:opaque', { scope: 'read', audience: 'urn:api:opaque', accessTokenFormat: 'opaque', accessTokenTTL: ACCESS_TOKEN_TTL }],
])

const provider = new Provider(settings.issuer, {
  adapter: settings.database === null ? memoryAdapter : sqliteAdapter(settings.database),
  jwks: { keys: settings.keys },
  clients: settings.clients,
  scopes: ['openid', 'offline_access', 'email', 'read'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  findAccount: async (_ctx, accountId) => ({
    accountId,
    claims: async () => ({ sub: accountId, email: `${accountId}@example.com`, email_verified: true }),
  }),
  pkce: { required: () => true },
  ttl: {
    AccessToken: ACCESS_TOKEN_TTL,
    AuthorizationCode: 60,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 30 * DAYS,
    Grant: 30 * DAYS,
    Session: 30 * DAYS,
  },
  rotateRefreshToken: true,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  loadExistingGrant: consented,
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: async (_ctx, resource) => resourceServers.get(resource) },
  },
})

/** Signs a new person in, without a page. */
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: randomUUID() } })
})

/** Consent already given, to all that is asked: so there is one interaction, and nothing is read twice. */
async function consented({ oidc }) {
  const { clientId } = oidc.client
  const existing = oidc.session.grantIdFor(clientId)
  if (existing !== undefined) return provider.Grant.find(existing)
  if (oidc.session.accountId === undefined) return undefined
  const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId })
  grant.addOIDCScope(oidc.params.scope)
  if (oidc.params.resource !== undefined) grant.addResourceScope(oidc.params.resource, oidc.params.scope)
  await grant.save()
  return grant
}

provider.listen(settings.port, '127.0.0.1')
