import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nobody } from '../../src/identity/nobody.ts'
import { rememberedCallers } from '../../src/identity/remembered_answers.ts'
import type { Caller } from '../../src/oauth/principal.ts'

function start(options: { cacheMs: number; size?: number }) {
  const questions: { address: string; answer: (caller: Caller) => void; fail: (error: Error) => void }[] = []
  const clock = { ms: 0 }
  const callers = rememberedCallers({
    ask: (address) => new Promise((answer, fail) => questions.push({ address, answer, fail })),
    now: () => 0,
    elapsed: () => clock.ms,
    ...options,
  })
  /** Asks, and has it answered. */
  const learn = async (address: string) => {
    const asked = callers.ask(address)
    questions.at(-1)?.answer(nobody('unknown', address))
    return asked
  }
  return { callers, questions, clock, learn }
}

test('an answer counts for its time, from the question on, and not a moment longer', async () => {
  const { callers, clock, learn } = start({ cacheMs: 200 })
  const answer = await learn('a')
  clock.ms = 199
  assert.equal(callers.known('a'), answer)
  assert.equal(callers.known('b'), undefined)
  clock.ms = 200
  assert.equal(callers.known('a'), undefined)
})

test('nothing is remembered for more than a second, whatever is configured', async () => {
  const { callers, clock, learn } = start({ cacheMs: 60_000 })
  await learn('a')
  clock.ms = 1000
  assert.equal(callers.known('a'), undefined)
})

test('0 remembers nothing', async () => {
  const { callers, learn } = start({ cacheMs: 0 })
  await learn('a')
  assert.equal(callers.known('a'), undefined)
})

test('those who ask at the same moment share one question, of their own address', async () => {
  const { callers, questions } = start({ cacheMs: 200 })
  const asked = [callers.ask('a'), callers.ask('a'), callers.ask('b')]
  assert.deepEqual(
    questions.map(({ address }) => address),
    ['a', 'b'],
  )
  for (const { address, answer } of questions) answer(nobody('unknown', address))
  const [first, second, third] = await Promise.all(asked)
  assert.equal(first, second)
  assert.notEqual(second, third)
})

test('after "forget" neither an answer counts, nor one that is still on its way', async () => {
  const { callers, questions, learn } = start({ cacheMs: 200 })
  await learn('a')
  const onItsWay = callers.ask('b')
  callers.forget()
  assert.equal(callers.known('a'), undefined)
  void callers.ask('b')
  assert.equal(questions.length, 3, 'b is asked anew')
  questions[1]?.answer(nobody('unknown', 'b'))
  await onItsWay
  assert.equal(callers.known('b'), undefined)
})

test('a failure is not remembered [threats 319]', async () => {
  const { callers, questions, learn } = start({ cacheMs: 200 })
  const asked = callers.ask('a')
  questions[0]?.fail(new Error('away'))
  await assert.rejects(asked, /away/)
  assert.equal(callers.known('a'), undefined)
  assert.equal((await learn('a')).principal, null)
})

test('a flood of addresses does not fill the memory: the oldest goes', async () => {
  const { callers, learn } = start({ cacheMs: 200, size: 2 })
  for (const address of ['a', 'b', 'c']) await learn(address)
  assert.deepEqual(
    ['a', 'b', 'c'].map((address) => callers.known(address) !== undefined),
    [false, true, true],
  )
})
