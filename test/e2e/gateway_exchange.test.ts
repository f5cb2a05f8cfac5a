/** What the example gateway keeps of its exchanges, asked of a real daemon on one clock. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { machineAt } from '../../examples/demo/from_address.ts'
import { createExchange } from '../../examples/mcp-gateway/exchange.ts'
import { ask } from '../../src/cli/ask.ts'
import { wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'

const notes = 'http://localhost:8491/mcp'

/** The exchange of a gateway that keeps `mostKept` tokens, a way to sign alice in to it, and how often the daemon has exchanged. */
async function withExchange(t: TestContext, mostKept: number) {
  const { alice, clock, config, issuer } = await start(t)
  const machine = machineAt('127.0.0.9')
  t.after(machine.close)
  const client = await alice.register()
  return {
    clock,
    ...createExchange({ issuer, credentials: { client_id: 'client:gateway', fetch: machine.fetch }, now: clock.now, mostKept }),
    signIn: async () => (await alice.signIn(client, { resource: 'http://localhost:8492/mcp', scope: 'tools:call' })).access_token,
    async times() {
      const { decisions } = (await ask(config, 'decisions.list', { outcome: 'allowed' }, undefined)) as { decisions: { entry: string }[] }
      return decisions.filter(({ entry }) => entry === 'token_exchange').length
    },
  }
}

test('the example gateway keeps a token until shortly before it ends, by subject token and server, and shares one exchange among requests of one moment', async (t) => {
  const { exchanged, forget, signIn, times, clock } = await withExchange(t, 10)
  const [first, second] = [await signIn(), await signIn()]
  const [one, ...others] = await Promise.all([1, 2, 3].map(() => exchanged(first, wiki.resource)))
  assert.deepEqual(others, [one, one])
  assert.equal(await times(), 1)
  const all = [one, await exchanged(first, notes), await exchanged(second, wiki.resource)]
  assert.deepEqual([new Set(all).size, await times()], [3, 3], 'another server and another token of hers are another token')

  clock.advance({ seconds: 240 }) // some of the 270 s are left: a clock apart goes on by itself
  assert.equal(await exchanged(first, wiki.resource), one)
  clock.advance({ seconds: 30 })
  assert.notEqual(await exchanged(first, wiki.resource), one)
  assert.equal(await times(), 4)
  forget(first, wiki.resource)
  await exchanged(first, wiki.resource)
  assert.equal(await times(), 5)
})

test('the example gateway keeps so many tokens and no more, and asks again after a refusal', async (t) => {
  const { exchanged, signIn, times } = await withExchange(t, 2)
  const [first, second] = [await signIn(), await signIn()]
  await exchanged(first, wiki.resource)
  await exchanged(first, notes)
  await exchanged(second, wiki.resource)
  assert.equal(await times(), 3)
  await exchanged(second, wiki.resource)
  await exchanged(first, notes)
  assert.equal(await times(), 3)
  await exchanged(first, wiki.resource)
  assert.equal(await times(), 4, 'the oldest had gone')

  const refused = () => exchanged(first, 'https://elsewhere.example/mcp')
  await assert.rejects(refused, { name: 'Refused', message: "The policy names no resource 'https://elsewhere.example/mcp'." })
  await assert.rejects(refused, { name: 'Refused' })
})
