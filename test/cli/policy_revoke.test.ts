/** `meshidp policy apply --revoke`: what the new policy would not give ends, after a look at it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import type { Terminal } from '../../src/cli/command.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { edge, exchanged, gatewayResource, withGateway } from '../support/exchange.ts'
import { printed } from '../support/printed.ts'
import { start, temporaryDirectory } from '../support/start.ts'
import { changeMesh } from '../support/token_request.ts'
import { turns } from '../support/turns.ts'

const good = changedPolicy(() => undefined)
/** Alice is no engineer any more, and engineers only read. */
const stricter = changedPolicy(({ groups, grants }) => {
  groups['group:eng'] = ['bob@example.com']
  for (const { app } of grants)
    for (const one of app.authorize ?? []) one.scopes = (one.scopes as string[]).filter((scope) => scope !== 'wiki:write')
})
const both = { ...wiki, scope: 'wiki:read wiki:write' }

async function signedIn(t: TestContext, policy = good) {
  const started = await start(t, { policy })
  const { alice, bob, daemon } = started
  const [software, other] = [await alice.register(), await bob.register()]
  const grafana = policyClient(started, 'grafana', grafanaCallback)
  const held = {
    alice: await alice.signIn(software, both),
    bob: await bob.signIn(other, both),
    grafana: await alice.signIn(grafana, { scope: 'openid', nonce: 'n-1' }),
  }
  const candidate = join(temporaryDirectory(t), 'candidate.hujson')
  const { engine, decisions } = daemon.deps.store
  return {
    ...started,
    software,
    other,
    grafana,
    held,
    server: policyClient(started, 'wiki-server'),
    apply(text: string, args: string[] = [], terminal: Partial<Terminal> = {}) {
      writeFileSync(candidate, text)
      return printed(['policy', 'apply', candidate, '--config', started.configFile, '--revoke', ...args], terminal)
    },
    ended: async () =>
      (
        await engine.all<{ login: string; client_id: string; end_reason: string }>(
          'SELECT login, client_id, end_reason FROM authorizations WHERE ended_at IS NOT NULL ORDER BY id LIMIT 100',
          {},
        )
      ).map(({ login, client_id }) => [login, client_id]),
    audit: async () => (await decisions.page({ since: 0, before: null, limit: 200 })).filter(({ entry }) => entry === 'policy_apply'),
    inForce: () => daemon.deps.policy().text,
  }
}

