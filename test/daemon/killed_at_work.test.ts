/** `npm run test:killed` kills a hundred times; without `KILLS` it is ten times, so that nobody waits for it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { copyFileSync, createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { unpack } from '../../src/backup/archive.ts'
import { ask } from '../../src/cli/ask.ts'
import { toConfig } from '../../src/config.ts'
import type { ShownKey } from '../../src/keys/keyring.ts'
import { openState, type State } from '../../src/state.ts'
import { migrations } from '../../src/store/migrations/index.ts'
import { damageOf } from '../../src/store/snapshot.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import type { Tokens } from '../support/person.ts'
import { type Installation, install, meshidp } from '../support/program.ts'
import { assertSound, codeFor, grafana, policy, redeem, wikiServer } from './load.ts'

const times = Math.ceil(Number(process.env.KILLS ?? 10) / 5)
const preload = fileURLToPath(new URL('dies_within.ts', import.meta.url))
const now = () => Math.floor(Date.now() / 1000)

const stateOf = ({ directory }: Installation) => join(directory, 'state')
const configOf = ({ configFile }: Installation) => toConfig(JSON.parse(readFileSync(configFile, 'utf8')))

/** What the next start does with the state. */
const opened = (installation: Installation): Promise<State> =>
  openState(configOf(installation), { now, randomBytes, credentials: undefined })

/** Runs a command until it was killed `times` times, each at a random moment of its work; `before` and `after` each hear of it. */
async function killedAt(
  t: TestContext,
  installation: Installation,
  args: (round: number) => string[],
  { before = async () => undefined, after }: { before?: (round: number) => Promise<void>; after: (round: number) => Promise<void> },
): Promise<void> {
  const command = (round: number, env: Record<string, string>) =>
    meshidp(t, [...args(round), '--config', installation.configFile], { preload, env: { DIES_AT: stateOf(installation), ...env } }).ended
  await before(0)
  const { code, stderr } = await command(0, {})
  const [, took = ''] = /at work for ([\d.]+) ms/.exec(stderr) ?? []
  assert.equal(code, 0, stderr)
  await after(0)
  let [round, died] = [0, 0]
  while (died < times) {
    await before(++round)
    const { signal } = await command(round, { DIES_AFTER_MS: String(Math.random() * Number(took)) })
    if (signal === 'SIGKILL') died++
    await after(round)
  }
  t.diagnostic(`${args(0)[0]}: ${took} ms of work; killed ${died} times, too late ${round - died} times`)
}

/** Signs alice in, and looks whether what she holds is worth as much as before. */
async function holder(installation: Installation) {
  const alice = installation.at('127.0.0.2')
  const held: Tokens[] = []
  return {
    signIn: async () => void held.push(await redeem(alice, await codeFor(alice))),
    assertHolds: async () => {
      for (const [at, tokens] of held.entries()) {
        assert.equal((await alice.introspect(wikiServer, tokens.access_token)).active, true)
        held[at] = await alice.refresh(grafana, tokens)
      }
    },
  }
}

