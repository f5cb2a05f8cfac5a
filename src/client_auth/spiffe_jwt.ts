import { fetchNamedDocument, isStale } from '../clients/find.ts'
import { isMetadataDocumentUrl } from '../clients/metadata_document.ts'
import type { Deps } from '../deps.ts'
import { type ForeignJwt, isSignedBy } from '../keys/foreign_jwt.ts'
import { OAuthError } from '../oauth/error.ts'
import { isRegistered, parseSpiffeId } from '../oauth/spiffe_id.ts'
import { assertionOf, assertionWire, isFor, wrongTimes } from './assertion.ts'
import type { Method } from './method.ts'

/** JWT-SVID §2: these headers and no others; §2.1: of RFC 7518 §3.3 to §3.5; §2.3: or none. */
const headers = new Set(['alg', 'kid', 'typ'])
const algorithm = /^(?:ES|PS|RS)(?:256|384|512)$/
const types = new Set<unknown>([undefined, 'JWT', 'JOSE'])

const refuse = (what: string) => new OAuthError('invalid_client', `The JWT-SVID ${what}.`)

/**
 * draft-ietf-oauth-spiffe-client-auth-02 §3.1: a workload shows the identity document that its trust domain signed for it. Such documents are used again until
 * they expire (JWT-SVID §6.1), so there is no `jti` to use up. X.509-SVIDs would be a method of their own.
 */
export const spiffe_jwt: Method = {
  wire: assertionWire,
  present(_authorization, params) {
    const assertion = assertionOf(params, 'jwt-spiffe')
    if (!assertion) return undefined
    const { jwt, client_id } = assertion
    return {
      client_id,
      async proves(client, _credentials, deps) {
        const spiffe_id = await provenWorkload(deps, jwt, client.assertions.token_endpoint_too)
        if (client.spiffe_id === null || !isRegistered(spiffe_id, client.spiffe_id))
          throw refuse(`is ${spiffe_id}'s, and ${client.client_id} is another client`)
        return { node: null }
      },
      // §3.1: together with a metadata document as client_id.
      async introduces(deps, policy, known) {
        if (client_id === undefined || !isMetadataDocumentUrl(client_id) || (known && !isStale(known, deps.now()))) return undefined
        return fetchNamedDocument(deps, policy, client_id, await provenWorkload(deps, jwt, false))
      },
    }
  },
}

/** The SPIFFE ID of the workload that this is the document of. Throws `invalid_client`; `Unavailable` while nobody knows the keys of its trust domain. */
async function provenWorkload(deps: Deps, jwt: ForeignJwt | undefined, token_endpoint_too: boolean): Promise<string> {
  const { config, now, trustBundles } = deps
  if (!jwt || !algorithm.test(jwt.alg)) throw refuse('is not a JWT that is signed as JWT-SVID §2.1 says')
  if (!Object.keys(jwt.header).every((name) => headers.has(name))) throw refuse('has a header that JWT-SVID §2 does not know')
  if (!types.has(jwt.header.typ)) throw refuse('is a JWT of another kind (typ)')
  const { sub, aud } = jwt.claims
  const id = typeof sub === 'string' ? parseSpiffeId(sub) : undefined
  if (typeof sub !== 'string' || !id) throw refuse('must have the SPIFFE ID of a workload as sub')
  const audiences = token_endpoint_too ? [config.issuer, `${config.issuer}/token`] : [config.issuer]
  if (!isFor(aud, audiences)) throw refuse(`must have ${audiences.join(' or ')} as aud, and nothing else`)
  const wrong = wrongTimes(jwt.claims, now())
  if (wrong !== undefined) throw refuse(wrong)
  const keys = await trustBundles.of(id.trust_domain, jwt.kid)
  if (!keys) throw refuse(`is of the trust domain ${id.trust_domain}, which is not known here`)
  if (isSignedBy(jwt, keys) !== 'good') throw refuse(`is not signed by a key of its own trust domain, ${id.trust_domain}`)
  return sub
}
