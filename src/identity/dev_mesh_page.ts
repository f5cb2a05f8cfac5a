/**
 * The page of the development mesh: who is at this machine's browser. It gives identities away, so it listens on loopback only,
 * answers only to loopback names (against DNS rebinding), and changes something only at the wish of a page of its own.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { http } from '../node_http.ts'
import type { MeshDocument } from './dev_mesh_document.ts'

export type DevMeshPageOptions = {
  /** 0: any free one. */
  port: number
  /** "localhost" by default; anything but loopback is refused. */
  host?: string
  document: () => MeshDocument
  /** Puts a machine, by name, at the browser. */
  choose: (machine: string) => void
}

const loopbackHosts = new Set(['localhost', '127.0.0.1', '::1'])

/** Throws where `host` is not loopback, or the port is taken. */
export async function serveDevMeshPage(options: DevMeshPageOptions): Promise<{ url: string; close(): Promise<void> }> {
  const { port, host = 'localhost' } = options
  if (!loopbackHosts.has(host)) {
    throw new Error(`The page of the development mesh is for this machine only: it cannot listen on "${host}". Use localhost.`)
  }
  const server = http.createServer((request, response) => void answer(request, response, options))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve())
  })
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}/`,
    close: () => closed(server),
  }
}

const closed = (server: Server) =>
  new Promise<void>((done) => {
    server.close(() => done())
    server.closeAllConnections()
  })

type Send = (status: number, body: string, headers?: Record<string, string>) => ServerResponse

function answer(request: IncomingMessage, response: ServerResponse, options: DevMeshPageOptions): ServerResponse | Promise<ServerResponse> {
  const send: Send = (status, body, headers = {}) => response.writeHead(status, { ...safeHeaders, ...headers }).end(body)

  if (!isLoopbackName(request.headers.host)) return send(421, 'This page is only for names of this machine, such as localhost.\n')
  if (request.url !== '/') return send(404, 'There is one page here: /\n')
  if (request.method === 'GET' || request.method === 'HEAD') {
    return send(200, page(options.document()), { 'content-type': 'text/html; charset=utf-8' })
  }
  if (request.method !== 'POST') return send(405, 'GET shows this page, POST chooses.\n', { allow: 'GET, HEAD, POST' })
  if (!isOwnPage(request)) return send(403, 'Only the page itself may choose who is at the browser.\n')
  return readBody(request)
    .then((body) => chosen(new URLSearchParams(body).get('machine') ?? '', options, send))
    .catch(() => send(413, 'That is too much.\n', { connection: 'close' }))
}

function chosen(machine: string, { document, choose }: DevMeshPageOptions, send: Send): ServerResponse {
  if (!Object.hasOwn(document().machines, machine)) return send(400, 'There is no such machine in the development mesh.\n')
  choose(machine)
  return send(303, '', { location: '/' })
}

function isLoopbackName(host: string | undefined): boolean {
  return loopbackHosts.has((host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
}

/** Fetch metadata where the browser sends it, else the Origin; whoever sends neither is not a page of ours. */
function isOwnPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  return site === undefined ? headers.origin === `http://${headers.host}` : site === 'same-origin'
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > 4096) throw new Error('too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

const style = `
  :root { color-scheme: light dark; --line: light-dark(#ddd, #3a3a3a); --soft: light-dark(#666, #a0a0a0); --mark: light-dark(#e8f1ff, #16263d); }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
  h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
  p, small { color: var(--soft); }
  ul { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 8px; }
  li { display: flex; align-items: center; gap: 1rem; padding: .5rem .75rem; }
  li + li { border-top: 1px solid var(--line); } li[aria-current] { background: var(--mark); }
  li form { margin-left: auto; } li strong { margin-left: auto; font-weight: 600; }
  button { font: inherit; padding: .15rem .75rem; border: 1px solid var(--line); border-radius: 6px; background: none; color: inherit; cursor: pointer; }
  code { font-size: .9em; }
`

const safeHeaders = {
  'content-type': 'text/plain; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'referrer-policy': 'same-origin', // "no-referrer" would make browsers send "Origin: null"
  'x-content-type-options': 'nosniff',
}

const escapes = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
])
const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => escapes.get(character) ?? '')

function page(mesh: MeshDocument): string {
  const machines = Object.entries(mesh.machines).filter(([name]) => name !== mesh.self)
  const of = (owner: string | undefined) => machines.filter(([, machine]) => machine.owner === owner)
  const sections = [
    ...Object.entries(mesh.people).map(([login, { name }]) => section(name ? `${name} (${login})` : login, of(login), mesh)),
    section('Tagged machines', of(undefined), mesh),
  ]
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Development mesh</title>
<style>${style}</style>
<h1>Who is at this browser?</h1>
<p>The development mesh takes every request from <code>${escaped(mesh.machines[mesh.self]?.address ?? '')}</code> for the machine chosen here.
From a terminal, choose by source address: <code>curl --interface 127.0.0.3 …</code></p>
${sections.join('\n')}
</html>
`
}

function section(title: string, machines: [string, MeshDocument['machines'][string]][], mesh: MeshDocument): string {
  if (machines.length === 0) return ''
  const rows = machines.map(([name, machine]) => {
    const notes = [...(machine.tags ?? []), ...(machine.removed ? ['removed'] : []), ...(machine.expired ? ['expired'] : [])]
    const here = name === mesh.browser
    const act = here
      ? '<strong>at the browser</strong>'
      : `<form method="post" action="/"><button name="machine" value="${escaped(name)}">Be this one</button></form>`
    const about = escaped([machine.address, ...notes].join(' · '))
    return `<li${here ? ' aria-current="true"' : ''}><span>${escaped(name)}</span> <small>${about}</small> ${act}</li>`
  })
  return `<h2>${escaped(title)}</h2>\n<ul>${rows.join('\n')}</ul>`
}
