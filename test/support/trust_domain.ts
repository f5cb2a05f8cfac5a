/** A SPIFFE trust domain: it signs JWT-SVIDs, and publishes its bundle at an endpoint of its own over TLS. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { jwkOf, jwtBy, newPair, type Pair } from './assertion.ts'
import { selfSigned } from './certificate.ts'
import { temporaryDirectory } from './start.ts'

export type Answer = { status: number; body: string; headers: Record<string, string> }

/** SPIFFE Trust Domain and Bundle §4: what a bundle looks like, with a key for X.509-SVIDs that is none of ours beside. */
export const bundleText = (pairs: readonly Pair[], more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    keys: [
      ...pairs.map((pair) => jwkOf(pair, { use: 'jwt-svid' })),
      jwkOf(newPair('ES384'), { use: 'x509-svid', kid: undefined, x5c: ['MIIB'] }),
    ],
    spiffe_sequence: 1,
    spiffe_refresh_hint: 300,
    ...more,
  })

/**
 * Starts its bundle endpoint. `source` is what the configuration says of it; `rotate` publishes other keys with the next sequence; `answer` says what comes
 * instead, null for the bundle.
 */
export async function startTrustDomain(t: TestContext, name: string, ...pairs: readonly Pair[]) {
  const { key, cert } = selfSigned('127.0.0.1')
  const ca_file = join(temporaryDirectory(t), 'ca.pem')
  writeFileSync(ca_file, cert)
  const domain = {
    name,
    pairs: pairs.length > 0 ? [...pairs] : [newPair('ES256')],
    sequence: 1 as number | string | undefined,
    more: {} as Record<string, unknown>,
    asked: 0,
    answer: null as Partial<Answer> | null,
    bundle: (): string => bundleText(domain.pairs, { spiffe_sequence: domain.sequence, ...domain.more }),
    rotate(...fresh: readonly Pair[]): void {
      domain.pairs = [...fresh]
      domain.sequence = Number(domain.sequence) + 1
    },
    /** JWT-SVID §3; as SPIRE makes them: kid and typ in the header. */
    svid: (
      path: string,
      claims: { aud: unknown; exp?: unknown } & Record<string, unknown>,
      header: Record<string, unknown> = {},
      by?: Pair,
    ): string => jwtBy(by ?? (domain.pairs[0] as Pair), { sub: `spiffe://${name}${path}`, ...claims }, { typ: 'JWT', ...header }),
  }
  const server = createServer({ key, cert }, (request, response) => {
    if (request.url !== '/bundle.json') return void response.writeHead(404).end()
    domain.asked++
    const { status = 200, body = domain.bundle(), headers = {} } = domain.answer ?? {}
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const https_web = `https://127.0.0.1:${(server.address() as AddressInfo).port}/bundle.json`
  return Object.assign(domain, { source: { https_web, ca_file } })
}

export type TrustDomain = Awaited<ReturnType<typeof startTrustDomain>>
