import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { policyDocument } from '../../src/policy/document.ts'
import { compile, type Problem } from '../../src/policy/index.ts'

const example = readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8')

/** A file with everything that the rows below refer to; `rest` adds or overrides top-level keys. */
const file = (rest: string) => `{
  "groups": { "group:eng": ["alice@example.com"] },
  "resources": {
    "resource:wiki": { "uri": "https://wiki.example.com/mcp", "scopes": ["wiki:read", "wiki:write"], "allow_unverified_clients": true },
    "resource:closed": { "uri": "https://closed.example.com", "scopes": { "closed:read": "Read" } },
  },
  "clients": { "client:app": { "redirect_uris": ["https://app.example.com/cb"], "client_secret_file": "app" } },
  ${rest}
}`
const grant = (text: string) => file(`"grants": [${text}]`)
const authorize = (text: string, dst = '"resource:wiki"') =>
  grant(`{ "src": ["group:eng"], "dst": [${dst}], "app": { "authorize": [${text}] } }`)
const src = (text: string) => grant(`{ "src": [${text}], "app": { "register": [{}] } }`)
const client = (text: string) => `{ "clients": { "client:a": ${text} } }`
const resources = (text: string) => `{ "resources": { ${text} } }`

/** Title, the file with ‸ where the problem is, the sentence, and what was perhaps meant. */
const bad: readonly [title: string, text: string, message: string, hint?: string][] = [
  // The text itself
  ['an empty file [threats 374]', '‸', 'The file is empty. The smallest policy is {}, and it allows nothing.'],
  ['only comments', '‸// nothing\n/* here */\n', 'The file is empty. The smallest policy is {}, and it allows nothing.'],
  ['a byte order mark [threats 374]', '‸\uFEFF{}', 'The file starts with a byte order mark; save it as UTF-8 without one.'],
  ['a NUL, as in UTF-16 [threats 374]', '{‸\0}', 'The file holds a NUL character; save it as UTF-8 text.'],
  [
    'bytes that were not UTF-8 [threats 374]',
    '{ "groups": { "group:a": ["‸\uFFFD"] } }',
    'Something here is not UTF-8; save the file as UTF-8 text.',
  ],
  ['a file over 5 MiB [threats 374]', `‸{}${' '.repeat(5 * 1024 * 1024)}`, 'The file is larger than 5 MiB.'],
  ['65 deep', `${'['.repeat(64)}‸[`, 'Nested more than 64 deep; a policy never needs that.'],
  ['100,000 deep [threats 374]', `${'['.repeat(64)}‸[${'['.repeat(100_000)}`, 'Nested more than 64 deep; a policy never needs that.'],
  ['half a file [threats 373]', '{ "groups": {‸', 'A closing brace "}" is missing.'],
  ['a missing comma', '{ "groups": {} ‸"grants": [] }', 'A comma is missing before this.'],
  ['a bare word', '{ "grants": ‸yes }', 'This word is not JSON; text stands in double quotes.'],
  ['text that is never closed', '{ "grants": ‸"a\n}', 'This text is never closed; a double quote is missing.'],
  ['something after the end', '{} ‸{}', 'The policy has ended before this; it is one object.'],
  ['a duplicate key', '{\n  "grants": [],\n  ‸"grants": []\n}', '"grants" is there twice; the first is on line 2.'],
  ['a duplicate group', '{ "groups": { "group:a": ["x"], ‸"group:a": ["y"] } }', '"group:a" is there twice; the first is on line 1.'],
  ['the key __proto__ [threats 377]', '{ ‸"__proto__": {} }', '"__proto__" may not be a key.'],
  ['a number beyond all', '{ "x": ‸1e999 }', 'This number is too large.'],
  ['Windows line ends', '{\r\n  "grants": ‸5\r\n}', '"grants" must be a list, not 5.'],
  // Keys and types
  ['no object', '‸[]', 'The policy must be an object, not a list.'],
  ['an unknown key [threats 376]', '{ ‸"grant": [] }', '"grant" is not a key of the policy.', 'Did you mean "grants"?'],
  [
    'an inherited name as key [threats 377]',
    '{ ‸"constructor": [] }',
    '"constructor" is not a key of the policy.',
    'It may hold $schema, groups, mesh_groups, resources, clients, grants, tests.',
  ],
  [
    'an unknown key of a client [threats 376]',
    client('{ ‸"redirect_uri": [] }'),
    '"redirect_uri" is not a key of "client:a".',
    'Did you mean "redirect_uris"?',
  ],
  [
    'an unknown key of a grant [threats 376]',
    '{ "grants": [{ "src": ["*"], "app": {}, ‸"alow": true }] }',
    '"alow" is not a key of an item of "grants".',
    'It may hold src, dst, app, posture, expires, reason.',
  ],
  [
    'an unknown capability',
    grant('{ "src": ["*"], "app": { ‸"autorize": [{}] } }'),
    '"autorize" is not a key of "app".',
    'Did you mean "authorize"?',
  ],
  [
    'an unknown parameter',
    src('"*"').replace('[{}]', '[{ ‸"client_tll": "1d" }]'),
    '"client_tll" is not a key of an item of "register".',
    'Did you mean "client_ttl"?',
  ],
  ['a missing key', resources('"resource:a": ‸{ "scopes": ["a"] }'), '"uri" is missing.'],
  [
    'text where a truth is expected',
    resources('"resource:a": { "uri": "https://a", "scopes": ["a"], "default": ‸"false" }'),
    '"default" must be true or false, not "false".',
  ],
  [
    'an unknown value',
    authorize('{ "scopes": ["wiki:read"], "consent": ‸"onec" }'),
    '"consent" must be "always" or "once" or "never", not "onec".',
    'Did you mean "once"?',
  ],
  [
    'a bad duration',
    authorize('{ "scopes": ["wiki:read"], "access_token_ttl": ‸"1 hour" }'),
    'A duration is a whole number of at most four digits and s, m, h or d, such as "90s", "12h" or "30d".',
  ],
  ['no clients at most', src('"*"').replace('[{}]', '[{ "max_clients": ‸0 }]'), '"max_clients" is at least 1.'],
  ['an empty list', grant('{ "src": ‸[], "app": { "register": [{}] } }'), 'This list may not be empty.'],
  [
    'a date that is none',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸"2027-02-30" }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'a posture that whois cannot tell',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "posture": { ‸"disk": ["encrypted"], "os": ["linux"] } }'),
    '"disk" is not a key of "posture".',
    'It may hold os, os_version, tags, attributes, key_expiry.',
  ],
  [
    'a version without its system',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "posture": { "os_version": ‸"14.2" } }'),
    'Versions of different systems cannot be compared: "os_version" needs exactly one "os" beside it.',
  ],
  [
    'a version of several systems',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "posture": { "os": ["linux", "macOS"], "os_version": ‸"14.2" } }'),
    'Versions of different systems cannot be compared: "os_version" needs exactly one "os" beside it.',
  ],
  [
    'a version that is none',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "posture": { "os": ["linux"], "os_version": ‸">= 14" } }'),
    '"os_version" is the oldest that will do, as numbers with dots between them, such as "14.2".',
  ],
  [
    'a posture without a condition',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "posture": ‸{} }'),
    'This posture demands nothing, so it may as well not be there.',
  ],
  ['a name without its prefix', '{ "groups": { ‸"eng": ["a"] } }', '"eng": A group name looks like "group:eng".'],
  [
    'a client name that no client_id could carry',
    '{ "clients": { ‸"client:a b": {} } }',
    '"client:a b": A name here looks like "client:example": the prefix, then letters, digits, ".", "_", "~" or "-".',
  ],
  // Groups
  [
    'an empty group [threats 385]',
    '{ "groups": { "group:a": ‸[] } }',
    'This group is empty, so nobody would match it. Remove it, or list it in "mesh_groups" if the mesh says who is in it.',
  ],
  ['an undefined group [threats 376]', src('‸"group:egn"'), '"group:egn" is not defined.', 'Did you mean "group:eng"?'],
  [
    'an undefined member',
    '{ "groups": { "group:abc": ["x"], "group:d": [‸"group:abd"] } }',
    '"group:abd" is not defined.',
    'Did you mean "group:abc"?',
  ],
  [
    'a group that holds itself [threats 376]',
    '{ "groups": { "group:a": ["x", ‸"group:a"] } }',
    'A group may not hold itself: group:a → group:a.',
  ],
  [
    'a cycle of groups [threats 376]',
    '{ "groups": { "group:x": ["group:a"], "group:a": [‸"group:b"], "group:b": ["group:a"] } }',
    'A group may not hold itself: group:a → group:b → group:a.',
  ],
  ['a tag in a group', '{ "groups": { "group:a": [‸"tag:ci"] } }', 'A group holds people and other groups; "tag:ci" is neither.'],
  [
    'groups 33 deep',
    `{ "groups": { ${Array.from({ length: 33 }, (_, i) => `${i === 32 ? '‸' : ''}"group:${i}": ["${i < 32 ? `group:${i + 1}` : 'x'}"]`).join(', ')} } }`,
    'Groups nest more than 32 deep here.',
  ],
  // Selectors
  [
    'an autogroup that whois cannot tell',
    src('‸"autogroup:admin"'),
    'autogroup:admin cannot be known here: whois does not tell a node who is in it. Name the people in a group of this file instead.',
  ],
  [
    'an autogroup that nobody knows',
    src('‸"autogroup:membr"'),
    '"autogroup:membr" is not an autogroup.',
    'Did you mean "autogroup:member"?',
  ],
  [
    'registered software as src [threats 160]',
    src('‸"autogroup:registered"'),
    'autogroup:registered may not stand in "src": software that nobody named gets nothing of its own.',
  ],
  [
    'a prefix of no kind',
    src('‸"gruop:eng"'),
    '"gruop:eng" is no selector; those with a colon start with group:, tag:, client:, autogroup: or spiffe://.',
    'Did you mean "group:"?',
  ],
  [
    'a star inside',
    src('‸"al*@example.com"'),
    '"al*@example.com" is no selector: a star stands alone, or before a domain as in *@example.com.',
  ],
  ['a space', src('‸"alice example"'), '"alice example" is no selector: it holds a space, a comma, a quote or a control character.'],
  [
    'an address that is none',
    src('‸"100.64.0.256"'),
    '"100.64.0.256" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'a network with bits beyond its length',
    src('‸"100.64.0.1/10"'),
    '"100.64.0.1/10" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'an IPv6 network of 129 bits',
    src('‸"fd7a::/129"'),
    '"fd7a::/129" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'an undefined client',
    grant('{ "src": [‸"client:ap"], "dst": ["resource:wiki"], "app": { "introspect": [{}] } }'),
    '"client:ap" is not defined.',
    'Did you mean "client:app"?',
  ],
  // Resources
  [
    'a relative resource [threats 62]',
    resources('"resource:a": { "uri": ‸"/mcp", "scopes": ["a"] }'),
    '"/mcp" is not an absolute URI; a resource needs one, such as "https://wiki.example.com/mcp".',
  ],
  [
    'a resource with a fragment, RFC 8707 §2 [threats 62]',
    resources('"resource:a": { "uri": ‸"https://a/#b", "scopes": ["a"] }'),
    '"https://a/#b" has a fragment, which a resource may not have (RFC 8707 §2).',
  ],
  [
    'two resources at one uri',
    resources('"resource:a": { "uri": "https://a/mcp", "scopes": ["a"] }, "resource:b": { "uri": ‸"https://A/mcp/", "scopes": ["a"] }'),
    'resource:b has the same uri as resource:a (a slash at the end makes no difference).',
  ],
  [
    'opaque tokens that nobody could check',
    resources('"resource:a": { "uri": "https://a", "scopes": ["a"], "token_format": "opaque", "check": ‸"local" }'),
    'An opaque token says nothing by itself, so nobody can check it locally; its servers must "introspect".',
  ],
  [
    'a default resource of a client that is none',
    '{ "resources": { "resource:wiki": { "uri": "https://a", "scopes": ["a"] } }, "clients": { "client:a": { "default_resource": ‸"resource:wikki" } } }',
    '"resource:wikki" is not defined.',
    'Did you mean "resource:wiki"?',
  ],
  [
    'two default resources',
    resources(
      '"resource:a": { "uri": "https://a", "scopes": ["a"], "default": true }, "resource:b": { "uri": "https://b", "scopes": ["a"], "default": ‸true }',
    ),
    'Only one resource may be the default, and resource:a is.',
  ],
  [
    'an identity scope at a resource',
    resources('"resource:a": { "uri": "https://a", "scopes": ["a", ‸"openid"] }'),
    '"openid" is an identity scope; a resource may not define it.',
  ],
  [
    'a resource without scopes',
    resources('"resource:a": { "uri": "https://a", "scopes": ‸{} }'),
    'resource:a has no scopes, so no grant could give it.',
  ],
  // Clients
  [
    'two clients with one client_id',
    '{ "clients": { "client:a": {}, "client:b": { "client_id": ‸"client:a" } } }',
    'client:b has the client_id "client:a", and so has client:a.',
  ],
  [
    'a relative redirect URI',
    client('{ "redirect_uris": [‸"/cb"] }'),
    '"/cb" is not an absolute URI with its scheme in lower case and all else percent-encoded.',
  ],
  [
    'a redirect URI with a fragment, RFC 6749 §3.1.2',
    client('{ "redirect_uris": [‸"https://a/cb#x"] }'),
    '"https://a/cb#x" has a fragment, which a redirect URI may not have (RFC 6749 §3.1.2).',
  ],
  [
    'a redirect URI with a wildcard, RFC 9700 §2.1',
    client('{ "redirect_uris": [‸"https://*.a/cb"] }'),
    '"https://*.a/cb" holds a wildcard; redirect URIs are compared exactly (RFC 9700 §2.1).',
  ],
  [
    'a redirect URI that runs',
    client('{ "redirect_uris": [‸"javascript:alert(1)"] }'),
    '"javascript:alert(1)" is not a place that a browser may be sent to.',
  ],
  ['a redirect URI with a user', client('{ "redirect_uris": [‸"https://a@b/cb"] }'), '"https://a@b/cb" holds a user name or password.'],
  [
    'no PKCE without a credential',
    client('{ "require_pkce": ‸false }'),
    'Only a client with a credential may do without PKCE; this one has no "client_secret_file".',
  ],
  [
    'a path as secret file',
    client('{ "client_secret_file": ‸"../shadow" }'),
    '"client_secret_file" is the bare name of a file among the secrets, without a path.',
  ],
  [
    'a private key',
    client('{ "jwks": { "keys": [‸{ "kty": "OKP", "d": "x" }] } }'),
    'This key is private; a policy file holds public keys only.',
  ],
  [
    'jwks twice, RFC 7591 §2',
    client('{ "jwks": { "keys": [{ "kty": "OKP" }] }, "jwks_uri": ‸"https://a/jwks" }'),
    'A client has "jwks" or "jwks_uri", not both (RFC 7591 §2).',
  ],
  ['jwks over plain http', client('{ "jwks_uri": ‸"http://a/jwks" }'), '"jwks_uri" must be an https address.'],
  // Grants
  ['a grant of nothing', grant('{ "src": ["*"], "app": ‸{} }'), 'A grant without a capability gives nothing.'],
  [
    'authorize without dst',
    grant('{ "src": ["*"], "app": { ‸"authorize": [{ "scopes": ["openid"] }] } }'),
    '"authorize" needs a "dst" that names resources or clients.',
  ],
  [
    'admin with a dst, which could not limit it',
    grant('{ "src": ["group:eng"], ‸"dst": ["resource:wiki"], "app": { "admin": [{ "access": "read" }] } }'),
    '"dst" can\'t limit "admin", so they may not stand in one grant. Give "admin" a grant of its own.',
  ],
  [
    'an undefined resource [threats 376]',
    authorize('{ "scopes": ["wiki:read"] }', '"resource:wiki", ‸"resource:wki"'),
    '"resource:wki" is not defined.',
    'Did you mean "resource:wiki"?',
  ],
  [
    'a star as dst',
    authorize('{ "scopes": ["openid"] }', '"client:app", ‸"*"'),
    '"dst" names resources, clients or autogroup:registered; "*" is none of them.',
  ],
  [
    'introspect at a client',
    grant('{ "src": ["client:app"], "dst": ["resource:wiki", ‸"client:app"], "app": { "introspect": [{}] } }'),
    '"introspect" is about resources; "client:app" is none.',
  ],
  [
    'a scope that the resource does not define [threats 53]',
    authorize('{ "scopes": [‸"wiki:raed"] }'),
    '"wiki:raed" is not a scope of resource:wiki.',
    'Did you mean "wiki:read"?',
  ],
  [
    'an identity scope at a resource only',
    authorize('{ "scopes": ["wiki:read", ‸"openid"] }'),
    '"openid" is an identity scope; it is given against a client. Name one, or autogroup:registered, in "dst".',
  ],
  [
    'an API scope at a client only',
    authorize('{ "scopes": ["openid", ‸"wiki:read"] }', '"client:app"'),
    '"wiki:read" is no identity scope, and "dst" names no resource that could define it.',
  ],
  [
    'an identity scope for a workload',
    grant('{ "src": ["tag:ci"], "dst": ["resource:wiki"], "app": { "client_credentials": [{ "scopes": ["wiki:read", ‸"openid"] }] } }'),
    '"openid" is an identity scope; only "authorize" gives those, for they tell of a person.',
  ],
  [
    'an undefined client as condition',
    authorize('{ "scopes": ["wiki:read"], "clients": [‸"client:apq"] }'),
    '"client:apq" is not defined.',
    'Did you mean "client:app"?',
  ],
  [
    'a person as condition on clients',
    authorize('{ "scopes": ["wiki:read"], "clients": ["*", ‸"alice@example.com"] }'),
    '"clients" holds "*", autogroup:registered or names such as "client:example"; "alice@example.com" is none of them.',
  ],
  [
    'consent: never for all software',
    authorize('{ "scopes": ["wiki:read"], "clients": ["*"], "consent": ‸"never" }'),
    'Consent may be skipped only for software that this file names, and this reaches other software too (RFC 8252 §8.6).',
  ],
  [
    'consent: never for registered software',
    authorize('{ "scopes": ["openid"], "consent": ‸"never" }', '"autogroup:registered"'),
    'Consent may be skipped only for software that this file names, and this reaches other software too (RFC 8252 §8.6).',
  ],
  [
    'a URL as redirect host',
    src('"*"').replace('[{}]', '[{ "redirect_uris": [‸"https://a/cb"] }]'),
    '"https://a/cb" is no host; write "app.example.com", or "*.example.com" for all hosts below it.',
  ],
  [
    'a protected claim',
    grant('{ "src": ["*"], "dst": ["client:app"], "app": { "claims": [{ "claims": { ‸"sub": "root" } }] } }'),
    '"sub" is said by meshidp itself; a grant may not set it.',
  ],
  [
    'claims of nothing',
    grant('{ "src": ["*"], "dst": ["client:app"], "app": { "claims": [‸{}] } }'),
    'This "claims" gives nothing; it needs "claims" or "groups".',
  ],
  [
    'letting out an undefined group',
    grant('{ "src": ["*"], "dst": ["client:app"], "app": { "claims": [{ "groups": [‸"group:ang"] }] } }'),
    '"group:ang" is not defined.',
    'Did you mean "group:eng"?',
  ],
  [
    'an exchange actor who is a person',
    grant(
      '{ "src": ["*"], "dst": ["resource:wiki"], "app": { "exchange": [{ "actors": [‸"bob@example.com"], "from": ["resource:closed"], "scopes": { "wiki:read": ["closed:read"] } }] } }',
    ),
    'An actor is a client or a tagged node; "bob@example.com" is neither.',
  ],
  [
    'an exchange for a scope nobody could hold',
    grant(
      '{ "src": ["*"], "dst": ["resource:wiki"], "app": { "exchange": [{ "actors": ["client:app"], "from": ["resource:closed"], "scopes": { "wiki:read": [‸"closed:raed"] } }] } }',
    ),
    '"closed:raed" is not a scope of what "from" names.',
    'Did you mean "closed:read"?',
  ],
  [
    'an exchange for a scope that is not there',
    grant(
      '{ "src": ["*"], "dst": ["resource:wiki"], "app": { "exchange": [{ "actors": ["client:app"], "from": ["resource:closed"], "scopes": { ‸"wiki:rite": ["closed:read"] } }] } }',
    ),
    '"wiki:rite" is not a scope of what "dst" names.',
    'Did you mean "wiki:write"?',
  ],
  [
    'a test of something else',
    file('"tests": [{ "src": "a", "app": ‸"authorise" }]'),
    '"app" must be "authorize" or "register" or "exchange" or "client_credentials" or "introspect" or "claims" or "admin", not "authorise".',
    'Did you mean "authorize"?',
  ],
]

