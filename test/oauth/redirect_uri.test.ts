import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ApplicationType, checkRedirectUri, matchesRedirectUri, redirectHost, redirectWith } from '../../src/oauth/redirect_uri.ts'

const issuer = 'https://idp.tail1234.ts.net'
const check = (uri: string, application_type?: ApplicationType, at = issuer) => checkRedirectUri(uri, { issuer: at, application_type })
const accepted = (uri: string, type?: ApplicationType) => assert.equal(check(uri, type), null, JSON.stringify(uri))
const refused = (uri: string, sentence: RegExp, type?: ApplicationType) =>
  assert.match(check(uri, type) ?? 'accepted', sentence, JSON.stringify(uri))

test('OAuth 2.1 §2.3, RFC 8252 §7: https anywhere, http on loopback and reverse-domain schemes can be registered [threats 20, 23, 29]', () => {
  for (const uri of [
    'https://app.example.com/cb',
    'https://app.example.com',
    'https://APP.example.com:8443/cb?tenant=a%20b',
    'https://medium.example/@user/cb',
    'https://grafana.tail1234.ts.net/login/generic_oauth',
    'https://100.64.0.5/cb',
    'http://127.0.0.1/cb',
    'http://127.0.0.1:33418',
    'http://[::1]:5000/cb',
    'http://localhost:3118/callback',
    'com.example.app:/oauth',
    'com.example.app://callback/x',
  ])
    accepted(uri)
})

test('RFC 9700 §4.1: userinfo is refused [threats 5]', () => {
  for (const uri of [
    'https://app.example.com@evil.tld/cb',
    'https://app.example.com:x@evil.tld/cb',
    'https://@evil.tld/',
    'http://localhost@evil.tld/',
    'com.example.app://u@x/',
  ])
    refused(uri, /user name/)
})

test('OAuth 2.1 §2.3: a fragment is refused, an empty one too', () => {
  for (const uri of ['https://app.example.com/cb#x', 'https://app.example.com/cb#', 'com.example.app:/cb#code=1']) refused(uri, /fragment/)
})

test('a registered query cannot forge the answer, however its names are encoded [threats 11]', () => {
  for (const name of ['code', 'state', 'iss', 'error', 'response', 'c%6fde', 'error_description'])
    refused(`https://app.example.com/cb?x=1&${name}=1`, /query/)
  refused('https://app.example.com/cb?code', /query/)
  accepted('https://app.example.com/cb?codes=1&xcode=2&from=code')
})

test('schemes that run, read or embed are refused in any case mix [threats 13]', () => {
  for (const uri of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://a.example/x',
    'about:blank',
    'mailto:a@b.example',
    'ws://a.example/',
    'wss://a.example/',
    'view-source:https://a.example/',
    'ftp://a.example/',
    'HTTPS://a.example/cb',
    'intent://x',
  ])
    assert.notEqual(check(uri), null, uri)
})

test('control characters, spaces, backslashes and what is not ASCII are refused before any parser strips them [threats 14]', () => {
  const bad = [
    '\0',
    '\t',
    '\n',
    '\v',
    '\f',
    '\r',
    ' ',
    '\x7f',
    '\x80',
    '\x85',
    '\x9f',
    '\\',
    '"',
    '<',
    '`',
    '{',
    '|',
    '\u200b',
    '\u202e',
    '\ud800',
    '%',
    '%zz',
  ]
  for (const character of bad)
    for (const uri of [
      `${character}https://a.example/cb`,
      `htt${character}ps://a.example/`,
      `https://a${character}.example/`,
      `https://a.example/c${character}b`,
      `https://a.example/?q=${character}`,
      `https://a.example/cb${character}`,
    ])
      refused(uri, /percent-encoded/)
  for (const uri of [' javascript:alert(1)', '\tjav\tascript:alert(1)', 'java\nscript:alert(1)']) refused(uri, /percent-encoded/)
})

test('what WHATWG URL would repair into an https address is refused [threats 16]', () => {
  for (const uri of [
    'https:evil.tld/cb',
    'https:/evil.tld',
    'https:///evil.tld/cb',
    'https://',
    'https:?x',
    '//evil.tld/cb',
    '/cb',
    'cb',
    '',
  ])
    assert.notEqual(check(uri), null, uri)
})

