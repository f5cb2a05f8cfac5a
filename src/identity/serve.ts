/**
 * Identity behind "tailscale serve", which forwards to a unix socket of ours (mode 0600).
 *
 * Trusts: that only tailscaled can open that socket, and that serve replaces X-Forwarded-For by the address of the peer. It pools
 * connections of different people, so each request is resolved anew. The login header is never trusted: it may only contradict.
 */
import { parseAddress } from './address.ts'
import { nobody } from './nobody.ts'
import { isFunnelled, type Strategy, type Surroundings } from './strategy.ts'

export function serve({ callers, isMesh, log }: Surroundings): Strategy {
  return async (connection) => {
    const { headers, remoteAddress } = connection
    if (remoteAddress !== '') return nobody('not_mesh', remoteAddress) // TCP: not our unix socket
    if (isFunnelled(connection)) return nobody('funnel', '')

    // Node joins repeated headers by a comma, so that several values are no address, either.
    const source = parseAddress(String(headers['x-forwarded-for'] ?? ''))
    if (source === null || !isMesh(source)) return nobody('forwarded', '')

    const caller = callers.known(source) ?? (await callers.ask(source))
    const claimed = headers['tailscale-user-login']
    if (claimed === undefined || caller.principal === null) return caller
    const login = caller.principal.kind === 'user' ? caller.principal.login : null // a tagged node has no login header
    if (decodeWords(String(claimed)) === login) return caller
    log?.warn({ address: source, claimed, login }, 'A request behind serve names another login than whois does; it is refused.')
    return {
      ...nobody('forwarded', source),
      sentence: `This request names another person than the mesh knows at ${source}. Something other than "tailscale serve" wrote its headers; ask an admin.`,
    }
  }
}

/** RFC 2047 §4.2, as Go's Q encoding writes it: words apart by a space belong together (§6.2). Decoded once. */
export function decodeWords(value: string): string {
  const words = value.replace(/\?=\s+=\?/g, '?==?')
  return words.replace(/=\?utf-8\?q\?([^?]*)\?=/gi, (_word, text: string) => {
    const bytes = text
      .replaceAll('_', ' ')
      .replace(/=([0-9a-f]{2})/gi, (_hex, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    return Buffer.from(bytes, 'latin1').toString('utf8')
  })
}