/** The text without its mark, and where the mark was. */
function marked(text: string) {
  const at = text.indexOf('‸')
  const before = text.slice(0, at).split(/\r\n|\r|\n/)
  return { text: text.slice(0, at) + text.slice(at + 1), line: before.length, column: (before.at(-1) ?? '').length + 1 }
}

for (const [title, source, message, hint] of bad) {
  test(`policy refused: ${title}`, () => {
    const { text, line, column } = marked(source)
    const expected: Problem = { line, column, severity: 'error', message, ...(hint === undefined ? {} : { hint }) }
    const compiled = compile(text)
    assert.ok(!compiled.ok)
    assert.deepEqual(
      compiled.problems.find((problem) => problem.message === message),
      expected,
      JSON.stringify(compiled.problems.slice(0, 5)),
    )
  })
}

const warned: readonly [title: string, text: string, message: string, hint?: string][] = [
  [
    'everybody as admin',
    grant('{ "src": ["*"], "app": { "admin": [{ "access": ‸"write" }] } }'),
    '"*" is everybody of the tailnet, and this lets each of them change everything.',
  ],
  [
    'a tagged node that should sign in',
    grant('{ "src": ["tag:ci"], "dst": ["client:app"], "app": { ‸"authorize": [{ "scopes": ["openid"] }] } }'),
    'Nobody can reach this: nothing in "src" is a person.',
  ],
  [
    'a person who should introspect',
    grant('{ "src": ["group:eng"], "dst": ["resource:wiki"], "app": { ‸"introspect": [{}] } }'),
    'Nobody can reach this: nothing in "src" is a client or a tagged node of today.',
  ],
  [
    'shared-in callers, whom identity refuses',
    src('"autogroup:shared"').replace('"register"', '‸"register"'),
    'Nobody can reach this: nothing in "src" is a person or a tagged node of today.',
  ],
  [
    'registered software where none is let in',
    authorize('‸{ "scopes": ["closed:read"], "clients": ["autogroup:registered"] }', '"resource:closed"'),
    'Nobody can reach this at resource:closed: it does not allow unverified clients.',
  ],
  [
    'no named client where only such are meant',
    '{ "resources": { "resource:a": { "uri": "https://a", "scopes": ["a"] } }, "grants": [{ "src": ["*"], "dst": ["resource:a"], "app": { "authorize": [‸{ "scopes": ["a"] }] } }] }',
    'Nobody can reach this at resource:a: this file names no client; "clients": ["*"] would admit all software.',
  ],
  [
    'a resource that gets none of the scopes',
    authorize('{ "scopes": ["wiki:read"] }', '"resource:wiki", ‸"resource:closed"'),
    '"authorize" of this grant names no scope of resource:closed, so it gives nothing there.',
  ],
  ['a bare name where a group has it', src('‸"eng"'), '"eng" is taken as a login name.', 'Did you mean "group:eng"?'],
]

