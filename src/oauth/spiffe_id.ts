/** SPIFFE IDs (SPIFFE-ID §2): `spiffe://trust-domain/path`, in the one spelling that they have. */

export type SpiffeId = { trust_domain: string; segments: readonly string[] }

/** SPIFFE-ID §2.3. */
const longest = 2048

/** SPIFFE-ID §2.1: lower case, so that nobody has to fold it; no port, no user, no percent-encoding. */
const trustDomain = /^[a-z0-9._-]{1,255}$/
/** SPIFFE-ID §2.2: no empty segment, and none that leads elsewhere. */
const segment = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/

export const isTrustDomain = (text: string): boolean => trustDomain.test(text)

function parse(text: string, isSegment: (one: string) => boolean): SpiffeId | undefined {
  if (text.length > longest || !text.startsWith('spiffe://')) return undefined
  const [trust_domain = '', ...segments] = text.slice('spiffe://'.length).split('/')
  return isTrustDomain(trust_domain) && segments.length > 0 && segments.every(isSegment) ? { trust_domain, segments } : undefined
}

/** The parts of a workload's SPIFFE ID; undefined for all that is none, and for that of a trust domain itself, which is nobody's. */
export const parseSpiffeId = (text: string): SpiffeId | undefined => parse(text, (one) => segment.test(one))

/** The same of a pattern of the policy: each `*` stands for one whole segment. */
export const parseSpiffePattern = (text: string): SpiffeId | undefined => parse(text, (one) => one === '*' || segment.test(one))

/** Whether a workload is one of those that a pattern stands for. */
export const isOneOf = (id: SpiffeId, pattern: SpiffeId): boolean =>
  id.trust_domain === pattern.trust_domain &&
  id.segments.length === pattern.segments.length &&
  pattern.segments.every((one, at) => one === '*' || one === id.segments[at])

/** `spiffe_id` of client metadata (draft-ietf-oauth-spiffe-client-auth-02 §5.1): an id, or one that ends in `/*` and stands for all below it. */
export const isRegisteredSpiffeId = (text: string): boolean => parseSpiffeId(text.replace(/\/\*$/, '')) !== undefined

/** Whether a workload is who such a `spiffe_id` names: whole segments only, so `…/app/*` is not `…/app-evil`. */
export const isRegistered = (id: string, spiffe_id: string): boolean =>
  spiffe_id.endsWith('/*') ? id.startsWith(spiffe_id.slice(0, -1)) : id === spiffe_id
