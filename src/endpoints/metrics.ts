import { refuse } from '../decide.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Endpoint } from '../http/endpoint.ts'
import { metricsHeaders } from '../http/metrics_text.ts'
import { OAuthError } from '../oauth/error.ts'
import type { Principal } from '../oauth/principal.ts'
import { timed } from '../observe/trace.ts'
import { evaluate } from '../policy/index.ts'

/**
 * The metrics in the mesh, for people whom the policy makes admins and for machines with a tag that the configuration names. Looking is no deed, so only a
 * refusal is recorded. Where the metrics have a listener of their own there is nothing here.
 */
export const metrics: Endpoint = {
  path: '/metrics',
  methods: ['GET'],
  cost: 'read',
  async handle(deps, request) {
    if (deps.config.metrics.listen !== undefined) throw new OAuthError('not_found', 'There is nothing at this address.')
    const caller = await deps.identity.identify(request.connection)
    if (!caller.principal) throw new OAuthError('access_denied', caller.sentence)
    const { principal } = caller
    if (!isNamed(deps, principal)) await requireAdmin(deps, deps.policy(), principal)
    return { status: 200, headers: metricsHeaders, body: await deps.metrics.registry.text() }
  },
}

const isNamed = ({ config }: Deps, principal: Principal): boolean =>
  principal.kind === 'node' && principal.tags.some((tag) => config.metrics.tags.includes(tag))

/** Throws `access_denied`, with the decision that says why. */
async function requireAdmin(deps: Deps, policy: ActivePolicy, principal: Principal): Promise<void> {
  const asked = { app: 'admin', principal, access: 'read' } as const
  const verdict = timed(deps.trace, 'policy', () => evaluate(policy, asked, deps.now()))
  if (!verdict.allowed) throw await refuse(deps, policy, asked, { entry: 'admin' }, verdict)
}