for (const [title, source, message, hint] of warned) {
  test(`policy warned of: ${title}`, () => {
    const { text, line, column } = marked(source)
    const compiled = compile(text)
    assert.ok(compiled.ok, JSON.stringify(compiled))
    assert.deepEqual(compiled.policy.warnings, [{ line, column, severity: 'warning', message, ...(hint === undefined ? {} : { hint }) }])
  })
}

test('many warnings never hide an error', () => {
  const warning = '{ "src": ["*"], "app": { "admin": [{ "access": "write" }] } },'
  const compiled = compile(grant(`${warning.repeat(300)} { "src": ["group:none"], "app": { "register": [{}] } }`))
  assert.ok(!compiled.ok)
  assert.equal(compiled.problems.filter((problem) => problem.severity === 'warning').length, 100)
  assert.deepEqual(
    compiled.problems.filter((problem) => problem.severity === 'error').map((problem) => problem.message),
    ['"group:none" is not defined.'],
  )
})

test('all problems of a file are told at once, in its order', () => {
  const compiled = compile('{\n "groups": { "group:a": ["group:b"] },\n "grants": [{ "src": ["group:c"], "app": { "register": [{}] } }]\n}')
  assert.ok(!compiled.ok)
  assert.deepEqual(
    compiled.problems.map(({ line, message }) => [line, message]),
    [
      [2, '"group:b" is not defined.'],
      [3, '"group:c" is not defined.'],
    ],
  )
})

