/**
 * What an MCP server needs to take access tokens of meshidp, in three lines. Copy this folder beside your server:
 *
 *     const { metadata, requireToken } = meshidp({ issuer, resource, scope })
 *     app.use(metadata)
 *     app.post('/mcp', requireToken, handleMcp)
 *
 * It says whose tokens are taken (RFC 9728), checks signature, issuer, type, audience and scope, answers 401 and 403 with the challenge that clients begin
 * to sign in on (RFC 6750), and 503 while the authorization server cannot be asked, so that no client throws a good token away.
 */
import { type RequestHandler, Router } from 'express'
import { bearerAuth } from './bearer_auth.ts'
import { type Credentials, checkByIntrospection } from './check_by_introspection.ts'
import { checkLocally } from './check_locally.ts'

export type { Credentials } from './check_by_introspection.ts'

export type Options = {
  /** The authorization server, to the letter. */
  issuer: string
  /** This server's own URI, as the policy has it: tokens must be for it. */
  resource: string
  /** What a client should ask for, and what a token needs unless `scopesFor` says otherwise. */
  scope: string
  /** This server's own credentials, where tokens are to be asked about (`"check": "introspect"`); absent: signatures are verified here. */
  introspect?: Credentials & { /** For how many seconds an answer is used again. Default 15. */ cacheSeconds?: number }
  /** The scopes that a call of this tool needs. Default: `scope`, for every tool. */
  scopesFor?: (tool: string) => readonly string[]
  /** Seconds since the epoch. */
  now?: () => number
  /** Hears of an authorization server that cannot be asked. */
  onOutage?: (error: Error) => void
}

export type Protection = {
  /** Serves the protected-resource metadata, at the well-known place for this path and at that of the root. */
  metadata: RequestHandler
  /** Lets a request through that has a good token, and sets `request.auth` for the SDK; answers all others. Behind `express.json()`. */
  requireToken: RequestHandler
}

/** RFC 9728 §3.1: the well-known part stands before the path; some clients look only at the root. */
const wellKnown = '/.well-known/oauth-protected-resource'

export function meshidp({ issuer, resource, scope, introspect, scopesFor = () => [scope], ...options }: Options): Protection {
  const { now = () => Date.now() / 1000, onOutage = () => undefined } = options
  const { origin, pathname } = new URL(resource)
  const path = wellKnown + (pathname === '/' ? '' : pathname)
  const document = { resource, authorization_servers: [issuer], scopes_supported: [scope], bearer_methods_supported: ['header'] }
  const verifier = introspect
    ? checkByIntrospection({ issuer, resource, credentials: introspect, cacheSeconds: introspect.cacheSeconds ?? 15, now })
    : checkLocally({ issuer, resource, now })
  const metadata = Router().get([path, wellKnown], (_request, response) => void response.json(document))
  return { metadata, requireToken: bearerAuth({ verifier, scope, scopesFor, resource_metadata: origin + path, onOutage }) }
}
