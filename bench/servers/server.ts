/** What the benchmark knows of a server under test. `all` in options.ts is the list. */

export type Credentials = { client_id: string; client_secret: string }

/** What cannot be discovered: who asks for what. The same kinds of clients, tokens and requests on every server. */
export type Profile = {
  /** Path of the metadata document. */
  metadata_path: string
  /** The client of the code flow and of the refresh chains: confidential, `client_secret_basic`, PKCE all the same. */
  app: Credentials
  /** Never requested, only recognised. */
  redirect_uri: string
  /** Code flow and refresh: an ID token, and a JWT access token for this resource. */
  scope: string
  resource: string
  /** Introspection: the client that asks, and the tokens that it asks about. */
  introspection: { client: Credentials; scope: string; resource: string }
  /** Client credentials: a workload, and what it gets a token for (RFC 6749 §4.4). */
  workload: { client: Credentials; scope: string; resource: string }
  /** Token exchange: who swaps tokens of `shown` for those of `resource` (RFC 8693). Null where there is none: then it refreshes, which is less work. */
  exchange: { client: Credentials; shown: { scope: string; resource: string }; resource: string } | null
}

/** A server made ready to be started any number of times; the first start may make keys and a database, and is not timed. */
export type Prepared = {
  /** An issuer on loopback. */
  issuer: string
  command: readonly string[]
  env: Record<string, string>
  profile: Profile
  /** What one copies to a machine to have it, in MiB, where that is a single file. */
  size?: number
  /** Puts rows into the database that the first start made, before any start is timed; resolves with a sentence about them. */
  fill?: (progress: (text: string) => void) => Promise<string>
  /** Ends what the server needs beside itself (the mesh). */
  close(): Promise<void>
}

/** Of the ID tokens. */
export type IdTokenAlg = 'RS256' | 'ES256'

export type Wanted = {
  /** An empty folder, on a disk. */
  directory: string
  /** To listen on, at 127.0.0.1. */
  port: number
  /** Access tokens are always ES256 with P-256, RSA keys have 2048 bits. */
  idTokenAlg: IdTokenAlg
}

export type Server = {
  name: string
  version: string
  /** How it is set up, in a line: storage, and what makes the comparison fair or unfair. */
  setup: string
  /** Writes what the server needs into an empty folder. */
  prepare(wanted: Wanted): Promise<Prepared>
}

/** Nobody listens there. */
export const REDIRECT_URI = 'http://127.0.0.1:9/callback'

/** Registration: what a program on a person's computer asks for (RFC 7591 §2). The same on every server. */
export const REGISTRATION = {
  redirect_uris: [REDIRECT_URI],
  client_name: 'Bench',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}
