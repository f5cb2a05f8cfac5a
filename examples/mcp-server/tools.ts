/** What this server can do, and which scope each of it needs. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

const pages = new Map([
  ['home', 'Welcome. Ask for "on-call" or "coffee".'],
  ['on-call', 'This week it is carol. The phone is in the drawer.'],
  ['coffee', 'The machine wants to be descaled on Fridays.'],
])

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })

/** The scopes that a call of this tool needs; none for an unknown one, which the SDK refuses. `scope`: the one that opens the pages. */
export const scopesFor = (tool: string, scope: string): readonly string[] => (tool === 'read_page' ? [scope] : [])

/** One MCP server; a stateless transport wants a fresh one for each request. */
export function createTools(name: string): McpServer {
  const server = new McpServer({ name, version: '1.0.0' })
  // `act`, where others act for whom the token is for: the nearest first (RFC 8693 §4.1).
  server.registerTool(
    'whoami',
    { description: 'Who you are here, by your access token' },
    ({ authInfo: { extra, clientId, scopes } = {} }) =>
      text(JSON.stringify({ sub: extra?.sub, client_id: clientId, scopes, act: extra?.act })),
  )
  server.registerTool(
    'read_page',
    { description: `Reads a page: ${[...pages.keys()].join(', ')}`, inputSchema: { page: z.string().describe('its name') } },
    ({ page }) => {
      const found = pages.get(page)
      return found === undefined ? { ...text(`There is no page "${page}".`), isError: true } : text(found)
    },
  )
  return server
}
