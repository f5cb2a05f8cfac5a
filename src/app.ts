/** The HTTP application: every endpoint mounted from ONE visible list, with the defences that all of them share. */
import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from './config.ts'
import type { Deps } from './deps.ts'
import { endpointsOf } from './endpoints/index.ts'
import { createCarrier } from './http/carrier.ts'
import type { Endpoint, HttpMethod, Reply, Request } from './http/endpoint.ts'
import { errorJson, errorPage, toOAuthError } from './http/render_error.ts'
import { tell } from './http/request_line.ts'
import { nobody } from './identity/nobody.ts'
import { isFunnelled } from './identity/strategy.ts'
import { OAuthError } from './oauth/error.ts'
import { pathOf } from './oauth/issuer.ts'
import { newTrace, type Trace } from './observe/trace.ts'
import { watched } from './observe/watched.ts'
import { opensFunnel } from './policy/index.ts'

const mostBytes = 64 * 1024
/** RFC 9110 §9.1: what is none of these is not implemented at all. */
const allMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const bodyTypes = { form: 'application/x-www-form-urlencoded', json: 'application/json' } as const

/** What fastify itself refuses, in our words. */
const transportErrors = new Map<string, () => OAuthError>([
  ['FST_ERR_CTP_BODY_TOO_LARGE', () => new OAuthError('payload_too_large', `The body is larger than ${mostBytes / 1024} KiB.`)],
  [
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    () =>
      new OAuthError(
        'unsupported_media_type',
        'The body is of a type that is not read here. Send application/x-www-form-urlencoded, or application/json to /register.',
      ),
  ],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', () => new OAuthError('invalid_request', 'The body is not as long as Content-Length says.')],
  ['ECONNRESET', () => new OAuthError('invalid_request', 'The connection ended before the request did.')],
  ['FST_ERR_MAX_PARAM_LENGTH', () => new OAuthError('not_found', 'There is nothing at this address.')],
  ['FST_ERR_BAD_URL', () => new OAuthError('invalid_request', 'The path is not percent-encoded UTF-8.')],
])

const foreseen = (thrown: unknown) => transportErrors.get((thrown as { code?: string }).code ?? '')?.() ?? toOAuthError(thrown)

/** Builds the application. It listens nowhere yet (`http/listeners`). */
export function buildApp(deps: Deps): FastifyInstance {
  const issuer = new URL(deps.config.issuer)
  const base = pathOf(deps.config.issuer)
  const nameHeader = nameHeaderOf(deps.config)
  const prefix = deps.randomBytes(5).toString('hex')
  let requests = 0
  const app = createCarrier({
    bodyLimit: mostBytes,
    genReqId: () => `${prefix}-${(requests++).toString(36)}`,
    requestIdHeader: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (thrown, request, reply) => void sendError(deps, { base, page: false }, request, reply, thrown),
  })

  app.removeAllContentTypeParsers()
  app.addContentTypeParser(Object.values(bodyTypes), { parseAs: 'buffer' }, (_request, body, done) => {
    if (isUtf8(body as Buffer)) done(null, (body as Buffer).toString())
    else done(new OAuthError('invalid_request', 'The body is not UTF-8.') as Error)
  })

  app.decorateRequest('trace', null)
  // DNS rebinding: a page of attacker.example whose name now leads here is not spoken to, on any endpoint.
  app.addHook('onRequest', (request, _reply, done) => {
    request.trace = newTrace()
    const repeated = repeatedHeader(request.raw.rawHeaders)
    if (!isForUs(request, issuer, nameHeader) || repeated === 'host')
      done(new OAuthError('misdirected_request', `This server is ${deps.config.issuer}, and answers to no other name.`))
    else if (isFunnelled(request) && !(request.routeOptions?.config?.funnel && opensFunnel(deps.policy(), deps.now())))
      done(new OAuthError('access_denied', nobody('funnel', '').sentence))
    else if (!allMethods.includes(request.method))
      done(new OAuthError('not_implemented', `No address of this server knows the method ${request.method}.`))
    else if (repeated !== undefined) done(new OAuthError('invalid_request', `The header ${repeated} is there more than once.`))
    else if (request.headers['content-encoding'] !== undefined)
      done(new OAuthError('unsupported_media_type', 'A compressed body is not read here.'))
    else done()
  })

  app.setNotFoundHandler((request, reply) =>
    sendError(deps, { base, page: wantsPage(request) }, request, reply, new OAuthError('not_found', 'There is nothing at this address.')),
  )
  app.setErrorHandler((thrown, request, reply) =>
    sendError(deps, { base, page: request.routeOptions.config.page === true }, request, reply, thrown),
  )

  for (const endpoint of endpointsOf(deps.config.issuer)) mount(app, deps, endpoint)
  return app
}

