/** Names to addresses, without `getaddrinfo`: that one waits in Node's few worker threads, where slow names would stall everybody's files. */
import { Resolver } from 'node:dns/promises'

/** Host name → its addresses. Rejects, or answers with none, where there are none; gives up when the signal aborts. */
export type Lookup = (hostname: string, signal: AbortSignal) => Promise<readonly string[]>

/** Asks DNS for A and AAAA records. `servers`: addresses of name servers, else those of the system; `/etc/hosts` is not read. */
export const createDnsLookup =
  (servers?: readonly string[]): Lookup =>
  async (hostname, signal) => {
    const resolver = new Resolver({ timeout: 1000, tries: 2 })
    if (servers) resolver.setServers(servers)
    signal.addEventListener('abort', () => resolver.cancel(), { once: true })
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (addresses.length > 0) return addresses
    throw new AggregateError(
      answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : [])),
      `DNS knows no address of ${hostname}`,
    )
  }
