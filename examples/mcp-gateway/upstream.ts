/** The servers behind, asked as an MCP client of the SDK asks. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ErrorCode, McpError } from '@modelcontextprotocol/sdk/types.js'
import { Outage } from '../mcp-helper/outage.ts'
import { sentenceOf } from '../said.ts'
import { Refused, TokenRefused } from './refused.ts'

/** `name`: what its tools begin with here. `resource`: its URI, as the policy has it. */
export type Upstream = { name: string; resource: string }

/** Connects with this token, and no other header of the caller's; resolves with what `work` does. Rejects with Refused, or Outage. */
export async function asked<Result>(
  { name, resource }: Upstream,
  token: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ name: 'meshidp example gateway', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(resource), { requestInit: { headers: { authorization: `Bearer ${token}` } } })
  try {
    await client.connect(transport as Parameters<typeof client.connect>[0])
    return await work(client)
  } catch (error) {
    const status = error instanceof StreamableHTTPError ? error.code : undefined
    if (status === 401) throw new TokenRefused(`${name} does not take the gateway's token: ${sentenceOf(error)}`)
    const answered = error instanceof McpError ? error.code !== ErrorCode.RequestTimeout : status !== undefined && status < 500
    if (answered) throw new Refused(`${name}: ${sentenceOf(error)}`)
    throw new Outage(`${name} (${resource}) cannot be asked. Try again.`, { cause: error })
  } finally {
    await client.close()
  }
}
