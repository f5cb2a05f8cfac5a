import { OAuthError } from '../oauth/error.ts'
import { digest, sameDigest } from '../oauth/secret.ts'
import { type Method, provenBy } from './method.ts'

const malformed = () =>
  new OAuthError('invalid_client', 'The Authorization header is not well-formed HTTP Basic authentication (RFC 7617).', {
    headers: { 'www-authenticate': 'Basic realm="meshidp", charset="UTF-8"' },
  })

/** Ids of the policy file hold a colon, and many clients do not encode it; nobody is called just "client". */
const policyPrefix = 'client:'

/** RFC 6749 Appendix B: id and secret are form-encoded before they are joined. Decoded once; what needs no decoding is left as it is. */
function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw malformed()
  }
}

/** RFC 6749 §2.3.1 with RFC 7617: canonical base64 of `id:secret`. */
export const client_secret_basic: Method = {
  wire: 'client_secret_basic',
  present(authorization) {
    if (authorization === undefined) return undefined
    const [, encoded] = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(authorization) ?? []
    if (encoded === undefined) throw malformed()
    const bytes = Buffer.from(encoded, 'base64')
    if (bytes.toString('base64') !== encoded) throw malformed()
    const pair = bytes.toString('utf8')
    const colon = pair.indexOf(':', pair.startsWith(policyPrefix) ? policyPrefix.length : 0)
    if (colon < 1) throw malformed()
    const given = digest(formDecoded(pair.slice(colon + 1)))
    return {
      client_id: formDecoded(pair.slice(0, colon)),
      proves: ({ secret_digest }) => provenBy(secret_digest !== null && sameDigest(secret_digest, given)),
    }
  },
}
