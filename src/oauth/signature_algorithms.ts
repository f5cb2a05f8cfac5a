/** By what others may sign what they send us (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864): asymmetric algorithms only. `EdDSA` is the old name of `Ed25519`. */
export const signatureAlgorithms = [
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
  'Ed25519',
  'EdDSA',
] as const

export type SignatureAlgorithm = (typeof signatureAlgorithms)[number]
