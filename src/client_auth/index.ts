/** Client authentication (RFC 6749 §2.3): the whole list of methods; one that is not here does not exist. */
import type { AuthMethod, Client } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import { admitFromInternet } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params } from '../oauth/parse.ts'
import { assertionWire, asserts, notAnAssertion } from './assertion.ts'
import { client_secret_basic } from './client_secret_basic.ts'
import { client_secret_post } from './client_secret_post.ts'
import type { Credentials, Method, Proof } from './method.ts'
import { node } from './node.ts'
import { none } from './none.ts'
import { private_key_jwt } from './private_key_jwt.ts'
import { spiffe_jwt } from './spiffe_jwt.ts'

export const methods = new Map<AuthMethod, Method>([
  ['client_secret_basic', client_secret_basic],
  ['client_secret_post', client_secret_post],
  ['private_key_jwt', private_key_jwt],
  ['spiffe_jwt', spiffe_jwt],
  ['none', none],
  ['node', node],
])

/** RFC 6749 §5.2: 401, and the challenge where Basic was tried. */
function refused(description: string, authorization: string | undefined): OAuthError {
  const headers = authorization && /^basic\b/i.test(authorization) ? { 'www-authenticate': 'Basic realm="meshidp", charset="UTF-8"' } : {}
  return new OAuthError('invalid_client', description, { headers })
}

/** A client that has proven itself, and what proved it. */
export type Authenticated = Proof & { client: Client }

/**
 * The client that makes this request, proven by a method that is its own. Throws `invalid_client`; `invalid_request` where more than one method is used at
 * once; `Unavailable` while the mesh is dark, for a client that is proven by its machine; `access_denied` through Funnel, unless a grant lets the client in.
 */
export async function authenticateClient(
  deps: Deps,
  policy: ActivePolicy,
  credentials: Credentials,
  params: Params,
): Promise<Authenticated> {
  const { authorization } = credentials
  const used = [...methods].flatMap(([name, { wire, present }]) => {
    const presented = present(authorization, params)
    return presented ? [{ name, wire, ...presented }] : []
  })
  const ways = new Set([...used.map(({ wire }) => wire), ...(asserts(params) ? [assertionWire] : [])])
  if (ways.size > 1)
    throw new OAuthError('invalid_request', `The client authenticates twice: by ${[...ways].join(' and by ')}. Use one of them.`)
  const [first] = used
  if (!first && asserts(params)) throw refused(notAnAssertion(params), authorization)
  if (!first) throw refused('The request names no client. Send client_id, or HTTP Basic authentication.', authorization)
  if (first.client_id === undefined)
    throw refused('The client assertion names no client: it is not a well-formed JWT with a sub (RFC 7523 §3).', authorization)
  const alsoNamed = optional(params, 'client_id')
  if (alsoNamed !== undefined && alsoNamed !== first.client_id)
    throw new OAuthError('invalid_request', 'client_id in the body is another one than that in the Authorization header.')

  const known = await findKnownClient(deps, policy, first.client_id)
  const client = (await first.introduces?.(deps, policy, known)) ?? known
  if (!client)
    throw refused('This client is not known here. It may have gone unused for too long, or been removed: register again.', authorization)
  deps.trace.client_id = client.client_id
  const own = used.find(({ name }) => client.auth_methods.includes(name))
  if (!own) throw refused(`This client must authenticate by ${client.auth_methods.join(' or ')}, not by ${first.name}.`, authorization)
  const proof = await own.proves(client, credentials, deps)
  if (!proof) throw refused('The client secret is wrong.', authorization)
  if (credentials.funnelled) await admitFromInternet(deps, policy, client)
  return { client, ...proof }
}
