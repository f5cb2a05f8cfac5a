/** Requests and answers as the workloads see them. */

export type Request = { method: 'GET' | 'POST'; path: string; headers: Record<string, string>; body?: string }

export type Answer = {
  status: number
  body: string /** All values of a header, by its name in lower case. */
  header(name: string): string[]
}

/**
 * A conversation with the server, one operation long: it yields a request and is given the answer. What it returns matters only to another
 * conversation that contains it; what it throws is a failed operation.
 */
export type Conversation<Result = unknown> = Generator<Request, Result, Answer>

type Parameters = Record<string, string | undefined>

/** Parameters as a form or a query; undefined ones are left out. */
export function form(...sources: Parameters[]): string {
  const all = new URLSearchParams()
  for (const source of sources) for (const [name, value] of Object.entries(source)) if (value !== undefined) all.append(name, value)
  return all.toString()
}

export const get = (path: string, headers: Record<string, string> = {}): Request => ({ method: 'GET', path, headers })

/** A form, with the client authenticated by its secret in the header: RFC 6749 §2.3.1. */
export function post(path: string, client: { client_id: string; client_secret: string }, parameters: Parameters): Request {
  const userinfo = `${encodeURIComponent(client.client_id)}:${encodeURIComponent(client.client_secret)}`
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    authorization: `Basic ${Buffer.from(userinfo).toString('base64')}`,
  }
  return { method: 'POST', path, headers, body: form(parameters) }
}

/** The JSON of a successful answer. Throws what came back otherwise. */
export function json<T>(answer: Answer, what: string): T {
  if (answer.status !== 200 && answer.status !== 201) throw unexpected(answer, what)
  return JSON.parse(answer.body)
}

export const unexpected = (answer: Answer, what: string) =>
  new Error(`${what}: ${answer.status} ${answer.header('location')[0] ?? answer.body.slice(0, 300)}`)
