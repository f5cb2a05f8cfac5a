/** Tokens checked here, by their signature: fast, and it works while the authorization server is away. A revoked one is good until it expires. */
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import type { OAuthTokenVerifier } from '@modelcontextprotocol/sdk/server/auth/provider.js'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { metadataOf, patience } from './authorization_server.ts'
import { Outage } from './outage.ts'

/** What jose says where the token is at fault. Everything else (a key set that cannot be fetched, say) is an outage. */
const faultsOfTheToken: ReadonlySet<string> = new Set(
  [
    errors.JWTInvalid,
    errors.JWSInvalid,
    errors.JWTExpired,
    errors.JWTClaimValidationFailed,
    errors.JWSSignatureVerificationFailed,
    errors.JWKSNoMatchingKey,
    errors.JOSEAlgNotAllowed,
    errors.JOSENotSupported,
  ].map(({ code }) => code),
)

/**
 * RFC 9068 §4. `resource` is this server's own URI: a token for anybody else is refused. `now`: seconds.
 * The verifier throws the SDK's InvalidTokenError, which clients answer by signing in again, or Outage.
 */
export function checkLocally({ issuer, resource, now }: { issuer: string; resource: string; now: () => number }): OAuthTokenVerifier {
  const metadata = metadataOf(issuer)
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined
  return {
    async verifyAccessToken(token) {
      keys ??= createRemoteJWKSet(new URL((await metadata()).jwks_uri), { timeoutDuration: patience })
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: resource,
        typ: 'at+jwt', // an ID token is signed with the same keys
        algorithms: ['ES256', 'RS256'],
        requiredClaims: ['exp', 'sub', 'client_id'],
        currentDate: new Date(now() * 1000),
      }).catch((cause) => {
        if (faultsOfTheToken.has(cause.code)) throw new InvalidTokenError(`This access token is not good here: ${cause.message}.`)
        throw new Outage(`The keys of ${issuer} cannot be read.`, { cause })
      })
      return {
        token,
        clientId: String(payload.client_id),
        scopes: String(payload.scope ?? '').split(' '),
        expiresAt: Number(payload.exp),
        resource: new URL(resource),
        extra: { sub: payload.sub, act: payload.act },
      }
    },
  }
}
