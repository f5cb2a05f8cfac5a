import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { type MetadataRules, parseClientMetadata } from '../../src/oauth/client_metadata.ts'

const lenient: MetadataRules = {
  source: 'registration',
  mode: 'lenient',
  confidentialAllowed: false,
  issuer: 'https://idp.tail1234.ts.net',
}
const confidential: MetadataRules = { ...lenient, confidentialAllowed: true }
const strict: MetadataRules = { ...lenient, mode: 'strict' }
const url = 'https://client.example/oauth/metadata.json'
const document: MetadataRules = { ...lenient, source: 'document', client_id: url }

const redirect_uris = ['http://127.0.0.1:33418/cb']
const parse = (members: object, rules = lenient) => parseClientMetadata({ redirect_uris, ...members }, rules)
const refused = (members: object, message: RegExp, rules = lenient, code = 'invalid_client_metadata') =>
  assert.throws(() => parse(members, rules), { name: 'OAuthError', code, message }, JSON.stringify(members).slice(0, 200))

test('RFC 7591 §2, §3.2.1: what is omitted gets its default, and the answer shows only what was understood [threats 163, 184]', () => {
  const { metadata, ignored, narrowed } = parse({ client_name: 'Notes', client_colour: 'red', client_id_issued_at: 1 })
  assert.deepEqual(metadata, {
    redirect_uris,
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    client_name: 'Notes',
  })
  assert.deepEqual(ignored, ['client_colour', 'client_id_issued_at'])
  assert.deepEqual(narrowed, [])
})

test('what MCP clients send is kept: v1 and v2 of the SDK, an empty scope', () => {
  const asked = {
    client_name: 'MCP',
    client_uri: 'https://github.com/x',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  }
  const { metadata, ignored } = parse({ ...asked, scope: '', logo_uri: '', tos_uri: null })
  assert.deepEqual(metadata, { redirect_uris, ...asked })
  assert.deepEqual(ignored, [])
})

test('RFC 7591 §2: token_endpoint_auth_method is client_secret_basic if omitted, and none for who may not have a secret [threats 163]', () => {
  assert.equal(parse({}, confidential).metadata.token_endpoint_auth_method, 'client_secret_basic')
  assert.equal(parse({}).metadata.token_endpoint_auth_method, 'none')
  for (const method of ['none', 'client_secret_basic', 'client_secret_post'])
    assert.equal(parse({ token_endpoint_auth_method: method }, confidential).metadata.token_endpoint_auth_method, method)

  const narrowed = parse({ token_endpoint_auth_method: 'client_secret_post' })
  assert.equal(narrowed.metadata.token_endpoint_auth_method, 'none')
  assert.deepEqual(narrowed.narrowed, ['token_endpoint_auth_method'])
  for (const method of ['client_secret_jwt', 'tls_client_auth', '', 7, ['none'], 'constructor'])
    refused({ token_endpoint_auth_method: method }, /must be none or/, confidential)
})

test('RFC 7591 §2: private_key_jwt needs keys, for a registration the permission to be confidential, for a document none', () => {
  const keyed = {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks_uri: 'https://a.example/jwks',
  }
  const { metadata } = parse(keyed, confidential)
  assert.deepEqual([metadata.token_endpoint_auth_method, metadata.token_endpoint_auth_signing_alg], ['private_key_jwt', 'ES256'])
  assert.equal(parse(keyed).metadata.token_endpoint_auth_method, 'none')
  assert.equal(parse({ ...keyed, client_id: url }, document).metadata.token_endpoint_auth_method, 'private_key_jwt')
  refused({ ...keyed, jwks_uri: undefined }, /needs jwks or jwks_uri/, confidential)
  for (const alg of ['HS256', 'none', 'RS1', 7]) refused({ ...keyed, token_endpoint_auth_signing_alg: alg }, /must be/, confidential)
})

test('RFC 7591 §2: grant and response types are narrowed to what is supported, and refused where nothing usable remains [threats 160]', () => {
  const { metadata, narrowed } = parse({
    grant_types: ['implicit', 'refresh_token', 'authorization_code', 'client_credentials'],
    response_types: ['code', 'code id_token', 'token'],
  })
  assert.deepEqual(metadata.grant_types, ['authorization_code', 'refresh_token'])
  assert.deepEqual(metadata.response_types, ['code'])
  assert.deepEqual(narrowed, ['grant_types', 'response_types'])

  for (const grant of [
    'client_credentials',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    'urn:ietf:params:oauth:grant-type:device_code',
    'refresh_token',
    'constructor',
  ])
    refused({ grant_types: [grant] }, /must include authorization_code/)
  refused({ response_types: ['token'] }, /must include code/)
  for (const bad of [[], 'authorization_code', {}, ['authorization_code', 1], [['authorization_code']]])
    refused({ grant_types: bad }, /grant_types must/)
})