test('UTS 46: a name outside ASCII is accepted only as A-labels, and shown so [threats 17]', () => {
  refused('https://аpple.com/cb', /xn--/)
  refused('https://%D0%B0pple.com/cb', /plain form/)
  accepted('https://xn--pple-43d.com/cb')
  assert.equal(redirectHost('https://xn--pple-43d.com/cb').shown, 'xn--pple-43d.com')
})

test('RFC 9700 §4.1.3: wildcards are refused [threats 19]', () => {
  for (const uri of ['https://*.example.com/cb', 'https://app.example.com/*', 'http://localhost:*/cb']) refused(uri, /wildcard/)
  assert.notEqual(check('*'), null)
})

test('RFC 8252 §8.3: only localhost, 127.0.0.1 and [::1], spelled so, are loopback [threats 25, 26]', () => {
  for (const host of [
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '127.0.0.2',
    '[::ffff:127.0.0.1]',
    '[0:0:0:0:0:0:0:1]',
    '0.0.0.0',
    '[::]',
    '100.64.0.5',
    '192.168.1.1',
    'LOCALHOST',
    'localhost.',
    'app.localhost',
    'localhost.example.com',
    'app.example.com',
  ])
    refused(`http://${host}:8080/cb`, /must use https/)
  for (const host of ['2130706433', '0x7f.1', '127.1', '[0::1]', 'example.com.', 'a..b', '.example.com'])
    refused(`https://${host}/cb`, /plain form/)
})

test('RFC 3986 §3.2.3: a port is a number from 1 to 65535, canonical [threats 28]', () => {
  for (const port of ['0', '65536', '080', '+80', '', '99999999', '8a'])
    for (const host of ['http://127.0.0.1', 'http://localhost', 'https://app.example.com']) refused(`${host}:${port}/cb`, /port/)
})

test('OAuth 2.1 §2.3.1: a private-use scheme without a dot is refused [threats 29]', () => {
  for (const uri of ['myapp:/cb', 'cursor://anysphere/cb', 'com.:/cb', 'com..example:/cb']) refused(uri, /private-use scheme with a dot/)
})

test('RFC 7591 §5: 2 KiB is the longest, and longer ones simply return [threats 35, 434]', () => {
  const start = 'https://app.example.com/'
  accepted(start + 'a'.repeat(2048 - start.length))
  for (const uri of [
    start + 'a'.repeat(2049 - start.length),
    start + 'a'.repeat(65_536),
    `${'a.'.repeat(50_000)}!`,
    `http://127.0.0.1/${'?'.repeat(50_000)}`,
  ])
    refused(uri, /2048/)
  assert.equal(matchesRedirectUri(['http://127.0.0.1/'], `http://127.0.0.1:1/${'a'.repeat(50_000)}`), undefined)
})

test('RFC 9700 §4.11: our own origin and the services of the mesh are no redirect URIs [threats 38]', () => {
  for (const uri of [`${issuer}/authorize`, `${issuer}:443/x`, 'https://IDP.tail1234.ts.net/token', `${issuer}/x/../token`])
    refused(uri, /back to this/)
  for (const uri of ['https://100.100.100.100/cb', 'https://[fd7a:115c:a1e0::53]/cb', 'https://local-tailscaled.sock/localapi/v0/status'])
    refused(uri, /mesh itself/)
  assert.notEqual(check('http://100.100.100.100/cb'), null)
  assert.match(check('http://localhost:8484/cb', undefined, 'http://localhost:8484') ?? '', /back to this/)
  assert.match(check('http://127.0.0.1:8484/cb', undefined, 'http://localhost:8484') ?? '', /back to this/)
  assert.equal(check('http://localhost:8485/cb', undefined, 'http://localhost:8484'), null)
  accepted(`${issuer}:8443/cb`)
})