suite('policy apply --revoke', { concurrency: 4 }, () => {
  test('first it lists who would lose what, and without a yes nothing changes', async (t) => {
    const { apply, ended, audit, inForce, software, other, issuer } = await signedIn(t)
    const dry = await apply(stricter, ['--dry-run'])
    assert.equal(dry.code, 0)
    assert.match(dry.stdout, /^ {2,}PERSON +CLIENT +RESOURCE +LOSES +KEEPS$/m)
    assert.match(
      dry.stdout,
      new RegExp(`^would end +alice@example\\.com +${software.client_id} +${wiki.resource} +wiki:read wiki:write +–$`, 'm'),
    )
    assert.match(dry.stdout, new RegExp(`^stays +bob@example\\.com +${other.client_id} +${wiki.resource} +wiki:write +wiki:read$`, 'm'))
    assert.match(
      dry.stdout,
      /^Of 3 authorizations 1 would end, 1 loses only some scopes and stays\. Judged with what was last recorded of each person; a refresh asks the mesh anew\.\nPolicy [0-9a-f]{64} could be put into force; nothing was changed\.\n$/m,
    )
    await assert.rejects(
      apply(stricter),
      /^Refused: Nothing was changed\. 1 authorization would end; to do that without a question say --yes\.$/,
    )
    for (const typed of ['', 'n', 'Y?', 'no']) {
      const asked: string[] = []
      const question = async (text: string) => {
        asked.push(text)
        return typed
      }
      const { code, stderr, stdout } = await apply(stricter, [], { question })
      assert.deepEqual([code, stderr], [1, 'Nothing was changed.\n'])
      assert.match(stdout, /would end +alice/)
      assert.match(asked.join(), /^Put policy [0-9a-f]{12} into force, and end 1 authorization\? \[y\/N\] $/)
    }
    assert.deepEqual([await ended(), await audit(), inForce()], [[], [], good])
    assert.ok(issuer)
  })

  test('then what the policy would not give ends, with an audit row each, and nothing else; what was agreed to is asked for anew', async (t) => {
    const { apply, ended, audit, inForce, daemon, configFile, config, alice, bob, software, other, grafana, held, server } =
      await signedIn(t)
    const { code, stdout, stderr } = await apply(stricter, [], { question: async () => 'y' })
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /Policy [0-9a-f]{64} is in force\.\n1 authorization ended\.\n$/)
    assert.equal(stdout.match(/PERSON/g)?.length, 1)
    assert.equal(inForce(), stricter)
    assert.deepEqual(await ended(), [['alice@example.com', software.client_id]])
    const [row, ...others] = await audit()
    assert.deepEqual(others, [])
    assert.ok(row?.identity && row.authorization_id)
    assert.deepEqual(
      [row.outcome, row.reason, row.principal, row.client_id, row.scopes, row.policy],
      ['denied', 'no_grant', 'alice@example.com', software.client_id, both.scope, daemon.deps.policy().hash],
    )
    assert.match(row.sentence ?? '', /^alice@example\.com may not use resource:wiki\./)

    await assert.rejects(alice.refresh(software, held.alice), { error: 'invalid_grant' })
    assert.deepEqual(await alice.introspect(server, held.alice.access_token), { active: false })
    assert.equal((await bob.refresh(other, held.bob)).scope, 'wiki:read')
    assert.ok((await alice.refresh(grafana, held.grafana)).access_token)

    const back = await apply(good, ['--yes'])
    assert.match(back.stdout, /^Of 2 authorizations 0 ended\. /)
    const replayed = await printed(['policy', 'replay', config.policy_file, '--config', configFile, '--json'])
    const entries = (JSON.parse(replayed.stdout).changes as { entry: string }[]).map(({ entry }) => entry)
    assert.ok(!entries.includes('policy_apply'), 'what an admin ended was asked by nobody')
    await assert.rejects(alice.refresh(software, held.alice), { error: 'invalid_grant' }, 'what has ended stays so')
    assert.equal((await alice.authorize(software, both)).status, 200, 'consent is asked for again')
  })

  test('without --revoke a policy ends nothing: what it does not give stops, and goes on when it is given again [threats 383]', async (t) => {
    const { setPolicy, ended, alice, software, held, server } = await signedIn(t)
    assert.equal(setPolicy(stricter).ok, true)
    await assert.rejects(alice.refresh(software, held.alice), { error: 'invalid_grant' })
    assert.deepEqual(await alice.introspect(server, held.alice.access_token), { active: false })
    assert.deepEqual(await ended(), [])
    assert.equal(setPolicy(good).ok, true)
    assert.equal((await alice.introspect(server, held.alice.access_token)).active, true)
    assert.ok((await alice.refresh(software, held.alice)).access_token)
  })

  test('a client or a resource that is not in the policy any more: its authorizations end; --json says all of it', async (t) => {
    const { apply, ended, software, other, grafana } = await signedIn(t)
    const less = changedPolicy((policy) => {
      delete policy.clients['client:grafana']
      delete policy.resources['resource:wiki']
      for (const grant of policy.grants)
        if (grant.dst) grant.dst = grant.dst.filter((name) => !['client:grafana', 'resource:wiki'].includes(name))
      policy.grants = policy.grants.filter(({ dst, app }) => (dst === undefined || dst.length > 0) && !app.exchange)
      for (const { app } of policy.grants)
        for (const one of app.authorize ?? []) one.scopes = (one.scopes as string[]).filter((scope) => !scope.startsWith('wiki'))
    })
    const { code, stdout } = await apply(less, ['--yes', '--json'])
    assert.equal(code, 0, stdout)
    const { ok, authorizations } = JSON.parse(stdout) as { ok: boolean; authorizations: { end: number; losses: { why: string }[] } }
    assert.deepEqual([ok, authorizations.end], [true, 3])
    assert.deepEqual(authorizations.losses.map(({ why }) => why).sort(), [
      'The client client:grafana is not known any more.',
      `The policy has no resource ${wiki.resource} any more.`,
      `The policy has no resource ${wiki.resource} any more.`,
    ])
    assert.deepEqual(await ended(), [
      ['alice@example.com', software.client_id],
      ['bob@example.com', other.client_id],
      ['alice@example.com', grafana.client_id],
    ])
  })

  test('a policy that is not usable ends nothing', async (t) => {
    const { apply, ended } = await signedIn(t)
    for (const args of [['--yes'], []]) {
      const { code, stderr } = await apply('{ "grops": {} }', args)
      assert.equal(code, 1)
      assert.match(stderr, /candidate\.hujson:1:3: .*Nothing was changed/s)
    }
    assert.deepEqual(await ended(), [])
  })

  test('people are judged with what was recorded of them last, wherever they were then; whom no decision knows stays', async (t) => {
    const bySre = changedPolicy((policy) => {
      Object.assign(policy, { mesh_groups: ['group:sre'] })
      policy.groups['group:eng'] = ['bob@example.com']
      for (const grant of policy.grants)
        if (grant.dst?.includes('resource:wiki') && grant.src.includes('group:eng')) grant.src.push('group:sre')
    })
    const started = await start(t, { policy: bySre })
    const { alice, alicePhone, daemon, configFile } = started
    const inSre = (groups: string[]) => changeMesh(started, { people: { 'alice@example.com': { groups } } })
    await inSre(['group:sre'])
    await alice.signIn(await alice.register(), wiki)
    const candidate = join(temporaryDirectory(t), 'same.hujson')
    writeFileSync(candidate, bySre)
    const preview = async () => (await printed(['policy', 'apply', candidate, '--config', configFile, '--revoke', '--dry-run'])).stdout
    assert.match(await preview(), /^Of 1 authorization 0 would end\. /)
    await inSre([])
    started.clock.advance({ minutes: 1 })
    await alicePhone.register() // a decision that records what the mesh says now
    assert.match(await preview(), /would end +alice@example\.com/)

    await daemon.deps.store.commit([{ sql: 'DELETE FROM decisions', params: {} }])
    assert.match(
      await preview(),
      /^unknown +alice@example\.com.*\nOf 1 authorization 0 would end, 1 cannot be judged, since no decision on record says who the person is, and stays\./m,
    )
  })

  test('CWE-834: with many authorizations the daemon answers others meanwhile', async (t) => {
    const many = Number(process.env.AUTHORIZATIONS ?? 3000)
    const { apply, daemon, mallory, software } = await signedIn(t)
    const { engine } = daemon.deps.store
    await engine.commit([
      {
        sql: `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST($many AS INTEGER))
          INSERT INTO authorizations (id, client_id, user_id, login, node_id, address, bind, resource, scopes, auth_time, amr, claims, created_at, expires_at)
          SELECT printf('%s-%07d', id, n), client_id, user_id, login, node_id, address, bind, resource, scopes, auth_time, amr, claims, created_at, expires_at
          FROM authorizations CROSS JOIN numbers WHERE client_id = $client_id`,
        params: { many, client_id: software.client_id },
      },
    ])
    let answers = 0
    let done = false
    const asking = (async () => {
      while (!done) {
        assert.equal((await mallory.send('/healthz')).status, 200)
        answers++
      }
    })()
    const measured = turns()
    const { stdout } = await apply(stricter, ['--yes', '--json'])
    const longest = measured.stop()
    done = true
    await asking
    const { authorizations } = JSON.parse(stdout) as { authorizations: { end: number; losses: unknown[]; more: boolean } }
    assert.deepEqual(
      [authorizations.end, authorizations.losses.length, authorizations.more],
      [many + 1, Math.min(many + 1, 1000), many >= 1000],
    )
    t.diagnostic(`${many} ended; ${answers} answers meanwhile, longest turn: ${longest} ms of CPU`)
    assert.ok(answers > many / 100 && longest < 300, `${answers} answers, the longest turn took ${longest} ms of CPU`)
  })
})

