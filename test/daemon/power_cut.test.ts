/** `npm run test:killed` looks at 200 moments; without `POWER_CUTS` it is 20. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { toConfig } from '../../src/config.ts'
import { authorizationOfCode, digest } from '../../src/oauth/secret.ts'
import { openState } from '../../src/state.ts'
import type { Engine } from '../../src/store/engine.ts'
import type { Person } from '../support/person.ts'
import { install } from '../support/program.ts'
import { unhurried } from '../support/start.ts'
import { assertSound, codeFor, grafana, policy, redeem } from './load.ts'
import { callsIn, powerCuts, tracer, untraceable } from './traced_disk.ts'

const moments = Number(process.env.POWER_CUTS ?? 20)
/** How long there is load, milliseconds. */
const loaded = Math.min(6000, 150 * moments)

/** Signs in, refreshes and registers until `enough`. */
async function work(person: Person, enough: () => boolean): Promise<void> {
  for (let round = 0; !enough(); round++) {
    let tokens = await redeem(person, await codeFor(person))
    for (let times = 0; times < 3; times++) tokens = await person.refresh(grafana, tokens)
    if (round < 8) await person.register()
  }
}

/** Every answer that promised something: what of it is not in the database. */
async function lost(engine: Engine, answers: readonly string[]): Promise<string[]> {
  const missing: string[] = []
  const current = new Map<string, string>()
  const has = async (sql: string, params: Record<string, string>) => (await engine.get(sql, params)) !== undefined
  for (const answer of answers) {
    const [, code] = /[?&]code=(mic_[0-9A-Z]+\.[\w-]{43})/.exec(answer) ?? []
    const [, token, family = ''] = /"refresh_token":"(mir_([0-9A-Z]+)\.[^"]+)"/.exec(answer) ?? []
    const [, client_id] = /"client_id":"([^"]+)"[\s\S]*"registration_access_token"/.exec(answer) ?? []
    const params = { id: authorizationOfCode(code ?? '') ?? '', digest: digest(code ?? '') }
    if (code && !(await has('SELECT 1 FROM codes WHERE authorization_id = $id AND digest = $digest', params))) missing.push(code)
    if (client_id && !(await has('SELECT 1 FROM clients WHERE client_id = $client_id', { client_id }))) missing.push(client_id)
    if (token) current.set(family, token)
  }
  // The last one that its client was given is the current one, or was spent by a request that was not answered any more.
  for (const [id, token] of current) {
    const params = { id, digest: digest(token) }
    const sql = 'SELECT 1 FROM refresh_tokens WHERE authorization_id = $id AND $digest IN (digest, previous_digest)'
    if (!(await has(sql, params))) missing.push(token)
  }
  return missing
}

test('a power cut at any moment under load: of database and log there is what was synced, and a torn rest; it opens, it is whole, and all that was answered is there', async (t) => {
  const why = untraceable()
  if (why) return t.skip(why)
  const installation = await install(t, { policy, config: { limits: { ...unhurried, per_principal: { rate: 1e9, burst: 1e9 } } } })
  const state = join(installation.directory, 'state')
  const made = await installation.serve()
  await made.end()
  const before = join(installation.directory, 'before')
  cpSync(state, before, { recursive: true })

  const traces = join(installation.directory, 'traces')
  mkdirSync(traces)
  const daemon = await installation.serve({ under: tracer(traces), group: true })
  const people = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.8'].map(installation.at)
  const end = performance.now() + loaded
  await Promise.all(people.map((person) => work(person, () => performance.now() > end)))
  await daemon.end('SIGKILL')

  const names = ['meshidp.db', 'meshidp.db-wal']
  const pathOf = (name: string) => join(state, name)
  const calls = callsIn(traces).filter((call) => call.kind === 'answer' || names.map(pathOf).includes(call.file))
  const files = new Map(
    names.filter((name) => existsSync(join(before, name))).map((name) => [pathOf(name), readFileSync(join(before, name))]),
  )
  const syncs = calls.filter(({ kind }) => kind === 'sync').length
  const config = toConfig(JSON.parse(readFileSync(installation.configFile, 'utf8')))
  const cut = join(installation.directory, 'cut')

  /** What is lost where the disk holds this. */
  async function lostOf(disk: ReadonlyMap<string, Buffer>, answers: readonly string[]): Promise<string[]> {
    rmSync(cut, { recursive: true, force: true })
    mkdirSync(cut, { mode: 0o700 })
    cpSync(before, cut, { recursive: true })
    for (const name of names) {
      const bytes = disk.get(pathOf(name))
      if (bytes) writeFileSync(join(cut, name), bytes)
    }
    const opened = await openState(
      { ...config, state_directory: cut },
      { now: () => Math.floor(Date.now() / 1000), randomBytes, credentials: undefined },
    )
    try {
      await assertSound(opened.store.engine)
      return await lost(opened.store.engine, answers)
    } finally {
      await opened.close()
    }
  }

  const chosen = Array.from({ length: moments }, () => Math.floor(Math.random() * calls.length)).sort((a, b) => a - b)
  let answered = 0
  await powerCuts(calls, files, chosen, Math.random, async (disk, answers, moment) => {
    answered = answers.length
    assert.deepEqual(await lostOf(disk, answers), [], `before call ${moment} of ${calls.length}`)
  })
  t.diagnostic(`${chosen.length} moments of ${calls.length} calls with ${syncs} syncs, up to ${answered} answers`)
  assert.ok(syncs > 50 && answered > 100)
  assert.ok(
    calls.some((call) => call.kind === 'sync' && call.file === pathOf('meshidp.db')),
    'no checkpoint was seen',
  )

  // The same with synchronous=NORMAL, which syncs the log for a checkpoint only: it opens, and what was answered is lost. Else it would be no test.
  const log = pathOf('meshidp.db-wal')
  const onDisk = calls.filter(({ kind }) => kind !== 'answer')
  const commits = new Set(
    onDisk.filter((call, at) => {
      const [before, after] = [onDisk[at - 1], onDisk[at + 1]]
      const isHeader = before?.kind === 'write' && before.file === log && before.at === 0
      const isCheckpoint = after?.kind === 'write' && after.file === pathOf('meshidp.db')
      return call.kind === 'sync' && call.file === log && !isHeader && !isCheckpoint
    }),
  )
  const normal = calls.filter((call) => !commits.has(call))
  const everythingIsLost = () => 0
  await powerCuts(normal, files, [normal.length - 1], everythingIsLost, async (disk, answers) => {
    const missing = await lostOf(disk, answers)
    t.diagnostic(`${missing.length} answers would be lost without the ${commits.size} syncs of commits`)
    assert.ok(commits.size > 50 && missing.length > 0)
  })
})