test('strict metadata: what would be ignored or narrowed is refused, what is usual still passes', () => {
  assert.deepEqual(parse({ grant_types: ['authorization_code', 'refresh_token'], scope: '' }, strict).metadata.grant_types, [
    'authorization_code',
    'refresh_token',
  ])
  assert.equal(parse({}, strict).metadata.token_endpoint_auth_method, 'none')
  refused({ client_colour: 'red', 'x"\n': 1 }, /not understood: client_colour, x\?\?\.$/, strict)
  refused({ grant_types: ['authorization_code', 'implicit'] }, /can only hold/, strict)
  refused({ token_endpoint_auth_method: 'client_secret_basic' }, /public clients only/, strict)
})

test('RFC 7591 §3.2.2: redirect_uris that are missing, empty or no strings are refused [threats 35, 157]', () => {
  const sparse: string[] = []
  sparse[1] = 'https://a.example/'
  for (const bad of [
    undefined,
    null,
    [],
    {},
    'https://a.example/',
    sparse,
    [null],
    [1],
    [{}],
    [['https://a.example/']],
    Array.from({ length: 21 }, (_, index) => `https://a.example/${index}`),
    Array.from({ length: 1000 }, () => 'https://a.example/'),
  ])
    refused({ redirect_uris: bad }, /redirect_uris/, lenient, 'invalid_redirect_uri')
  assert.equal(
    parse({ redirect_uris: Array.from({ length: 20 }, (_, index) => `https://a.example/${index}`) }).metadata.redirect_uris.length,
    20,
  )
  assert.deepEqual(parse({ redirect_uris: ['https://a.example/', 'https://a.example/'] }).metadata.redirect_uris, ['https://a.example/'])
})

test('RFC 7591 §3.2.2: every single redirect URI must be registrable [threats 11, 13, 29, 38]', () => {
  for (const bad of [
    'javascript:alert(1)',
    'myapp:/cb',
    'http://app.example.com/cb',
    'https://a.example/?code=1',
    `${lenient.issuer}/token`,
  ])
    refused({ redirect_uris: ['https://a.example/', bad] }, /^Entry 2 of redirect_uris: /, lenient, 'invalid_redirect_uri')
})

test('OpenID Registration §2: application_type says which redirect URIs are fine; unsaid, both sorts are [threats 169]', () => {
  const mixed = ['https://app.example.com/cb', 'http://localhost/cb']
  assert.deepEqual(parse({ redirect_uris: mixed }).metadata.redirect_uris, mixed)
  assert.deepEqual(parse({ redirect_uris: mixed, application_type: 'native' }).metadata.redirect_uris, mixed)
  refused({ redirect_uris: mixed, application_type: 'web' }, /application_type web/, lenient, 'invalid_redirect_uri')
  refused({ redirect_uris: ['http://app.example.com/cb'], application_type: 'native' }, /https/, lenient, 'invalid_redirect_uri')
  for (const bad of ['desktop', '', 1, ['web']]) refused({ application_type: bad }, /application_type must be web or native/)
})

test('members that choose what is ours, make us fetch or ask for what is not there are refused [threats 116, 166, 167, 176]', () => {
  for (const member of [
    'client_secret',
    'client_secret_expires_at',
    'registration_access_token',
    'software_statement',
    'sector_identifier_uri',
    'request_uris',
    'initiate_login_uri',
    'backchannel_logout_uri',
    'id_token_encrypted_response_alg',
    'userinfo_encrypted_response_enc',
    'userinfo_signed_response_alg',
    'request_object_signing_alg',
    'request_object_encryption_alg',
  ])
    for (const mode of [lenient, strict])
      refused({ [member]: 'https://169.254.169.254/' }, new RegExp(`^${member} cannot be accepted`), mode)
  for (const client_id of ['userid:1', 'https://client.example/x', '', 1]) refused({ client_id }, /chooses the client_id/)
  assert.equal('client_secret' in parse({ client_secret: null }).metadata, false)
})

test('RFC 7592 §2.2: an update names its own client_id, and no other [threats 176]', () => {
  const update = { ...lenient, client_id: '01J9Z' }
  assert.equal('client_id' in parse({ client_id: '01J9Z' }, update).metadata, false)
  for (const client_id of [undefined, '01J9z', '01J9Z ', ['01J9Z']]) refused({ client_id }, /client_id must be there/, update)
})

test('RFC 7591 §2: members that people see or follow hold nothing that deceives [threats 74]', () => {
  for (const client_name of ['', '   ', 'Admin\u202econsole', 'a'.repeat(129), 'a'.repeat(10_240), `Z${'\u0301'.repeat(30)}`, 7, {}])
    refused({ client_name }, /^client_name/)
  for (const member of ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri', 'jwks_uri']) {
    for (const bad of [
      'http://a.example/',
      'javascript:alert(1)',
      'https:a.example',
      'https://u@a.example/',
      'https://a.example/ x',
      'https://2130706433/',
      'data:image/png,x',
      7,
      `https://a.example/${'a'.repeat(3000)}`,
    ])
      refused({ [member]: bad }, new RegExp(`^${member} must be an https address`))
    assert.equal(parse({ [member]: 'https://a.example/x.png?y#z' }).metadata[member as 'logo_uri'], 'https://a.example/x.png?y#z')
  }
  for (const contacts of ['a@b.example', Array.from({ length: 11 }, () => 'a@b.example'), [1], ['a'.repeat(257)], ['\u200b']])
    refused({ contacts }, /^contacts/)
  for (const software_id of ['', 1, 'a'.repeat(257)]) refused({ software_id }, /^software_id/)
})