suite('kill -9 at random moments: the next start is clean, and nothing is lost [threats 472]', { concurrency: 2 }, () => {
  test('of a backup: there is none, or a whole one; the daemon goes on, and the next one is made', async (t) => {
    const installation = await install(t, { policy })
    const { directory, run } = installation
    await installation.serve()
    const alice = await holder(installation)
    for (let count = 0; count < 3; count++) await alice.signIn()
    const file = (round: number) => join(directory, `${round}.tar`)
    await killedAt(t, installation, (round) => ['backup', file(round)], {
      async after(round) {
        if (!existsSync(file(round))) return assert.notEqual(round, 0)
        await unpack(createReadStream(file(round)), mkdtempSync(join(directory, 'unpacked-')))
      },
    })
    await alice.assertHolds()
    assert.equal((await run('backup', join(directory, 'last.tar'))).code, 0)
    assert.deepEqual(
      readdirSync(stateOf(installation)).filter((name) => name.includes('unfinished')),
      [],
    )
  })

  test('of a restore: it is the state of before, or that of the backup, with the keys that belong to it', async (t) => {
    const installation = await install(t, { policy })
    const { directory, run } = installation
    const daemon = await installation.serve()
    const alice = await holder(installation)
    await alice.signIn()
    const file = join(directory, 'backup.tar')
    assert.equal((await run('backup', file)).code, 0)
    await daemon.end()
    const kidsOf = ({ keys }: State) =>
      keys
        .list()
        .map(({ kid }) => kid)
        .sort()
        .join()
    const first = await opened(installation)
    const kidsOfBackup = kidsOf(first)
    await first.close()
    let kidsBefore = ''
    const marker = (round: number) => ({ sql: 'INSERT INTO meta (name, value) VALUES ($name, $name)', params: { name: `marker ${round}` } })
    const seen = { before: 0, backup: 0 }
    await killedAt(t, installation, () => ['restore', file, '--replace'], {
      async before(round) {
        const state = await opened(installation)
        await state.store.commit([marker(round)])
        await state.keys.rotate({ now: true })
        kidsBefore = kidsOf(state)
        await state.close()
      },
      async after(round) {
        const state = await opened(installation)
        try {
          const marked = await state.store.engine.get('SELECT value FROM meta WHERE name = $name', { name: `marker ${round}` })
          assert.equal(kidsOf(state), marked ? kidsBefore : kidsOfBackup, 'the keys of one state, and the database of the other')
          await assertSound(state.store.engine)
          seen[marked ? 'before' : 'backup']++
          const living = await state.store.authorizations.living(now(), '', 10)
          if (!marked) assert.deepEqual(living, [], 'restored without a new epoch')
        } finally {
          await state.close()
        }
        for (const name of readdirSync(stateOf(installation))) {
          assert.doesNotMatch(name, /^restored-/)
          if (name.startsWith('replaced-')) rmSync(join(stateOf(installation), name), { recursive: true })
        }
      },
    })
    t.diagnostic(JSON.stringify(seen))
    const last = await installation.serve()
    await alice.signIn().then(() => last.end())
  })

  test('of a migration: all rows are there, under the old schema or the new, and each copy of before is whole', async (t) => {
    const installation = await install(t, { policy })
    const state = stateOf(installation)
    const prepared = join(installation.directory, 'old.db')
    const rows = 3000
    const older = await openSqlite(prepared, { migrations: migrations.slice(0, 1) })
    await older.commit(
      Array.from({ length: rows }, (_, at) => ({
        sql: `INSERT INTO consents (user_id, client_id, resource, scopes, software_digest, agreed_at) VALUES ($at, 'c', 'r', 'wiki:read', 'd', 1)`,
        params: { at: String(at) },
      })),
    )
    await older.close()
    await killedAt(t, installation, () => ['keys', 'list'], {
      async before() {
        rmSync(state, { recursive: true, force: true })
        mkdirSync(state, { mode: 0o700 })
        copyFileSync(prepared, join(state, 'meshidp.db'))
      },
      async after() {
        const { store, close } = await opened(installation)
        const found = await store.engine.get('SELECT count(*) AS n, (SELECT count(*) FROM migrations) AS schema FROM consents', {})
        await close()
        assert.deepEqual(found, { n: rows, schema: migrations.length })
        const copies = readdirSync(state).filter((name) => name.startsWith('meshidp-schema-'))
        for (const copy of copies) assert.equal(damageOf(join(state, copy)), null)
        assert.deepEqual(
          readdirSync(state).filter((name) => name.includes('unfinished')),
          [],
        )
      },
    })
  })

  for (const [what, mostMs, deed] of [
    ['of key rotation: no key is lost that has signed, and no token', 400, (_round: number) => ['keys.rotate', { now: true }]],
    [
      'of "policy apply": the policy file is the old one or the new one, to the letter',
      150,
      (round: number) => ['policy.apply', { text: `// ${'x'.repeat(1000 * (round + 1))}\n${policy}`, name: 'new' }],
    ],
  ] as const)
    test(what, async (t) => {
      const installation = await install(t, { policy })
      const alice = await holder(installation)
      let daemon = await installation.serve()
      const keys = async () => ((await ask(configOf(installation), 'keys.list', {}, undefined)) as { keys: ShownKey[] }).keys
      for (let round = 1; round <= times; round++) {
        if (round % 5 === 1) await alice.signIn()
        const [before, text] = [await keys(), readFileSync(installation.policyFile, 'utf8')]
        const [action, input] = deed(round) as [string, { text?: string }]
        const asked = ask(configOf(installation), action, input, undefined).then(
          () => 'answered',
          () => 'lost',
        )
        await pause(Math.random() * mostMs)
        await daemon.end('SIGKILL')
        const came = await asked
        daemon = await installation.serve()
        const after = await keys()
        for (const { kid } of before)
          assert.ok(
            after.some((key) => key.kid === kid),
            `key ${kid} is lost`,
          )
        // A key that a killed rotation made is used by the next one, where it comes in the same second: so they are not counted.
        if (action === 'keys.rotate' && came === 'answered')
          for (const { kid, alg } of before.filter(({ state, alg }) => state === 'signing' && alg !== 'HS256'))
            assert.notEqual(after.findLast((key) => key.alg === alg)?.kid, kid, 'a rotation that was answered is lost')
        const now = readFileSync(installation.policyFile, 'utf8')
        assert.ok(now === text || now === input.text, 'the policy file is neither')
        if (action === 'policy.apply' && came === 'answered') assert.equal(now, input.text, 'what was answered is not on disk')
        await alice.assertHolds()
      }
      const { code } = await daemon.end()
      assert.equal(code, 0)
    })
})
