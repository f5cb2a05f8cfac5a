/** What the SDK asks of an application that signs people in: who it is, where it keeps things, and how it opens a browser. */
import { randomBytes } from 'node:crypto'
import type {
  OAuthClientProvider,
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client'

/** What is to be kept between runs. Tokens are in it. */
export type Saved = {
  client?: StoredOAuthClientInformation | undefined
  tokens?: StoredOAuthTokens | undefined
}

export type Storage = { read: () => Saved; write: (saved: Saved) => void }

/** Storage that ends with the process. */
export function inMemory(): Storage {
  let saved: Saved = {}
  return {
    read: () => saved,
    write: (next) => {
      saved = next
    },
  }
}

export type ProviderOptions = {
  name: string
  /** May have another port at each run: on loopback the port is free (RFC 8252 §7.3). */
  redirect_uri: string
  openBrowser: (url: URL) => void | Promise<void>
  storage?: Storage
  /** Of a Client ID Metadata Document, where the application has one; else it registers itself. */
  client_id?: string
}

/** `takesState`: whether this is the `state` of the sign-in under way, which it then is no more. */
export type Provider = OAuthClientProvider & { takesState: (given: string | null) => boolean }

export function createProvider({ name, redirect_uri, openBrowser, storage = inMemory(), client_id }: ProviderOptions): Provider {
  let state: string | undefined
  let verifier: string | undefined
  let discovered: OAuthDiscoveryState | undefined
  const change = (part: Partial<Saved>) => storage.write({ ...storage.read(), ...part })
  return {
    redirectUrl: redirect_uri,
    clientMetadata: {
      client_name: name,
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    ...(client_id !== undefined && { clientMetadataUrl: client_id }),
    state() {
      state = randomBytes(16).toString('base64url')
      return state
    },
    takesState(given) {
      const ours = state !== undefined && given === state
      if (ours) state = undefined
      return ours
    },
    clientInformation: () => storage.read().client,
    saveClientInformation: (client) => change({ client }),
    tokens: () => storage.read().tokens,
    saveTokens: (tokens) => change({ tokens }),
    redirectToAuthorization: (url) => openBrowser(url),
    saveCodeVerifier(text) {
      verifier = text
    },
    codeVerifier() {
      if (verifier === undefined) throw new Error('There is no sign-in under way.')
      return verifier
    },
    // Which authorization server the sign-in under way was begun with: its answer is taken to no other one.
    discoveryState: () => discovered,
    saveDiscoveryState(found) {
      discovered = found
    },
    // The server said that these are worth nothing any more.
    invalidateCredentials(what) {
      if (what === 'all' || what === 'client') change({ client: undefined })
      if (what === 'all' || what === 'tokens') change({ tokens: undefined })
      if (what === 'all' || what === 'discovery') discovered = undefined
    },
  }
}
