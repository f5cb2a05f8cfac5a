/** The one renderer of refusals: HTML for a browser, JSON for everybody else; the same words as in the log. */
import { OAuthError } from '../oauth/error.ts'
import { GuardFailed } from '../store/engine.ts'
import { inWords } from './duration.ts'
import { json, quotable, type Reply } from './endpoint.ts'
import { type Html, html } from './html.ts'
import { page } from './page.ts'

/** Whatever was thrown → an OAuthError. What nobody foresaw is `server_error`, and says nothing of itself to strangers. */
export function toOAuthError(thrown: unknown): OAuthError {
  if (thrown instanceof OAuthError) return thrown
  if (thrown instanceof GuardFailed)
    return new OAuthError('invalid_request', 'Somebody else changed this at the same moment. Try again.', { cause: thrown })
  return new OAuthError('server_error', 'Something went wrong inside meshidp. The log has more, under this request id.', { cause: thrown })
}

/** RFC 6749 §5.2. @param description of few characters, as all may carry it that OAuth has; others take the sentence as it is */
export const errorJson = (error: OAuthError, request_id: string, description = quotable(error.message)): Reply =>
  json(
    {
      error: error.code,
      error_description: description,
      request_id,
      ...(error.details.decision_id && { decision_id: error.details.decision_id }),
    },
    error.status,
    error.details.headers,
  )

const headlines = new Map<number, string>([
  [400, 'This request cannot be answered'],
  [403, 'Not allowed'],
  [404, 'There is nothing here'],
  [421, 'This is not the address of this server'],
  [503, 'Not possible just now'],
])

/** A refusal as a person sees it: what happened, what would have allowed it, what to do next, and what to mention. `more`: what they can do besides. */
export function errorPage(base: string, error: OAuthError, request_id: string, more?: Html): Reply {
  const headline = headlines.get(error.status) ?? (error.status < 500 ? 'This request cannot be answered' : 'Something went wrong')
  const { denial, decision_id } = error.details
  const reference = decision_id ? html`Decision <code>${decision_id}</code>` : html`Request <code>${request_id}</code>`
  const content = html`<p class="eyebrow">This did not work.</p>
<h1>${headline}</h1>
<p>${denial?.sentence ?? error.message}</p>
${denial && denial.near.length > 0 && html`<h2>What would allow it</h2><ul>${denial.near.map((sentence) => html`<li>${sentence}</li>`)}</ul>${denial.reasons.length > 0 && html`<p class="quiet">About that the policy says: ${denial.reasons.join(' ')}</p>`}`}
<h2>What to do next</h2>
<p>${nextStep(error)}</p>
${more}
<p class="quiet last">${reference} &middot; <code>${error.code}</code>${error.status !== 421 && html` &middot; <a href="${base}/">Who you are here</a>`}</p>`
  return page(base, headline, content, error.status, error.details.headers)
}

/** What a person can do about it. */
function nextStep({ status, details: { decision_id, headers } }: OAuthError): Html {
  if (decision_id) return html`Ask an admin, and mention the decision below.`
  const seconds = Number(headers?.['retry-after'])
  if (seconds > 0) return html`Wait ${inWords(seconds)}, then load this page again.`
  if (status === 404) return html`Check the address, or go back to where you came from.`
  if (status === 421) return html`Open this server by the name that it has.`
  return html`Go back to where you came from and try again. If it happens again, tell an admin, and mention the request below.`
}