test('what was exchanged, and what a workload got for itself, ends too where the policy would not give it, and comes back with no edge', async (t) => {
  const whole = withGateway(() => {}, { ...edge, refresh_token: true })
  const less = withGateway(
    ({ grants }) => {
      for (const { src, app } of grants)
        if (src.includes('client:agent') && app.client_credentials) app.client_credentials = [{ scopes: ['tools:list'] }]
    },
    { ...edge, actors: ['client:other'] },
  )
  const { alice, ci, apply, ended, audit, software, ...started } = await signedIn(t, whole)
  const gateway = policyClient(started, 'gateway')
  const own = await ci.token(policyClient(started, 'agent'), { grant_type: 'client_credentials', ...gatewayResource })
  const { access_token } = await alice.signIn(software, gatewayResource)
  const swapped = await exchanged(ci, gateway, { subject_token: access_token, resource: wiki.resource })
  const later = await ci.refresh(gateway, swapped)

  assert.match((await apply(whole, ['--dry-run'])).stdout, /^Of 6 authorizations 0 would end\. /m)
  const barred = withGateway(({ resources }) => void Object.assign(resources['resource:gateway'] ?? {}, { may_act: 'client:other' }), {
    ...edge,
    refresh_token: true,
  })
  const open = { redirect_uris: ['http://127.0.0.1/cb'] }
  const unproven = withGateway(({ clients }) => Object.assign(clients, { 'client:gateway': open }), { ...edge, refresh_token: true })
  for (const policy of [barred, unproven])
    assert.match(
      (await apply(policy, ['--dry-run'])).stdout,
      /^would end {2}alice@example\.com {2}client:gateway .*\nOf 6 authorizations 1 would end\. /m,
    )
  assert.equal((await apply(less, ['--yes'])).code, 0)
  assert.deepEqual(
    (await ended()).filter(([, client_id]) => client_id === gateway.client_id || client_id === 'client:agent'),
    [
      ['client:agent', 'client:agent'],
      ['alice@example.com', gateway.client_id],
    ],
  )
  assert.equal((await audit()).filter(({ client_id }) => client_id === gateway.client_id).length, 1)
  assert.equal((await ci.introspect(policyClient(started, 'gateway-server'), own.access_token)).active, false)
  assert.equal((await apply(whole, ['--yes'])).code, 0)
  await assert.rejects(ci.refresh(gateway, later), { error: 'invalid_grant' })
  assert.equal((await ci.introspect(policyClient(started, 'gateway-server'), access_token)).active, true, 'her sign-in goes on')
})
