/** Client authentication (RFC 6749 §2.3): the whole list of methods; one that is not here does not exist. */
import type { AuthMethod, Client } from '../clients/client.ts'
import { findKnownClient } from '../clients/find.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import { OAuthError } from '../oauth/error.ts'
import { optional, type Params } from '../oauth/parse.ts'
import { client_secret_basic } from './client_secret_basic.ts'
import { client_secret_post } from './client_secret_post.ts'
import { none } from './none.ts'

/** What a request presents, by one method. */
export type Presented = { client_id: string /** Whether that proves the client. */; proves: (client: Client) => boolean }

export type Method = {
  /** Undefined where the request does not use this method. Throws `invalid_client` where it does so badly. */
  present: (authorization: string | undefined, params: Params) => Presented | undefined
}

export const methods = new Map<AuthMethod, Method>([
  ['client_secret_basic', client_secret_basic],
  ['client_secret_post', client_secret_post],
  ['none', none],
])

/** RFC 6749 §5.2: 401, and the challenge where Basic was tried. */
function refused(description: string, authorization: string | undefined): OAuthError {
  const headers = authorization && /^basic\b/i.test(authorization) ? { 'www-authenticate': 'Basic realm="meshidp", charset="UTF-8"' } : {}
  return new OAuthError('invalid_client', description, { headers })
}

/**
 * The client that makes this request, proven by the one method that it registered. Throws `invalid_client`, or `invalid_request` where
 * more than one method is used at once.
 */
export async function authenticateClient(
  deps: Deps,
  policy: ActivePolicy,
  authorization: string | undefined,
  params: Params,
): Promise<Client> {
  const used = [...methods].flatMap(([name, method]) => {
    const presented = method.present(authorization, params)
    return presented ? [{ name, ...presented }] : []
  })
  const asserts = ['client_assertion', 'client_assertion_type'].some((name) => optional(params, name) !== undefined)
  const [first] = used
  const names = [...used.map(({ name }) => name), ...(asserts ? ['client_assertion'] : [])]
  if (names.length > 1)
    throw new OAuthError('invalid_request', `The client authenticates twice: by ${names.join(' and by ')}. Use one of them.`)
  if (asserts)
    throw refused('Client assertions are not supported here. Use client_secret_basic, client_secret_post or none.', authorization)
  if (!first) throw refused('The request names no client. Send client_id, or HTTP Basic authentication.', authorization)
  const alsoNamed = optional(params, 'client_id')
  if (alsoNamed !== undefined && alsoNamed !== first.client_id)
    throw new OAuthError('invalid_request', 'client_id in the body is another one than that in the Authorization header.')

  const client = await findKnownClient(deps, policy, first.client_id)
  if (!client)
    throw refused('This client is not known here. It may have gone unused for too long, or been removed: register again.', authorization)
  if (!client.auth_methods.includes(first.name))
    throw refused(
      `This client must authenticate by ${client.auth_methods.join(' or ') || 'a credential that is not supported here yet'}, not by ${first.name}.`,
      authorization,
    )
  if (!first.proves(client)) throw refused('The client secret is wrong.', authorization)
  return client
}
