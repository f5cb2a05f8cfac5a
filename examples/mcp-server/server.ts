/** An MCP server (streamable HTTP, stateless) that takes access tokens of meshidp, and no others. */
import type { Server } from 'node:http'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { type Credentials, meshidp } from '../mcp-helper/index.ts'
import { createTools, scopesFor } from './tools.ts'

export type McpServerOptions = {
  /** The authorization server, to the letter. */
  issuer: string
  /** This server's own URI, as the policy has it: tokens must be for it. It listens on that port, below that path. */
  resource: string
  /** What its pages are opened by. */
  scope: string
  /** Credentials where tokens are to be asked about (policy: `"check": "introspect"`); absent: signatures are verified here. */
  introspect?: Credentials & { cacheSeconds?: number }
  /** Another port than the URI's, behind a proxy. */
  port?: number
  /** Seconds since the epoch. */
  now?: () => number
  /** Hears of an authorization server that cannot be asked. */
  onOutage?: (error: Error) => void
}

export type RunningMcpServer = { url: string; close: () => Promise<void> }

/** Starts the server on loopback; resolves when it listens. */
export async function startMcpServer(options: McpServerOptions): Promise<RunningMcpServer> {
  const { issuer, resource, scope, introspect, now = () => Date.now() / 1000, onOutage = () => undefined } = options
  const { hostname, pathname, port } = new URL(resource)
  const app = createMcpExpressApp({ allowedHosts: [hostname] })
  const { metadata, requireToken } = meshidp({
    issuer,
    resource,
    scope,
    ...(introspect && { introspect }),
    scopesFor: (tool) => scopesFor(tool, scope),
    now,
    onOutage,
  })
  app.use(metadata)
  app.post(pathname, requireToken, async (request, response) => {
    const server = createTools(`example server of ${resource}`)
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    response.on('close', () => void Promise.all([transport.close(), server.close()]))
    await server.connect(transport as Parameters<typeof server.connect>[0])
    await transport.handleRequest(request, response, request.body)
  })
  // Stateless: there is no stream to listen to and no session to end.
  app.all(pathname, requireToken, (_request, response) => void response.set('Allow', 'POST').status(405).end())

  const server = await new Promise<Server>((resolve, reject) => {
    const listening: Server = app.listen(options.port ?? Number(port || 80), '127.0.0.1', (error?: Error) =>
      error ? reject(error) : resolve(listening),
    )
  })
  return {
    url: resource,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
