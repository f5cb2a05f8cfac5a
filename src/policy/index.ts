/** The pure engine: text in, decisions out; no clock, no I/O. This file is what the rest of meshidp sees of it. */
export { compile } from './compile.ts'
export { evaluate } from './evaluate.ts'
export { identityScopes, isIdentityScope } from './identity_scopes.ts'
export { knownScopes } from './known_scopes.ts'
export { defaults } from './limits.ts'
export { didYouMean } from './nearest.ts'
export type { Compiled, Policy, PolicyClient, Problem, Resource } from './policy.ts'
export type { Allowed, Asked, ClientFacts, DenialReason, Denied, Limits, Verdict } from './verdict.ts'
