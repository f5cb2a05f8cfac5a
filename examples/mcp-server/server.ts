/** An MCP server that takes access tokens of meshidp, and no others. What it has in common with other servers is in `serve_mcp.ts`. */
import { type RunningMcpServer, type Served, serveMcp } from './serve_mcp.ts'
import { createTools, scopesFor } from './tools.ts'

export type McpServerOptions = Omit<Served, 'newServer' | 'scopesFor'>

/** Starts the server on loopback; resolves when it listens. `scope`: what its pages are opened by. */
export const startMcpServer = (options: McpServerOptions): Promise<RunningMcpServer> =>
  serveMcp({
    ...options,
    scopesFor: (tool) => scopesFor(tool, options.scope),
    newServer: async () => createTools(`example server of ${options.resource}`).server,
  })
