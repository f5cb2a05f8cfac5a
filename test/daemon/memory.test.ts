import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { wiki } from '../support/example_policy.ts'
import { install } from '../support/program.ts'
import { unhurried } from '../support/start.ts'
import { codeFor, grafana, policy, redeem, wikiServer } from './load.ts'

const preload = fileURLToPath(new URL('tells_memory.ts', import.meta.url))

// `npm run soak` looks at the same for twenty minutes, from outside.
test('what is done and over holds no memory and no timer: after 900 stories of all kinds it is as after 300 [threats 485]', async (t) => {
  const installation = await install(t, {
    policy,
    config: { limits: { ...unhurried, per_principal: { rate: 1e9, burst: 1e9 } } },
  })
  const daemon = await installation.serve({ preload })
  const people = ['127.0.0.2', '127.0.0.3'].map((address) => installation.at(address))
  let told = 0

  async function tell(): Promise<{ heap: number; timers: number }> {
    await pause(1000) // what was answered a moment ago is still in a cache, and its connection has a timer
    daemon.child.kill('SIGUSR2')
    const lines = () => [...daemon.said().matchAll(/^heap (\d+) KiB, (\d+) timers$/gm)]
    while (lines().length <= told) await pause(10)
    told++
    const [, heap, timers] = lines().at(-1) ?? []
    return { heap: Number(heap), timers: Number(timers) }
  }

  async function stories(count: number): Promise<void> {
    for (let at = 0; at < count; at++) {
      const person = people[at % people.length] as (typeof people)[number]
      const tokens = await redeem(person, await codeFor(person))
      const next = await person.refresh(grafana, tokens)
      await person.introspect(wikiServer, next.access_token)
      await person.send('/userinfo', { headers: { authorization: `Bearer ${next.access_token}` } })
      const denied = await person.authorize(grafana, { ...wiki, scope: `wiki:none-${at}` })
      assert.notEqual(denied.status, 500)
      await person.token(grafana, { grant_type: 'refresh_token', refresh_token: `mrt_${at}` }).catch(() => undefined)
      await person.send('/revoke', {
        form: { token: next.refresh_token ?? '', client_id: grafana.client_id, client_secret: grafana.client_secret ?? '' },
      })
    }
  }

  await stories(300)
  const early = await tell()
  await stories(600)
  const late = await tell()
  t.diagnostic(`heap ${early.heap} KiB, then ${late.heap}; timers ${early.timers}, then ${late.timers}`)
  assert.ok(late.heap < early.heap + 1024, `${early.heap} KiB became ${late.heap}`)
  assert.ok(late.timers <= early.timers + 5, `${early.timers} timers became ${late.timers}`)
})