test('the example policy compiles without a warning', () => {
  const compiled = compile(example)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  assert.deepEqual(compiled.policy.warnings, [])
  assert.equal(compiled.policy.hash, hash('sha256', example))
  assert.deepEqual([...compiled.policy.clients.keys()], ['client:grafana', 'client:wiki-server', 'client:notes-server'])
})

test('what a resource and a client leave out gets its default', () => {
  const compiled = compile(file(''))
  assert.ok(compiled.ok)
  assert.deepEqual(compiled.policy.resources.get('resource:closed'), {
    name: 'resource:closed',
    uri: 'https://closed.example.com',
    title: 'closed',
    description: null,
    scopes: new Map([['closed:read', 'Read']]),
    default: false,
    token_format: 'jwt',
    check: 'local',
    allow_unverified_clients: false,
    signing_alg: 'ES256',
  })
  assert.deepEqual(compiled.policy.clients.get('client:app'), {
    name: 'client:app',
    client_id: 'client:app',
    title: 'app',
    redirect_uris: ['https://app.example.com/cb'],
    client_secret_file: 'app',
    default_resource: null,
    node: [],
    jwks: null,
    jwks_uri: null,
    spiffe_id: null,
    require_pkce: true,
    id_token_signed_response_alg: null,
    post_logout_redirect_uris: [],
  })
})