test('RFC 7591 §2: a scope has the grammar of one, each name once [threats 161]', () => {
  assert.equal(parse({ scope: 'openid wiki:read openid' }).metadata.scope, 'openid wiki:read')
  for (const scope of ['a"b', 'a '.repeat(5000), 'a'.repeat(50_000)]) refused({ scope }, /scope/i)
  refused({ scope: ['openid'] }, /must be a string of scopes/)
})

test('OpenID Registration §2: values of its members are known ones', () => {
  const asked = {
    id_token_signed_response_alg: 'ES256',
    subject_type: 'public',
    default_max_age: 0,
    require_auth_time: false,
    software_version: '1.0',
  }
  assert.deepEqual(parse(asked).metadata, { ...parse({}).metadata, ...asked })
  for (const bad of [
    { id_token_signed_response_alg: 'none' },
    { id_token_signed_response_alg: 'HS256' },
    { subject_type: 'pairwise' },
    { default_max_age: -1 },
    { default_max_age: 1.5 },
    { default_max_age: '1' },
    { default_max_age: Number.POSITIVE_INFINITY },
    { require_auth_time: 'false' },
  ])
    refused(bad, new RegExp(`^${Object.keys(bad)[0]} must`))
})

test('RFC 7591 §2: jwks and jwks_uri exclude each other, and secret keys are refused [threats 164]', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwks = { keys: [publicKey.export({ format: 'jwk' })] }
  assert.deepEqual(parse({ jwks }).metadata.jwks, jwks)
  refused({ jwks, jwks_uri: 'https://a.example/jwks' }, /together/)
  refused({ jwks: { keys: [privateKey.export({ format: 'jwk' })] } }, /secret members/)
})

test('CWE-1321: __proto__ and constructor are names like any other [threats 158]', () => {
  const members =
    '"__proto__": {"polluted": 1, "redirect_uris": ["https://a.example/"]}, "constructor": {"prototype": {"polluted": 1}}, "toString": 1'
  assert.throws(() => parseClientMetadata(JSON.parse(`{${members}}`), lenient), { code: 'invalid_redirect_uri' })
  const { metadata, ignored } = parseClientMetadata(JSON.parse(`{"redirect_uris": ["https://a.example/"], ${members}}`), lenient)
  assert.deepEqual(ignored, ['__proto__', 'constructor', 'toString'])
  assert.equal(Object.getPrototypeOf(metadata), Object.prototype)
  assert.equal(({} as Record<string, unknown>).polluted, undefined)
})

test('a body that is no object, has too many members or is deep does no harm [threats 170]', () => {
  for (const body of [undefined, null, [], 'x', 7, true])
    assert.throws(() => parseClientMetadata(body, lenient), { code: 'invalid_client_metadata' })
  refused(Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`m${index}`, 1])), /100 members/)
  const deep: unknown = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
  assert.deepEqual(parse({ nested: deep }).ignored, ['nested'])
  for (const name of ['contacts', 'client_name', 'redirect_uris', 'jwks'])
    assert.throws(() => parse({ [name]: deep }), { name: 'OAuthError' })
  const many = parse(Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`m${index}${'x'.repeat(100)}`, 1])))
  assert.equal(many.ignored.length, 20)
  assert.equal(
    many.ignored.every((name) => name.length <= 64),
    true,
  )
})

test('CIMD §4: a document names its own URL, exactly [threats 196]', () => {
  const claude = {
    client_id: url,
    client_name: 'Claude Code',
    redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  }
  const { client_id, ...kept } = claude
  assert.deepEqual(parse(claude, document).metadata, kept)
  for (const other of [
    undefined,
    null,
    `${client_id}/`,
    'https://client.example:443/oauth/metadata.json',
    'https://CLIENT.example/oauth/metadata.json',
    [url],
  ])
    refused({ ...claude, client_id: other }, /client_id must be there/, document)
})

test('CIMD §4: a document holds no secret, and asks for no method that needs one [threats 197]', () => {
  const base = { client_id: url }
  assert.equal(parse(base, document).metadata.token_endpoint_auth_method, 'none')
  for (const member of ['client_secret', 'client_secret_expires_at']) refused({ ...base, [member]: 1 }, /cannot be accepted/, document)
  for (const method of ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'x'])
    for (const rules of [document, { ...document, confidentialAllowed: true }])
      refused({ ...base, token_endpoint_auth_method: method }, /must be none/, rules)
  refused({ ...base, redirect_uris: undefined }, /redirect_uris/, document, 'invalid_redirect_uri')
})