/**
 * Where the name stands that the client asked for. "tailscale serve" writes "localhost" into Host before it forwards to a unix socket, and what the client
 * sent there into X-Forwarded-Host, which it replaces. The name is only compared: nothing is made of it.
 */
const nameHeaderOf = ({ mesh, development }: Config) => (mesh.identity === 'serve' && !development ? 'x-forwarded-host' : 'host')

/**
 * RFC 9110 §7.2: whether the request is for the issuer's own name, in any case, with or without the scheme's own port (§4.2.3). A target in absolute
 * form (RFC 9112 §3.2.2) must say the same.
 */
function isForUs({ headers, raw: { url = '' } }: FastifyRequest, issuer: URL, nameHeader: 'host' | 'x-forwarded-host'): boolean {
  const host = String(headers[nameHeader] ?? '')
  if (!url.startsWith('/') && !url.startsWith(`${issuer.origin}/`)) return false
  if (host === issuer.host) return true
  const name = host.toLowerCase()
  return name === issuer.host || (issuer.port === '' && name === issuer.host + (issuer.protocol === 'https:' ? ':443' : ':80'))
}

const once = new Set(['host', 'authorization', 'content-type'])

/** A header that must be there once (RFC 9112 §3.2, RFC 9110 §5.3) and is not. Node keeps the first of several, somebody on the way may have kept the last. */
function repeatedHeader(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? ''
    if (!once.has(name)) continue
    if (seen.has(name)) return name
    seen.add(name)
  }
  return undefined
}

const wantsPage = (request: FastifyRequest) => request.headers.accept?.includes('text/html') === true

declare module 'fastify' {
  interface FastifyRequest {
    /** Null where the request was refused before any hook. */
    trace: Trace | null
  }
  interface FastifyContextConfig {
    page?: boolean
    /** Answered from memory. */
    free?: boolean
    cors?: Endpoint['cors']
    funnel?: boolean
  }
}

/** Whether nothing happens but reading: then HEAD is answered too. `GET /authorize` makes a code, so it is not. */
const isRead = ({ methods }: Endpoint) => methods.length === 1 && methods[0] === 'GET'

function mount(app: FastifyInstance, deps: Deps, endpoint: Endpoint): void {
  const config = {
    page: endpoint.page === true,
    free: endpoint.cost === 'free',
    funnel: endpoint.funnel === true,
    ...(endpoint.cors && { cors: endpoint.cors }),
  }
  for (const method of endpoint.methods)
    app.route({
      method: method === 'GET' && isRead(endpoint) ? ['GET', 'HEAD'] : method,
      url: endpoint.path,
      config,
      async handler(request, reply) {
        const { trace } = request
        const answer = await endpoint.handle(trace && endpoint.cost !== 'free' ? watched(deps, trace) : deps, toRequest(request, endpoint))
        return send(deps, request, reply, answer, corsHeaders(deps, endpoint.cors, request))
      },
    })

  const answered: string[] = [...endpoint.methods, ...(isRead(endpoint) ? ['HEAD'] : []), ...(endpoint.cors ? ['OPTIONS'] : [])]
  const allow = answered.join(', ')
  for (const method of allMethods.filter((one) => !answered.includes(one)))
    app.route({
      method,
      url: endpoint.path,
      config,
      // Refused before its body is looked at.
      onRequest: (_request, _reply, done) =>
        done(new OAuthError('method_not_allowed', `Use ${allow.replaceAll(', ', ' or ')} here.`, { headers: { allow } })),
      handler: () => undefined,
    })
  if (endpoint.cors)
    app.options(endpoint.path, (request, reply) => {
      const headers = corsHeaders(deps, endpoint.cors, request)
      if (headers)
        Object.assign(headers, {
          'access-control-allow-methods': allow,
          'access-control-allow-headers': 'Authorization, Content-Type, MCP-Protocol-Version',
          'access-control-max-age': '600',
        })
      return send(deps, request, reply, { status: 204, headers: { allow }, body: '' }, headers)
    })
}

