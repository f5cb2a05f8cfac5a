/** Policies with a mistake: each gets its own sentence, at the line and column where the mistake is, and what was perhaps meant. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Node, parseTree } from 'jsonc-parser'
import * as z from 'zod'
import { readPolicy } from '../../src/load_policy.ts'
import { policyDocument } from '../../src/policy/document.ts'
import { compile, type Problem, runTests } from '../../src/policy/index.ts'

const example = readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8')

/** A file with everything that the rows below refer to; `rest` adds top-level keys. */
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
const register = (text: string) => grant(`{ "src": ["*"], "app": { "register": [${text}] } }`)
const exchange = (text: string) =>
  grant(
    `{ "src": ["*"], "dst": ["resource:wiki"], "app": { "exchange": [{ "actors": ["client:app"], "from": ["resource:closed"], ${text} }] } }`,
  )
const client = (text: string) => `{ "clients": { "client:a": ${text} } }`
const resources = (text: string) => `{ "resources": { ${text} } }`
const resource = (text: string) => resources(`"resource:a": { "uri": "https://a", "scopes": ["a"], ${text} }`)
const tests = (text: string) =>
  file(`"grants": [{ "src": ["group:eng"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["wiki:read"], "clients": ["*"] }] } }],
  "tests": [{ "src": "alice@example.com", ${text} }]`)

