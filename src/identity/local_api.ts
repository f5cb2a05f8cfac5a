/** The LocalAPI of tailscaled, over its unix socket: the only place that speaks to the mesh. It changes nothing there, but that a certificate is got where one is asked for. */
import { Client, Pool } from 'undici'
import type { z } from 'zod'
import { Unavailable } from '../oauth/error.ts'
import { parseJson, type StatusAnswer, statusAnswer, type WhoisAnswer, whoisAnswer } from './answers.ts'

/** tailscaled answers 403 to any other Host, and to an Origin or a Referer: that is its guard against browsers. */
const origin = 'http://local-tailscaled.sock'

/** Initial state, peer changes, no network map. (Rate limit, bit 8, may not be combined with peer changes.) */
const busMask = 2 | 4096 | 8192

/** To get a certificate tailscaled speaks to an authority, which looks up a name. Milliseconds. */
const certificateDeadlineMs = 180_000

export type LocalApi = {
  /**
   * Who has this address ("IP", or "IP:port" with `proto`). Null is "no match", which means "nobody" only while the mesh is Running;
   * 'malformed' is an answer that names neither a person nor a tagged node. Throws `Unavailable`.
   */
  whois(address: string, options?: { proto?: 'tcp' }): Promise<WhoisAnswer | 'malformed' | null>
  /** Throws `Unavailable`. */
  status(options: { peers: boolean }): Promise<StatusAnswer>
  /** Calls `onLine` whenever the bus says something, whatever it is. Settles when the bus ends, fails, or `signal` aborts. */
  watch(onLine: () => void, signal: AbortSignal): Promise<void>
  /**
   * Private key and certificate chain for a name of this node, as PEM in `text` where `status` is 200; else why not, in tailscaled's words. Where tailscaled
   * keeps none that is good for `minValidity` more seconds it gets one first, which takes up to a minute or two. Throws `Unavailable`.
   */
  certificate(name: string, options?: { minValidity?: number }): Promise<{ status: number; text: string }>
  close(): Promise<void>
}

export type LocalApiOptions = {
  /** Path of tailscaled's unix socket. */
  socket: string
  /** From asking to the last byte, the retry included. Milliseconds. */
  deadlineMs?: number
  /** What an answer may weigh. The list of all peers, 1.5 kB each, may weigh 16 times as much. Bytes. */
  maxBytes?: number
}

export function openLocalApi({ socket, deadlineMs = 1500, maxBytes = 1 << 20 }: LocalApiOptions): LocalApi {
  // undici's own timeouts are coarse, and per chunk; one timer of ours covers the whole question.
  const pool = new Pool(origin, { socketPath: socket, connections: 8, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })

  async function ask(path: string, limit: number, deadline = deadlineMs): Promise<{ status: number; text: string }> {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(new Failure(`did not answer within ${deadline} ms`)), deadline)
    try {
      return await askOnce(path, limit, abort.signal).catch((error: unknown) => {
        // A kept-alive connection to a tailscaled that was restarted dies at its next use.
        if (!cutOff.has(codeOf(error))) throw error
        return askOnce(path, limit, abort.signal)
      })
    } catch (error) {
      throw away(socket, abort.signal.aborted ? abort.signal.reason : error)
    } finally {
      clearTimeout(timer)
    }
  }

  async function askOnce(path: string, limit: number, signal: AbortSignal) {
    const { statusCode, body } = await pool.request({ path, method: 'GET', signal })
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) throw new Failure(`answered more than ${limit} bytes`) // leaving the loop closes the connection
      chunks.push(chunk)
    }
    return { status: statusCode, text: (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString() }
  }

  function json({ status, text }: { status: number; text: string }): unknown {
    if (status !== 200) throw away(socket, new Failure(`answered with HTTP status ${status}`)) // a redirect, too
    try {
      return parseJson(text)
    } catch (error) {
      throw away(socket, new Failure('answered something that is not JSON', { cause: error }))
    }
  }

  return {
    async whois(address, { proto } = {}) {
      const query = `addr=${encodeURIComponent(address)}${proto ? `&proto=${proto}` : ''}`
      const answer = await ask(`/localapi/v0/whois?${query}`, maxBytes)
      if (answer.status === 404) return null
      return parsed(whoisAnswer, json(answer)) ?? 'malformed'
    },

    async status({ peers }) {
      const answer = json(await ask(`/localapi/v0/status?peers=${peers}`, peers ? maxBytes * 16 : maxBytes))
      const status = parsed(statusAnswer, answer)
      if (!status) throw away(socket, new Failure('answered a status that meshidp cannot read'))
      return status
    },

    async watch(onLine, signal) {
      const client = new Client(origin, { socketPath: socket, headersTimeout: 10_000, bodyTimeout: 0 })
      try {
        const { statusCode, body } = await client.request({ path: `/localapi/v0/watch-ipn-bus?mask=${busMask}`, method: 'GET', signal })
        if (statusCode !== 200) throw new Failure(`answered the bus with HTTP status ${statusCode}`)
        // Nothing is parsed, nor gathered: a chunk is at least a part of a line, and any line means the same.
        for await (const _chunk of body) onLine()
      } finally {
        await client.destroy()
      }
    },

    async certificate(name, { minValidity } = {}) {
      const validity = minValidity === undefined ? '' : `&min_validity=${Math.ceil(minValidity)}s`
      return ask(`/localapi/v0/cert/${encodeURIComponent(name)}?type=pair${validity}`, maxBytes, certificateDeadlineMs)
    },

    close: () => pool.destroy(),
  }
}

/** What the LocalAPI did, as the end of a sentence that begins with its name. */
class Failure extends Error {}

const cutOff = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

const restart = 'Run: systemctl restart tailscaled'

/** What each failure means, and what to do about it. */
const told = new Map<string, readonly [what: string, remedy: string]>([
  ['ENOENT', ['is not there', 'Start tailscaled ("systemctl start tailscaled"), or name its socket in "mesh.socket"']],
  ['EACCES', ['may not be opened by this user', 'Run meshidp as a user who may open it, or name another one in "mesh.socket"']],
  ['ECONNREFUSED', ['refuses connections', restart]],
  ['ECONNRESET', ['broke off', restart]],
  ['EPIPE', ['broke off', restart]],
  ['UND_ERR_SOCKET', ['broke off', restart]],
])

/** What an operator should know of an LocalAPI that did not answer as it should; strangers are not told where it is. */
export class LocalApiFault extends Error {
  readonly remedy: string
  constructor(message: string, remedy: string, cause: unknown) {
    super(message, { cause })
    this.remedy = remedy
  }
}

const codeOf = (error: unknown) => String((error as { code?: unknown } | null)?.code ?? '')

function away(socket: string, error: unknown): Unavailable {
  const [what, remedy] = told.get(codeOf(error)) ?? [error instanceof Failure ? error.message : 'cannot be asked', restart]
  return new Unavailable(`The mesh cannot say who is calling: the socket of tailscaled ${what}. Try again in a moment.`, {
    cause: new LocalApiFault(`${socket} ${what}`, remedy, error),
  })
}

function parsed<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> | null {
  const result = schema.safeParse(value)
  return result.success ? result.data : null
}
