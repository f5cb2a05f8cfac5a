/** `node examples/mcp-server/main.ts --help` */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Misused, runExample, webAddress, wholeNumber } from '../said.ts'
import { startMcpServer } from './server.ts'

const help = `An example MCP server that takes access tokens of meshidp.

Usage: node examples/mcp-server/main.ts [OPTION …]

  --issuer URL           the authorization server; default http://localhost:8484
  --resource URI         its own URI, as in the policy; default http://localhost:8490/mcp
  --scope SCOPE          what its pages are opened by; default wiki:read
  --check WAY            "local" verifies signatures here, "introspect" asks about each token; default local
  --client-id ID         for introspect: as whom it asks, such as client:notes-server
  --secret-file FILE     for introspect: where its secret is; without it the machine is the credential
  --cache-seconds N      for introspect: how long an answer is used again; default 15
  --port N               another port than that of the URI
`

const read = () =>
  parseArgs({
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
  }).values

function introspection({ check, 'client-id': client_id, 'secret-file': file, 'cache-seconds': seconds }: ReturnType<typeof read>) {
  if (check === 'local') return {}
  if (check !== 'introspect' || !client_id) throw new Misused('Say --check local, or --check introspect with --client-id.')
  const cacheSeconds = wholeNumber('cache-seconds', seconds, 86_400)
  const secret = file !== undefined && { client_secret: readFileSync(file, 'utf8').trim() }
  return { introspect: { client_id, ...secret, cacheSeconds } }
}

await runExample(help, async () => {
  const values = read()
  if (values.help) return console.log(help)
  const { scope, port } = values
  const issuer = webAddress('issuer', values.issuer)
  const { url } = await startMcpServer({
    issuer,
    resource: webAddress('resource', values.resource),
    scope,
    ...introspection(values),
    ...(port !== undefined && { port: wholeNumber('port', port, 65_535) }),
    onOutage: (error) => console.error(error.message),
  })
  console.log(`${url} takes access tokens of ${issuer}. Stop with Ctrl-C.`)
})
