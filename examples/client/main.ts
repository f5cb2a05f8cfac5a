/** `node examples/client/main.ts --help` */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { Misused, runExample, webAddress } from '../said.ts'
import { connectAgent } from './agent.ts'
import type { Saved, Storage } from './oauth_provider.ts'

const help = `An example MCP client. It signs you in through the MCP server's authorization server, and calls a tool.

Usage: node examples/client/main.ts [OPTION …] [TOOL [JSON]]

  --url URL      the MCP server; default http://localhost:8490/mcp
  --name NAME    what the client calls itself; default Example agent
  --state FILE   where registration and tokens are kept; default .dev/example-client.json

TOOL is "whoami" by default; another one is: read_page '{"page":"home"}'
`

/** One file for all servers, by their URL. It holds tokens, so nobody else may read it. */
function inFile(file: string, url: string): Storage {
  const all = (): Record<string, Saved> => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Saved>
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
      if (error instanceof SyntaxError) throw new Error(`${file} cannot be read. Delete it, and sign in again.`)
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

/** As the global fetch, which says "fetch failed" and not where. The SDK knows a TypeError as "the network is at fault", so it stays one. */
const fetchFor =
  (server: string) =>
  (target: string | URL, init?: RequestInit): Promise<Response> =>
    fetch(target, init).catch((cause) => {
      if (!(cause instanceof TypeError)) throw cause
      const { origin } = new URL(target)
      const who = origin === new URL(server).origin ? `MCP server running at ${server}` : `authorization server running at ${origin}`
      throw new TypeError(`${origin} does not answer. Is the ${who}?`, { cause })
    })

/** What is given to the tool. Throws Misused. */
function inputOf(json: string): Record<string, unknown> {
  try {
    const input: unknown = JSON.parse(json)
    if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input as Record<string, unknown>
  } catch {}
  throw new Misused(`What is given to the tool has to be a JSON object, such as '{"page":"home"}', not '${json}'.`)
}

await runExample(help, async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: 'string', default: 'http://localhost:8490/mcp' },
      name: { type: 'string', default: 'Example agent' },
      state: { type: 'string', default: '.dev/example-client.json' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return console.log(help)
  const url = webAddress('url', values.url)
  const [tool = 'whoami', json = '{}', surplus] = positionals
  if (surplus !== undefined) throw new Misused(`"${surplus}" means nothing after the tool and its JSON.`)
  const input = inputOf(json)
  const agent = await connectAgent({
    url,
    name: values.name,
    storage: inFile(values.state, url),
    fetch: fetchFor(url),
    openBrowser: (page) => console.error(`Open this in your browser:\n\n  ${page.href}\n\nWaiting for the answer; Ctrl-C gives up.`),
  })
  try {
    console.log(await agent.call(tool, input))
  } finally {
    await agent.close()
  }
})
