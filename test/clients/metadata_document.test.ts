import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Fetched, FetchRefused, type GuardedFetch } from '../../src/clients/guarded_fetch.ts'
import { createMetadataDocuments, isMetadataDocumentUrl } from '../../src/clients/metadata_document.ts'
import { startHttpsSite } from '../support/https_site.ts'

const url = 'https://client.example/oauth/metadata.json'
const now = 1_700_000_000
const request = { principal: 'userid:1', mode: 'lenient', issuer: 'https://idp.tail1234.ts.net', now } as const
const limits = { principal: 1000, origin: 1000, total: 1000 }
const document = { client_id: url, client_name: 'Notes', redirect_uris: ['http://127.0.0.1/cb'], colour: 'red' }

const answer = (body: unknown, headers: Record<string, string> = {}): Fetched => ({
  headers: new Map(Object.entries({ 'content-type': 'application/json', ...headers })),
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

/** Metadata documents over a stand-in for the network, which counts. */
function over(fetch: GuardedFetch, some = limits) {
  const asked: string[] = []
  const counted: GuardedFetch = (target, options) => {
    asked.push(target)
    return fetch(target, options)
  }
  return { documents: createMetadataDocuments({ fetch: counted, limits: some }), asked }
}

const uniform = {
  name: 'OAuthError',
  code: 'invalid_client_metadata',
  message: 'The metadata document of this client could not be fetched, or is not one for this client_id.',
}

test('CIMD §3: an https URL with a path can be a client_id', () => {
  for (const good of [
    url,
    'https://client.example:8443/c',
    'https://client.example/c/',
    'https://client.example/c?x=1',
    'https://client.example/@user/.well-known/..a',
    'https://xn--pple-43d.com/c',
    'https://claude.ai/oauth/claude-code-client-metadata',
  ])
    assert.equal(isMetadataDocumentUrl(good), true, good)
})

test('CIMD §3: no other scheme, no missing path, fragment, userinfo or dot segment, and one spelling only [threats 16, 185, 188, 196]', async () => {
  const bad = [
    ...[
      '',
      'client',
      '01J9Z',
      'http://client.example/c',
      'HTTPS://client.example/c',
      'ftp://client.example/c',
      'https:client.example/c',
      'https:/client.example/c',
      'https:///c',
    ],
    ...['https://client.example', 'https://client.example/', 'https://client.example?x', 'https://client.example/?x'],
    ...['https://client.example/c#', 'https://client.example/c#x', 'https://client.example/c?#'],
    ...['https://u@client.example/c', 'https://@client.example/c', 'https://:@client.example/c', 'https://u:p@client.example/c'],
    ...[
      'https://client.example/./c',
      'https://client.example/a/../c',
      'https://client.example/c/.',
      'https://client.example/c/..',
      'https://client.example/%2e/c',
      'https://client.example/%2E%2e/c',
      'https://client.example/.%2e/c',
    ],
    ...[
      'https://CLIENT.example/c',
      'https://client.example:443/c',
      'https://client.example:/c',
      'https://client.example:0/c',
      'https://client.example:080/c',
      'https://client.example./c',
      'https://%63lient.example/c',
    ],
    ...['https://2130706433/c', 'https://0x7f000001/c', 'https://127.1/c', 'https://[::ffff:127.0.0.1]/c', 'https://аpple.com/c'],
    ...[
      ' https://client.example/c',
      'https://client.example/c ',
      'https://client.example/\tc',
      'https://client.example\\c',
      `https://client.example/${'a'.repeat(2048)}`,
      `https://client.example/${'%2e'.repeat(50_000)}`,
    ],
  ]
  const { documents, asked } = over(async () => assert.fail('nothing is fetched'))
  for (const client_id of bad) {
    assert.equal(isMetadataDocumentUrl(client_id), false, client_id)
    await assert.rejects(documents.fetch(client_id, request), uniform)
  }
  assert.deepEqual(asked, [])
})

test('CIMD §5: the document becomes a public client, for as long as HTTP caching says [threats 203]', async () => {
  const cases: [string, number][] = [
    ['max-age=600', 600],
    ['max-age=315360000', 86_400],
    ['no-store', 0],
    ['max-age=0', 0],
  ]
  for (const [control, seconds] of cases) {
    const { documents } = over(async () => answer(document, { 'cache-control': control }))
    const { metadata, ignored, expires_at } = await documents.fetch(url, request)
    assert.equal(metadata.client_name, 'Notes')
    assert.equal(metadata.token_endpoint_auth_method, 'none')
    assert.deepEqual(ignored, ['colour'])
    assert.equal(expires_at, now + seconds, control)
  }
})

test('CIMD §4: application/json or a +json type, in any case, with parameters', async () => {
  for (const type of ['application/json', 'Application/JSON; charset=utf-8', 'application/client-metadata+json', 'application/json;x']) {
    const { documents } = over(async () => answer(document, { 'content-type': type }))
    assert.equal((await documents.fetch(url, request)).metadata.client_name, 'Notes', type)
  }
})

test('CIMD §4, §5: whatever is wrong on the way to a document for this client_id is one and the same error [threats 193, 196, 206]', async () => {
  const wrong: (() => Promise<Fetched>)[] = [
    () => Promise.reject(new FetchRefused(new Error('ECONNREFUSED'))),
    () => Promise.reject(new FetchRefused(new Error('status 404'))),
    ...['text/html', 'text/json', 'application/jsonp', 'application/json-seq', 'application/json, application/json', ''].map(
      (type) => async () => answer(document, { 'content-type': type }),
    ),
    ...['', '{', 'null', '[]', '7', '"x"', '<html>', '['.repeat(5000)].map((body) => async () => answer(body)),
    ...[undefined, null, `${url}/`, url.toUpperCase(), 'https://client.example:443/oauth/metadata.json', [url]].map(
      (client_id) => async () => answer({ ...document, client_id }),
    ),
  ]
  for (const fetch of wrong) {
    const { documents } = over(fetch)
    await assert.rejects(documents.fetch(url, request), uniform)
  }
})

test('CIMD §4: a document that is about this client_id is told what is wrong with it [threats 197]', async () => {
  const { documents } = over(async () => answer({ ...document, client_secret: 'x' }))
  await assert.rejects(documents.fetch(url, request), { code: 'invalid_client_metadata', message: /^client_secret cannot be accepted/ })
  const unsafe = over(async () => answer({ ...document, redirect_uris: ['javascript:alert(1)'] }))
  await assert.rejects(unsafe.documents.fetch(url, request), { code: 'invalid_redirect_uri' })
  const strict = over(async () => answer(document))
  await assert.rejects(strict.documents.fetch(url, { ...request, mode: 'strict' }), { message: /not understood: colour/ })
})

test('CIMD §5.1: errors are never kept, the next request fetches again [threats 193, 203]', async () => {
  let up = false
  const { documents, asked } = over(async () => (up ? answer(document) : Promise.reject(new FetchRefused(new Error('status 500')))))
  await assert.rejects(documents.fetch(url, request), uniform)
  up = true
  assert.equal((await documents.fetch(url, request)).metadata.client_name, 'Notes')
  assert.equal(asked.length, 2)
})

test('requests for one URL at the same time share one fetch, and its failure [threats 202]', async () => {
  const gate = Promise.withResolvers<Fetched>()
  const { documents, asked } = over(() => gate.promise, { principal: 1, origin: 1, total: 1 })
  const all = Array.from({ length: 50 }, (_, index) => documents.fetch(url, { ...request, principal: `userid:${index}` }))
  gate.resolve(answer(document))
  assert.deepEqual(new Set((await Promise.all(all)).map(({ metadata }) => metadata.client_name)), new Set(['Notes']))
  assert.equal(asked.length, 1)

  const failing = Promise.withResolvers<Fetched>()
  const other = over(() => failing.promise)
  const both = [other.documents.fetch(url, request), other.documents.fetch(url, request)]
  failing.reject(new FetchRefused(new Error('status 500')))
  for (const result of await Promise.allSettled(both)) assert.equal(result.status, 'rejected')
  assert.equal(other.asked.length, 1)
})

test('budgets for one principal, one origin and all together hold; beyond them 503 with Retry-After and no fetch [threats 202]', async () => {
  const { documents, asked } = over(async (target) => answer({ ...document, client_id: target }), { principal: 2, origin: 3, total: 4 })
  const fetch = (principal: string, target: string, later = 0) => documents.fetch(target, { ...request, principal, now: now + later })
  const busy = { code: 'temporarily_unavailable', details: { headers: { 'retry-after': '50' } } }
  await fetch('alice', 'https://a.example/1')
  await fetch('alice', 'https://a.example/2')
  await assert.rejects(fetch('alice', 'https://b.example/1', 10), busy)
  await fetch('bob', 'https://a.example/3')
  await assert.rejects(fetch('carol', 'https://a.example/4', 10), busy)
  await fetch('carol', 'https://b.example/1')
  await assert.rejects(fetch('dave', 'https://c.example/1', 10), busy)
  assert.equal(asked.length, 4)
  await fetch('alice', 'https://b.example/1', 60)
  assert.equal(asked.length, 5)
})

test('over real TLS: a published document is read from its own URL', async (t) => {
  const site = await startHttpsSite(t, ({ url: path, headers }, response) => {
    response.setHeader('content-type', 'application/json').setHeader('cache-control', 'max-age=120')
    response.end(
      JSON.stringify({ client_id: `https://${headers.host}${path}`, client_name: 'Notes', redirect_uris: ['http://localhost/cb'] }),
    )
  })
  const documents = createMetadataDocuments({ fetch: site.fetch, limits })
  const { metadata, expires_at } = await documents.fetch(`${site.origin}/client.json`, request)
  assert.deepEqual(metadata.redirect_uris, ['http://localhost/cb'])
  assert.equal(expires_at, now + 120)
})
