/** A real daemon with the two MCP servers of the example policy behind it, all on free ports and one clock. */
import type { TestContext } from 'node:test'
import { examplePolicyAt, portsFrom, uriAt } from '../../examples/demo/example_policy.ts'
import { freePorts } from '../../examples/demo/free_ports.ts'
import { type Machine, machineAt } from '../../examples/demo/from_address.ts'
import type { RunningMcpServer } from '../../examples/mcp-server/serve_mcp.ts'
import { startMcpServer } from '../../examples/mcp-server/server.ts'
import { policyClient } from '../support/example_policy.ts'
import { executable } from '../support/executable.ts'
import { startHttpsSite } from '../support/https_site.ts'
import { type Started, type StartOptions, start } from '../support/start.ts'

export type WithServers = {
  started: Started
  wiki: string
  notes: string
  /** Where a gateway would be; none is started. */
  gateway: string
  servers: readonly RunningMcpServer[]
  outages: Error[]
}

type Options = Omit<StartOptions, 'policy'> & {
  /** Changes the policy's text. */
  policy?: (text: string) => string
}

/** The wiki verifies signatures itself, the notes ask about each token; all of it ends with the test. */
export async function startWithServers(t: TestContext, { policy = (text) => text, ...options }: Options = {}): Promise<WithServers> {
  const ports = portsFrom(await freePorts(3))
  const started = await start(t, { ...options, policy: policy(examplePolicyAt(ports)) })
  const outages: Error[] = []
  const common = { issuer: started.issuer, now: started.clock.now, onOutage: (error: Error) => void outages.push(error) }
  const servers = [
    await startMcpServer({ ...common, resource: uriAt(ports.wiki), scope: 'wiki:read' }),
    await startMcpServer({
      ...common,
      resource: uriAt(ports.notes),
      scope: 'notes:read',
      introspect: policyClient(started, 'notes-server'),
    }),
  ]
  t.after(() => Promise.all(servers.map((server) => server.close())))
  return { started, wiki: uriAt(ports.wiki), notes: uriAt(ports.notes), gateway: uriAt(ports.gateway), servers, outages }
}

/** Alice's browser, on her laptop. */
export function browserOf(t: TestContext, address = '127.0.0.2'): Machine {
  const machine = machineAt(address)
  t.after(machine.close)
  return machine
}

/** Why no document can be had here: whoever drives the single executable cannot tell it where a name of the test leads, and whose certificate it has. */
export const noDocuments = executable !== undefined && 'The single executable takes documents from the internet only.'

/** An application whose client_id is the address of its Client ID Metadata Document, and what a daemon needs to take it. */
export async function documentedApplication(t: TestContext) {
  const site = await startHttpsSite(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=3600' })
    response.end(
      JSON.stringify({
        client_id,
        client_name: 'Agent with a document',
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
      }),
    )
  })
  const client_id = `${site.origin}/agent.json`
  return {
    client_id,
    options: {
      // A document that the policy names may be at an address of the mesh, and here of this computer.
      policy: (text: string) =>
        text.replace('"clients": {', `"clients": { "client:documented": { "client_id": ${JSON.stringify(client_id)} },`),
      fetch: { ca: site.cert, lookup: async () => ['127.0.0.1'] },
    },
  }
}

/** The kinds of software that the daemon has come to know. */
export const kindsOfClients = async ({ daemon: { deps } }: Started): Promise<string[]> =>
  (await deps.store.clients.list(deps.now(), { after: '', limit: 10 })).map(({ kind }) => kind)
