import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { changedPolicy, grafanaCallback, policyClient, wiki, withRegistration } from '../support/example_policy.ts'
import { Refusal } from '../support/person.ts'
import { install, meshidp } from '../support/program.ts'
import { start } from '../support/start.ts'

suite('reload', { concurrency: true }, () => {
  test('SIGHUP with a policy that is not usable keeps the last good one, and log, /readyz and status say so; the next good one heals [threats 370]', async (t) => {
    const installation = await install(t)
    const { policyFile, run, at } = installation
    const alice = at('127.0.0.2')
    const good = readFileSync(policyFile, 'utf8')
    const daemon = await installation.serve()
    const hashOf = async () => ((await alice.send('/readyz')).json().policy as { hash: string }).hash
    const hash = await hashOf()

    writeFileSync(policyFile, '{\n  "grops": {},\n}')
    daemon.child.kill('SIGHUP')
    await daemon.says(
      /"level":"error".*"The new policy is not usable, so the last good one stays in force\.\\n.*policy\.hujson:2:3: \\"grops\\"/,
    )
    const ready = await alice.send('/readyz')
    assert.deepEqual([ready.status, ready.json().ready, await hashOf()], [503, false, hash])
    assert.doesNotMatch(ready.text, /grops|policy\.hujson/, 'strangers hear that it is so, not what is in the file')
    assert.equal((await alice.register()).client_id.startsWith('dcr_'), true)

    rmSync(policyFile)
    const [status, reload] = await Promise.all([run('status'), run('reload')])
    assert.equal(status.code, 1)
    assert.match(status.stdout, /^ready +no$/m)
    assert.match(
      status.stdout,
      /^problem\n {2}The file was found not usable \S+ \S+Z \S.*, so the last good policy stays in force\.\n {2}\S/m,
    )
    assert.equal(reload.code, 1)
    assert.match(reload.stdout, new RegExp(`^The last good policy \\(${hash}\\) stays in force:\nThe policy file cannot be read: `))

    writeFileSync(policyFile, `${good}\n`)
    daemon.child.kill('SIGHUP')
    await daemon.says(/"msg":"policy [0-9a-f]{12} is in force"/)
    assert.equal((await alice.send('/readyz')).status, 200)
    assert.notEqual(await hashOf(), hash)
    const after = await run('status')
    assert.deepEqual([after.code, after.stderr], [0, ''])
    assert.match(after.stdout, /^ready +yes$/m)
  })

  test('SIGHUP while it starts ends nothing: the policy is loaded once more when it serves', async (t) => {
    const { directory, configFile } = await install(t)
    const daemon = meshidp(t, ['serve', '--config', configFile])
    while (!existsSync(join(directory, 'state'))) await pause(1)
    daemon.child.kill('SIGHUP')
    await daemon.says(/"msg":"meshidp serves /)
    await daemon.says(/"source":"SIGHUP","msg":"policy [0-9a-f]{12} is in force"/)
    assert.equal((await daemon.end()).code, 0)
  })

  test('a policy that fails its own tests is not loaded, and the problem names the test, what came out and the near miss [threats 370]', async (t) => {
    const { setPolicy, daemon } = await start(t)
    const { hash } = daemon.deps.policy()
    const failing = changedPolicy((policy) => {
      Object.assign(policy, { tests: [{ src: 'carol@example.com', app: 'authorize', dst: 'resource:wiki', accept: ['wiki:read'] }] })
    })
    const result = setPolicy(failing)
    assert.deepEqual([result.ok, daemon.deps.policy().hash], [false, hash])
    assert.match(
      result.ok ? '' : result.problem,
      /policy\.hujson:1:\d+: carol@example\.com was to be given "wiki:read" by "authorize" at resource:wiki, and is not\. .* if in group:eng\.$/,
    )
  })

  test('a request that is under way during a reload is decided by the policy that it began with [threats 382]', async (t) => {
    const { alice, clock, mesh, setPolicy, daemon } = await start(t)
    const { hash } = daemon.deps.policy()
    clock.advance({ seconds: 2 }) // no whois is remembered for so long
    mesh.hang()
    const { identity } = daemon.deps
    const asked = new Promise<void>((done) => {
      const { identify } = identity
      identity.identify = (connection) => {
        done()
        return identify(connection)
      }
    })
    const registering = alice.register()
    await asked
    assert.deepEqual(setPolicy(withRegistration({ via: ['cimd'] })).ok, true)
    mesh.resume()
    const { client_id } = await registering
    const [decision] = (await daemon.deps.store.decisions.page({ since: 0, before: null, limit: 100 })).filter(
      (one) => one.client_id === client_id,
    )
    assert.deepEqual([decision?.outcome, decision?.policy], ['allowed', hash])
    await assert.rejects(alice.register(), Refusal)
  })

  test('a client that a reload takes out of the policy: its tokens are worth nothing from then on, and are worth something again when it is back [threats 383]', async (t) => {
    const { alice, setPolicy, ...started } = await start(t)
    const grafana = policyClient(started, 'grafana', grafanaCallback)
    const tokens = await alice.signIn(grafana, { scope: 'openid profile', nonce: 'n-1' })
    const userinfo = async () => (await alice.send('/userinfo', { headers: { authorization: `Bearer ${tokens.access_token}` } })).status
    const without = changedPolicy(({ clients, grants }) => {
      delete clients['client:grafana']
      for (const grant of grants) if (grant.dst) grant.dst = grant.dst.filter((name) => name !== 'client:grafana')
      grants.splice(0, grants.length, ...grants.filter(({ dst }) => dst === undefined || dst.length > 0))
    })
    assert.equal(await userinfo(), 200)
    assert.deepEqual(setPolicy(without).ok, true)
    await assert.rejects(alice.refresh(grafana, tokens), { error: 'invalid_client' })
    assert.equal(await userinfo(), 401)

    assert.deepEqual(setPolicy(changedPolicy(() => undefined)).ok, true)
    assert.equal(await userinfo(), 200)
    assert.ok((await alice.refresh(grafana, tokens)).access_token)
  })

  test('a group that a reload takes away: refresh and introspection of what it gave are refused [threats 383]', async (t) => {
    const { alice, setPolicy, ...started } = await start(t)
    const client = await alice.register()
    const tokens = await alice.signIn(client, wiki)
    const server = policyClient(started, 'wiki-server')
    assert.equal((await alice.introspect(server, tokens.access_token)).active, true)
    const without = changedPolicy(({ groups }) => {
      groups['group:eng'] = ['bob@example.com']
    })
    assert.deepEqual(setPolicy(without).ok, true)
    assert.deepEqual(await alice.introspect(server, tokens.access_token), { active: false })
    await assert.rejects(alice.refresh(client, tokens), { error: 'invalid_grant' })
  })
})
