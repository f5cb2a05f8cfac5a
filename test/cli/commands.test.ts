import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { examplePolicy } from '../../src/cli/dev.ts'
import { grafanaCallback, wiki } from '../support/example_policy.ts'
import type { TestClient } from '../support/person.ts'
import { install, secretOf } from '../support/program.ts'

const wikiServer: TestClient = { client_id: 'client:wiki-server', client_secret: secretOf('wiki-server'), redirect_uri: '' }
const grafana: TestClient = { client_id: 'client:grafana', client_secret: secretOf('grafana'), redirect_uri: grafanaCallback }

/** A line of a table whose columns are these, in this order. */
const lineOf = (...cells: readonly string[]) =>
  new RegExp(`^${cells.map((cell) => cell.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join(' {2,}')}`, 'm')

suite('commands', { concurrency: true }, () => {
  test('every command asks the running daemon: what it lists is there, what it revokes is dead at once', async (t) => {
    const installation = await install(t, { policy: readFileSync(examplePolicy, 'utf8') })
    const { run, at } = installation
    await installation.serve()
    const [alice, bob, mallory] = [at('127.0.0.2'), at('127.0.0.3'), at('127.0.0.5')] as const
    const tool = await alice.register({ client_name: 'My tool' })
    const other = await bob.register({ client_name: 'Other tool' })
    const held = await alice.signIn(tool, wiki)
    const alsoHeld = await bob.signIn(other, wiki)
    await alice.signIn(grafana, { scope: 'openid', nonce: 'n-1' })
    const refused = await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
    const decision_id = String(refused.json().decision_id)

    const [clients, authorizations, decisions, limited, client, decision, status] = await Promise.all([
      run('clients', 'list'),
      run('authorizations', 'list', '--login', 'alice@example.com'),
      run('decisions', 'list', '--outcome', 'denied'),
      run('decisions', 'list', '--limit', '2', '--json'),
      run('clients', 'show', tool.client_id),
      run('decisions', 'show', decision_id),
      run('status'),
    ])
    for (const { code, stderr } of [clients, authorizations, decisions, limited, client, decision, status])
      assert.deepEqual([code, stderr], [0, ''])

    assert.match(clients.stdout, lineOf('CLIENT', 'NAME', 'KIND', 'BY', 'LAST USED'))
    assert.match(clients.stdout, lineOf(tool.client_id, 'My tool', 'registered', 'alice@example.com', '20'))
    assert.match(client.stdout, /^metadata\n(?: {2}.*\n)* {2}redirect_uris +http:\/\/127\.0\.0\.1:9\/callback$/m)
    assert.doesNotMatch(client.stdout + clients.stdout, /digest/)

    assert.equal(authorizations.stdout.split('\n').length, 4, 'the head, alice’s two, and the end')
    assert.match(authorizations.stdout, /alice@example\.com {2,}client:grafana/)

    assert.match(decisions.stdout, lineOf(decision_id, '20'))
    assert.match(
      decisions.stdout,
      /denied {2,}register {2,}mallory@other\.com {2,}– {2,}mallory@other\.com may not register software here\./,
    )
    assert.match(decision.stdout, /^sentence +mallory@other\.com may not register software here\./m)
    assert.match(decision.stdout, /^records\n(?: {2}.*\n)* {2}policy\n {4}\/\/ The policy of the development mesh\./m)
    const { decisions: rows, more } = JSON.parse(limited.stdout) as { decisions: unknown[]; more: boolean }
    assert.deepEqual([rows.length, more], [2, true])

    assert.match(status.stdout, lineOf('ready', 'yes'))
    assert.match(status.stdout, lineOf('issuer', installation.issuer))
    assert.match(status.stdout, lineOf('listening', `127.0.0.1:${installation.port}`))
    assert.match(status.stdout, lineOf('mesh', 'idp.dev-mesh.internal (127.0.0.1) of tailnet example.com; identity by tun'))

    const [, id = ''] = /^(\w{26}) .*client:grafana/m.exec(authorizations.stdout) ?? []
    assert.equal((await alice.introspect(wikiServer, held.access_token)).active, true)
    const [revoked, ended] = await Promise.all([run('clients', 'revoke', tool.client_id), run('authorizations', 'revoke', id)])
    assert.deepEqual([revoked.code, revoked.stdout], [0, `${tool.client_id} is gone, and every token that it was given is dead.\n`])
    assert.deepEqual([ended.code, ended.stdout], [0, `Authorization ${id} has ended, and every token that came from it is dead.\n`])
    assert.deepEqual(await alice.introspect(wikiServer, held.access_token), { active: false })
    await assert.rejects(alice.refresh(tool, held), { error: 'invalid_client' })
    assert.equal((await bob.introspect(wikiServer, alsoHeld.access_token)).active, true, 'what others have lives on')

    const left = await Promise.all([
      run('clients', 'list', '--json'),
      run('authorizations', 'list', '--client', 'client:grafana'),
      run('clients', 'revoke', tool.client_id),
      run('authorizations', 'revoke', 'nothing'),
      run('decisions', 'show', 'nothing'),
      run('clients', 'revoke', 'client:grafana'),
    ])
    assert.deepEqual(
      (JSON.parse(left[0].stdout) as { clients: { client_id: string }[] }).clients.map(({ client_id }) => client_id),
      [other.client_id],
    )
    assert.equal(left[1].stdout, 'There is no authorization that lives.\n')
    for (const { code, stdout, stderr } of left.slice(2)) {
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, /^meshidp: There is no .* (?:See: meshidp \w+ list)\n$/)
    }
  })

  test('without a daemon the commands open the state themselves, under the same lock; what needs a daemon says so', async (t) => {
    const installation = await install(t)
    const { run, at } = installation
    const empty = await run('clients', 'list')
    assert.deepEqual([empty.code, empty.stdout], [1, ''])
    assert.match(empty.stderr, /^meshidp: No daemon is running, and this user finds no state in .*\/state\.\n$/)

    const first = await installation.serve()
    const alice = at('127.0.0.2')
    const tool = await alice.register()
    const held = await alice.signIn(tool, wiki)
    assert.equal((await first.end()).code, 0)

    const listed = await run('clients', 'list', '--json')
    assert.equal((JSON.parse(listed.stdout) as { clients: { client_id: string }[] }).clients[0]?.client_id, tool.client_id)
    for (const command of ['status', 'reload']) {
      const { code, stderr } = await run(command)
      assert.deepEqual([code, stderr], [1, 'meshidp: No daemon is running on this state.\n'])
    }
    assert.equal((await run('clients', 'revoke', tool.client_id)).code, 0)
    await installation.serve()
    assert.deepEqual(await alice.introspect(wikiServer, held.access_token), { active: false })
  })
})