/** Title, the file with ‸ where the problem is, the sentence, and what was perhaps meant. */
const bad: readonly [title: string, text: string, message: string, hint?: string][] = [
  // The text itself
  ['an empty file [threats 374]', '‸', 'The file is empty; the least that it may hold is {}.'],
  ['only comments', '‸// nothing\n/* here */\n', 'The file is empty; the least that it may hold is {}.'],
  ['a byte order mark [threats 374]', '‸\uFEFF{}', 'The file starts with a byte order mark; save it as UTF-8 without one.'],
  ['a NUL, as in UTF-16 [threats 374]', '{‸\0}', 'The file holds a NUL character; save it as UTF-8 text.'],
  [
    'bytes that were not UTF-8 [threats 374]',
    '{ "groups": { "group:a": ["‸\uFFFD"] } }',
    'Something here is not UTF-8; save the file as UTF-8 text.',
  ],
  ['a file over 8 MiB [threats 374]', `‸{}${' '.repeat(8 * 1024 * 1024)}`, 'The file is larger than 8 MiB.'],
  ['65 deep', `${'['.repeat(64)}‸[`, 'Nested more than 64 deep; nothing here needs that.'],
  ['100,000 deep [threats 374]', `${'['.repeat(64)}‸[${'['.repeat(100_000)}`, 'Nested more than 64 deep; nothing here needs that.'],
  ['half a file [threats 373]', '{ "groups": {‸', 'A closing brace "}" is missing.'],
  ['a missing comma', '{ "groups": {} ‸"grants": [] }', 'A comma is missing before this.'],
  ['a bare word', '{ "grants": ‸yes }', 'This word is not JSON; text stands in double quotes.'],
  ['text that is never closed', '{ "grants": ‸"a\n}', 'This text is never closed; a double quote is missing.'],
  ['something after the end', '{} ‸{}', 'The document has ended before this; it is one object.'],
  ['a duplicate key', '{\n  "grants": [],\n  ‸"grants": []\n}', '"grants" is there twice; the first is on line 2.'],
  ['a duplicate group', '{ "groups": { "group:a": ["x"], ‸"group:a": ["y"] } }', '"group:a" is there twice; the first is on line 1.'],
  ['the key __proto__ [threats 377]', '{ ‸"__proto__": {} }', '"__proto__" may not be a key.'],
  [
    'an object that says what its constructor is called [threats 377]',
    '{ "grants": ‸{ "constructor": { "name": [{}] } } }',
    '"grants" must be a list, not an object.',
  ],
  ['a number beyond all', '{ "x": ‸1e999 }', 'This number is too large.'],
  ['Windows line ends', '{\r\n  "grants": ‸5\r\n}', '"grants" must be a list, not 5.'],
  ['only blanks', '‸ \n\t ', 'The file is empty; the least that it may hold is {}.'],
  ['a comment that is never closed, and all after it', '{\n  ‸/* groups\n}', 'This comment is never closed.'],
  ['a comment as in a shell', '‸# who\n{}', 'A comment starts with // or stands between /* and */.'],
  ['a key without quotes', '{ ‸grants: [] }', 'This word is not JSON; text stands in double quotes.'],
  ['text in single quotes', "{ ‸'grants': [] }", 'Text stands in double quotes, not in single ones.'],
  ['a key without its colon', '{ "grants" ‸[] }', 'A colon is expected after a key.'],
  ['two commas in a row', '{ "mesh_groups": ["group:a",‸, "group:b"] }', 'A value is expected here.'],
  ['a comma before the first', '{ ‸, "grants": [] }', 'A value is expected here.'],
  ['a list closed as an object', '{ "grants": [{ "src": ["*" ‸}] }', 'A closing bracket "]" is missing before this.'],
  ['an object closed as a list', '{ "grants": [{ "src": ["*"] ‸]', 'A closing brace "}" is missing before this.'],
  ['a list closed before its first item', '{ "grants": [‸} }', 'A value is expected here.'],
  ['one brace too many', '{ "grants": [] }‸}', 'The document has ended before this; it is one object.'],
  ['a word cut short [threats 373]', '{ "grants": ‸tru', 'This word is not JSON; text stands in double quotes.'],
  ['a list cut short [threats 373]', '{ "grants": [{}, ‸', 'A value is expected here.'],
  ['a value cut short [threats 373]', '{ "grants":‸', 'A value is expected here.'],
  ['a key cut short [threats 373]', '{ ‸"gran', 'This text is never closed; a double quote is missing.'],
  ['a comment cut short [threats 373]', '{ "grants": [], ‸/* the last', 'This comment is never closed.'],
  ['a number cut short [threats 373]', register('{ "max_clients": ‸1. }'), 'This number is cut short.'],
  ['a number with a zero before it', register('{ "max_clients": 0‸1 }'), 'This is not a number as JSON writes it, such as 20, -1 or 0.5.'],
  ['a number with a plus', register('{ "max_clients": ‸+1 }'), 'This is not a number as JSON writes it, such as 20, -1 or 0.5.'],
  ['a hexadecimal number', register('{ "max_clients": 0‸x10 }'), 'This is not a number as JSON writes it, such as 20, -1 or 0.5.'],
  ['a number that is none', register('{ "max_clients": ‸NaN }'), 'This word is not JSON; text stands in double quotes.'],
  ['a line break within text', '{ "groups": { "group:a": [‸"alice\n"] } }', 'This text is never closed; a double quote is missing.'],
  ['a tab within text', '{ "groups": { "group:a": ["alice‸\tx"] } }', 'Text may not hold control characters; write them as escapes.'],
  ['an escape that JSON does not know', '{ "groups": { "group:a": ["alice‸\\x40y"] } }', 'JSON does not know this escape.'],
  ['an escape of three digits', '{ "groups": { "group:a": ["\\\\alice‸\\u04y"] } }', 'An escape \\u needs four hexadecimal digits.'],
  [
    'half a character as text',
    '{ "groups": { "group:a": [‸"a\\ud800"] } }',
    'This text holds half a character (a surrogate without its other half).',
  ],
  [
    'half a character as key',
    '{ "groups": { ‸"group:\\udc00": ["a"] } }',
    'This text holds half a character (a surrogate without its other half).',
  ],
  [
    'a comment that turns the direction of text, CVE-2021-42574',
    '{ // ‸\u202e\n }',
    'Here the direction of text is turned (U+202E), so the file reads other than it is.',
  ],
  ['a file of 10 MB [threats 374]', `‸{}${' '.repeat(10_000_000)}`, 'The file is larger than 8 MiB.'],
  ['objects 65 deep', `${'{"a":'.repeat(64)}‸{"a":`, 'Nested more than 64 deep; nothing here needs that.'],
  ['65 deep, and closed again', `{ "tests": ${'['.repeat(63)}‸[[${']'.repeat(65)} }`, 'Nested more than 64 deep; nothing here needs that.'],
  [
    'old Mac line ends',
    '{\r  "groups": {\r    "group:a": ‸[],\r  },\r}',
    'This group is empty, so nobody would match it. Remove it, or list it in "mesh_groups" if the mesh says who is in it.',
  ],
  [
    'line ends of three kinds',
    '{\n\r\n\r  "groups": ‸[]\n}',
    '"groups" must be an object, not a list.',
    'For example {"group:eng":["alice@example.com","group:oncall"]}.',
  ],
  [
    'tabs before it, each one column',
    '{\n\t\t"groups": ‸[]\n}',
    '"groups" must be an object, not a list.',
    'For example {"group:eng":["alice@example.com","group:oncall"]}.',
  ],
  [
    'a character of two units before it',
    '{ "groups": { "group:\u{1F600}": ‸[] } }',
    'This group is empty, so nobody would match it. Remove it, or list it in "mesh_groups" if the mesh says who is in it.',
  ],
  [
    'a comment with a brace and a quote before it',
    '{ // { "\n  "groups": ‸[]\n}',
    '"groups" must be an object, not a list.',
    'For example {"group:eng":["alice@example.com","group:oncall"]}.',
  ],
  [
    'a line separator, which ends no line',
    '{ /* \u2028 */ "groups": ‸[] }',
    '"groups" must be an object, not a list.',
    'For example {"group:eng":["alice@example.com","group:oncall"]}.',
  ],
  [
    'a duplicate key deep inside',
    file('"grants": [{ "src": ["*"], "app": { "register": [{}] }, ‸"src": ["group:eng"] }]'),
    '"src" is there twice; the first is on line 8.',
  ],
  [
    'a duplicate key that is written otherwise',
    '{ "grants": [], ‸"gr\\u0061nts": [] }',
    '"grants" is there twice; the first is on line 1.',
  ],
  [
    'the key __proto__ in a claim [threats 377]',
    grant('{ "src": ["*"], "dst": ["client:app"], "app": { "claims": [{ "claims": { ‸"__proto__": {} } }] } }'),
    '"__proto__" may not be a key.',
  ],
  // Keys and types
  ['no object', '‸[]', 'The policy must be an object, not a list.'],
  ['an unknown key [threats 376]', '{ ‸"grant": [] }', '"grant" is not a key of the policy.', 'Did you mean "grants"?'],
  [
    'an inherited name as key [threats 377]',
    '{ ‸"constructor": [] }',
    '"constructor" is not a key of the policy.',
    'It may hold $schema, groups, mesh_groups, mesh_grants, resources, clients, grants, tests.',
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
  [
    'an access token of years',
    authorize('{ "scopes": ["wiki:read"], "access_token_ttl": ‸"9999d" }'),
    'An access token lives a day at the most: nobody can end one that is checked locally.',
  ],
  ['no clients at most', src('"*"').replace('[{}]', '[{ "max_clients": ‸0 }]'), '"max_clients" is at least 1.'],
  ['an empty list [threats 385]', grant('{ "src": ‸[], "app": { "register": [{}] } }'), 'This list may not be empty.'],
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
  [
    'a name without its prefix',
    '{ "groups": { ‸"eng": ["a"] } }',
    '"eng": A group name looks like "group:eng", without spaces, commas, quotes, stars and what nobody sees.',
  ],
  [
    'a client name that no client_id could carry',
    '{ "clients": { ‸"client:a b": {} } }',
    '"client:a b": A name here looks like "client:example": the prefix, then letters, digits, ".", "_", "~" or "-".',
  ],
  ['text instead of a policy', '‸"policy"', 'The policy must be an object, not "policy".'],
  ['null instead of a policy', '‸null', 'The policy must be an object, not null.'],
  [
    'groups as a list',
    '{ "groups": ‸[] }',
    '"groups" must be an object, not a list.',
    'For example {"group:eng":["alice@example.com","group:oncall"]}.',
  ],
  ['a group that is text', '{ "groups": { "group:a": ‸"alice" } }', '"group:a" must be a list, not "alice".'],
  ['a member that is a number', '{ "groups": { "group:a": [‸1] } }', 'An item of "group:a" must be text, not 1.'],
  [
    'an inherited name as group [threats 377]',
    '{ "groups": { ‸"constructor": ["a"] } }',
    '"constructor": A group name looks like "group:eng", without spaces, commas, quotes, stars and what nobody sees.',
  ],
  [
    'a group name with what nobody sees',
    '{ "groups": { ‸"group:a\u200b": ["a"] } }',
    '"group:a\u200b": A group name looks like "group:eng", without spaces, commas, quotes, stars and what nobody sees.',
  ],
  ['mesh_groups as an object', '{ "mesh_groups": ‸{} }', '"mesh_groups" must be a list, not an object.', 'For example ["group:support"].'],
  [
    'a mesh group without its prefix',
    '{ "mesh_groups": [‸"eng"] }',
    'A group name looks like "group:eng", without spaces, commas, quotes, stars and what nobody sees.',
  ],
  ['a resource that is text', '{ "resources": { "resource:a": ‸"https://a" } }', '"resource:a" must be an object, not "https://a".'],
  [
    'a resource without its prefix',
    '{ "resources": { ‸"wiki": { "uri": "https://a", "scopes": ["a"] } } }',
    '"wiki": A name here looks like "resource:example": the prefix, then letters, digits, ".", "_", "~" or "-".',
  ],
  ['an unknown key of a resource', resource('‸"url": "https://b"'), '"url" is not a key of "resource:a".', 'Did you mean "uri"?'],
  [
    'a uri that is a number',
    '{ "resources": { "resource:a": { "uri": ‸5, "scopes": ["a"] } } }',
    '"uri" must be text, not 5.',
    'For example "https://wiki.example.com/mcp".',
  ],
  [
    'a uri without end',
    `{ "resources": { "resource:a": { "uri": ‸"https://a/${'x'.repeat(1000)}", "scopes": ["a"] } } }`,
    'This text is longer than 1000 characters.',
  ],
  [
    'scopes that are text',
    '{ "resources": { "resource:a": { "uri": "https://a", "scopes": ‸"a" } } }',
    '"scopes" is a list of scope names, or an object from scope name to a sentence for people.',
  ],
  [
    'two scopes in one',
    '{ "resources": { "resource:a": { "uri": "https://a", "scopes": ["ok", ‸"a b"] } } }',
    'A scope is printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3).',
  ],
  [
    'a scope that is a number',
    '{ "resources": { "resource:a": { "uri": "https://a", "scopes": ["ok", ‸3] } } }',
    'An item of "scopes" must be text, not 3.',
  ],
  [
    'a described scope with a space',
    '{ "resources": { "resource:a": { "uri": "https://a", "scopes": { ‸"a b": "x" } } } }',
    '"a b": A scope is printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3).',
  ],
  [
    'a description that is none',
    '{ "resources": { "resource:a": { "uri": "https://a", "scopes": { "a": ‸5 } } } }',
    '"a" must be text, not 5.',
  ],
  [
    'a token format in capitals',
    resource('"token_format": ‸"JWT"'),
    '"token_format" must be "jwt" or "opaque", not "JWT".',
    'Did you mean "jwt"?',
  ],
  [
    'a symmetric algorithm',
    resource('"signing_alg": ‸"HS256"'),
    '"signing_alg" must be "ES256" or "RS256", not "HS256".',
    'Did you mean "ES256"?',
  ],
  ['a client that is null', '{ "clients": { "client:a": ‸null } }', '"client:a" must be an object, not null.'],
  [
    'redirect URIs that are text',
    client('{ "redirect_uris": ‸"https://a/cb" }'),
    '"redirect_uris" must be a list, not "https://a/cb".',
    'For example ["https://grafana.example.com/login/generic_oauth"].',
  ],
  [
    'a secret in the file',
    client('{ ‸"client_secret": "hunter2" }'),
    '"client_secret" is not a key of "client:a".',
    'Did you mean "client_secret_file"?',
  ],
  ['a client_id with a space', client('{ "client_id": ‸"a b" }'), 'A client_id is printable ASCII without spaces (RFC 6749 Appendix A.1).'],
  ['a key set without keys', client('{ "jwks": ‸[] }'), '"jwks" must be an object, not a list.'],
  ['a key without its type', client('{ "jwks": { "keys": [‸{}] } }'), '"kty" is missing.'],
  [
    'a tag without its prefix',
    client('{ "node": [‸"ci"] }'),
    'A tag looks like "tag:ci", without spaces, commas, quotes, stars and what nobody sees.',
  ],
  [
    'a SPIFFE ID without a path',
    client('{ "spiffe_id": ‸"spiffe://acme" }'),
    '"spiffe://acme" is no SPIFFE ID; it looks like spiffe://trust-domain/path.',
  ],
  [
    'signatures of none',
    client('{ "id_token_signed_response_alg": ‸"none" }'),
    '"id_token_signed_response_alg" must be "RS256" or "ES256", not "none".',
  ],
  ['grants as an object', '{ "grants": ‸{} }', '"grants" must be a list, not an object.'],
  ['a grant that is text', '{ "grants": [‸"*"] }', 'An item of "grants" must be an object, not "*".'],
  ['a grant for nobody', '{ "grants": [‸{ "app": { "register": [{}] } }] }', '"src" is missing.'],
  ['a grant without app', '{ "grants": [‸{ "src": ["*"] }] }', '"app" is missing.'],
  [
    'src that is text',
    '{ "grants": [{ "src": ‸"*", "app": { "register": [{}] } }] }',
    '"src" must be a list, not "*".',
    'For example ["group:eng","alice@example.com"].',
  ],
  ['capabilities as a list', '{ "grants": [{ "src": ["*"], "app": ‸["register"] }] }', '"app" must be an object, not a list.'],
  [
    'a capability that is no list',
    '{ "grants": [{ "src": ["*"], "app": { "register": ‸{} } }] }',
    '"register" must be a list, not an object.',
    'For example [{"via":["dcr","cimd"],"client_ttl":"30d","max_clients":20}].',
  ],
  [
    'a grant that denies',
    '{ "grants": [{ "src": ["*"], ‸"action": "deny", "app": { "register": [{}] } }] }',
    '"action" is not a key of an item of "grants".',
    'It may hold src, dst, app, posture, expires, reason.',
  ],
  [
    'a key of a tailnet policy',
    '{ ‸"acls": [] }',
    '"acls" is not a key of the policy.',
    'It may hold $schema, groups, mesh_groups, mesh_grants, resources, clients, grants, tests.',
  ],
  [
    'a reason of 1001 characters',
    grant(`{ "src": ["*"], "app": { "register": [{}] }, "reason": ‸"${'x'.repeat(1001)}" }`),
    'This text is longer than 1000 characters.',
  ],
  [
    'a month that is none',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸"2027-13-01" }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'a leap day of no leap year',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸"2027-02-29" }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'a date as Germans write it',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸"31.03.2027" }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'a time without its offset',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸"2027-03-31T00:00:00" }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'an hour that is none',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸"2027-03-31T25:00:00Z" }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'a date that is a number',
    grant('{ "src": ["*"], "app": { "register": [{}] }, "expires": ‸1800000000 }'),
    '"expires" is a date such as "2027-01-31", or a time as RFC 3339 writes it.',
  ],
  [
    'a duration of nothing',
    register('{ "client_ttl": ‸"0s" }'),
    'A duration is a whole number of at most four digits and s, m, h or d, such as "90s", "12h" or "30d".',
  ],
  [
    'a duration without its unit',
    register('{ "client_ttl": ‸"90" }'),
    'A duration is a whole number of at most four digits and s, m, h or d, such as "90s", "12h" or "30d".',
  ],
  [
    'a duration in weeks',
    register('{ "client_ttl": ‸"1w" }'),
    'A duration is a whole number of at most four digits and s, m, h or d, such as "90s", "12h" or "30d".',
  ],
  [
    'a duration of ISO 8601',
    register('{ "client_ttl": ‸"P30D" }'),
    'A duration is a whole number of at most four digits and s, m, h or d, such as "90s", "12h" or "30d".',
  ],
  ['a duration that is a number', register('{ "client_ttl": ‸3600 }'), '"client_ttl" must be text, not 3600.', 'For example "30d".'],
  ['a number in quotes', register('{ "max_clients": ‸"20" }'), '"max_clients" must be a number, not "20".', 'For example 20.'],
  ['half a client', register('{ "max_clients": ‸1.5 }'), '"max_clients" must be a whole number, not 1.5.', 'For example 20.'],
  ['more clients than anybody has', register('{ "max_clients": ‸1000001 }'), '"max_clients" is at most a million.'],
  ['more clients than a number can count', register('{ "max_clients": ‸9007199254740993 }'), '"max_clients" is at most a million.'],
  [
    'a way to register that does not exist',
    register('{ "via": [‸"drc"] }'),
    'An item of "via" must be "dcr" or "cimd" or "initial_access_token", not "drc".',
    'Did you mean "dcr"?',
  ],
  [
    'a capability that no tailnet policy could name',
    '{ "mesh_grants": { "capability": ‸"meshidp" } }',
    'A capability name of a tailnet policy looks like "example.com/cap/meshidp".',
  ],
  [
    'a scope that was opened and is none of the resource',
    resources('"resource:a": { "uri": "https://a", "scopes": ["a:read"], "allow_unverified_clients": [‸"a:raed"] }'),
    '"a:raed" is not a scope of this resource.',
    'Did you mean "a:read"?',
  ],
  [
    'opened to a word',
    resources('"resource:a": { "uri": "https://a", "scopes": ["a:read"], "allow_unverified_clients": ‸"yes" }'),
    '"allow_unverified_clients" must be true, false or a list of those scopes that such software may get.',
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
  ['a tag in a group', '{ "groups": { "group:a": [‸"tag:ci"] } }', 'A group holds login names and other groups; "tag:ci" is neither.'],
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
  [
    'somebody who is to be taken out, which would be a name that nobody has',
    grant('{ "src": ["*", ‸"!mallory@example.com"], "app": { "register": [{}] } }'),
    '"!mallory@example.com" is no selector: a grant only allows, so nobody can be taken out of one.',
  ],
  [
    'a group that is to be taken out',
    src('‸"!group:eng"'),
    '"!group:eng" is no selector: a grant only allows, so nobody can be taken out of one.',
  ],
  [
    'a star for every tag, which would be a tag of that name',
    src('‸"tag:*"'),
    '"tag:*" is no selector: a star stands alone, or before a domain as in *@example.com.',
    'Did you mean "autogroup:tagged"?',
  ],
  ['a star within a tag', src('‸"tag:ci-*"'), '"tag:ci-*" is no selector: a star stands alone, or before a domain as in *@example.com.'],
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
  [
    'Cyrillic in the name of a group',
    src('‸"group:\u0435ng"'),
    '"group:еng" is not defined.',
    'Did you mean "group:eng"? The letter "е" (U+0435) is only in one of them.',
  ],
  [
    'Cyrillic where the group was defined',
    '{ "groups": { "group:\u0435ng": ["a"] }, "grants": [{ "src": [‸"group:eng"], "app": { "register": [{}] } }] }',
    '"group:eng" is not defined.',
    'Did you mean "group:еng"? The letter "е" (U+0435) is only in one of them.',
  ],
  [
    'Cyrillic in the name of a resource',
    authorize('{ "scopes": ["wiki:read"] }', '‸"resource:wik\u0456"'),
    '"resource:wikі" is not defined.',
    'Did you mean "resource:wiki"? The letter "і" (U+0456) is only in one of them.',
  ],
  [
    'an accent written as two characters',
    '{ "groups": { "group:caf\u00e9": ["a"] }, "grants": [{ "src": [‸"group:cafe\u0301"], "app": { "register": [{}] } }] }',
    '"group:café" is not defined.',
    'Did you mean "group:café"? The letter "́" (U+0301) is only in one of them.',
  ],
  [
    'a name with what nobody sees',
    src('‸"alice\u200b@example.com"'),
    '"alice\u200b@example.com" is no selector: it holds a character that nobody sees (U+200B).',
  ],
  ['everybody in a group', '{ "groups": { "group:a": [‸"*"] } }', 'A group holds login names and other groups; "*" is neither.'],
  [
    'a domain in a group',
    '{ "groups": { "group:a": [‸"*@example.com"] } }',
    'A group holds login names and other groups; "*@example.com" is neither.',
  ],
  ['a selector of nothing', src('‸""'), 'This text may not be empty.'],
  ['a group prefix without a name', src('‸"group:"'), '"group:" names nothing; a name follows the colon, as in "group:example".'],
  ['a tag prefix without a name', src('‸"tag:"'), '"tag:" names nothing; a name follows the colon, as in "tag:example".'],
  [
    'a tag with the wrong prefix',
    src('‸"tags:ci"'),
    '"tags:ci" is no selector; those with a colon start with group:, tag:, client:, autogroup: or spiffe://.',
    'Did you mean "tag:"?',
  ],
  [
    'two tags in one',
    src('‸"tag:ci,tag:db"'),
    '"tag:ci,tag:db" is no selector: it holds a space, a comma, a quote or a control character.',
  ],
  [
    'a domain without its star',
    src('‸"@example.com"'),
    '"@example.com" is no login name; it looks like alice@example.com.',
    'Did you mean "*@example.com"?',
  ],
  [
    'a login name without its end',
    src('‸"alice@"'),
    '"alice@" is no login name; it looks like alice@example.com.',
    'Did you mean "alice"?',
  ],
  [
    'a network longer than addresses are',
    src('‸"100.64.0.0/33"'),
    '"100.64.0.0/33" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'a network without its length',
    src('‸"100.64.0.0/"'),
    '"100.64.0.0/" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'an address of three numbers',
    src('‸"100.64.0/10"'),
    '"100.64.0/10" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'a range of addresses',
    src('‸"100.64.0.1-100.64.0.9"'),
    '"100.64.0.1-100.64.0.9" is no IP address or network; a network looks like 100.64.0.0/10, without bits beyond its length.',
  ],
  [
    'a resource as src',
    src('‸"resource:wiki"'),
    '"resource:wiki" is no selector; those with a colon start with group:, tag:, client:, autogroup: or spiffe://.',
  ],
  [
    'an address of the web as src',
    src('‸"https://example.com"'),
    '"https://example.com" is no selector; those with a colon start with group:, tag:, client:, autogroup: or spiffe://.',
  ],
  ['a selector that is null', src('‸null'), 'An item of "src" must be text, not null.'],
  [
    'an inherited name as resource [threats 377]',
    authorize('{ "scopes": ["wiki:read"] }', '"resource:wiki", ‸"resource:__proto__"'),
    '"resource:__proto__" is not defined.',
  ],
  [
    'a uri as dst',
    authorize('{ "scopes": ["wiki:read"] }', '‸"https://wiki.example.com/mcp"'),
    '"dst" names resources, clients or autogroup:registered; "https://wiki.example.com/mcp" is none of them.',
  ],
  [
    'a group as dst',
    authorize('{ "scopes": ["wiki:read"] }', '"resource:wiki", ‸"group:eng"'),
    '"dst" names resources, clients or autogroup:registered; "group:eng" is none of them.',
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
  [
    'a redirect URI whose query forges the answer [threats 11]',
    client('{ "redirect_uris": [‸"https://a/cb?x=1&%63ode=2"] }'),
    '"https://a/cb?x=1&%63ode=2" has a name in its query that the answer uses, such as code, state or error.',
  ],
  [
    'a redirect URI without an authority, which a browser would repair [threats 16]',
    client('{ "redirect_uris": [‸"https:/a/cb"] }'),
    '"https:/a/cb" has no host in its plain form after two slashes: a name, or an address as it is usually written.',
  ],
  [
    'a redirect URI with another spelling of loopback [threats 25]',
    client('{ "redirect_uris": [‸"http://0x7f.1/cb"] }'),
    '"http://0x7f.1/cb" has no host in its plain form after two slashes: a name, or an address as it is usually written.',
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
    client(
      '{ "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }, "jwks_uri": ‸"https://a/jwks" }',
    ),
    'A client has "jwks" or "jwks_uri", not both (RFC 7591 §2).',
  ],
  [
    'a SPIFFE ID as client_id alone',
    client('{ "client_id": ‸"spiffe://example.org/a" }'),
    'A client_id that is a SPIFFE ID has to be the "spiffe_id" too; else it would be a name that anybody can say.',
  ],
  ['a key that is none', client('{ "jwks": { "keys": [‸{ "kty": "OKP" }] } }'), 'This key is not a public key of kty RSA, EC or OKP.'],
  [
    'a switch for assertions without a key',
    client('{ "client_secret_file": "c", "compat": { "assertion_aud": ‸true } }'),
    '"assertion_aud" is about assertions, and this client has no key to sign any with.',
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
    'An actor is a client, a tagged node or a SPIFFE workload; "bob@example.com" is none of them.',
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
    '"app" must be "authorize" or "register" or "exchange" or "client_credentials" or "introspect" or "funnel" or "claims" or "admin", not "authorise".',
    'Did you mean "authorize"?',
  ],
  [
    'scopes that are text in a grant',
    authorize('{ "scopes": ‸"wiki:read" }'),
    '"scopes" must be a list, not "wiki:read".',
    'For example ["wiki:read","wiki:write"].',
  ],
  ['a star as scope', authorize('{ "scopes": [‸"*"] }'), '"*" is not a scope of resource:wiki.'],
  [
    'a metadata document as condition',
    authorize('{ "scopes": ["wiki:read"], "clients": [‸"https://claude.ai/x"] }'),
    '"clients" holds "*", autogroup:registered or names such as "client:example"; "https://claude.ai/x" is none of them.',
  ],
  [
    'bound to something else',
    authorize('{ "scopes": ["wiki:read"], "bind": ‸"device" }'),
    '"bind" must be "user" or "node", not "device".',
  ],
  [
    'a parameter where there is none',
    grant('{ "src": ["client:app"], "dst": ["resource:wiki"], "app": { "introspect": [{ ‸"scopes": ["wiki:read"] }] } }'),
    '"scopes" is not a key of an item of "introspect".',
    'It may hold chain.',
  ],
  ['an admin who may nothing', grant('{ "src": ["group:eng"], "app": { "admin": [‸{}] } }'), '"access" is missing.'],
  [
    'client_credentials at a client',
    grant('{ "src": ["tag:ci"], "dst": [‸"client:app"], "app": { "client_credentials": [{ "scopes": ["wiki:read"] }] } }'),
    '"client_credentials" is about resources; "client:app" is none.',
  ],
  [
    'a host with its port',
    register('{ "redirect_uris": [‸"app.example.com:8443"] }'),
    '"app.example.com:8443" is no host; write "app.example.com", or "*.example.com" for all hosts below it.',
  ],
  ['exchanges without a limit', exchange('"scopes": { "wiki:read": ["closed:read"] }, "max_depth": ‸17'), '"max_depth" is at most 16.'],
  ['exchanges of depth nothing', exchange('"scopes": { "wiki:read": ["closed:read"] }, "max_depth": ‸0'), '"max_depth" is at least 1.'],
  [
    'an exchange of a list',
    exchange('"scopes": ‸["wiki:read"]'),
    '"scopes" must be an object, not a list.',
    'For example {"wiki:read":["tools:call"]}.',
  ],
  ['an exchange of no scope', exchange('"scopes": ‸{}'), 'This "exchange" names no scope, so it gives nothing.'],
  ['an exchange that asks for nothing held', exchange('"scopes": { "wiki:read": ‸[] }'), 'This list may not be empty.'],
  // Tests
  ['tests as an object', '{ "tests": ‸{} }', '"tests" must be a list, not an object.'],
  [
    'an unknown key of a test',
    tests('"app": "admin", ‸"denies": ["*"]'),
    '"denies" is not a key of an item of "tests".',
    'It may hold src, app, dst, client, with, actor, from, redirect_uris, accept, deny, given.',
  ],
  [
    'an unknown fact',
    tests('"app": "admin", "given": { ‸"group": ["group:eng"] }, "deny": ["*"]'),
    '"group" is not a key of "given".',
    'Did you mean "groups"?',
  ],
  [
    'a test that fails [threats 370]',
    tests('"app": "authorize", "dst": "resource:wiki", "accept": ["wiki:read", ‸"wiki:write"]'),
    'alice@example.com was to be given "wiki:write" by "authorize" at resource:wiki, and is not. alice@example.com may use resource:wiki, but not with the scope wiki:write.',
  ],
  [
    'a denial that fails [threats 370]',
    tests('"app": "authorize", "dst": "resource:wiki", "deny": ["wiki:write", ‸"wiki:read"]'),
    'alice@example.com was to be denied "wiki:read" by "authorize" at resource:wiki, and grant 1 gives it.',
  ],
  [
    'a test that fails for want of a grant',
    tests('"app": "admin", "accept": [‸"read"]'),
    'alice@example.com was to be given "read" by "admin", and is not. alice@example.com is not an admin here.',
  ],
  [
    'a test that expects nothing',
    file('"tests": [‸{ "src": "alice@example.com", "app": "admin" }]'),
    'This test expects nothing; it needs "accept" or "deny".',
  ],
  [
    'a test of a scope that is not there',
    tests('"app": "authorize", "dst": "resource:wiki", "deny": [‸"wiki:raed"]'),
    '"authorize" knows no "wiki:raed" here. It knows *, wiki:read, wiki:write, openid, profile, email, groups, offline_access.',
    'Did you mean "wiki:read"?',
  ],
  [
    'a test at a resource that is not there',
    tests('"app": "authorize", "dst": ‸"resource:wki", "deny": ["wiki:read"]'),
    '"dst" names nothing of this file that "authorize" could be about.',
    'Did you mean "resource:wiki"?',
  ],
  [
    'a test with software that is not there',
    tests('"app": "authorize", "dst": "resource:wiki", "client": ‸"client:ap", "deny": ["wiki:write"]'),
    'client:ap is neither a client of this file nor autogroup:registered.',
    'Did you mean "client:app"?',
  ],
  [
    'a test with a group that is not there',
    tests('"app": "authorize", "dst": "resource:wiki", "given": { "groups": [‸"group:egn"] }, "deny": ["wiki:write"]'),
    '"group:egn" is not defined.',
  ],
  [
    'a test with tags of a person',
    tests('"app": "authorize", "dst": "resource:wiki", "given": { "tags": ‸["tag:ci"] }, "deny": ["wiki:write"]'),
    'Only a tagged node has tags, and alice@example.com is none.',
  ],
  [
    'a test of a person where software is meant',
    file('"tests": [{ "src": ‸"alice@example.com", "app": "introspect", "dst": "resource:wiki", "deny": ["*"] }]'),
    '"introspect" is for a client of this file, a tagged node or a SPIFFE ID; alice@example.com is none of them.',
  ],
  [
    'a test of a person who comes through Funnel',
    file('"tests": [{ "src": ‸"alice@example.com", "app": "funnel", "deny": ["*"] }]'),
    '"funnel" is for a client of this file or a SPIFFE ID; alice@example.com is none of them.',
  ],
  [
    'a test of an exchange without actor',
    file('"tests": [‸{ "src": "alice@example.com", "app": "exchange", "dst": "resource:wiki", "from": "resource:closed", "deny": ["*"] }]'),
    '"exchange" needs an "actor": a client of this file, a tag or a SPIFFE ID.',
  ],
]

/** The text without its mark, and where the mark was. */
function marked(text: string) {
  const at = text.indexOf('‸')
  const before = text.slice(0, at).split(/\r\n|\r|\n/)
  return { text: text.slice(0, at) + text.slice(at + 1), line: before.length, column: (before.at(-1) ?? '').length + 1 }
}

/** What keeps this text from being loaded: mistakes, and its own tests that fail. */
function errorsOf(text: string): Problem[] {
  const compiled = compile(text)
  return compiled.ok ? runTests(compiled.policy) : compiled.problems.filter(({ severity }) => severity === 'error')
}

for (const [title, source, message, hint] of bad) {
  test(`policy refused: ${title}`, () => {
    const { text, line, column } = marked(source)
    const expected: Problem = { line, column, severity: 'error', message, ...(hint === undefined ? {} : { hint }) }
    assert.deepEqual(errorsOf(text), [expected])
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
    'Nobody can reach this: nothing in "src" is a client, a tagged node or a SPIFFE workload of today.',
  ],
  [
    'people through Funnel',
    grant('{ "src": ["*"], "app": { ‸"funnel": [{}] } }'),
    'Nobody can reach this: nothing in "src" is a client or a SPIFFE workload of today.',
    `"*" is people, unlike in a tailnet policy; tagged nodes are "autogroup:tagged".`,
  ],
  [
    'a star where only machines and clients can be meant',
    grant('{ "src": ["*"], "dst": ["resource:wiki"], "app": { ‸"client_credentials": [{ "scopes": ["wiki:read"] }] } }'),
    'Nobody can reach this: nothing in "src" is a client, a tagged node or a SPIFFE workload of today.',
    '"*" is people, unlike in a tailnet policy; tagged nodes are "autogroup:tagged".',
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
  [
    'the name of a machine',
    src('‸"laptop.tail1234.ts.net"'),
    '"laptop.tail1234.ts.net" is taken as a login name; names of machines are no selectors, since people choose them. Use its tag or its address.',
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

test('the corpus is large, and each of its files is there once', () => {
  assert.ok(bad.length >= 200)
  assert.equal(new Set(bad.map(([, text]) => text)).size, bad.length)
})

test('half a file, cut anywhere, is refused where it ends or at what is left open [threats 373]', () => {
  const whole = example.trimEnd()
  for (let length = 0; length < whole.length; length++) {
    const text = whole.slice(0, length)
    const [problem, ...others] = errorsOf(text)
    assert.ok(problem && others.length === 0, text)
    const lines = text.split('\n')
    assert.ok(problem.line <= lines.length && problem.column <= (lines[problem.line - 1]?.length ?? 0) + 1, JSON.stringify(problem))
    assert.match(
      problem.message,
      /^(The file is empty|A closing|A key in double quotes is expected|A colon is expected|A value is expected|This text is never closed|This comment is never closed|This word is not JSON)/,
    )
  }
})

test('bytes that are not UTF-8 are refused where they stand, and never become another name [threats 374]', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'policy-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'policy.hujson')
  const loaded = (...parts: (string | readonly number[])[]) => {
    writeFileSync(file, Buffer.concat(parts.map((part) => Buffer.from(part as string))))
    return errorsOf(readPolicy(file)).map(({ line, column, message }) => `${line}:${column}: ${message}`)
  }
  const before = '{\n  "groups": { "group:'
  const after = '": ["alice@example.com"] }\n}\n'
  const place = '2:22: Something here is not UTF-8; save the file as UTF-8 text.'

  assert.deepEqual(loaded(before, 'é', after), []) // two bytes that are one character
  const wrong = [[0xe9], [0xff], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]
  for (const bytes of wrong) assert.deepEqual(loaded(before, bytes, after), [place], String(bytes))
  assert.deepEqual(loaded([0xef, 0xbb, 0xbf], '{}'), ['1:1: The file starts with a byte order mark; save it as UTF-8 without one.'])
  assert.deepEqual(loaded([0xff, 0xfe, 0x7b, 0, 0x7d, 0]), ['1:4: The file holds a NUL character; save it as UTF-8 text.'])
})

/** Every key of the language, each with a good value. */
const everything = `{
  "$schema": "policy.schema.json",
  "groups": { "group:eng": ["alice@example.com"] },
  "mesh_groups": ["group:mesh"],
  "mesh_grants": { "capability": "example.com/cap/meshidp", "admin": true },
  "resources": {
    "resource:a": {
      "uri": "https://a", "name": "A", "description": "The first.", "scopes": ["a:read"], "default": true, "token_format": "jwt", "check": "local",
      "allow_unverified_clients": true, "signing_alg": "ES256", "may_act": "client:c"
    },
    "resource:b": { "uri": "https://b", "scopes": { "b:read": "Read." } }
  },
  "clients": {
    "client:c": {
      "client_id": "c", "name": "C", "redirect_uris": ["https://c/cb"], "post_logout_redirect_uris": ["https://c/bye"], "client_secret_file": "c",
      "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }, "default_resource": "resource:a", "node": ["tag:c"], "spiffe_id": "spiffe://x/c", "compat": { "assertion_aud": true }, "require_pkce": false,
      "id_token_signed_response_alg": "RS256"
    },
    "client:d": { "jwks_uri": "https://d/jwks" }
  },
  "grants": [
    {
      "src": ["group:eng"], "dst": ["resource:a"], "expires": "2099-01-01", "reason": "Why.",
      "app": {
        "authorize": [{ "scopes": ["a:read"], "clients": ["*"], "consent": "once", "bind": "user", "access_token_ttl": "5m", "refresh_token_ttl": "1d" }],
        "exchange": [{
          "actors": ["client:c"], "from": ["resource:b"], "scopes": { "a:read": ["b:read"] }, "max_depth": 1, "beyond_subject": false, "impersonate": false,
          "refresh_token": false
        }],
        "claims": [{ "claims": { "team": "x" }, "groups": ["group:eng"] }]
      }
    },
    {
      "src": ["*"],
      "app": {
        "register": [{
          "via": ["dcr"], "redirect_uris": ["localhost"], "metadata": "strict", "confidential": false, "client_ttl": "1d", "max_clients": 1
        }],
        "admin": [{ "access": "read" }]
      }
    },
    {
      "src": ["tag:ci"], "dst": ["resource:a"],
      "posture": { "os": ["linux"], "os_version": "6.1", "tags": ["tag:ci"], "attributes": ["custom:managed"], "key_expiry": "required" },
      "app": { "client_credentials": [{ "scopes": ["a:read"], "access_token_ttl": "5m" }], "introspect": [{ "chain": true }] }
    },
    { "src": ["client:c"], "app": { "funnel": [{}] } }
  ],
  "tests": [
    {
      "src": "alice@example.com", "app": "exchange", "dst": "resource:a", "actor": "client:c", "from": "resource:b", "with": ["b:read"], "accept": ["a:read"],
      "given": { "groups": ["group:mesh"], "address": "100.64.0.1", "os": "linux", "caps": { "example.com/cap/meshidp": [{ "app": { "register": [{}] } }] } }
    },
    { "src": "tag:ci", "app": "authorize", "dst": "resource:a", "client": "client:c", "deny": ["a:read"], "given": { "tags": ["tag:x"] } }
  ]
}`

type Place = { path: (string | number)[]; node: Node; key: Node | null }

/** Every value of a document, with where it is and the key before it. */
function placesOf(node: Node, path: (string | number)[] = [], key: Node | null = null): Place[] {
  const inside = (node.children ?? []).flatMap((child, i) => {
    if (child.type !== 'property') return placesOf(child, [...path, i])
    const [name, value] = child.children ?? []
    return name && value ? placesOf(value, [...path, name.value], name) : []
  })
  return [{ path, node, key }, ...inside]
}

const everyPlace = () => placesOf(parseTree(everything) ?? assert.fail())
const lineAndColumn = (offset: number) => {
  const lines = everything.slice(0, offset).split('\n')
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 }
}
/** What a claim holds, a capability of the mesh, and a key (RFC 7517) beside its type, is not of this language. */
const free = (path: readonly (string | number)[]) => ['team', 'example.com/cap/meshidp', 'crv', 'x'].some((name) => path.includes(name))

test('the document with everything is a good one, and has every key that the schema knows', () => {
  assert.deepEqual(errorsOf(everything), [])
  const written = new Set(everyPlace().flatMap(({ key }) => (key ? [key.value as string] : [])))
  const schema = JSON.stringify(z.toJSONSchema(policyDocument, { io: 'input' }), (_, value) =>
    value?.properties ? { ...value, keys: Object.keys(value.properties).map((name) => `key ${name}`) } : value,
  )
  for (const [, name = ''] of schema.matchAll(/"key ([^"]+)"/g)) assert.ok(written.has(name), `${name} is missing in "everything"`)
})

test('a value of the wrong type is refused where it stands, by the name of its key, whatever the key [threats 376]', () => {
  const wrong = ['null', 'true', '7', '"x"', '[]', '{}']
  let refused = 0
  for (const { path, node, key } of everyPlace().filter(({ path }) => path.length > 0 && !free(path))) {
    for (const value of wrong) {
      const text = everything.slice(0, node.offset) + value + everything.slice(node.offset + node.length)
      const problems = errorsOf(text)
      const typeOf = (json: unknown) => (Array.isArray(json) ? 'list' : json === null ? 'null' : typeof json)
      const sameType = typeOf(JSON.parse(value)) === (node.type === 'array' ? 'list' : node.type)
      if (sameType || problems.length === 0) continue // an empty list or another text may be good, or a mistake of another kind
      refused += 1
      for (const { message } of problems) assert.match(message, /\.$/)
      const here = problems.find(({ line, column }) => JSON.stringify({ line, column }) === JSON.stringify(lineAndColumn(node.offset)))
      assert.ok(here, `${path.join('/')} as ${value}: ${JSON.stringify(problems)}`)
      assert.match(
        here.message,
        /must be|is a list of|is a date|is missing|nothing|no scopes|may not be empty/,
        `${path.join('/')} as ${value}`,
      )
      if (key && !/missing|nothing|no scopes|empty/.test(here.message))
        assert.ok(here.message.includes(JSON.stringify(key.value)), here.message)
    }
  }
  assert.ok(refused > 300, String(refused))
})

test('an unknown key is refused where it stands, at each level, and a misspelt one is recognised [threats 376]', () => {
  const objects = everyPlace().filter(({ node, path }) => node.type === 'object' && !free(path))
  let refused = 0
  for (const { node, path } of objects) {
    const open = ['groups', 'resources', 'clients', 'caps', 'claims', 'scopes'].includes(String(path.at(-1))) || path.at(-2) === 'keys'
    if (open) continue
    const put = (key: string) => `${everything.slice(0, node.offset + 1)}"${key}": 1, ${everything.slice(node.offset + 1)}`
    const place = lineAndColumn(node.offset + 1)
    const [problem] = errorsOf(put('zzzzzzzz'))
    assert.match(problem?.message ?? '', /^"zzzzzzzz" is not a key of /)
    assert.deepEqual({ line: problem?.line, column: problem?.column }, place)
    assert.match(problem?.hint ?? '', /^It may hold /)
    for (const child of node.children ?? []) {
      const name: string = child.children?.[0]?.value
      const misspelt = `${name.slice(0, -1)}${name.endsWith('q') ? 'z' : 'q'}`
      const [other] = errorsOf(put(misspelt)).filter(({ line, column }) => line === place.line && column === place.column)
      assert.match(other?.hint ?? '', /^Did you mean "/, misspelt)
      refused += 1
    }
  }
  assert.ok(refused > 60, String(refused))
})