test('OpenID Registration §2: web clients are on https and never on loopback; native ones are never on http elsewhere [threats 169]', () => {
  for (const uri of [
    'http://127.0.0.1/cb',
    'http://localhost/cb',
    'http://[::1]/cb',
    'https://localhost/cb',
    'https://127.0.0.1/cb',
    'com.example.app:/cb',
  ])
    refused(uri, /application_type web/, 'web')
  refused('http://app.example.com/cb', /must use https/, 'native')
  accepted('https://app.example.com/cb', 'web')
  for (const uri of ['http://127.0.0.1/cb', 'https://app.example.com/cb', 'com.example.app:/cb']) accepted(uri, 'native')
})

const registered = [
  'https://app.example.com/cb',
  'https://foo.example.com',
  'https://app.example.com/q?x=1',
  'http://127.0.0.1/cb',
  'http://localhost:3000/cb?y=2',
  'http://[::1]/',
]

test('OAuth 2.1 §4.1.1: redirect URIs are compared as text [threats 1, 4, 5, 7, 8, 10]', () => {
  for (const uri of registered) assert.equal(matchesRedirectUri(registered, uri), uri)
  for (const uri of [
    'https://fooaexample.com',
    'https://app.example.com@evil.tld/cb',
    'https://APP.example.com/cb',
    'https://app.example.com:443/cb',
    'https://app.example.com:8443/cb',
    'https://app.example.com/cb/',
    'https://app.example.com//cb',
    'https://app.example.com./cb',
    'https://app.example.com/%63b',
    'https://app.example.com/cb?x=1',
    'https://app.example.com/cb#',
    'https://app.example.com/q',
    'https://app.example.com/q?x=2',
    'https://app.example.com/q?x=1&code=attacker',
    'HTTPS://app.example.com/cb',
    ' https://app.example.com/cb',
    '',
    '__proto__',
  ])
    assert.equal(matchesRedirectUri(registered, uri), undefined, uri)
})

test('RFC 8252 §7.3: on http loopback the port is free, and nothing else [threats 20, 22, 23]', () => {
  for (const uri of [
    'http://127.0.0.1:51004/cb',
    'http://127.0.0.1:80/cb',
    'http://127.0.0.1:65535/cb',
    'http://localhost/cb?y=2',
    'http://localhost:1/cb?y=2',
    'http://[::1]:9/',
  ])
    assert.equal(matchesRedirectUri(registered, uri), uri)
  for (const uri of [
    'http://localhost:51004/cb',
    'http://[::1]:51004/cb',
    'http://127.0.0.1:3000/cb?y=2',
    'http://127.0.0.1:51004/',
    'http://127.0.0.1:51004/cb?x=1',
    'http://127.0.0.1:51004/CB',
    'http://[::1]',
    'https://127.0.0.1:51004/cb',
    'http://127.0.0.1:1@evil.tld/cb',
    'http://127.0.0.1.evil.tld/cb',
    'http://LOCALHOST:1/cb?y=2',
  ])
    assert.equal(matchesRedirectUri(registered, uri), undefined, uri)
})

test('RFC 3986 §3.2.3: port tricks on loopback never match [threats 28]', () => {
  for (const port of ['0', '65536', '080', '+80', '', '8a', '-1', '1e3'])
    assert.equal(matchesRedirectUri(registered, `http://127.0.0.1:${port}/cb`), undefined, port)
})

test('RFC 8252 §8.3: other spellings of loopback never match [threats 25]', () => {
  for (const host of ['2130706433', '0x7f.1', '0177.0.0.1', '127.1', '127.0.0.2', '[::ffff:127.0.0.1]', '0.0.0.0'])
    assert.equal(matchesRedirectUri(registered, `http://${host}:1/cb`), undefined, host)
})

test('a free loopback port never becomes the port of our own [threats 38]', () => {
  assert.equal(matchesRedirectUri(['http://localhost/authorize'], 'http://localhost:8484/authorize', 'http://localhost:8484'), undefined)
  assert.equal(matchesRedirectUri(['http://127.0.0.1/authorize'], 'http://127.0.0.1:8484/authorize', 'http://localhost:8484'), undefined)
  assert.equal(matchesRedirectUri(['http://localhost/cb'], 'http://localhost:8485/cb', 'http://localhost:8484'), 'http://localhost:8485/cb')
})

