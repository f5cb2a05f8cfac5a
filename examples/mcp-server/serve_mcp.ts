/** MCP over streamable HTTP, stateless, for access tokens of meshidp and no others: what every example that is a server has in common. */
import type { Server as HttpServer } from 'node:http'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { NextFunction, Request, Response } from 'express'
import { meshidp, type Options } from '../mcp-helper/index.ts'
import { answerOutage, Outage } from '../mcp-helper/outage.ts'

export type Served = Options & {
  /** Another port than that of `resource`, behind a proxy. */
  port?: number
  /** What answers one request, whose token is good; a stateless transport wants a fresh one for each. It may reject with Outage: 503. */
  newServer: (request: Request) => Promise<Server>
}

export type RunningMcpServer = { url: string; close: () => Promise<void> }

/** Starts the server on loopback, on the port and below the path of `resource`; resolves when it listens. */
export async function serveMcp({ port, newServer, ...options }: Served): Promise<RunningMcpServer> {
  const { hostname, pathname, port: ownPort } = new URL(options.resource)
  const app = createMcpExpressApp({ allowedHosts: [hostname] })
  const { metadata, requireToken } = meshidp(options)
  app.use(metadata)
  app.post(pathname, requireToken, async (request, response) => {
    const server = await newServer(request)
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    response.on('close', () => void Promise.all([transport.close(), server.close()]))
    await server.connect(transport as Parameters<typeof server.connect>[0])
    await transport.handleRequest(request, response, request.body)
  })
  // Stateless: there is no stream to listen to and no session to end.
  app.all(pathname, requireToken, (_request, response) => void response.set('Allow', 'POST').status(405).end())
  app.use((error: Error, _request: Request, response: Response, next: NextFunction) => {
    if (!(error instanceof Outage)) return next(error)
    options.onOutage?.(error)
    answerOutage(response, error.message)
  })

  const server = await new Promise<HttpServer>((resolve, reject) => {
    const listening: HttpServer = app.listen(port ?? Number(ownPort || 80), '127.0.0.1', (error?: Error) =>
      error ? reject(error) : resolve(listening),
    )
  })
  return {
    url: options.resource,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
