/** What a method of client authentication is (RFC 6749 §2.3). */
import type { Client } from '../clients/client.ts'
import type { ActivePolicy, Deps } from '../deps.ts'
import type { Params } from '../oauth/parse.ts'
import type { Caller, NodePrincipal } from '../oauth/principal.ts'
import type { Write } from '../store/engine.ts'

/**
 * What a request has to prove its client by, beside its body: a header, and the machine that it comes from, which is asked about only where that counts.
 * `funnelled`: it came from the public internet. `spent`: what this very request has used up already, so that looking at it twice is no second use, and what
 * gives that back (`give_back`).
 */
export type Credentials = {
  authorization: string | undefined
  caller: () => Promise<Caller>
  funnelled: boolean
  spent: Map<string, Write>
}

/** A client that is proven; `node`: the tagged machine that calls, where that is what proved it. */
export type Proof = { node: NodePrincipal | null }

/** What a request presents, by one method. */
export type Presented = {
  /** Undefined where it cannot be made out. */
  client_id: string | undefined
  /** What proves that client, or null. Throws `invalid_client` where there is more to say, and `Unavailable` where it cannot be found out. */
  proves: (client: Client, credentials: Credentials, deps: Deps) => Proof | null | Promise<Proof | null>
  /** Of a client that is described elsewhere: the client as it is there now, once it is proven who asks; undefined for others. Throws as `proves` does. */
  introduces?: (deps: Deps, policy: ActivePolicy, known: Client | undefined) => Promise<Client | undefined>
}

export type Method = {
  /** How it shows in a request. Of methods that look alike the one that the client has is used. */
  wire: string
  /** Undefined where the request does not use this method. Throws `invalid_client` where it does so badly. */
  present: (authorization: string | undefined, params: Params) => Presented | undefined
}

/** For methods that look at what was sent, and at nothing else. */
export const provenBy = (matches: boolean): Proof | null => (matches ? { node: null } : null)
