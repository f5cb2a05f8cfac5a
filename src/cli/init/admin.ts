/** Who looks after a new installation: whom the command line names, else who sits there, else whose machine it is. */
import type { StatusAnswer } from '../../identity/answers.ts'
import type { LocalApi } from '../../identity/local_api.ts'
import { principalOf } from '../../identity/principal_of.ts'
import { parseSelector } from '../../policy/index.ts'
import { Refused } from '../ask.ts'
import { UsageError } from '../command.ts'

/** A login name, and how it was found out, as the rest of a sentence that begins with it. */
export type Admin = { login: string; because: string }

type Surroundings = {
  api: LocalApi
  self: StatusAnswer['Self']
  /** Of --admin. */
  named: string | undefined
  /** From whose address this is typed, where it came by SSH. */
  ssh: string | undefined
  /** Seconds since the epoch. */
  now: number
}

/** The first of the three that the mesh knows as a person. Throws UsageError, Refused with the command to run, Unavailable. */
export async function adminOf({ api, self, named, ssh, now }: Surroundings): Promise<Admin> {
  if (named !== undefined) return { login: loginName(named), because: 'as --admin says' }
  const person = async (address: string): Promise<string | null> => {
    const answer = await api.whois(address)
    if (answer === null || answer === 'malformed') return null
    const { principal } = principalOf(answer, address, { self_id: self?.ID ?? '', allowSelf: true, now })
    return principal?.kind === 'user' && isLogin(principal.login) ? principal.login : null
  }
  const [own] = self?.TailscaleIPs ?? []
  const visitor = ssh === undefined ? null : await person(ssh)
  if (visitor !== null) return { login: visitor, because: `who is here by SSH from ${ssh}` }
  const owner = own === undefined ? null : await person(own)
  if (owner !== null) return { login: owner, because: 'whose machine this is' }
  throw new Refused(
    `It is not clear who is to be the admin: this machine is nobody's, and nobody came here over the mesh by SSH. Say who, by the name that the mesh calls them:
  meshidp init --admin alice@example.com`,
  )
}

const isLogin = (text: string): boolean => {
  const selector = parseSelector(text)
  return !('refused' in selector) && selector.kind === 'login'
}

function loginName(text: string): string {
  if (isLogin(text)) return text
  throw new UsageError(`--admin must be a login name, such as alice@example.com, not ${JSON.stringify(text)}.`)
}
