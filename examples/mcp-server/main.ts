/** `node examples/mcp-server/main.ts --help` */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startMcpServer } from './server.ts'

const help = `An example MCP server that takes access tokens of meshidp.

Usage: node examples/mcp-server/main.ts [OPTION …]

  --issuer URL           the authorization server; default http://localhost:8484
  --resource URI         its own URI, as in the policy; default http://localhost:8490/mcp
  --scope SCOPE          what its pages are opened by; default wiki:read
  --check WAY            "local" verifies signatures here, "introspect" asks about each token; default local
  --client-id ID         for introspect: as whom it asks, such as client:notes-server
  --secret-file FILE     for introspect: where its secret is
  --cache-seconds N      for introspect: how long an answer is used again; default 15
  --port N               another port than that of the URI
`

const { values } = parseArgs({
  options: {
    issuer: { type: 'string', default: 'http://localhost:8484' },
    resource: { type: 'string', default: 'http://localhost:8490/mcp' },
    scope: { type: 'string', default: 'wiki:read' },
    check: { type: 'string', default: 'local' },
    'client-id': { type: 'string' },
    'secret-file': { type: 'string' },
    'cache-seconds': { type: 'string', default: '15' },
    port: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
})

function introspection() {
  const { check, 'client-id': client_id, 'secret-file': file } = values
  if (check === 'local') return {}
  if (check !== 'introspect' || !client_id || !file)
    throw new Error('Say --check local, or --check introspect with --client-id and --secret-file.')
  return { introspect: { client_id, client_secret: readFileSync(file, 'utf8').trim(), cacheSeconds: Number(values['cache-seconds']) } }
}

if (values.help) console.log(help)
else {
  const { issuer, resource, scope, port } = values
  const { url } = await startMcpServer({
    issuer,
    resource,
    scope,
    ...introspection(),
    ...(port !== undefined && { port: Number(port) }),
    onOutage: (error) => console.error(error.message),
  })
  console.log(`${url} takes access tokens of ${issuer}. Stop with Ctrl-C.`)
}