test('OAuth 2.1 §4.1.2: the answer is appended to the query, which is kept as it is [threats 10]', () => {
  const params = { code: 'c', state: 's', iss: 'https://i.example', error: undefined }
  const tail = 'code=c&state=s&iss=https%3A%2F%2Fi.example'
  assert.equal(redirectWith('https://a.example/cb', params), `https://a.example/cb?${tail}`)
  assert.equal(redirectWith('https://a.example/cb?', params), `https://a.example/cb?${tail}`)
  assert.equal(redirectWith('https://a.example/cb?x=%7e+b&x', params), `https://a.example/cb?x=%7e+b&x&${tail}`)
  assert.equal(redirectWith('https://a.example/cb?x&', params), `https://a.example/cb?x&${tail}`)
  assert.equal(redirectWith('com.example.app:/cb', params), `com.example.app:/cb?${tail}`)
  assert.equal(redirectWith('https://a.example/cb', {}), 'https://a.example/cb')
})

test('RFC 6749 §4.1.2: any state comes back byte-exact and splits no header; a lone surrogate crashes nothing [threats 49]', () => {
  const cases: [string, string][] = [
    ['"><script>', '%22%3E%3Cscript%3E'],
    ['\r\nSet-Cookie: a=b', '%0D%0ASet-Cookie%3A%20a%3Db'],
    ['%0d%0aSet-Cookie:', '%250d%250aSet-Cookie%3A'],
    ['\0', '%00'],
    ['a+b&code=x#y', 'a%2Bb%26code%3Dx%23y'],
    ['\ud800', '%EF%BF%BD'],
  ]
  for (const [state, encoded] of cases) assert.equal(redirectWith('https://a.example/', { state }), `https://a.example/?state=${encoded}`)
})

test('properties: a query is never changed, every text survives, what matches itself matches alone [threats 10, 49]', () => {
  const uri = fc.webUrl({ withQueryParameters: true })
  fc.assert(
    fc.property(uri, fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (base, code, state) => {
      const answered = redirectWith(base, { code, state })
      assert.ok(answered.startsWith(base))
      assert.match(answered, /^[!-~]*$/)
      const values = new URLSearchParams(answered.slice(base.length))
      assert.deepEqual(
        [...values],
        [
          ['code', code],
          ['state', state],
        ],
      )
      assert.equal(matchesRedirectUri([base], base), base)
      assert.equal(matchesRedirectUri([base], answered), undefined)
    }),
  )
})

test('property: no text makes the registration check throw, and what it lets pass is a URL without surprises', () => {
  const pieces = fc.array(
    fc.constantFrom(
      'http',
      'https',
      ':',
      '/',
      '//',
      '@',
      '#',
      '?',
      '127.0.0.1',
      'localhost',
      '[::1]',
      'a.example',
      '0',
      '80',
      '.',
      'com.x',
      '%2e',
      '*',
      'code=',
    ),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        pieces.map((parts) => parts.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        if (check(text) !== null) return
        const url = new URL(text)
        assert.ok(!url.username && !url.password && !url.hash)
        assert.ok(url.protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname) || url.protocol.includes('.'))
        assert.equal(matchesRedirectUri([text], text), text)
        redirectHost(text)
      },
    ),
    { numRuns: 2000 },
  )
})

test('OAuth 2.1 §8.4.2: people see the host with its port, and whether it is their own machine [threats 17, 23]', () => {
  assert.deepEqual(redirectHost('https://APP.example.com:8443/cb'), {
    shown: 'app.example.com:8443',
    host: 'app.example.com',
    loopback: false,
    private_use: false,
  })
  assert.deepEqual(redirectHost('http://[::1]:5000/cb'), { shown: '[::1]:5000', host: '[::1]', loopback: true, private_use: false })
  assert.deepEqual(redirectHost('com.example.app:/cb'), {
    shown: 'com.example.app:',
    host: 'com.example.app:',
    loopback: false,
    private_use: true,
  })
})
