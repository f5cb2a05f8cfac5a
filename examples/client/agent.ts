/** An MCP client that signs its person in when a server asks for that. */
import { Client, type FetchLike, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client'
import { listenForRedirect } from './loopback_redirect.ts'
import { createProvider, type ProviderOptions } from './oauth_provider.ts'

export type AgentOptions = Omit<ProviderOptions, 'redirect_uri'> & {
  /** The MCP server. */
  url: string
  fetch?: FetchLike
}

export type Agent = {
  /** Calls a tool; resolves with its text. A person may be asked to sign in again meanwhile. */
  call: (tool: string, input?: Record<string, unknown>) => Promise<string>
  close: () => Promise<void>
}

/** Connects, with a sign-in where one is needed. Throws where the authorization server, or the person, says no. */
export async function connectAgent({ url, fetch, ...options }: AgentOptions): Promise<Agent> {
  const redirect = await listenForRedirect((state) => provider.takesState(state))
  const provider = createProvider({ ...options, redirect_uri: redirect.redirect_uri })
  const client = new Client({ name: options.name, version: '1.0.0' })
  let transport: StreamableHTTPClientTransport

  /** Registers, refreshes and opens the browser by the SDK's own doing; it also checks `iss` (RFC 9207) and redeems the code. */
  async function signedIn<Result>(work: () => Promise<Result>): Promise<Result> {
    const answer = redirect.answer()
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error
      await transport.finishAuth(await answer)
      return work()
    }
  }

  const close = async () => {
    redirect.close()
    await client.close()
  }
  try {
    await signedIn(() => {
      transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider, ...(fetch && { fetch }) })
      return client.connect(transport)
    })
  } catch (error) {
    await close()
    throw error
  }
  return {
    async call(tool, input = {}) {
      const { content, isError } = await signedIn(() => client.callTool({ name: tool, arguments: input }))
      const text = content.map((part) => (part.type === 'text' ? part.text : `[${part.type}]`)).join('\n')
      if (isError) throw new Error(text)
      return text
    },
    close,
  }
}
