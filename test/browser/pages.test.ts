/** The pages as a person has them: in Chromium, with and without JavaScript, light, dark and on a phone, and for those who cannot see them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, type TestContext, test } from 'node:test'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { axeFile, launchBrowser, noBrowser } from '../support/browser.ts'
import { changedPolicy, grafanaCallback, policyClient, wiki } from '../support/example_policy.ts'
import { challengeOf, formText, newVerifier } from '../support/person.ts'
import { freePort, type Started, start } from '../support/start.ts'

let launched: Promise<Browser> | undefined
const browser = () => {
  launched ??= launchBrowser()
  return launched
}
after(async () => (await launched)?.close())

const options = { skip: noBrowser, timeout: 120_000 }
const approve = 'button[name=decision][value=approve]'
const deny = 'button[name=decision][value=deny]'

/** What an application shows when the browser comes back: the answer's parameters, however they came. */
async function application(t: TestContext): Promise<{ uri: string }> {
  const port = await freePort()
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const query = new URL(request.url ?? '/', 'http://x').searchParams
    const params = request.method === 'POST' ? new URLSearchParams(body) : query
    response
      .setHeader('content-type', 'text/plain')
      .end(`back by ${request.method}: ${[...params.keys()].join(' ')} ${params.get('error') ?? ''}`)
  }).listen(port, '127.0.0.1')
  t.after(() => server.close())
  return { uri: `http://127.0.0.1:${port}/cb` }
}

/** A page of alice's browser, unless it is somebody else's; closed with the test. It must ask nothing of any other host. */
async function pageOf(
  t: TestContext,
  { mesh, issuer }: Started,
  machine = 'alice-laptop',
  more: BrowserContextOptions = {},
): Promise<Page> {
  mesh.change({ browser: machine })
  const context = await (await browser()).newContext(more)
  t.after(() => context.close())
  const page = await context.newPage()
  const strangers: string[] = []
  page.on('request', (request) => {
    if (!request.url().startsWith(issuer) && !request.isNavigationRequest()) strangers.push(request.url())
  })
  t.after(() =>
    assert.deepEqual(
      strangers.filter((url) => !url.endsWith('/favicon.ico')),
      [],
    ),
  )
  return page
}

const address = ({ issuer }: Started, client: { client_id: string; redirect_uri: string }, more: Record<string, string> = {}) =>
  `${issuer}/authorize?${formText({ response_type: 'code', client_id: client.client_id, redirect_uri: client.redirect_uri, code_challenge: challengeOf(newVerifier()), code_challenge_method: 'S256', state: 's', ...more })}`

for (const javaScriptEnabled of [true, false])
  test(
    `In Chromium ${javaScriptEnabled ? 'with' : 'without'} JavaScript: allow, deny, confirm, form_post, end a sign-in, sign out`,
    options,
    async (t) => {
      const started = await start(t)
      const { uri } = await application(t)
      const client = await started.alice.register({ redirect_uris: [uri], client_name: 'Alice’s agent' })
      const page = await pageOf(t, started, 'alice-laptop', { javaScriptEnabled })
      const text = async () => (await page.textContent('body')) ?? ''

      await page.goto(address(started, client, wiki))
      await page.click(deny)
      assert.match(await text(), /^back by GET: error error_description state iss access_denied/)
      await page.goto(address(started, client, wiki))
      await page.click(approve)
      assert.match(await text(), /^back by GET: code state iss/)
      await page.goto(address(started, client, { ...wiki, prompt: 'login' }))
      await page.click(approve)
      assert.match(await text(), /^back by GET: code state iss/)
      await page.goto(address(started, client, { ...wiki, response_mode: 'form_post' }))
      if (!javaScriptEnabled) await page.click('text=Continue')
      await page.waitForURL(uri)
      assert.match(await text(), /^back by POST: code state iss/)

      const tokens = await started.alice.signIn(client, wiki)
      await page.goto(`${started.issuer}/`)
      assert.match(await text(), /Alice’s agent/)
      await page.click('button:has-text("End") >> nth=0')
      await page.waitForURL(`${started.issuer}/**`)
      await assert.rejects(started.alice.refresh(client, tokens), { error: 'invalid_grant' })
      await page.goto(`${started.issuer}/end_session`)
      await page.click('main button')
      assert.match(await text(), /You are signed out/)
    },
  )

