/** OpenID Connect Core §5.5: the `claims` parameter, a JSON object that names claims one by one. Read only; what may be given is decided elsewhere. */
import { OAuthError } from './error.ts'

/** What is said of one claim (§5.5.1). `values`: those that would do, none where any would. */
export type ClaimRequest = { essential: boolean; values: readonly unknown[] }

/** By where the claim is wanted, by its name. Maps, because names are a stranger's. */
export type ClaimsParameter = { userinfo: ReadonlyMap<string, ClaimRequest>; id_token: ReadonlyMap<string, ClaimRequest> }

const longest = 4096
const mostClaims = 50

const malformed = (what: string) => new OAuthError('invalid_request', `The parameter "claims" ${what} (OpenID Connect Core section 5.5).`)

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Text of the parameter → what it asks for; undefined text asks for nothing. Throws `invalid_request`. */
export function parseClaims(text: string | undefined): ClaimsParameter {
  const asked = text === undefined ? {} : objectOf(text)
  return { userinfo: membersOf(asked.userinfo, 'userinfo'), id_token: membersOf(asked.id_token, 'id_token') }
}

function objectOf(text: string): Record<string, unknown> {
  if (text.length > longest) throw malformed(`is longer than ${longest} characters`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed('is not valid JSON')
  }
  if (!isObject(value)) throw malformed('is not a JSON object')
  return value
}

function membersOf(value: unknown, name: string): Map<string, ClaimRequest> {
  if (value === undefined || value === null) return new Map()
  if (!isObject(value)) throw malformed(`has a member ${name} that is not an object`)
  const entries = Object.entries(value)
  if (entries.length > mostClaims) throw malformed(`names more than ${mostClaims} claims`)
  return new Map(entries.map(([claim, request]) => [claim, requestOf(request)]))
}

/** §5.5.1: null, or an object of which unknown members are ignored. */
function requestOf(request: unknown): ClaimRequest {
  if (request === null) return { essential: false, values: [] }
  if (!isObject(request)) throw malformed('says something of a claim that is neither null nor an object')
  const { essential = false, value, values = [] } = request
  if (typeof essential !== 'boolean') throw malformed('has an "essential" that is neither true nor false')
  if (!Array.isArray(values)) throw malformed('has "values" that are no list')
  return { essential, values: value === undefined ? values : [value, ...values] }
}
