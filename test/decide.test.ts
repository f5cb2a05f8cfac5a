import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAction } from '../src/admin/actions.ts'
import { changedPolicy, policyClient, wiki } from './support/example_policy.ts'
import { Refusal } from './support/person.ts'
import { start } from './support/start.ts'

/** What somebody gets, or the error that they get instead. */
const outcome = async (attempt: () => Promise<{ status: number; text: string }>) => {
  const { status, text } = await attempt()
  return status < 400
    ? 'allowed'
    : `${status} ${(/"error":"([a-z_]+)"|&middot; <code>([a-z_]+)<\/code>/.exec(text) ?? []).slice(1).join('')}`
}
const refusalOf = (promise: Promise<unknown>) =>
  promise.then(
    () => ({ status: 200, text: '' }),
    (error: unknown) => {
      if (error instanceof Refusal) return error.answer
      throw error
    },
  )

test('one gate for all: what one policy allows and the next does not is refused at every way in, each with a row under the new policy [threats 389]', async (t) => {
  const started = await start(t)
  const { alice, daemon } = started
  const server = policyClient(started, 'wiki-server')
  const client = await alice.register()
  const tokens = await alice.signIn(client, wiki)
  const identity = await alice.signIn(client, { scope: 'openid' })
  const codes = [await alice.code(client, wiki), await alice.code(client, wiki)]
  const pages = [
    await alice.authorize(client, { ...wiki, prompt: 'consent' }),
    await alice.authorize(client, { ...wiki, prompt: 'consent' }),
  ]
  const metadata = { redirect_uris: ['http://127.0.0.1:9/callback'] }

  /** In an order in which none spoils the next; `refresh` last, since it spends. */
  const entries = (turn: 0 | 1): [entry: string, refusedAs: string, attempt: () => Promise<{ status: number; text: string }>][] => [
    ['register', '403 access_denied', () => alice.send('/register', { json: metadata })],
    [
      'register',
      '403 access_denied',
      () =>
        alice
          .send(`/register/${client.client_id}`, {
            method: 'PUT',
            json: {
              client_id: client.client_id,
              ...metadata,
              grant_types: ['authorization_code', 'refresh_token'],
              token_endpoint_auth_method: 'none',
            },
            headers: { authorization: `Bearer ${registrationToken}` },
          })
          .then((answer) => {
            if (answer.status === 200) registrationToken = String(answer.json().registration_access_token)
            return answer
          }),
    ],
    ['authorize', '403 access_denied', () => alice.authorize(client, wiki)],
    ['authorize', '403 access_denied', () => alice.answer(pages[turn] as never, 'approve')],
    [
      'authorization_code',
      '400 invalid_grant',
      () => refusalOf(alice.token(client, { grant_type: 'authorization_code', redirect_uri: client.redirect_uri, ...codes[turn] })),
    ],
    [
      'introspect',
      'inactive',
      () => alice.introspect(server, tokens.access_token).then(({ active }) => ({ status: active ? 200 : 400, text: '' })),
    ],
    ['userinfo', '401 invalid_token', () => alice.send('/userinfo', { headers: { authorization: `Bearer ${identity.access_token}` } })],
    ['refresh_token', '400 invalid_grant', () => refusalOf(alice.refresh(client, tokens).then((next) => Object.assign(tokens, next)))],
  ]
  let registrationToken = String(client.registration_access_token)

  for (const [entry, , attempt] of entries(0)) assert.equal(await outcome(attempt), 'allowed', entry)

  // Alice is out of everything.
  const without = changedPolicy((policy) => {
    for (const grant of policy.grants)
      grant.src = grant.src.map((one) => (one === '*@example.com' || one === 'group:eng' ? 'bob@example.com' : one))
  })
  const loaded = started.setPolicy(without)
  assert.equal(loaded.ok, true)
  for (const [entry, refusedAs, attempt] of entries(1)) {
    const got = await outcome(attempt)
    assert.equal(got, refusedAs === 'inactive' ? '400 ' : refusedAs, entry)
    const { decisions } = (await runAction(daemon.deps, 'decisions.list', { outcome: 'denied' })) as {
      decisions: Record<string, unknown>[]
    }
    const row = decisions.find((one) => one.entry === entry)
    assert.deepEqual([row?.policy, row?.principal, row?.reason], [loaded.hash, 'alice@example.com', 'no_grant'], entry)
  }
  // Nothing was spent: the mistake undone heals.
  assert.equal(started.setPolicy(changedPolicy(() => undefined)).ok, true)
  for (const [entry, , attempt] of entries(1).filter(([entry]) => entry !== 'register'))
    assert.equal(await outcome(attempt), 'allowed', entry)
})
