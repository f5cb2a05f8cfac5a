/** Both SDKs of MCP as a workload: the providers for client credentials that they bring, each with both of its methods, against an MCP server that takes the token. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as second from '@modelcontextprotocol/client'
import * as extensions from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { parse } from 'jsonc-parser'
import { jwkOf, newPair } from '../support/assertion.ts'
import { type PolicyObject, policyClient } from '../support/example_policy.ts'
import { startWithServers, type WithServers } from './servers.ts'

const key = newPair('ES256')
const clients = { secret: 'client:nightly', keyed: 'client:signer' }

/** Two workloads of the policy, one with a secret and one with a key, may read the wiki by themselves. */
function withWorkloads(text: string): string {
  const { tests: _, ...policy } = parse(text) as PolicyObject & { tests: unknown }
  policy.clients[clients.secret] = { client_secret_file: 'nightly' }
  policy.clients[clients.keyed] = { jwks: { keys: [jwkOf(key)] } }
  policy.grants.push({
    src: Object.values(clients),
    dst: ['resource:wiki'],
    app: { client_credentials: [{ scopes: ['wiki:read'] }] },
  })
  return JSON.stringify(policy)
}

type Providers = Pick<typeof extensions, 'ClientCredentialsProvider' | 'PrivateKeyJwtProvider'>

/** As the documentation of the SDKs has it, by each method. */
const providersOf = ({ ClientCredentialsProvider, PrivateKeyJwtProvider }: Providers, { started }: WithServers) => [
  new ClientCredentialsProvider({
    clientId: clients.secret,
    clientSecret: policyClient(started, 'nightly').client_secret,
    scope: 'wiki:read',
    expectedIssuer: started.issuer,
  }),
  new PrivateKeyJwtProvider({
    clientId: clients.keyed,
    privateKey: key.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    algorithm: 'ES256',
    scope: 'wiki:read',
    expectedIssuer: started.issuer,
  }),
]

type Caller = {
  connect: (transport: never) => Promise<void>
  close: () => Promise<void>
  callTool: (call: { name: string }) => Promise<object>
}

async function whoami(t: TestContext, client: Caller, transport: unknown): Promise<unknown> {
  t.after(() => client.close())
  await client.connect(transport as never)
  const { content } = (await client.callTool({ name: 'whoami' })) as { content: { text: string }[] }
  return JSON.parse(content[0]?.text ?? '')
}

const expected = Object.values(clients).map((client_id) => ({ sub: client_id, client_id, scopes: ['wiki:read'] }))

test('@modelcontextprotocol/sdk 1: client credentials by client_secret and by private_key_jwt (RFC 7523 §2.2), and the tool is called', async (t) => {
  const servers = await startWithServers(t, { policy: withWorkloads })
  const seen = []
  for (const provider of providersOf(extensions, servers)) {
    const transport = new StreamableHTTPClientTransport(new URL(servers.wiki), { authProvider: provider })
    seen.push(await whoami(t, new Client({ name: 'test', version: '1.0.0' }) as unknown as Caller, transport))
  }
  assert.deepEqual(seen, expected)
})

test('@modelcontextprotocol/client 2: client credentials by client_secret and by private_key_jwt (RFC 7523 §2.2), and the tool is called', async (t) => {
  const servers = await startWithServers(t, { policy: withWorkloads })
  const seen = []
  for (const provider of providersOf(second as unknown as Providers, servers)) {
    const transport = new second.StreamableHTTPClientTransport(new URL(servers.wiki), { authProvider: provider as never })
    seen.push(await whoami(t, new second.Client({ name: 'test', version: '1.0.0' }) as unknown as Caller, transport))
  }
  assert.deepEqual(seen, expected)
})
