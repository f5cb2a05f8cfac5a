/** `meshidp policy explain`: of a file, of the policy in force, and of a decision that was taken. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../src/cli/command.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { edge, withGateway } from '../support/exchange.ts'
import { written } from '../support/policy_command.ts'
import { printed } from '../support/printed.ts'
import { meshidp } from '../support/program.ts'
import { start } from '../support/start.ts'

const policy = `{
  "groups": { "group:eng": ["alice@example.com"], "group:ops": ["group:eng", "bob@example.com"] },
  "mesh_groups": ["group:sre"],
  "resources": {
    "resource:wiki": { "uri": "https://wiki.example.com/mcp", "scopes": ["read", "write", "erase"], "allow_unverified_clients": true },
  },
  "clients": { "client:editor": { "redirect_uris": ["https://editor.example.com/cb"] } },
  "grants": [
    {
      "src": ["group:ops"], "dst": ["resource:wiki"], "reason": "Everybody on call reads.",
      "app": { "authorize": [{ "scopes": ["read"], "clients": ["*"], "consent": "once", "access_token_ttl": "15m" }] },
    },
    {
      "src": ["group:eng"], "dst": ["resource:wiki"],
      "app": { "authorize": [{ "scopes": ["write"], "clients": ["*"], "access_token_ttl": "2m" }] },
    },
    {
      "src": ["group:sre"], "dst": ["resource:wiki"], "posture": { "os": ["linux"] },
      "app": { "authorize": [{ "scopes": ["erase"], "clients": ["client:editor"] }] },
    },
    { "src": ["group:sre"], "app": { "admin": [{ "access": "read" }] } },
  ],
}
`

test('policy explain: each scope with its grant and place, the limits with the scope that they come from, groups with their source, and what is unknown', async (t) => {
  const file = written(t, policy)
  const words = [
    'policy',
    'explain',
    '--as',
    'alice@example.com',
    'authorize',
    'resource:wiki',
    '--client',
    'client:editor',
    '--file',
    file,
  ]
  const { code, stdout } = await meshidp(t, words).ended
  assert.equal(code, 1, 'erase is not given')
  const [hash = ''] = /, ([0-9a-f]{12})\n/.exec(stdout)?.slice(1) ?? []
  assert.equal(
    stdout,
    `question               alice@example.com authorize resource:wiki
policy                 ${file}, ${hash}
known of them          what the command line says
login                  alice@example.com
groups                 group:eng (by this file), group:ops (by this file)
groups the mesh shows  unknown

Of alice@example.com nothing is known here but what --given says. The policy also looks at the groups that only the mesh knows (group:sre); what whois says of the node (posture): what is unknown matches nothing.

Allowed in part with client:editor:
  SCOPE          BY, OR WHY NOT
  read   given   grant 1, ${file}:9:5
  write  given   grant 2, ${file}:13:5
  erase  denied  alice@example.com may use resource:wiki, but not with the scope erase.

  grant 1, ${file}:9:5: in group:ops (by this file).
    It says: Everybody on call reads.
  grant 2, ${file}:13:5: in group:eng (by this file).

  consent        asked each time (the strictest of these: write)
  bound to       the person
  access token   2m (the strictest of these: write)
  refresh token  as the daemon is configured
`,
  )
})

test('policy explain: facts may be said; what the node says of itself is marked, and the groups of the mesh', async (t) => {
  const file = written(t, policy)
  const words = ['policy', 'explain', '--as', 'carol@example.com', 'authorize', 'resource:wiki', '--scopes', 'erase', '--file', file]
  const without = await printed([...words, '--client', 'client:editor', '--given', 'groups=sre'])
  assert.equal(without.code, 1)
  assert.match(
    without.stdout,
    /Denied with client:editor \(no_grant\):\n {2}carol@example\.com may not use resource:wiki\.\n {2}carol@example\.com would match grant 3 from a node with os linux \(self-reported\)\. \(.*:17:5\)\n/,
  )
  const given = await printed([...words, '--given', 'groups=group:sre', '--given', 'os=linux'])
  assert.equal(given.code, 0)
  assert.match(given.stdout, /^os +linux \(self-reported: what the node says of itself\)$/m)
  assert.match(given.stdout, /^groups +group:sre \(by the mesh\)$/m)
  assert.match(given.stdout, /^Allowed with client:editor:$/m)
  assert.match(given.stdout, /: in group:sre \(by the mesh\), from a node with os linux \(self-reported\)\.$/m)
  assert.match(given.stdout, /^Denied with software that the policy does not name \(client\):$/m)
})

test('policy explain: an exchange asks nobody, ends with the token that is shown, and brings a refresh token only where its edge says so', async (t) => {
  const ends = (...edges: Record<string, unknown>[]) => {
    const words = ['policy', 'explain', '--as', 'alice@example.com', 'exchange', 'resource:wiki', '--actor', 'client:gateway']
    return printed([
      ...words,
      '--from',
      'resource:gateway',
      '--with',
      'tools:call',
      '--scopes',
      'wiki:read',
      '--file',
      written(
        t,
        withGateway(() => {}, ...edges),
      ),
    ])
  }
  const without = await ends(edge)
  assert.equal(without.code, 0)
  assert.ok(
    without.stdout.endsWith(`
  bound to       the person
  access token   as the daemon is configured, and no longer than the token that is shown
  refresh token  none: the edge does not say "refresh_token"
`),
    without.stdout,
  )
  assert.match((await ends({ ...edge, refresh_token: true })).stdout, /^ {2}refresh token {2}as the daemon is configured$/m)
})

test('policy explain: until when a grant gives, what would turn a scope that is denied, and why an entry of the tailnet policy gives nothing', async (t) => {
  const file = written(
    t,
    `{
  "mesh_grants": { "capability": "example.com/cap/meshidp" },
  "resources": { "resource:wiki": { "uri": "https://w", "scopes": ["read", "write"], "allow_unverified_clients": true } },
  "grants": [
    { "src": ["*"], "dst": ["resource:wiki"], "expires": "2999-04-01", "reason": "The migration.", "app": { "authorize": [{ "scopes": ["read"], "clients": ["*"] }] } },
    { "src": ["*"], "dst": ["resource:wiki"], "expires": "2020-01-01", "app": { "authorize": [{ "scopes": ["write"], "clients": ["*"] }] } },
  ],
}`,
  )
  const words = ['policy', 'explain', '--as', 'bob@example.com', 'authorize', 'resource:wiki', '--file', file]
  const { code, stdout } = await printed(words)
  assert.equal(code, 1)
  assert.match(stdout, /^ {2}grant 1, \S+:5:5: a person of this tailnet, until 2999-04-01 00:00:00Z\.\n {4}It says: The migration\.$/m)
  assert.match(
    stdout,
    /^ {2}write {2}denied {2}bob@example\.com may use resource:wiki, but not with the scope write\. Grant 2 has expired\.$/m,
  )

  const entry = (scope: string) =>
    JSON.stringify([
      { dst: ['resource:wiki'], app: { authorize: [{ scopes: [scope], clients: ['*'] }] }, expires: '2999-05-01', reason: 'Helps out.' },
    ])
  const given = await printed([...words, '--given', `caps={"example.com/cap/meshidp":${entry('write')}}`])
  assert.equal(given.code, 0)
  assert.match(
    given.stdout,
    /^ {2}entry 1 of example\.com\/cap\/meshidp in the tailnet policy: the mesh gives it to this caller, until 2999-05-01 00:00:00Z\.\n {4}It says: Helps out\.$/m,
  )
  await assert.rejects(printed([...words, '--given', `caps={"example.com/cap/meshidp":${entry('wirte')}}`]), {
    name: 'UsageError',
    message: /^Nothing is given by entry 1 of example\.com\/cap\/meshidp in the tailnet policy: .*"wirte" is not a scope/,
  })
})

test('policy explain: of somebody who was seen, what the tailnet policy sends along and why it gives nothing', async (t) => {
  const capability = 'example.com/cap/meshidp'
  const { alice, configFile, mesh } = await start(t, {
    policy: changedPolicy((document) => Object.assign(document, { mesh_grants: { capability } })),
  })
  mesh.change({ machines: { 'alice-laptop': { capabilities: { [capability]: [{ app: { admin: [{ access: 'write' }] } }] } } } })
  await alice.register()
  const words = ['policy', 'explain', '--as', 'alice@example.com', 'admin', '--config', configFile]
  const sentence =
    /Nothing is given by entry 1 of example\.com\/cap\/meshidp in the tailnet policy: .*Nobody becomes an admin by the tailnet policy/
  assert.match((await printed(words)).stdout, sentence)
  const [said] = JSON.parse((await printed([...words, '--json'])).stdout).mesh_grants_without_effect
  assert.match(said, sentence)
})

test('policy explain: software is asked about with the hosts of its redirect URIs, and a denial says which would do', async (t) => {
  const register = '"app": { "register": [{ "redirect_uris": ["localhost", "*.example.com"] }] }'
  const file = written(t, `{ "grants": [{ "src": ["*"], ${register} }] }`)
  const words = ['policy', 'explain', '--as', 'bob@example.com', 'register', '--file', file, '--redirect-uris']
  assert.match((await printed([...words, 'localhost app.example.com'])).stdout, /^Allowed dcr, cimd and initial_access_token:$/m)
  const denied = await printed([...words, 'app.example.org'])
  assert.equal(denied.code, 1)
  assert.match(denied.stdout, /would match grant 1 with redirect URIs only at localhost or \*\.example\.com\. \(.*:1:14\)$/m)
})

test('policy explain --json: the same, for programs', async (t) => {
  const file = written(t, policy)
  const { code, stdout } = await printed(['policy', 'explain', '--as', 'bob@example.com', 'admin', '--file', file, '--json'])
  assert.equal(code, 1)
  const { policy: which, identity, answers } = JSON.parse(stdout)
  assert.deepEqual([which.file, identity.login, identity.seen_at], [file, 'bob@example.com', null])
  assert.deepEqual(answers[0].for, ['read', 'write'])
  assert.deepEqual([answers[0].verdict.allowed, answers[0].verdict.reason], [false, 'no_grant'])
  assert.deepEqual(answers[0].near[0].place, { line: 21, column: 5 })
})

test('policy explain: what is not understood is exit code 2, and so is a policy that cannot be used', async (t) => {
  const file = written(t, policy)
  const as = ['policy', 'explain', '--file', file, '--as', 'alice@example.com']
  for (const [words, sentence] of [
    [[...as, 'frobnicate'], /^Say: meshidp policy explain --as WHO authorize\|/],
    [[...as], /^Say: /],
    [['policy', 'explain', 'authorize', 'resource:wiki', '--file', file], /^Say: /],
    [[...as, 'authorize', 'resource:wikki'], /^TARGET names nothing of the policy that "authorize" could be about\.$/],
    [
      [...as, 'authorize', 'resource:wiki', '--scopes', 'wirte'],
      /^"authorize" knows no scope "wirte" here\. It knows read, write, erase, openid/,
    ],
    [
      [...as, 'authorize', 'resource:wiki', '--client', 'client:edit'],
      /^client:edit is neither a client of the policy nor autogroup:registered\.$/,
    ],
    [[...as, 'admin', '--given', 'shoes=red'], /^--given takes NAME=VALUE, where NAME is groups, tags, /],
    [[...as, 'admin', '--given', 'toString=red'], /^--given takes NAME=VALUE/],
    [[...as, 'exchange', 'resource:wiki'], /^"exchange" needs an "actor"/],
    [[...as, 'admin', '--given', 'groups=group:srre'], /^"group:srre" is not defined\.$/],
    [[...as, 'admin', '--given', 'address=laptop'], /^"laptop" is no IP address\.$/],
    [[...as, 'admin', '--given', 'key_expiry=maybe'], /^--given key_expiry is yes or no, not "maybe"\.$/],
    [[...as, 'admin', '--given', 'caps=[]'], /^--given caps is JSON: /],
    [[...as, 'admin', '--given', 'caps={"a/b":[]}'], /^"a\/b" is not the capability that "mesh_grants" names\.$/],
    [[...as, 'admin', '--redirect-uris', 'localhost'], /^--redirect-uris goes with "register" alone\.$/],
    [[...as, 'register', '--redirect-uris', 'https://x'], /^"https:\/\/x" is no host; /],
  ] as const)
    await assert.rejects(printed(words), (error: Error) => {
      assert.ok(error instanceof UsageError, error.stack)
      assert.match(error.message, sentence)
      return true
    })
  const bad = await printed(['policy', 'explain', '--as', 'a@example.com', 'admin', '--file', written(t, '{ "grant": [] }')])
  assert.deepEqual([bad.code, bad.stdout], [2, ''])
  assert.match(bad.stderr, /policy\.hujson:1:3: "grant" is not a key/)
})

test('policy explain: of the policy in force, and of whoever was seen as whois said then', async (t) => {
  const started = await start(t)
  const { alice, configFile, close } = started
  const words = ['policy', 'explain', '--as', 'alice@example.com', 'authorize', 'resource:wiki', '--config', configFile]
  const before = await printed(words)
  assert.match(before.stdout, /^known of them +what the command line says$/m)
  await alice.signIn(await alice.register(), wiki)
  const after = await printed(words)
  assert.deepEqual([before.code, after.code], [0, 0])
  assert.match(after.stdout, /^policy +\/.*policy\.hujson, [0-9a-f]{12}, in force since 20/m)
  assert.match(after.stdout, /^known of them +what whois said, last kept at 20.*Z$/m)
  assert.match(after.stdout, /^node +alice-laptop\.\S+ at 127\.0\.0\.2$/m)
  assert.match(after.stdout, /^os +\w+ \(self-reported: what the node says of itself\)$/m)
  await close()
  await assert.rejects(printed(words), {
    name: 'Unusable',
    message: /^No daemon is running on this state\. A policy without a daemon is named with --file FILE\.$/,
  })
  const offline = await printed([...words, '--file', started.config.policy_file])
  assert.match(offline.stdout, /^known of them +what whois said/m, 'the state is opened under its lock')
})

test('policy explain DECISION_ID: the policy and the identity of then, and beside them what today’s would say', async (t) => {
  const { carol, configFile, setPolicy } = await start(t)
  const software = await carol.register()
  await assert.rejects(carol.code(software, wiki), /may not use/)
  const list = JSON.parse((await printed(['decisions', 'list', '--outcome', 'denied', '--json', '--config', configFile])).stdout)
  const [{ id }] = list.decisions
  const then = await printed(['policy', 'explain', id, '--config', configFile])
  assert.equal(then.code, 0)
  assert.match(then.stdout, /^entry +authorize$/m)
  assert.match(then.stdout, /^outcome +denied \(no_grant\)$/m)
  assert.match(
    then.stdout,
    /^The policy of then \([0-9a-f]{12}\)\n(?: {2}.*\n)+Denied \(no_grant\):\n {2}carol@example\.com may not use resource:wiki\.\n {2}carol@example\.com would match grant 5 if in group:eng\. \(policy [0-9a-f]{12}:\d+:5\)$/m,
  )
  assert.match(then.stdout, /^The policy of today, to who it was then \([0-9a-f]{12}\)\n(?: {2}.*\n)+Denied \(no_grant\):/m)

  setPolicy(changedPolicy(({ groups }) => groups['group:eng']?.push('carol@example.com')))
  const today = await printed(['policy', 'explain', id, '--config', configFile])
  assert.match(today.stdout, /^The policy of then .*\n(?: {2}.*\n)+Denied/m)
  assert.match(today.stdout, /^The policy of today, to who it was then .*\n(?: {2}.*\n)+Allowed:\n {2}SCOPE/m)
  const json = JSON.parse((await printed(['policy', 'explain', id, '--config', configFile, '--json'])).stdout)
  assert.deepEqual(
    json.answers.map(({ title, verdict }: { title: string; verdict: { allowed: boolean } }) => [title, verdict.allowed]),
    [
      ['The policy of then', false],
      ['The policy of today, to who it was then', true],
    ],
  )
  await assert.rejects(printed(['policy', 'explain', 'X'.repeat(26), '--config', configFile]), {
    name: 'Unusable',
  })
})
