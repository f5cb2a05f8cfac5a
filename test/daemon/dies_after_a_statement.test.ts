import assert from 'node:assert/strict'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openSqlite } from '../../src/store/sqlite.ts'
import { type Person, Refusal, type Tokens } from '../support/person.ts'
import { type Installation, install } from '../support/program.ts'
import { assertSound, type Code, codeFor, grafana, policy, redeem } from './load.ts'

const preload = fileURLToPath(new URL('dies_after_a_statement.ts', import.meta.url))

/**
 * Starts a daemon, lets `ask` speak to one that dies after its statement n, for n = 0, 1, … until one of them lives to answer; each time the next daemon, after the
 * next start, hears `askAgain`. Resolves with how often it died.
 */
async function atEachStatement<Asked>(
  { serve }: Installation,
  prepare: () => Promise<Asked>,
  ask: (asked: Asked) => Promise<Tokens>,
  askAgain: (asked: Asked) => Promise<void>,
): Promise<number> {
  let lost: Asked | undefined
  for (let statements = 0; ; statements++) {
    const daemon = await serve({ preload, env: { DIES_AFTER: String(statements) } })
    if (lost) await askAgain(lost)
    const asked = await prepare()
    daemon.child.kill('SIGUSR2')
    await daemon.says(/armed/)
    const answered = await ask(asked).then(
      () => true,
      (error) => {
        if (error instanceof Refusal) throw error
        return false
      },
    )
    if (answered) {
      await daemon.end('SIGKILL')
      return statements
    }
    assert.equal((await daemon.ended).signal, 'SIGKILL')
    lost = asked
  }
}

async function sound({ directory }: Installation): Promise<void> {
  const engine = await openSqlite(join(directory, 'state', 'meshidp.db'))
  await assertSound(engine)
  await engine.close()
}

/** What a daemon writes down once only is on disk afterwards, so that the next request's statements are its own. */
const warmUp = async (person: Person) => redeem(person, await codeFor(person))

suite('dying', { concurrency: true }, () => {
  test('RFC 6749 §4.1.3: a daemon that dies after any statement of a code redemption has either spent nothing, or all of it is on disk [threats 454]', async (t) => {
    const installation = await install(t, { policy })
    const alice = installation.at('127.0.0.2')
    const outcomes: string[] = []
    const died = await atEachStatement<Code>(
      installation,
      async () => {
        await warmUp(alice)
        return codeFor(alice)
      },
      (code) => redeem(alice, code),
      async (code) => {
        const again = await redeem(alice, code).catch((error) => String((error as Refusal).error))
        outcomes.push(typeof again === 'string' ? again : 'works')
      },
    )
    assert.ok(died >= 4, `${died} statements`)
    // Only after COMMIT, the last one, is it spent; before, the code still works.
    assert.deepEqual(outcomes, [...Array.from({ length: died - 1 }, () => 'works'), 'invalid_grant'])
    await sound(installation)
  })

  test('RFC 9700 §4.14.2: a refresh token whose answer was lost with the daemon, at any statement, yields one and the same successor [threats 455]', async (t) => {
    const installation = await install(t, { policy })
    const alice = installation.at('127.0.0.2')
    const died = await atEachStatement<Tokens>(
      installation,
      async () => alice.refresh(grafana, await warmUp(alice)),
      (tokens) => alice.refresh(grafana, tokens),
      async (tokens) => {
        const first = await alice.refresh(grafana, tokens)
        assert.equal((await alice.refresh(grafana, tokens)).refresh_token, first.refresh_token)
        await alice.refresh(grafana, first)
      },
    )
    assert.ok(died >= 4, `${died} statements`)
    await sound(installation)
  })
})
