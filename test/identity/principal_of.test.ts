import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parseJson, statusAnswer, whoisAnswer } from '../../src/identity/answers.ts'
import { principalOf } from '../../src/identity/principal_of.ts'
import { noon } from '../support/local_api.ts'

const sample = (name: string) => readFile(new URL(`samples/${name}.json`, import.meta.url), 'utf8')
const circumstances = { self_id: '1', allowSelf: false, now: noon }
const alice = '100.64.0.2'

type Json = Record<string, unknown>
type Sample = { Node: Json; UserProfile: Json; CapMap: unknown }

/** A real answer, changed by `edit`; null where it cannot be read at all. */
async function answerWith(name: string, edit: (answer: Sample) => void) {
  const answer = JSON.parse(await sample(name)) as Sample
  edit(answer)
  const parsed = whoisAnswer.safeParse(answer)
  return parsed.success ? parsed.data : null
}

async function callerWith(edit: (answer: Sample) => void, name = 'whois_user', options: Partial<typeof circumstances> = {}) {
  const answer = await answerWith(name, edit)
  return answer && principalOf(answer, alice, { ...circumstances, ...options })
}

const reasonOf = async (edit: (answer: Sample) => void, name?: string, options?: Partial<typeof circumstances>) => {
  const caller = await callerWith(edit, name, options)
  if (caller === null) return 'unreadable'
  return caller.principal === null ? caller.reason : caller.principal.kind
}

test('a real answer for a user is a person, by user id, on a node, by StableID [threats 365, 367]', async () => {
  const principal = principalOf(whoisAnswer.parse(parseJson(await sample('whois_user'))), alice, circumstances).principal
  assert.deepEqual(principal, {
    kind: 'user',
    user_id: '1',
    login: 'alice@example.com',
    display_name: 'Alice Example',
    picture: null,
    groups: null,
    capabilities: new Map([['example.com/cap/meshidp', [{ role: 'admin', groups: ['eng'] }]]]),
    node: {
      id: '2',
      name: 'alice-laptop.lab.internal',
      addresses: ['100.64.0.2', 'fd7a:115c:a1e0::2'],
      key_expiry: null,
      os: 'linux',
      os_version: '6.18.44-fc-v657',
    },
    address: alice,
  })
})

test('the same person over IPv6 is the same person', async () => {
  const [v4, v6] = await Promise.all(['whois_user', 'whois_user6'].map(async (name) => whoisAnswer.parse(parseJson(await sample(name)))))
  assert.deepEqual(v4 && principalOf(v4, alice, circumstances), v6 && principalOf(v6, alice, circumstances))
})

test('a real answer for a tagged node is a workload, never a user [threats 326]', async () => {
  const { principal } = principalOf(whoisAnswer.parse(parseJson(await sample('whois_tagged'))), '100.64.0.3', circumstances)
  assert.equal(principal?.kind, 'node')
  assert.deepEqual(principal?.kind === 'node' && principal.tags, ['tag:mcp-gateway'])
  assert.equal(principal && 'user_id' in principal, false)
})

test('a real status is read, nulls and all', async () => {
  const status = statusAnswer.parse(parseJson(await sample('status_nopeers')))
  assert.equal(status.BackendState, 'Running')
  assert.deepEqual(status.Self?.TailscaleIPs, ['100.64.0.1', 'fd7a:115c:a1e0::1'])
})

test('this very node is nobody, for any local process could be asking (S5) [threats 338]', async () => {
  assert.equal(await reasonOf(() => {}, 'whois_self'), 'self')
  assert.equal(await reasonOf(() => {}, 'whois_self', { allowSelf: true }), 'node')
  assert.equal(await reasonOf(({ Node }) => (Node.StableID = '1')), 'self')
  assert.equal(await reasonOf(({ Node }) => (Node.StableID = '1'), 'whois_user', { allowSelf: true }), 'user')
})