test('the smallest policy is {}', () => assert.ok(compile('{}').ok))

test('the schema can be written as JSON Schema, for editors', () => {
  assert.equal(z.toJSONSchema(policyDocument, { io: 'input' }).type, 'object')
})

test('whatever the text, compile answers with a policy or with problems that have a place [threats 373, 374]', () => {
  const check = (text: string) => {
    const compiled = compile(text)
    if (compiled.ok) return
    assert.ok(compiled.problems.some((problem) => problem.severity === 'error'))
    for (const { line, column, message } of compiled.problems)
      assert.ok(line >= 1 && column >= 1 && message.endsWith('.'), JSON.stringify(compiled.problems))
  }
  const token = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '//',
    '/*',
    '*/',
    '\n',
    '"grants"',
    '"src"',
    '"*"',
    '1',
    'null',
    '\\u',
    '\0',
    '\uFEFF',
    '"__proto__"',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(token, { maxLength: 30 }).map((tokens) => tokens.join('')),
      ),
      check,
    ),
    { numRuns: 2000 },
  )
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), check), { numRuns: 500 })
  // The example with a piece cut out, or something put in: close to a policy, and seldom one.
  const cut = fc.tuple(fc.nat(example.length), fc.nat(60), fc.oneof(token, fc.constant('')))
  fc.assert(
    fc.property(cut, ([at, length, put]) => check(example.slice(0, at) + put + example.slice(at + length))),
    { numRuns: 500 },
  )
})

test('any JSON in place of any part of a policy gives problems, never an exception [threats 355, 376, 377]', () => {
  const parts = ['groups', 'mesh_groups', 'resources', 'clients', 'grants', 'tests'] as const
  const key = fc.constantFrom(
    'group:a',
    'resource:a',
    'client:a',
    'src',
    'dst',
    'app',
    'authorize',
    'claims',
    'exchange',
    'scopes',
    'uri',
    'expires',
    'posture',
    'constructor',
    'toString',
    'hasOwnProperty',
  )
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom<unknown>('*', 'group:a', 'resource:a', 'client:a', 'a', '30d', 1, true, null, 'x y', '100.64.0.0/10'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...parts), value), (document) => {
      const compiled = compile(JSON.stringify(document))
      assert.ok(compiled.ok || compiled.problems.length > 0)
    }),
    { numRuns: 1500 },
  )
})
