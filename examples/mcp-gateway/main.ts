/** `node examples/mcp-gateway/main.ts --help` */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { machineAt } from '../demo/from_address.ts'
import { byKey } from '../mcp-helper/client_assertion.ts'
import { Misused, runExample, webAddress, wholeNumber } from '../said.ts'
import { startGateway } from './gateway.ts'
import type { Upstream } from './upstream.ts'

const help = `An example MCP gateway. It passes calls on with a token for the server behind, which says for whom it is and who acts.

Usage: node examples/mcp-gateway/main.ts [OPTION …]

  --issuer URL           the authorization server; default http://localhost:8484
  --resource URI         its own URI, as in the policy; default http://localhost:8492/mcp
  --scope SCOPE          what callers need; default tools:call
  --upstream NAME=URI    a server behind, again for each; default the wiki and the notes of the example policy
  --client-id ID         as whom it asks; default client:gateway
  --key-file FILE        its private key (PEM), for private_key_jwt; without it the machine is the credential
  --from-address IP      on the development mesh: the address of that machine, such as 127.0.0.9
  --cache-seconds N      how long an answer about a caller's token is used again; default 15
`

function upstreamOf(text: string): Upstream {
  const [, name, uri] = /^([a-z][a-z0-9-]*)=(.+)$/.exec(text) ?? []
  if (!name || !uri) throw new Misused(`--upstream takes NAME=URI, such as wiki=http://localhost:8490/mcp, not "${text}".`)
  return { name, resource: webAddress('upstream', uri) }
}

await runExample(help, async () => {
  const { values } = parseArgs({
    options: {
      issuer: { type: 'string', default: 'http://localhost:8484' },
      resource: { type: 'string', default: 'http://localhost:8492/mcp' },
      scope: { type: 'string', default: 'tools:call' },
      upstream: { type: 'string', multiple: true, default: ['wiki=http://localhost:8490/mcp', 'notes=http://localhost:8491/mcp'] },
      'client-id': { type: 'string', default: 'client:gateway' },
      'key-file': { type: 'string' },
      'from-address': { type: 'string' },
      'cache-seconds': { type: 'string', default: '15' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return console.log(help)
  const { scope, 'client-id': client_id, 'key-file': file, 'from-address': address } = values
  const issuer = webAddress('issuer', values.issuer)
  const upstreams = values.upstream.map(upstreamOf)
  const { url } = await startGateway({
    issuer,
    resource: webAddress('resource', values.resource),
    scope,
    upstreams,
    introspect: {
      ...(file === undefined ? { client_id } : byKey({ client_id, issuer, pem: readFileSync(file, 'utf8') })),
      ...(address !== undefined && { fetch: machineAt(address).fetch }),
      cacheSeconds: wholeNumber('cache-seconds', values['cache-seconds'], 86_400),
    },
    onOutage: (error) => console.error(error.message),
  })
  console.log(
    `${url} passes calls on to ${upstreams.map(({ name }) => name).join(' and ')}, as ${client_id} of ${issuer}. Stop with Ctrl-C.`,
  )
})