test('an expired node is nobody, by either field; the zero time is "never" (S6)', async () => {
  assert.equal(await reasonOf(({ Node }) => (Node.Expired = true)), 'expired')
  assert.equal(await reasonOf(({ Node }) => (Node.KeyExpiry = '2027-01-15T07:59:59Z')), 'expired')
  assert.equal(await reasonOf(({ Node }) => (Node.KeyExpiry = '2027-01-15T08:00:00.5Z')), 'expired')
  assert.equal(await reasonOf(({ Node }) => (Node.KeyExpiry = '2027-01-15T08:00:01.02172722Z')), 'user')
  assert.equal(await reasonOf(({ Node }) => (Node.KeyExpiry = '0001-01-01T00:00:00Z')), 'user')
  assert.equal(await reasonOf(({ Node }) => (Node.KeyExpiry = 'soon')), 'unreadable')
  assert.equal(await reasonOf(({ Node }) => (Node.Expired = true), 'whois_tagged'), 'expired')
})

test('a node shared in from another tailnet is nobody [threats 328]', async () => {
  assert.equal(await reasonOf(({ Node }) => (Node.Sharer = 9)), 'shared')
  assert.equal(await reasonOf(({ Node }) => Object.assign(Node, { Sharer: 9, Name: '' })), 'shared')
  assert.equal(await reasonOf(({ Node }) => (Node.Sharer = 9), 'whois_tagged'), 'shared')
  assert.equal(await reasonOf(({ Node }) => (Node.Sharer = 0)), 'user')
})

test('a node that tailnet lock has not signed is nobody [threats 361]', async () => {
  assert.equal(await reasonOf(({ Node }) => (Node.UnsignedPeerAPIOnly = true)), 'unsigned')
})

test('the placeholder of tagged nodes is nobody where the tags are missing [threats 326]', async () => {
  assert.equal(await reasonOf(({ Node }) => delete Node.Tags, 'whois_tagged'), 'malformed')
  assert.equal(await reasonOf(({ Node }) => (Node.Tags = []), 'whois_tagged'), 'malformed')
  assert.equal(await reasonOf(({ UserProfile }) => (UserProfile.LoginName = 'tagged-devices')), 'malformed')
  assert.equal(await reasonOf((answer) => (answer.Node.User = answer.UserProfile.ID = 2147455555)), 'malformed')
})

test('what is not a tag makes no tagged node; a tag on a user’s node makes it nobody’s [threats 326]', async () => {
  assert.equal(await reasonOf(({ Node }) => (Node.Tags = ['']), 'whois_tagged'), 'malformed')
  assert.equal(await reasonOf(({ Node }) => (Node.Tags = ['group:eng'])), 'malformed')
  assert.equal(await reasonOf(({ Node }) => (Node.Tags = ['tag:ci'])), 'node')
})

test('whoever whois does not name in full is nobody [threats 320]', async (t) => {
  const edits: [string, (answer: Sample) => void][] = [
    ['Node: null', (answer) => Object.assign(answer, { Node: null })],
    ['no Node', (answer) => delete (answer as Partial<Sample>).Node],
    ['UserProfile: null', (answer) => Object.assign(answer, { UserProfile: null })],
    ['no UserProfile', (answer) => delete (answer as Partial<Sample>).UserProfile],
    ['no user id', ({ UserProfile }) => delete UserProfile.ID],
    ['user id 0', (answer) => (answer.Node.User = answer.UserProfile.ID = 0)],
    ['a user id that is a word', (answer) => (answer.Node.User = answer.UserProfile.ID = 'alice')],
    ['a fraction as user id', (answer) => (answer.Node.User = answer.UserProfile.ID = 1.5)],
    ['a list as user id', ({ UserProfile }) => (UserProfile.ID = [1])],
    ['a negative user id', (answer) => (answer.Node.User = answer.UserProfile.ID = -1)],
    ['no StableID', ({ Node }) => delete Node.StableID],
    ['an empty StableID', ({ Node }) => (Node.StableID = '')],
    ['a number as StableID', ({ Node }) => (Node.StableID = 2)],
    ['no login', ({ UserProfile }) => delete UserProfile.LoginName],
    ['an empty login', ({ UserProfile }) => (UserProfile.LoginName = '')],
    ['tags that are no list', ({ Node }) => (Node.Tags = 'tag:ci')],
    ['Expired that is no boolean', ({ Node }) => (Node.Expired = 'false')],
    ['groups that are no list', ({ UserProfile }) => (UserProfile.Groups = 'group:eng')],
  ]
  for (const [title, edit] of edits) await t.test(title, async () => assert.equal(await reasonOf(edit), 'unreadable'))
  await t.test('another owner of the node than the user', async () =>
    assert.equal(await reasonOf(({ Node }) => (Node.User = 2)), 'malformed'),
  )
})

