/** `meshidp policy replay`: decisions that were taken, asked of another policy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { UsageError } from '../../src/cli/command.ts'
import { identityText, type Policy, principalFrom } from '../../src/policy/index.ts'
import { insertDecision, keepRecord } from '../../src/store/decisions.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { written } from '../support/policy_command.ts'
import { printed } from '../support/printed.ts'
import { meshidp } from '../support/program.ts'
import { type Started, start } from '../support/start.ts'

const carolInsteadOfAlice = () =>
  changedPolicy((policy) => {
    policy.groups['group:eng'] = ['bob@example.com', 'carol@example.com']
  })

test('policy replay: each decision that would come out otherwise, alike ones together, with its number and why; exit code 1', async (t) => {
  const { alice, carol, configFile } = await start(t)
  const tool = await alice.register()
  const held = await alice.signIn(tool, { ...wiki, scope: 'wiki:read wiki:write offline_access' })
  await alice.refresh(tool, held)
  const other = await carol.register()
  for (let times = 0; times < 3; times++) await assert.rejects(carol.code(other, wiki), /may not use/)

  const same = await printed([
    'policy',
    'replay',
    written(
      t,
      changedPolicy(() => undefined),
    ),
    '--since',
    '1h',
    '--config',
    configFile,
  ])
  assert.equal(same.code, 0)
  assert.match(same.stdout, /^\d+ decisions since 20.*Z, taken \d+ times; none of these would come out otherwise\.\n/)

  const file = written(t, carolInsteadOfAlice())
  const { code, stdout } = await meshidp(t, ['policy', 'replay', file, '--since', '1h', '--config', configFile]).ended
  assert.equal(code, 1)
  assert.match(stdout, /^TIMES +WHO +WHAT +AT +WAS +WOULD BE +LAST DECISION +WHY$/m)
  const what = 'authorize resource:wiki with software that the policy does not name'
  const scopes = 'offline_access wiki:read wiki:write'
  for (const entry of ['authorize', 'authorization_code', 'refresh_token'])
    assert.match(
      stdout,
      new RegExp(
        `^\\d +alice@example\\.com +${what} +${entry} +allowed: ${scopes} +denied \\(no_grant\\) +\\w{26} +alice@example\\.com may not use resource:wiki\\. .* if in group:eng\\.$`,
        'm',
      ),
    )
  assert.match(
    stdout,
    new RegExp(`^\\d +carol@example\\.com +${what} +authorize +denied \\(no_grant\\) +allowed: wiki:read +\\w{26} +–$`, 'm'),
  )
  assert.match(stdout, /^They are asked again as of today, with the identities of then/m)

  const json = JSON.parse((await printed(['policy', 'replay', file, '--since', '1h', '--config', configFile, '--json'])).stdout)
  assert.equal(json.changes.length, 4)
  const explained = await printed(['policy', 'explain', json.changes[0].decision, '--file', file, '--config', configFile])
  assert.match(explained.stdout, /^The policy in .*, to who it was then/m)
})

/** Decisions of one second, as a busy daemon leaves them. */
async function many({ daemon, clock }: Started, count: number): Promise<void> {
  const { store } = daemon.deps
  const policy: Policy = daemon.deps.policy()
  const [any] = await store.decisions.identities({ before: null, limit: 1 })
  const body = identityText(principalFrom(any?.body ?? ''))
  await store.commit([keepRecord({ digest: 'many', kind: 'identity', body, used_at: clock.now() })])
  const rows = Array.from({ length: count }, (_, i) =>
    insertDecision({
      id: `MANY${String(i).padStart(22, '0')}`,
      at: clock.now(),
      last_at: clock.now(),
      count: 1,
      entry: 'authorize',
      outcome: 'allowed',
      reason: null,
      sentence: null,
      principal: 'alice@example.com',
      user_id: null,
      node_id: null,
      client_id: 'dcr_1',
      resource: 'http://localhost:8490/mcp',
      scopes: 'wiki:read',
      granted: 'wiki:read',
      authorization_id: null,
      question: JSON.stringify({
        app: 'authorize',
        client: { client_id: 'dcr_1', name: null },
        resource: 'resource:wiki',
        scopes: ['wiki:read'],
      }),
      detail: null,
      policy: policy.hash,
      identity: 'many',
    }),
  )
  await store.commit(rows)
}

test('policy replay: more decisions in one second than a page holds are each counted once, and progress is told on a terminal only', async (t) => {
  const started = await start(t)
  const { alice, configFile } = started
  await alice.register()
  await many(started, 2500)
  const file = written(t, carolInsteadOfAlice())
  const words = ['policy', 'replay', file, '--since', '1d', '--config', configFile]
  const quiet = await printed([...words, '--json'])
  assert.equal(quiet.stderr, '')
  const { changes, decisions } = JSON.parse(quiet.stdout)
  assert.deepEqual([changes.length, changes[0].times, decisions], [1, 2500, 2501])
  const shown = await printed(words, { interactive: true, env: { NO_COLOR: '1' } })
  assert.match(stripVTControlCharacters(shown.stderr), /^\r1000 decisions read, back to 20.*\r2501 decisions read, .*\r$/s)
})

test('policy replay: what the policy did not decide, and what is no longer known, is told and not guessed', async (t) => {
  const started = await start(t)
  const { alice, configFile, daemon, close } = started
  const tool = await alice.register()
  const held = await alice.signIn(tool, { ...wiki, scope: 'wiki:read offline_access' })
  const next = await alice.refresh(tool, held)
  started.clock.advance({ minutes: 2 })
  await alice.refresh(tool, next)
  await assert.rejects(alice.refresh(tool, held), { error: 'invalid_grant' })
  await many(started, 1)
  await daemon.deps.store.commit([{ sql: "DELETE FROM records WHERE digest = 'many'", params: {} }])
  await close()
  const { code, stdout } = await printed(['policy', 'replay', written(t, '{}'), '--config', configFile])
  assert.equal(code, 1, 'without a daemon too')
  assert.match(stdout, /^1 decision it was not the policy that took/m)
  assert.match(stdout, /^Of 1 decision the identity is not kept any more\.$/m)
  assert.match(stdout, /denied \(target\) .* The policy names no http:\/\/localhost:8490\/mcp\.$/m)
})

test('policy replay: what is not usable is exit code 2', async (t) => {
  const good = written(t, '{}')
  for (const words of [[], [good, 'more'], [good, '--since', 'yesterday'], [good, '--since', '0d'], [good, '--since', '2026-13-45']])
    await assert.rejects(printed(['policy', 'replay', ...words]), UsageError)
  const bad = await printed(['policy', 'replay', written(t, '{ "grant": [] }')])
  assert.deepEqual([bad.code, bad.stdout], [2, ''])
})
