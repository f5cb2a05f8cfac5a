/** On the development mesh a machine is its loopback address: what it sends comes from there. */
import { Agent, type Dispatcher, request, fetch as undiciFetch } from 'undici'

export type Machine = {
  /** As the global fetch, from this machine. `onExchange` hears of each request and its answer. */
  fetch: (url: string | URL, init?: RequestInit) => Promise<Response>
  /** One request of a browser on this machine; redirects are not followed. */
  browse: (url: string, sent?: { form: Record<string, string> }) => Promise<{ status: number; location: string | undefined; text: string }>
  close: () => Promise<void>
}

export type Exchange = { method: string; url: URL; status: number }

export const machineAt = (address: string, onExchange?: (exchange: Exchange) => void): Machine =>
  machineBy(new Agent({ localAddress: address, connect: { family: 4 } }), onExchange)

/** The machine from which that dispatcher sends. */
export function machineBy(dispatcher: Dispatcher, onExchange: (exchange: Exchange) => void = () => undefined): Machine {
  return {
    async fetch(url, init) {
      const answer = await undiciFetch(url, { ...(init as object), dispatcher })
      onExchange({ method: init?.method ?? 'GET', url: new URL(url), status: answer.status })
      // The SDKs look for the global Response, which the one of this package is not.
      const { status, statusText, headers } = answer
      return new Response(answer.body as ReadableStream | null, { status, statusText, headers: [...headers] })
    },
    async browse(url, sent) {
      const { origin } = new URL(url)
      const answer = await request(url, {
        dispatcher,
        method: sent ? 'POST' : 'GET',
        headers: {
          accept: 'text/html',
          ...(sent && { 'content-type': 'application/x-www-form-urlencoded', origin, 'sec-fetch-site': 'same-origin' }),
        },
        ...(sent && { body: new URLSearchParams(sent.form).toString() }),
      })
      return { status: answer.statusCode, location: answer.headers.location as string | undefined, text: await answer.body.text() }
    },
    close: () => dispatcher.destroy(),
  }
}
