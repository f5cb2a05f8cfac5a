/**
 * The only way out: one https GET to an address that was looked at before. A stranger chooses the URL, so nothing about it is trusted
 * (CIMD §8.6, OWASP SSRF): no special-use address unless the operator said so, the connection goes to the very address that was checked, no redirect,
 * no reuse of connections, no proxy, no compression, little data, little time, and one error for everything.
 */
import { isIP, type LookupFunction } from 'node:net'
import { Client } from 'undici'
import { createDnsLookup, type Lookup } from './dns_lookup.ts'
import { isSpecialUse } from './special_use.ts'

/** A header's value; repeated ones are joined with ", " (RFC 9110 §5.2). */
export type Headers = ReadonlyMap<string, string>

export type Fetched = { headers: Headers; body: string }

/** GETs an https URL: the answer of status 200 as text. Rejects with FetchRefused, whatever went wrong. */
export type GuardedFetch = (url: string, options: { accept: string }) => Promise<Fetched>

/** It could not be fetched. Why not is only in the cause: whoever named the URL must not learn what listens where. */
export class FetchRefused extends Error {
  constructor(cause: unknown) {
    super('It could not be fetched.', { cause })
    this.name = 'FetchRefused'
  }
}

export type GuardedFetchOptions = {
  /** Whether the operator named this URL, which then may lead to special-use addresses (in the mesh, say). Default: none. */
  allow?: (url: string) => boolean
  /** Milliseconds for all of it: DNS, connection, TLS, body. */
  deadlineMs?: number
  /** Bytes of a body. CIMD §8.7. */
  mostBytes?: number
  /** Certificate authorities (PEM) instead of Node's own. */
  ca?: string
  lookup?: Lookup
}

/** Makes the one way out. It keeps nothing between fetches, so there is nothing to close. */
export function createGuardedFetch(options: GuardedFetchOptions = {}): GuardedFetch {
  const { allow = () => false, deadlineMs = 3000, mostBytes = 5 * 1024, ca, lookup = createDnsLookup() } = options

  async function addressesOf(url: URL, allowed: boolean, signal: AbortSignal): Promise<readonly string[]> {
    const bare = url.hostname.replace(/^\[|\]$/g, '')
    const addresses = isIP(bare) ? [bare] : await lookup(bare, signal)
    if (addresses.length === 0) throw new Error('the name has no address')
    // One such address among public ones is already a trap.
    const special = allowed ? undefined : addresses.find(isSpecialUse)
    if (special !== undefined) throw new Error(`${special} is a special-use address`)
    return addresses
  }

  /** A fresh connection that can reach nothing but `addresses`; its certificate must be for the URL's host. */
  const connectTo = (url: URL, addresses: readonly string[]) =>
    new Client(url.origin, {
      allowH2: false,
      pipelining: 0,
      maxResponseSize: mostBytes,
      maxHeaderSize: 16 * 1024,
      connectTimeout: deadlineMs,
      headersTimeout: deadlineMs,
      bodyTimeout: deadlineMs,
      autoSelectFamily: true,
      connect: { rejectUnauthorized: true, maxCachedSessions: 0, lookup: pinned(addresses), ...(ca === undefined ? {} : { ca }) },
    })

  return async function guardedFetch(url, { accept }) {
    const aborter = new AbortController()
    const { signal } = aborter
    const late = Promise.withResolvers<never>()
    let client: Client | undefined

    async function get(): Promise<Fetched> {
      const target = new URL(url)
      if (target.protocol !== 'https:') throw new Error('not https')
      const addresses = await addressesOf(target, allow(url), signal)
      signal.throwIfAborted()
      client = connectTo(target, addresses)
      const answer = await client.request({
        method: 'GET',
        path: target.pathname + target.search,
        headers: { accept, 'accept-encoding': 'identity', 'user-agent': 'meshidp' },
        signal,
      })
      if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`) // so no redirect either
      const headers = headersOf(answer.headers)
      if ((headers.get('content-encoding') ?? 'identity') !== 'identity') throw new Error('the body is encoded')
      return { headers, body: new TextDecoder('utf-8', { fatal: true }).decode(await answer.body.arrayBuffer()) }
    }

    const timer = setTimeout(() => {
      const reason = new Error(`not done within ${deadlineMs} ms`)
      aborter.abort(reason)
      late.reject(reason)
    }, deadlineMs)
    try {
      return await Promise.race([get(), late.promise])
    } catch (cause) {
      throw new FetchRefused(cause)
    } finally {
      clearTimeout(timer)
      await client?.destroy()
    }
  }
}

/** Node asks this for the host's addresses, instead of asking DNS a second time. */
const pinned =
  (addresses: readonly string[]): LookupFunction =>
  (_hostname, { all }, callback) => {
    const answers = addresses.map((address) => ({ address, family: isIP(address) }))
    if (all) return callback(null, answers)
    const [first = { address: '', family: 4 }] = answers
    return callback(null, first.address, first.family)
  }

const headersOf = (given: Record<string, string | string[] | undefined>): Headers =>
  new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value.join(', ') : (value ?? '')]))
