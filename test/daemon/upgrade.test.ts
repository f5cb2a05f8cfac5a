import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Database from 'better-sqlite3'
import { decisionsByPrincipal } from '../../src/store/migrations/0007_decisions_by_principal.ts'
import { wiki } from '../support/example_policy.ts'
import { Refusal, type TestClient } from '../support/person.ts'
import { type Installation, install } from '../support/program.ts'
import { wikiServer } from './load.ts'

const stateOf = ({ directory }: Installation) => join(directory, 'state')
const copiesIn = (installation: Installation) => readdirSync(stateOf(installation)).filter((name) => name.startsWith('meshidp-schema-'))

/** Makes the database what the program before the last migration that is known here left: that migration made an index, and nothing else. */
function setBack(installation: Installation): void {
  const db = new Database(join(stateOf(installation), 'meshidp.db'))
  const [, index = ''] = /CREATE INDEX (\w+)/.exec(decisionsByPrincipal) ?? []
  db.exec(`DROP INDEX ${index}; DELETE FROM migrations WHERE id >= 7`)
  db.close()
}

/** What the program of before leaves: a state in which alice has brought software, and signed in with it. No daemon runs. */
async function leftBehind(t: TestContext) {
  const installation = await install(t)
  const daemon = await installation.serve()
  const alice = installation.at('127.0.0.2')
  const client: TestClient = await alice.register({ redirect_uris: ['http://127.0.0.1/cb'] })
  const tokens = await alice.signIn(client, wiki)
  const { stdout: keys } = await installation.run('keys', 'list')
  await daemon.end()
  setBack(installation)
  return { installation, alice, client, tokens, keys }
}

test('an upgrade keeps what is open: refresh tokens, access tokens, consents, registrations and keys [threats 512]', async (t) => {
  const { installation, alice, client, tokens, keys } = await leftBehind(t)

  await installation.serve()
  assert.equal(copiesIn(installation).length, 1, 'the schema was an older one')
  assert.equal((await alice.introspect(wikiServer, tokens.access_token)).active, true)
  const next = await alice.refresh(client, tokens)
  assert.equal((await alice.introspect(wikiServer, next.access_token)).active, true)
  assert.equal((await alice.authorize(client, wiki)).status, 303, 'what she agreed to is not asked again')
  assert.equal((await installation.run('keys', 'list')).stdout, keys)
})

test('an upgrade is taken back with the copy that it made: software and keys are there, and people sign in anew [threats 512]', async (t) => {
  const { installation, alice, client, tokens, keys } = await leftBehind(t)
  const after = await installation.serve()
  await after.end()

  const [copy = ''] = copiesIn(installation)
  const restored = await installation.run('restore', join(stateOf(installation), copy), '--replace')
  assert.equal(restored.code, 0, restored.stderr)
  await installation.serve()
  assert.equal((await installation.run('keys', 'list')).stdout, keys)
  await assert.rejects(alice.refresh(client, tokens), (error: Refusal) => error instanceof Refusal && error.error === 'invalid_grant')
  const anew = await alice.signIn(client, wiki)
  assert.equal((await alice.introspect(wikiServer, anew.access_token)).active, true)
})
