/** One MCP server before several: whoever calls a tool here is somebody there, too, and the gateway is seen to act for them. */
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { CallToolRequestSchema, type CallToolResult, ListToolsRequestSchema, type Tool } from '@modelcontextprotocol/sdk/types.js'
import type { Request } from 'express'
import { type RunningMcpServer, type Served, serveMcp } from '../mcp-server/serve_mcp.ts'
import { createExchange } from './exchange.ts'
import { Refused, TokenRefused } from './refused.ts'
import { asked, type Upstream } from './upstream.ts'

export type GatewayOptions = Omit<Served, 'newServer' | 'scopesFor' | 'introspect'> &
  Required<Pick<Served, 'introspect'>> & { upstreams: readonly Upstream[] }

/** Starts the gateway on loopback. `introspect`: its credentials, by which it asks about its callers' tokens and exchanges them. */
export function startGateway({ upstreams, ...options }: GatewayOptions): Promise<RunningMcpServer> {
  const { exchanged, forget } = createExchange({ issuer: options.issuer, credentials: options.introspect, now: options.now })

  async function through<Result>(upstream: Upstream, caller: string, work: Parameters<typeof asked<Result>>[2]): Promise<Result> {
    const attempt = async () => asked(upstream, await exchanged(caller, upstream.resource), work)
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      forget(caller, upstream.resource) // it may have been revoked, and the caller not
      return attempt()
    }
  }

  async function toolsOf(upstream: Upstream, caller: string): Promise<Tool[]> {
    const { tools } = await through(upstream, caller, (client) => client.listTools())
    return tools.map((tool) => ({ ...tool, name: `${upstream.name}_${tool.name}` }))
  }

  /** Those of all servers that let the caller in; where none does, why. */
  async function listTools(caller: string): Promise<{ tools: Tool[] }> {
    const lists = await Promise.allSettled(upstreams.map((upstream) => toolsOf(upstream, caller)))
    const failures = lists.flatMap((list) => (list.status === 'rejected' ? [list.reason] : []))
    if (failures.length === lists.length) throw failures[0]
    for (const failure of failures) if (!(failure instanceof Refused)) options.onOutage?.(failure)
    return { tools: lists.flatMap((list) => (list.status === 'fulfilled' ? list.value : [])) }
  }

  async function callTool(caller: string, { name, arguments: input = {} }: { name: string; arguments?: Record<string, unknown> }) {
    const upstream = upstreams.find((one) => name.startsWith(`${one.name}_`))
    if (!upstream) throw new Refused(`There is no tool ${name}.`)
    const tool = name.slice(upstream.name.length + 1)
    return (await through(upstream, caller, (client) => client.callTool({ name: tool, arguments: input }))) as CallToolResult
  }

  /** An outage goes on. */
  const refusal = (error: unknown): Refused => {
    if (error instanceof Refused) return error
    throw error
  }

  /** The servers behind are asked before the SDK begins to answer, for an outage is a status of HTTP. */
  async function newServer({ body, auth }: Request): Promise<Server> {
    const caller = auth?.token ?? ''
    const server = new Server({ name: `gateway of ${options.resource}`, version: '1.0.0' }, { capabilities: { tools: {} } })
    const call = CallToolRequestSchema.safeParse(body)
    if (call.success) {
      const done = await callTool(caller, call.data.params as Parameters<typeof callTool>[1]).catch(refusal)
      // A refusal is an answer of the tool, so that the agent reads it.
      const result = done instanceof Refused ? { content: [{ type: 'text', text: done.message }], isError: true } : done
      server.setRequestHandler(CallToolRequestSchema, () => result as CallToolResult)
    }
    if (ListToolsRequestSchema.safeParse(body).success) {
      const list = await listTools(caller).catch(refusal)
      server.setRequestHandler(ListToolsRequestSchema, () => (list instanceof Refused ? Promise.reject(list) : list))
    }
    return server
  }

  return serveMcp({ ...options, newServer })
}
