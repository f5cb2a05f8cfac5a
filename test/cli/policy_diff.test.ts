/** `meshidp policy diff`: of two files, and of a file and what is in force. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../src/cli/command.ts'
import { changedPolicy } from '../support/example_policy.ts'
import { written } from '../support/policy_command.ts'
import { printed } from '../support/printed.ts'
import { meshidp } from '../support/program.ts'
import { start } from '../support/start.ts'

const policy = (eng: string[], more = '', consent = 'once') => `{
  "groups": { "group:eng": ${JSON.stringify(eng)} },
  "mesh_groups": ["group:sre"],
  "resources": { "resource:wiki": { "uri": "https://wiki/mcp", "scopes": ["read", "write"], "allow_unverified_clients": true } },
  "clients": { "client:editor": { "redirect_uris": ["https://editor/cb"] } },
  "grants": [
    { "src": ["group:eng"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["read", "write"], "clients": ["*"], "consent": "${consent}" }] } },
    { "src": ["tag:ci"], "dst": ["resource:wiki"], "app": { "client_credentials": [{ "scopes": ["read"] }] } },
    ${more}
  ],
}`

const alice = 'alice@example.com'
const bob = 'bob@example.com'
const carol = 'carol@example.com'

test('policy diff: who gains and loses what, with which software, and what it cannot know; exit code 1', async (t) => {
  const more = `{ "src": ["group:sre"], "app": { "admin": [{ "access": "read" }] }, "posture": { "os": ["linux"] } },
    { "src": ["client:editor"], "dst": ["resource:wiki"], "app": { "introspect": [{}] } }`
  const [old, next] = [written(t, policy([alice, bob])), written(t, policy([alice, carol], more, 'always'))]
  const { code, stdout } = await meshidp(t, ['policy', 'diff', old, next]).ended
  assert.equal(code, 1)
  assert.equal(
    stdout,
    `         WHO                                                                            CAPABILITY  AT             WHAT                               BY
lost     bob@example.com                                                                authorize   resource:wiki  read write                         with any software
gained   anybody in group:sre (by the mesh), from a node with os linux (self-reported)  admin       –              read                               –
gained   carol@example.com                                                              authorize   resource:wiki  read write                         with any software
gained   client:editor                                                                  introspect  resource:wiki  tokens                             –
changed  alice@example.com                                                              authorize   resource:wiki  read write: consent once → always  with any software

Compared are whom the files name, and one of each kind of people whom they do not; --seen adds everybody whom the daemon has seen.
The policies also look at the groups that only the mesh knows (group:sre); what whois says of the node (posture). Of that only what the files name, and what was last seen, is compared, each by itself.
Software that no file names counts as one. Grants that have an end are compared as they are today.
`,
  )
})

test('policy diff: the same policy in other words is no change; exit code 0', async (t) => {
  const [old, next] = [written(t, policy([alice, bob])), written(t, policy([bob, alice]))]
  const { code, stdout } = await printed(['policy', 'diff', old, next])
  assert.equal(code, 0)
  assert.match(stdout, /^Nobody gains or loses anything from .*; \d+ callers compared\.\n\nCompared are/)
  const json = JSON.parse((await printed(['policy', 'diff', old, next, '--json'])).stdout)
  assert.deepEqual([json.changes, json.cannot_know.length, json.old.file, json.new.file], [[], 3, old, next])
})

test('policy diff: a client that a policy no longer names can do nothing there; many people stand together', async (t) => {
  const many = Array.from({ length: 30 }, (_, i) => `p${String(i).padStart(2, '0')}@example.com`)
  const [old, next] = [
    written(t, policy(many)),
    written(t, policy(many).replace('"client:editor": { "redirect_uris": ["https://editor/cb"] }', '')),
  ]
  const { stdout } = await printed(['policy', 'diff', old, next])
  assert.match(
    stdout,
    /^lost +p00@example\.com, p01@example\.com, p02@example\.com and 27 more +authorize +resource:wiki +read write +with client:editor$/m,
  )
})

test('policy diff: what is not usable is exit code 2', async (t) => {
  const good = written(t, policy([alice]))
  const bad = await printed(['policy', 'diff', good, written(t, '{ "grant": [] }')])
  assert.deepEqual([bad.code, bad.stdout], [2, ''])
  for (const words of [[], ['-', '-'], [good, good, good]]) await assert.rejects(printed(['policy', 'diff', ...words]), UsageError)
  await assert.rejects(printed(['policy', 'diff', good, '/nowhere']), { name: 'Unusable' })
})

test('policy diff NEW: against the policy in force, also for those whom the daemon has seen', async (t) => {
  const { mallory, ci, configFile } = await start(t)
  for (const { send } of [mallory, ci]) await send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  const next = written(
    t,
    changedPolicy(({ grants }) => {
      grants.push({ src: ['*'], dst: ['resource:wiki'], app: { authorize: [{ scopes: ['wiki:read'], clients: ['*'] }] } })
    }),
  )
  const [plain, seen] = await Promise.all([
    printed(['policy', 'diff', next, '--config', configFile]),
    printed(['policy', 'diff', next, '--config', configFile, '--seen', '--json']),
  ])
  assert.equal(plain.code, 1)
  assert.match(
    plain.stdout,
    /^gained +carol@example\.com, anybody else, \*@example\.com, anybody else of the tailnet +authorize +resource:wiki +wiki:read +with any software$/m,
  )
  const { changes } = JSON.parse(seen.stdout)
  assert.ok(changes[0].who.includes('mallory@other.com'), seen.stdout)
  assert.ok(!changes[0].who.some((who: string) => who.startsWith('tag:')))
})
