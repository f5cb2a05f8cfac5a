/**
 * The stranger of the flood, in a process of its own: a job on standard input, what came of it on standard output, both JSON. It writes finished requests
 * to raw connections and reads nothing but statuses, so that it costs the machine little. It gives way to whatever else wants its core.
 */
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setPriority } from 'node:os'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { type Profile, REGISTRATION } from '../servers/server.ts'
import { form } from './http.ts'
import { discover, type Target } from './target.ts'

export type StrangerJob = {
  issuer: string
  profile: Profile
  /** Where it calls from. */
  address: string
  /** Requests a second that are due; what finds all connections full is not sent. */
  rate: number
  connections: number
  /** Whether each request comes on a connection of its own. */
  reconnecting: boolean
  /** When it begins, in milliseconds since the epoch. */
  from: number
  seconds: number
}

export type Flood = {
  due: number
  sent: number
  answered: number
  /** Connections that the server ended. */
  ended: number
  statuses: Record<string, number>
}

/** Requests on one connection that may wait for their answers: less than the server puts up with. */
const DEPTH = 16

giveWay()
const job: StrangerJob = JSON.parse(await text(process.stdin))
const target = await discover(job.issuer, job.profile)
process.stdout.write(JSON.stringify(await flood(job, requestsOf(target, job.reconnecting))), () => process.exit(0))

/** Linux may weigh sessions before it weighs their processes; then it is the session that has to give way. */
function giveWay(): void {
  setPriority(19)
  try {
    writeFileSync('/proc/self/autogroup', '19')
  } catch {
    // It does not.
  }
}

type Line = { socket: Socket; waiting: number; spent: boolean }

async function flood({ issuer, address, rate, connections, reconnecting, from, seconds }: StrangerJob, requests: Buffer[]): Promise<Flood> {
  const result: Flood = { due: 0, sent: 0, answered: 0, ended: 0, statuses: {} }
  const port = Number(new URL(issuer).port)
  const lines: (Line | undefined)[] = Array.from({ length: connections })

  function open(index: number): Line {
    const socket = connect({ host: '127.0.0.1', port, localAddress: address, noDelay: true })
    const line: Line = { socket, waiting: 0, spent: false }
    socket.setEncoding('latin1').on('data', (data) => {
      for (const [, status = ''] of String(data).matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        result.answered++
        line.waiting--
        result.statuses[status] = (result.statuses[status] ?? 0) + 1
      }
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (!line.spent || line.waiting > 0) result.ended++
      if (lines[index] === line) lines[index] = undefined
    })
    lines[index] = line
    return line
  }

  await pause(from - Date.now())
  const begun = performance.now()
  let turn = 0
  while (performance.now() - begun < seconds * 1000) {
    const due = Math.floor(((performance.now() - begun) * rate) / 1000)
    for (; result.due < due; result.due++) {
      const index = turn++ % connections
      const line = lines[index] ?? open(index)
      if (line.spent || line.waiting >= DEPTH) continue
      line.waiting++
      line.spent = reconnecting
      line.socket.write(requests[result.sent++ % requests.length] as Buffer)
    }
    await pause(1)
  }
  for (const line of lines) line?.socket.destroy()
  return result
}

/** What somebody would send who hopes to be let in: requests in good order, of a client that exists. */
function requestsOf({ origin, paths, profile }: Target, last: boolean): Buffer[] {
  const { app, redirect_uri, scope, resource } = profile
  const { host } = new URL(origin)
  const code_challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM' // RFC 7636, appendix B
  const wanted = {
    response_type: 'code',
    client_id: app.client_id,
    redirect_uri,
    scope,
    resource,
    code_challenge,
    code_challenge_method: 'S256',
  }
  const token = { grant_type: 'refresh_token', client_id: app.client_id, client_secret: 'guessed', refresh_token: 'guessed' }
  const bytes = (method: string, path: string, type = '', body = '') =>
    Buffer.from(
      `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${last ? 'Connection: close\r\n' : ''}` +
        `${body === '' ? '' : `Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`}\r\n${body}`,
    )
  return [
    bytes('GET', `${paths.authorization}?${form(wanted)}`),
    bytes('POST', paths.registration, 'application/json', JSON.stringify(REGISTRATION)),
    bytes('POST', paths.token, 'application/x-www-form-urlencoded', form(token)),
  ]
}
