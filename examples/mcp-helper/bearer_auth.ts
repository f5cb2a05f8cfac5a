/**
 * Who may call, before MCP sees anything (RFC 6750): no good token is 401, a good one without the scope of the tool is 403, and an authorization
 * server that cannot be asked is 503. The SDK's own `requireBearerAuth` knows one list of scopes for all tools, and no 503.
 */
import { InsufficientScopeError, InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import type { OAuthTokenVerifier } from '@modelcontextprotocol/sdk/server/auth/provider.js'
import type { AuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import type { RequestHandler } from 'express'
import { answerOutage, Outage } from './outage.ts'

declare module 'express-serve-static-core' {
  interface Request {
    auth?: AuthInfo
  }
}

type Rules = {
  verifier: OAuthTokenVerifier
  /** What a client should ask for. */
  scope: string
  /** The scopes that a call of this tool needs. */
  scopesFor: (tool: string) => readonly string[]
  /** Where a client learns from whom to get a token (RFC 9728 §5.1). */
  resource_metadata: string
  onOutage: (error: Outage) => void
}

/** Sets `request.auth`, or answers. */
export const bearerAuth =
  ({ verifier, scope, scopesFor, resource_metadata, onOutage }: Rules): RequestHandler =>
  async (request, response, next) => {
    const challenge = (status: number, error: Record<string, string> = {}) =>
      response
        .status(status)
        .set('WWW-Authenticate', `Bearer ${parametersOf({ ...error, scope, resource_metadata })}`)
        .json(error)
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    // RFC 6750 §3.1: who sent no token is told where to get one, and of no error.
    if (token === undefined) return void challenge(401)
    try {
      request.auth = await verifier.verifyAccessToken(token)
      const missing = scopesOf(request.body, scopesFor).find((needed) => !request.auth?.scopes.includes(needed))
      if (missing !== undefined) throw new InsufficientScopeError(`This needs the scope ${missing}.`)
    } catch (error) {
      if (error instanceof InvalidTokenError) return void challenge(401, error.toResponseObject() as Record<string, string>)
      if (error instanceof InsufficientScopeError) return void challenge(403, error.toResponseObject() as Record<string, string>)
      if (!(error instanceof Outage)) throw error
      onOutage(error)
      return answerOutage(response, 'Access tokens cannot be checked just now. Try again.')
    }
    next()
  }

const parametersOf = (parameters: Record<string, string>) =>
  Object.entries(parameters)
    .map(([name, value]) => `${name}="${value.replaceAll(/["\\]/g, "'")}"`)
    .join(', ')

/** Which scopes the JSON-RPC messages of a body need together. */
function scopesOf(body: unknown, scopesFor: Rules['scopesFor']): string[] {
  const messages = [body].flat() as ({ method?: string; params?: { name?: string } } | undefined)[]
  return messages.flatMap((message) => (message?.method === 'tools/call' ? [...scopesFor(message.params?.name ?? '')] : []))
}