test('an id beyond 2^53 is kept to the last digit, and its neighbours stay apart [threats 320]', async () => {
  const text = (await sample('whois_user'))
    .replace('"User": 1,', '"User": 9007199254740993,')
    .replace('"ID": 1,', '"ID": 9007199254740993,')
  const { principal } = principalOf(whoisAnswer.parse(parseJson(text)), alice, circumstances)
  assert.equal(principal?.kind === 'user' && principal.user_id, '9007199254740993')
  assert.deepEqual(parseJson('{"a":[-9223372036854775808,1.2345678901234567890,1234567890123456],"b":"1234567890123456789"}'), {
    a: ['-9223372036854775808', 1.2345678901234567, 1234567890123456],
    b: '1234567890123456789',
  })
})

test('unknown fields are ignored; nulls are nothing [threats 320]', async () => {
  const nulls = {
    Tags: null,
    Sharer: null,
    KeyExpiry: null,
    Expired: null,
    UnsignedPeerAPIOnly: null,
    Hostinfo: null,
    Name: null,
    Addresses: null,
  }
  const caller = await callerWith((answer) => {
    Object.assign(answer, { Later: { Node: null } })
    Object.assign(answer.Node, nulls)
    Object.assign(answer.UserProfile, { DisplayName: '', ProfilePicURL: null, Groups: null })
  })
  assert.equal(caller?.principal?.kind, 'user')
  assert.deepEqual(caller?.principal?.node, { id: '2', name: '', addresses: [], key_expiry: null, os: null, os_version: null })
})

test('groups that whois does not show are unknown, which is not "none" [threats 358]', async () => {
  const groupsOf = async (edit: (profile: Json) => void) => {
    const caller = await callerWith(({ UserProfile }) => edit(UserProfile))
    return caller?.principal?.kind === 'user' ? caller.principal.groups : 'nobody'
  }
  assert.equal(await groupsOf(() => {}), null)
  assert.deepEqual(await groupsOf((profile) => (profile.Groups = [])), [])
  assert.deepEqual(await groupsOf((profile) => (profile.Groups = ['group:eng'])), ['group:eng'])
})

test('capabilities: null is none; another shape costs all of them, and nobody their identity [threats 355, 356]', async () => {
  const capabilitiesOf = async (capMap: unknown) => {
    const caller = await callerWith((answer) => (answer.CapMap = capMap))
    return caller?.principal?.kind === 'user' ? [...caller.principal.capabilities] : 'nobody'
  }
  assert.deepEqual(await capabilitiesOf(null), [])
  assert.equal(await reasonOf((answer) => delete answer.CapMap), 'user')
  assert.deepEqual(await capabilitiesOf({ 'a/b': null, 'c/d': [] }), [
    ['a/b', []],
    ['c/d', []],
  ])
  for (const malformed of [[], 'x', 1, true, { 'a/b': [{}], 'c/d': 'no list' }, { 'a/b': { allow: true } }]) {
    assert.deepEqual(await capabilitiesOf(malformed), [], JSON.stringify(malformed))
  }
  assert.deepEqual(await capabilitiesOf(JSON.parse('{"__proto__": [1], "constructor": [2]}')), [
    ['__proto__', [1]],
    ['constructor', [2]],
  ])
})

test('attributes of a node are what the control plane gives it; of another shape they are unknown, and cost nobody their identity', async () => {
  const shown = async (CapMap: unknown) => (await callerWith(({ Node }) => (Node.CapMap = CapMap)))?.principal?.node.attributes
  assert.deepEqual(await shown({ 'custom:managed': null, 'https://tailscale.com/cap/ssh': [] }), [
    'custom:managed',
    'https://tailscale.com/cap/ssh',
  ])
  for (const CapMap of [null, undefined, ['custom:managed'], 'custom:managed', 7]) assert.equal(await shown(CapMap), undefined)
})

test('a login name is taken as it is written: variants are other logins, and the user id is the person [threats 331]', async () => {
  const caller = await callerWith(({ UserProfile }) => (UserProfile.LoginName = 'Аlice@Corp.example'))
  assert.equal(caller?.principal?.kind === 'user' && caller.principal.login, 'Аlice@Corp.example')
  assert.equal(caller?.principal?.kind === 'user' && caller.principal.user_id, '1')
})
