import { orGiveBack } from '../client_auth/give_back.ts'
import { authenticateClient } from '../client_auth/index.ts'
import type { Credentials } from '../client_auth/method.ts'
import type { Client } from '../clients/client.ts'
import type { Deps } from '../deps.ts'
import { type GrantType, grantTypes } from '../grant_types/index.ts'
import { type Endpoint, formOf, json, type Reply } from '../http/endpoint.ts'
import { credentialsOf } from '../http/same_origin.ts'
import { OAuthError, Unavailable } from '../oauth/error.ts'
import { optional, type Params, required } from '../oauth/parse.ts'
import { digest } from '../oauth/secret.ts'
import { quoted } from '../oauth/shown_text.ts'
import { GuardFailed } from '../store/engine.ts'
import { issueTokens } from '../tokens/issue.ts'

/**
 * A guard that fails means that somebody else was first, and each such step is one way: a token is spent, used too often, ended with its authorization.
 * So the third look at fresh rows finds a request that can be answered, or refused.
 */
const mostAttempts = 3

/** RFC 6749 §3.2. The phases: who is the client, what does the grant type decide, issue. */
export const token: Endpoint = {
  path: '/token',
  methods: ['POST'],
  cost: 'first',
  body: 'form',
  funnel: true,
  cors: 'anyone',

  handle(deps, request) {
    const credentials = credentialsOf(deps, request)
    return orGiveBack(deps, credentials, () => issued(deps, formOf(request), credentials))
  },
}

async function issued(deps: Deps, params: Params, credentials: Credentials): Promise<Reply> {
  const policy = deps.policy()
  const grant_type = required(params, 'grant_type')
  const whichClient = () => authenticateClient(deps, policy, credentials, params)
  let { client, node } = await whichClient()
  const grantType = grantTypeOf(client, grant_type)

  const flight = takeOff(deps, optional(params, 'code'))
  try {
    for (let attempt = 1; ; attempt++) {
      const again = flight.beside || attempt > 1
      const issuable = await grantType.authorize(deps, {
        policy,
        client,
        node,
        params,
        caller: credentials.caller,
        now: deps.now(),
        again,
      })
      try {
        return json(await issueTokens(deps, policy, issuable))
      } catch (thrown) {
        if (!(thrown instanceof GuardFailed)) throw thrown
        if (attempt === mostAttempts)
          throw new Unavailable('Too many requests use this at the same moment. Try again.', { cause: thrown, retryAfter: 1 })
      }
      ;({ client, node } = await whichClient()) // it may be the client that is gone
    }
  } finally {
    flight.land()
  }
}

/** Throws `unsupported_grant_type`, or `unauthorized_client` where this client did not register for it (RFC 6749 §5.2). */
function grantTypeOf(client: Client, grant_type: string): GrantType {
  const grantType = grantTypes.get(grant_type)
  if (!grantType)
    throw new OAuthError(
      'unsupported_grant_type',
      `The grant type ${quoted(grant_type, 100)} is not supported. Use ${[...grantTypes.keys()].join(' or ')}.`,
    )
  if (!client.grant_types.includes(grant_type))
    throw new OAuthError('unauthorized_client', `This client did not register for the grant type ${grant_type}.`)
  return grantType
}

/** Notes that a code is being redeemed, and whether another redemption of it was under way: those two are one client sending twice, not a theft. */
function takeOff(deps: Deps, code: string | undefined) {
  const { redeeming } = deps.recent
  const key = code === undefined ? undefined : digest(code)
  const others = (key !== undefined && redeeming.get(key)) || 0
  if (key !== undefined) redeeming.set(key, others + 1)
  return {
    beside: others > 0,
    land() {
      if (key === undefined) return
      const left = (redeeming.get(key) ?? 1) - 1
      if (left > 0) redeeming.set(key, left)
      else redeeming.delete(key)
    },
  }
}
