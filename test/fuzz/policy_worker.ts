/**
 * One run after the other in a thread of its own, which says at each what it is at: a text that makes the engine hang hangs this thread, and who started it
 * can tell. Ends with null, or with what fast-check found.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import fc from 'fast-check'
import { type Asked, type Compiled, compile, evaluate, format, type Problem, runTests } from '../../src/policy/index.ts'
import { asked, now, questionsTo } from '../support/random_policy.ts'

export type FuzzJob = { runs: number; seed: number; counter: SharedArrayBuffer; text: SharedArrayBuffer }
const { runs, seed, counter, text: shown } = workerData as FuzzJob
const [count, bytes] = [new Int32Array(counter), new Uint8Array(shown)]

const example = readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8')
const words = [
  ...new Set(example.match(/"[^"\n]*"|[a-z]+|[^\s\w]|\d+/g)),
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"tests"',
  '"posture"',
  '"expires"',
]
const oddities = [
  '\0',
  '\uFEFF',
  '\u202e',
  '\u200b',
  '\r',
  '\\u',
  '\\ud800',
  '"',
  '/*',
  '*/',
  '//',
  '1e999',
  '-',
  '1.',
  '[['.repeat(40),
  '{}',
  'null',
  '🙂',
  '"x".',
]

const piece = fc.oneof(fc.constantFrom(...words), fc.constantFrom(...oddities), fc.string({ unit: 'binary', maxLength: 4 }))
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom<unknown>(
      '*',
      'group:a',
      'resource:a',
      'client:a',
      'tag:a',
      'a@b',
      '*@b',
      '30d',
      '2027-01-01',
      1,
      1e21,
      true,
      null,
      '100.64.0.0/10',
      '::1/0',
    ),
    fc.constantFrom(...words.filter((word) => word.startsWith('"')).map((word) => JSON.parse(word) as string)),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...words.filter((word) => word.startsWith('"')).map((word) => word.slice(1, -1))), tie('json'), {
      maxKeys: 4,
    }),
  ),
}))

/** Some of a good text cut out, doubled, replaced, or joined by something else. */
const mutated = (good: fc.Arbitrary<string>) =>
  fc
    .tuple(
      good,
      fc.array(fc.tuple(fc.nat(), fc.nat(40), piece, fc.constantFrom('put', 'replace', 'double', 'cut')), { minLength: 1, maxLength: 4 }),
    )
    .map(([text, changes]) =>
      changes.reduce((changed, [where, length, put, how]) => {
        const at = where % (changed.length + 1)
        const part = changed.slice(at, at + length)
        if (how === 'cut' && length === 40) return changed.slice(0, at) // half a file
        const instead = { put: put + part, replace: put, double: part + part, cut: '' }[how]
        return changed.slice(0, at) + instead + changed.slice(at + length)
      }, text),
    )

const documentText = asked().map(([document]) => JSON.stringify(document, null, 1))
const texts = fc.oneof(
  fc.uint8Array({ maxLength: 80 }).map((random) => Buffer.from(random).toString('utf8')),
  fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(' ')),
  json.map((value) => JSON.stringify(value) ?? ''),
  fc
    .dictionary(fc.constantFrom('groups', 'mesh_groups', 'resources', 'clients', 'grants', 'tests'), json)
    .map((value) => JSON.stringify(value)),
  { arbitrary: mutated(documentText), weight: 4 },
  mutated(fc.constant(example)),
)

/** Each problem is one that a person can find, and reads as a sentence. */
function check(text: string, problems: readonly Problem[]): void {
  const lines = text.split(/\r\n|\r|\n/)
  for (const { line, column, message, hint = '.' } of problems) {
    const about = JSON.stringify({ line, column, message, hint })
    assert.ok(line >= 1 && line <= lines.length && column >= 1 && column <= (lines[line - 1]?.length ?? 0) + 1, about)
    assert.ok(/[.]$/.test(message) && /[.?]$/.test(hint) && !/undefined is|Invalid input|\[object /.test(message), about)
  }
}

/** What is HuJSON is laid out, means the same afterwards, and stays so. */
function layOut(text: string, compiled: Compiled): void {
  const once = format(text)
  if (!once.ok) {
    assert.ok(!compiled.ok)
    return
  }
  const again = format(once.text)
  assert.equal(again.ok && again.text, once.text)
  const after = compile(once.text)
  const said = (one: Compiled) => (one.ok ? one.policy.warnings : one.problems).map(({ message }) => message)
  assert.deepEqual([after.ok, said(after)], [compiled.ok, said(compiled)])
}

const property = fc.property(texts, fc.infiniteStream(fc.nat()), (text, numbers) => {
  Atomics.add(count, 0, 1)
  Atomics.store(count, 1, new TextEncoder().encodeInto(text, bytes).written)
  const compiled = compile(text)
  if (Atomics.load(count, 0) % 4 === 0) layOut(text, compiled)
  if (!compiled.ok) {
    assert.ok(compiled.problems.some(({ severity }) => severity === 'error'))
    return check(text, compiled.problems)
  }
  check(text, [...compiled.policy.warnings, ...runTests(compiled.policy)])
  for (const question of sample(numbers)) assert.equal(typeof evaluate(compiled.policy, question, now).allowed, 'boolean')
})

/** Some questions that do not know the policy: most names in them are not in it. */
const strangers: readonly Asked[] = fc.sample(questionsTo({ grants: [] }), { numRuns: 200, seed })
const sample = (numbers: IterableIterator<number>) =>
  [0, 1, 2].map(() => strangers[(numbers.next().value ?? 0) % strangers.length] as Asked)

const { failed, counterexample, errorInstance } = fc.check(property, { numRuns: runs, seed })
parentPort?.postMessage(failed ? `${(errorInstance as Error)?.stack}\n${JSON.stringify(counterexample?.[0])}` : null)
