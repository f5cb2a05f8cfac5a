/** A process of its own for each policy: reads its text from standard input, compiles it once, asks, and writes what that took. */
import { readFileSync } from 'node:fs'
import { type Asked, compile, evaluate } from '../../src/policy/index.ts'
import { median } from '../measured.ts'
import { question } from './world.ts'

/** Times in microseconds. */
export type Asking = { p50: number; p99: number }
export type PolicyFigures = {
  compile_ms: number
  /** Memory of the process after it had compiled, less what it had before: what stays, and with all that compiling left to be swept up. MiB. */
  kept: number
  resident: number
  allowed: Asking
  denied: Asking
  hopeless: Asking
}

const WARM_UP = 2000
const ASKED = 20_000

const collect = globalThis.gc ?? (() => {})
const small = readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8')
const text = readFileSync(0, 'utf8')
compile(small) // what a daemon has loaded before it reads a larger one
collect()
const before = process.memoryUsage()

const began = performance.now()
const compiled = compile(text)
const compile_ms = performance.now() - began
if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems[0]))
const { policy } = compiled
const resident = process.memoryUsage.rss()
collect()
const after = process.memoryUsage()

const MIB = 1024 * 1024
const figures: PolicyFigures = {
  compile_ms,
  kept: (after.heapUsed + after.external - before.heapUsed - before.external) / MIB,
  resident: (resident - before.rss) / MIB,
  allowed: ask(question('alice@example.com'), true),
  denied: ask(question('nobody@example.com'), false),
  hopeless: ask(question('alice@example.com', ['unheard-of']), false),
}
process.stdout.write(JSON.stringify(figures))

function ask(asked: Asked, expected: boolean): Asking {
  const times: number[] = []
  for (let i = 0; i < WARM_UP + ASKED; i++) {
    const start = process.hrtime.bigint()
    const { allowed } = evaluate(policy, asked, 1_800_000_000)
    if (i >= WARM_UP) times.push(Number(process.hrtime.bigint() - start) / 1000)
    if (allowed !== expected) throw new Error(`This was to be ${expected ? 'allowed' : 'denied'}, and is not: ${JSON.stringify(asked)}`)
  }
  return { p50: median(times), p99: times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN }
}
