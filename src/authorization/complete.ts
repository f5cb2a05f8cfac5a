/** The end of an authorization request: an authorization, a code, and the way back to the client. */
import type { Client } from '../clients/client.ts'
import type { Decided } from '../decide.ts'
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { amrOf } from '../oauth/authentication_context.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { digest, newCode } from '../oauth/secret.ts'
import { freshly, insertAuthorization, ofPersonHere } from '../store/authorizations.ts'
import { insertCode } from '../store/codes.ts'
import { type Recognised, setAuthTime } from '../store/consents.ts'
import type { Write } from '../store/engine.ts'
import { claimsToStore } from '../tokens/requested_claims.ts'
import { type AuthorizationRequest, within } from './request.ts'
import { respond } from './response.ts'

type Completion = {
  request: AuthorizationRequest
  client: Client
  principal: UserPrincipal
  decided: Decided
  /** When this person last showed up at this node; undefined on the first time, which is now. */
  recognised: Recognised | undefined
  /** What a page spends and remembers. */
  writes?: readonly Write[]
}

/** Commits authorization, code and decision together, and answers with `code`, `state` and `iss` (RFC 6749 §4.1.2, RFC 9207 §2). */
export async function complete(deps: Deps, { request, client, principal, decided, recognised, writes = [] }: Completion): Promise<Reply> {
  const now = deps.now()
  const { lifetimes } = deps.config
  const { limits } = decided.verdict
  const { scopes, claims } = within(request, decided.verdict.scopes)
  const id = deps.newId()
  const code = newCode(id, deps.randomBytes)
  const { auth_time, confirmed } = recognised ?? { auth_time: now, confirmed: 0 }
  await deps.store.commit([
    ...writes,
    insertAuthorization(
      {
        id,
        client_id: client.client_id,
        user_id: principal.user_id,
        login: principal.login,
        node_id: principal.node.id,
        address: principal.address,
        bind: limits.bind,
        resource: request.resource,
        scopes: scopes.join(' '),
        auth_time,
        amr: amrOf(confirmed === 1),
        claims: claimsToStore(claims),
        created_at: now,
        expires_at: now + lifetimes.refresh_token,
        ...freshly,
        ...ofPersonHere,
        decision_id: decided.decision_id,
      },
      client.stored !== null,
    ),
    insertCode({
      digest: digest(code),
      authorization_id: id,
      code_challenge: request.code_challenge,
      redirect_uri: request.redirect_uri,
      nonce: request.nonce,
      expires_at: now + lifetimes.code,
      consumed_at: null,
    }),
    ...(recognised === undefined ? [setAuthTime(principal.user_id, principal.node.id, { auth_time, confirmed })] : []),
    ...decided.writes,
  ])
  return respond(deps, request, { code })
}
