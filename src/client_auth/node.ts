import { isProvenBy } from '../clients/client.ts'
import { OAuthError } from '../oauth/error.ts'
import { bareClientId } from './bare.ts'
import type { Method } from './method.ts'

/**
 * The tagged machine itself is the credential: whois says who calls, and the policy names its tag. No RFC has it; on the wire it is `client_id` alone, so
 * there is nothing that could leak, and every process of that machine is the client.
 */
export const node: Method = {
  wire: 'client_id alone',
  present(authorization, params) {
    const client_id = bareClientId(authorization, params)
    if (client_id === undefined) return undefined
    return {
      client_id,
      async proves(client, { caller }) {
        const called = await caller()
        if (!called.principal) throw new OAuthError('invalid_client', `This client is proven by its machine. ${called.sentence}`)
        const { principal } = called
        if (principal.kind === 'node' && isProvenBy(client, principal)) return { node: principal }
        const has = principal.kind === 'node' ? `has ${principal.tags.join(', ')}` : `is ${principal.login}'s`
        throw new OAuthError(
          'invalid_client',
          `This client is proven by its machine, which has ${client.node_tags.join(' or ')}. ${principal.node.name} ${has}.`,
        )
      },
    }
  },
}
