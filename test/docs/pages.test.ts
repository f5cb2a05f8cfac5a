/** What programs that drive a browser may count on, as docs/operations.md promises it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { assertPage, textOf } from '../support/answers.ts'
import { grafanaCallback, wiki } from '../support/example_policy.ts'
import { start } from '../support/start.ts'

const document = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')

/** Page → its fixed sentence. */
const promised = new Map(
  [...document.matchAll(/^\| ([a-z][^|`(]*?) +(?:\([^|]*)?\| `([^`|]+)` +\|/gm)].map(([, page = '', sentence = '']) => [page, sentence]),
)

test('docs/operations.md: each page has its sentence, and the two that ask have their buttons', async (t) => {
  const started = await start(t)
  const { alice, issuer } = started
  const client = await alice.register()
  const pages = {
    confirmation: await alice.authorize(
      { client_id: 'client:grafana', redirect_uri: grafanaCallback },
      { scope: 'openid', prompt: 'login' },
    ),
    consent: await alice.authorize(client, wiki),
    'sign out': await alice.send('/end_session'),
    'signed out': await alice.send('/end_session', {
      form: { confirmed: 'yes' },
      headers: { origin: new URL(issuer).origin, 'sec-fetch-site': 'same-origin' },
    }),
    home: await alice.send('/'),
  }
  for (const [name, page] of Object.entries(pages)) {
    assertPage(page, 200)
    const sentence = promised.get(name)
    assert.ok(sentence && textOf(page).includes(sentence), `${name}: ${sentence}`)
    const others = Object.entries(pages).filter(([other]) => other !== name)
    for (const [other, { text }] of others) assert.ok(!text.includes(`<h1>${sentence}`), `${sentence} is on ${other} too`)
  }
  for (const { text } of [pages.consent, pages.confirmation])
    assert.deepEqual(
      [...text.matchAll(/<button[^>]* name="decision" value="(\w+)"/g)].map(([, value]) => value),
      ['approve', 'deny'],
    )
  for (const error of [await alice.send('/authorize'), await started.carol.authorize(client, wiki)])
    assert.ok(textOf(error).startsWith(promised.get('error, denial') ?? 'no sentence'), textOf(error))
})
