/** The end of an authorization request: an authorization, a code, and the way back to the client. */
import type { Client } from '../clients/client.ts'
import type { Decided } from '../decide.ts'
import type { Deps } from '../deps.ts'
import type { Reply } from '../http/endpoint.ts'
import { redirect } from '../http/page.ts'
import type { UserPrincipal } from '../oauth/principal.ts'
import { redirectWith } from '../oauth/redirect_uri.ts'
import { digest, newCode } from '../oauth/secret.ts'
import { insertAuthorization } from '../store/authorizations.ts'
import { insertCode } from '../store/codes.ts'
import { setAuthTime } from '../store/consents.ts'
import type { Write } from '../store/engine.ts'
import type { AuthorizationRequest } from './request.ts'

type Completion = {
  request: AuthorizationRequest
  client: Client
  principal: UserPrincipal
  decided: Decided
  /** When this person last showed up at this node; undefined on the first time, which is now. Seconds. */
  authTime: number | undefined
  /** What a page spends and remembers. */
  writes?: readonly Write[]
}

/** Commits authorization, code and decision together, and redirects with `code`, `state` and `iss` (RFC 6749 §4.1.2, RFC 9207 §2). */
export async function complete(deps: Deps, { request, client, principal, decided, authTime, writes = [] }: Completion): Promise<Reply> {
  const now = deps.now()
  const { lifetimes, issuer } = deps.config
  const { limits, scopes } = decided.verdict
  const id = deps.newId()
  const code = newCode(id, deps.randomBytes)
  const auth_time = authTime ?? now
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
        created_at: now,
        expires_at: now + lifetimes.refresh_token,
        missing_since: null,
        suspended_at: null,
        ended_at: null,
        end_reason: null,
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
    ...(authTime === undefined ? [setAuthTime(principal.user_id, principal.node.id, auth_time)] : []),
    ...decided.writes,
  ])
  return redirect(redirectWith(request.redirect_uri, { code, state: request.state ?? undefined, iss: issuer }))
}
