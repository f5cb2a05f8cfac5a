/** `node examples/client/main.ts --help` */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { connectAgent } from './agent.ts'
import type { Saved, Storage } from './oauth_provider.ts'

const help = `An example MCP client. It signs you in through the MCP server's authorization server, and calls a tool.

Usage: node examples/client/main.ts [OPTION …] [TOOL [JSON]]

  --url URL      the MCP server; default http://localhost:8490/mcp
  --name NAME    what the client calls itself; default Example agent
  --state FILE   where registration and tokens are kept; default .dev/example-client.json

TOOL is "whoami" by default; another one is: read_page '{"page":"home"}'
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: 'string', default: 'http://localhost:8490/mcp' },
    name: { type: 'string', default: 'Example agent' },
    state: { type: 'string', default: '.dev/example-client.json' },
    help: { type: 'boolean', short: 'h' },
  },
})

/** One file for all servers, by their URL. It holds tokens, so nobody else may read it. */
function inFile(file: string, url: string): Storage {
  const all = (): Record<string, Saved> => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Saved>
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
      throw error
    }
  }
  return {
    read: () => all()[url] ?? {},
    write(saved) {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      writeFileSync(file, `${JSON.stringify({ ...all(), [url]: saved }, null, 2)}\n`, { mode: 0o600 })
    },
  }
}

if (values.help) console.log(help)
else {
  const { url, name, state } = values
  const [tool = 'whoami', input = '{}'] = positionals
  const agent = await connectAgent({
    url,
    name,
    storage: inFile(state, url),
    openBrowser: (page) => console.error(`Open this in your browser:\n\n  ${page.href}\n\nWaiting for the answer …`),
  })
  console.log(await agent.call(tool, JSON.parse(input) as Record<string, unknown>))
  await agent.close()
}
