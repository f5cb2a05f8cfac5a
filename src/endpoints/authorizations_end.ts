import { personOf } from '../authorization/caller.ts'
import { type Endpoint, formOf } from '../http/endpoint.ts'
import { redirect } from '../http/page.ts'
import { requireSameOrigin } from '../http/same_origin.ts'
import { OAuthError } from '../oauth/error.ts'
import { pathOf } from '../oauth/issuer.ts'
import { required } from '../oauth/parse.ts'
import { endAuthorization } from '../store/authorizations.ts'
import { forgetConsent } from '../store/consents.ts'

/** The button of the home page: a person ends what they allowed, and is asked again the next time. Of others' sign-ins nobody learns that there are any. */
export const endOwnAuthorization: Endpoint = {
  path: '/authorizations/end',
  methods: ['POST'],
  body: 'form',
  page: true,

  async handle(deps, request) {
    requireSameOrigin(request, deps.config.issuer)
    const id = required(formOf(request), 'authorization')
    const { user_id } = await personOf(deps, request.connection)
    const authorization = await deps.store.authorizations.find(id)
    if (authorization?.user_id !== user_id) throw new OAuthError('not_found', 'This is none of your sign-ins, so nothing was ended.')
    await deps.store.commit([endAuthorization(id, deps.now(), 'ended by its person'), forgetConsent(authorization)])
    return redirect(`${pathOf(deps.config.issuer)}/`)
  },
}
