/** `node load.ts SECONDS`: people who register software, one POST after the other on connections that are kept; none is repeated. Prints what came, as JSON. */
import { Agent, request } from 'undici'

const end = Date.now() + Number(process.argv[2]) * 1000
const body = JSON.stringify({ redirect_uris: ['http://127.0.0.1/cb'], token_endpoint_auth_method: 'none' })
const answers: Record<string, number> = {}

async function ask(localAddress: string): Promise<void> {
  const dispatcher = new Agent({ localAddress, connections: 1, connect: { rejectUnauthorized: false }, keepAliveTimeout: 60_000 })
  while (Date.now() < end) {
    const what = await request('https://100.64.0.1/register', {
      method: 'POST',
      headers: { host: 'idp.example.ts.net', 'content-type': 'application/json' },
      body,
      dispatcher,
    }).then(
      async (answer) => {
        await answer.body.text()
        return String(answer.statusCode)
      },
      (error: NodeJS.ErrnoException) => error.code ?? error.message,
    )
    answers[what] = (answers[what] ?? 0) + 1
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await dispatcher.destroy()
}

await Promise.all(['100.64.0.2', '100.64.0.2', '100.64.0.3', '100.64.0.3'].map(ask))
console.log(JSON.stringify(answers))