test('In Chromium: a denial says why, what would have allowed it and the decision, each for itself', options, async (t) => {
  const started = await start(t)
  const client = await started.alice.register({ redirect_uris: [(await application(t)).uri] })
  const page = await pageOf(t, started, 'carol-laptop')
  await page.goto(address(started, client, wiki))
  const text = (await page.textContent('main')) ?? ''
  assert.match(text, /carol@example\.com may not use resource:wiki/)
  assert.match(text, /carol@example\.com would match grant \d+ if in group:eng/)
  assert.match(text, /Decision [0-9A-Z]{26}/)
})

test('OAuth 2.1 §7.11: a page of another origin that frames ours shows nothing of it [threats 71]', options, async (t) => {
  const started = await start(t)
  const client = await started.alice.register()
  const page = await pageOf(t, started)
  const port = await freePort()
  const evil = createServer((_request, response) =>
    response
      .setHeader('content-type', 'text/html')
      .end(`<iframe id="f" src="${address(started, client, wiki).replaceAll('&', '&amp;')}"></iframe>`),
  ).listen(port, '127.0.0.1')
  t.after(() => evil.close())
  await page.goto(`http://127.0.0.1:${port}/`)
  const frame = await (await page.waitForSelector('#f')).contentFrame()
  assert.equal(await frame?.locator(approve).count(), 0)
})

test('CWE-79: what strangers call themselves is text, in a browser too [threats 73, 400]', options, async (t) => {
  const started = await start(t)
  const { uri } = await application(t)
  const page = await pageOf(t, started)
  let ran = false
  page.on('dialog', (dialog) => {
    ran = true
    void dialog.dismiss()
  })
  for (const client_name of ['<img src=x onerror=alert(1)>', '</title><script>alert(1)</script>', '"><svg/onload=alert(1)>']) {
    const client = await started.alice.register({ client_name, redirect_uris: [uri] })
    await page.goto(address(started, client, wiki))
    assert.ok((await page.textContent('main'))?.includes(client_name))
    await page.click(approve)
    await page.goto(`${started.issuer}/`)
    assert.ok((await page.textContent('main'))?.includes(client_name))
  }
  assert.equal(ran, false)
})

const long = {
  client_name: `${'Donaudampfschifffahrtsgesellschaft'.repeat(3)} 漢字 שלום`.slice(0, 128),
  redirect_uris: [`https://${'verylonglabel'.repeat(4)}.example.com/cb`],
}
const looks: Record<string, BrowserContextOptions> = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  phone: { colorScheme: 'light', viewport: { width: 320, height: 640 } },
}

for (const [look, how] of Object.entries(looks))
  test(`WCAG 2.2 AA, ${look}: axe finds nothing on any page, and nothing scrolls sideways`, options, async (t) => {
    const started = await start(t, {
      policy: changedPolicy(({ grants }) => {
        const edge = { actors: ['client:wiki-server'], from: ['resource:wiki'], scopes: { 'notes:read': ['wiki:read'] } }
        grants.push({ src: ['*@example.com'], dst: ['resource:notes'], app: { exchange: [edge] } })
      }),
    })
    const { alice, issuer, mesh } = started
    const agent = await alice.register(long)
    const app = await alice.register({ redirect_uris: ['com.example.app:/cb'] })
    await alice.signIn(agent, wiki)
    const grafana = policyClient(started, 'grafana', grafanaCallback)
    const all = { resource: wiki.resource, scope: 'wiki:read wiki:write openid email groups offline_access', prompt: 'consent' }
    const pages: Record<string, [machine: string, url: string]> = {
      consent: ['alice-laptop', address(started, agent, all)],
      'private-use consent': ['alice-laptop', address(started, app, all)],
      confirmation: ['alice-laptop', address(started, grafana, { scope: 'openid', prompt: 'login', login_hint: 'bob@example.com' })],
      denial: ['carol-laptop', address(started, agent, wiki)],
      error: ['alice-laptop', `${issuer}/authorize`],
      'not found': ['alice-laptop', `${issuer}/nowhere`],
      home: ['alice-laptop', `${issuer}/`],
      'home of a node': ['ci-runner', `${issuer}/`],
      'sign out': ['alice-laptop', `${issuer}/end_session`],
    }
    const page = await pageOf(t, started, 'alice-laptop', { ...how, bypassCSP: true })
    const axe = readFileSync(axeFile, 'utf8')
    for (const [name, [machine, url]] of Object.entries(pages)) {
      mesh.change({ browser: machine })
      await page.goto(url)
      await page.evaluate(axe)
      const violations = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
        'axe.run(document).then(({ violations }) => violations)',
      )
      assert.deepEqual(
        violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
        [],
        name,
      )
      const [wanted, there] = await page.evaluate<[number, number]>(
        '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
      )
      assert.ok(wanted <= there, `${name}: ${wanted} px in ${there}`)
    }
  })