/**
 * Fetch standard, CORS: never with credentials. `anyone` is for what is public, or proves itself by what it carries; `browser_clients` for what stands on
 * network identity. An opaque origin ("null") is nobody.
 */
function corsHeaders(deps: Deps, cors: Endpoint['cors'], { headers: { origin } }: FastifyRequest): Record<string, string> | undefined {
  if (!cors || origin === undefined || origin === 'null') return undefined
  const headers = { 'access-control-expose-headers': 'WWW-Authenticate, Retry-After' }
  if (cors === 'anyone') return { 'access-control-allow-origin': '*', ...headers }
  return deps.config.browser_clients.includes(origin) ? { 'access-control-allow-origin': origin, vary: 'Origin', ...headers } : undefined
}

/** Fastify's request → ours, after its body's type was checked against what the endpoint reads. */
function toRequest(request: FastifyRequest, endpoint: Endpoint): Request {
  const { raw, headers } = request
  const query = raw.url?.indexOf('?') ?? -1
  const body = request.body
  if (endpoint.body && typeof body === 'string' && !isOfType(headers['content-type'], bodyTypes[endpoint.body]))
    throw new OAuthError('unsupported_media_type', `Send ${bodyTypes[endpoint.body]} here, in UTF-8.`)
  return {
    id: request.id,
    method: request.method as HttpMethod,
    query: query < 0 ? '' : (raw.url ?? '').slice(query + 1),
    headers,
    body: typeof body === 'string' ? body : '',
    variables: (request.params ?? {}) as Record<string, string>,
    connection: {
      remoteAddress: raw.socket.remoteAddress ?? '',
      remotePort: raw.socket.remotePort ?? 0,
      localAddress: raw.socket.localAddress ?? '',
      localPort: raw.socket.localPort ?? 0,
      headers,
    },
  }
}

/** RFC 9110 §8.3.1: that type, and no other character encoding than UTF-8. */
function isOfType(contentType: string | undefined, type: string): boolean {
  const [given = '', ...parameters] = (contentType ?? '').toLowerCase().split(';')
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='))
  return given.trim() === type && (charset === undefined || /^charset="?utf-?8"?$/.test(charset))
}

/** Every answer leaves here, and is told of. */
function send(
  deps: Deps,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, headers, body }: Reply,
  more?: Record<string, string>,
): FastifyReply {
  const { config, url } = request.routeOptions ?? {}
  const { id, method, trace } = request
  tell(deps, { id, method, endpoint: url ?? 'none', status, trace: trace ?? newTrace(), isFree: config?.free === true })
  reply.code(status).headers(headers as Record<string, string>)
  if (more) reply.headers(more)
  return reply.send(body)
}

function sendError(
  deps: Deps,
  { base, page }: { base: string; page: boolean },
  request: FastifyRequest,
  reply: FastifyReply,
  thrown: unknown,
): FastifyReply {
  const error = foreseen(thrown)
  request.trace ??= newTrace()
  request.trace.error = error
  const answer = page ? errorPage(base, error, request.id) : errorJson(error, request.id)
  return send(deps, request, reply, answer, corsHeaders(deps, request.routeOptions?.config?.cors, request))
}
