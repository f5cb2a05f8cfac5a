/** The whole list of grant types; one that is not here does not exist. */
import type { Client } from '../clients/client.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Params } from '../oauth/parse.ts'
import type { Caller, NodePrincipal } from '../oauth/principal.ts'
import type { Issuable } from '../tokens/issue.ts'
import { authorization_code } from './authorization_code.ts'
import { client_credentials } from './client_credentials.ts'
import { refresh_token } from './refresh_token.ts'
import { token_exchange } from './token_exchange.ts'

export type TokenRequest = {
  policy: ActivePolicy
  client: Client
  /** The tagged machine that proved the client; null where something else did. */
  node: NodePrincipal | null
  params: Params
  /**
   * Who is at the other end of the connection; asked only where that matters. Throws `Unavailable` while the mesh is dark, `forbidden` where a web page made a
   * browser send the request: who sits there did not ask for it.
   */
  caller: () => Promise<Caller>
  /** Seconds. */
  now: number
  /** Whether a guard failed a moment ago: somebody else spent what this request wanted to spend. */
  again: boolean
}

/** A grant type decides; it issues nothing and spends nothing, but says what is to be issued and spent. */
export type GrantType = { authorize: (deps: Deps, request: TokenRequest) => Promise<Issuable> }

export const grantTypes = new Map<string, GrantType>([
  ['authorization_code', authorization_code],
  ['refresh_token', refresh_token],
  ['client_credentials', client_credentials],
  ['urn:ietf:params:oauth:grant-type:token-exchange', token_exchange],
])
