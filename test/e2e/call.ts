/** Calls an MCP server as the plainest of clients, to see what goes over the wire. */
export type Called = { status: number; challenge: string; retryAfter: string | null; body: Record<string, unknown> }

/** `what`: a tool, or another request of JSON-RPC. */
export async function call(url: string, token?: string, what: string | { method: string } = 'whoami', input: object = {}): Promise<Called> {
  const message = typeof what === 'string' ? { method: 'tools/call', params: { name: what, arguments: input } } : what
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
  })
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate') ?? '',
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as Record<string, unknown>,
  }
}
