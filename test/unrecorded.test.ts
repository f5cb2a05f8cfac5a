import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policy } from './daemon/load.ts'
import { grafanaCallback, policyClient, wiki } from './support/example_policy.ts'
import { start } from './support/start.ts'

test('what cannot be recorded is not done: no code, token, software or end of it without its row among the decisions, and nothing is spent [threats 458]', async (t) => {
  const { alice, mallory, daemon, config } = await start(t, { policy })
  const { engine } = daemon.deps.store
  const count = async (table: string) => (await engine.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`, {}))?.n
  const counts = async () => Promise.all(['authorizations', 'codes', 'refresh_tokens', 'clients', 'decisions'].map(count))
  const grafana = policyClient({ config }, 'grafana', grafanaCallback)
  const redeem = ({ code, code_verifier }: Awaited<ReturnType<typeof alice.code>>) =>
    alice.token(grafana, { grant_type: 'authorization_code', code, code_verifier, redirect_uri: grafanaCallback })
  const tokens = await redeem(await alice.code(grafana, wiki))
  const code = await alice.code(grafana, wiki)
  const before = await counts()

  await engine.commit([
    { sql: "CREATE TRIGGER unrecorded BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'no room'); END", params: {} },
  ])
  const failed = (answer: { status: number; text: string }, what: string) => {
    assert.ok(answer.status >= 500, `${what}: ${answer.status}`)
    assert.doesNotMatch(answer.text, /no room|mic_|mir_/, what)
  }
  failed(await alice.authorize(grafana, wiki), 'a code')
  failed(await alice.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } }), 'software')
  const refused = (asked: Promise<unknown>) =>
    asked.then(
      () => assert.fail('it was given'),
      (error) => failed(error.answer, 'a token'),
    )
  await refused(redeem(code))
  await refused(alice.refresh(grafana, tokens))
  // Who is denied is not told so without a record either.
  failed(await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } }), 'a denial')
  assert.deepEqual(await counts(), before)

  await engine.commit([{ sql: 'DROP TRIGGER unrecorded', params: {} }])
  await redeem(code)
  await alice.refresh(grafana, tokens)
})
