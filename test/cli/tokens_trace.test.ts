import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wiki } from '../support/example_policy.ts'
import { claimsIn } from '../support/exchange.ts'
import { install } from '../support/program.ts'

test('meshidp tokens trace and revoke: as lines, as JSON, as a diagram; with a daemon and, less what the mesh knows, without one', async (t) => {
  const { run, serve, at } = await install(t)
  const daemon = await serve()
  const alice = at('127.0.0.2')
  const client = await alice.register()
  const { access_token } = await alice.signIn(client, wiki)
  const { sid, jti } = claimsIn(access_token) as { sid: string; jti: string }

  const shown = await run('tokens', 'trace', jti)
  assert.match(
    shown.stdout,
    new RegExp(`^alice@example\\.com \\(userid:101\\)\\n└─ ${client.client_id} → http://localhost:8490/mcp {2}\\[wiki:read\\] {2}◀\\n`),
  )
  assert.match(shown.stdout, /\n {3}alive, worth wiki:read\n/)
  assert.match(shown.stdout, new RegExp(`\\n {3}token ${jti}\\n$`))
  const { tree } = JSON.parse((await run('tokens', 'trace', sid, '--format', 'json')).stdout)
  assert.deepEqual([tree.authorization, tree.alive, tree.children], [sid, true, []])
  assert.equal((await run('decisions', 'show', tree.decision)).code, 0)
  assert.match((await run('tokens', 'trace', sid, '--format', 'mermaid')).stdout, /^flowchart LR\n/)
  const wrong = await run('tokens', 'trace', sid, '--format', 'svg')
  assert.deepEqual([wrong.code, wrong.stderr.split('\n')[0]], [2, 'meshidp: --format must be text or json or mermaid, not svg.'])
  const unknown = await run('tokens', 'trace', 'nothing')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /There is no authorization nothing, and no token whose "jti" that is/)

  const preview = await run('tokens', 'revoke', sid, '--preview')
  assert.match(preview.stdout, new RegExp(`^To revoke ${sid} would end one authorization\\. Nothing has ended\\.\\n`))
  await daemon.end()
  assert.match((await run('tokens', 'trace', sid)).stdout, /alive, as far as is known without the mesh/)
  assert.match((await run('tokens', 'revoke', sid)).stdout, new RegExp(`^${sid} is revoked; one authorization ended\\.`))
  assert.match((await run('tokens', 'trace', sid)).stdout, /dead: ended: revoked by an admin/)
})
