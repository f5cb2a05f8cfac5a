/** Software that needs no page, for tests that end the daemon in the middle of its work; and what must be true of the database afterwards. */
import assert from 'node:assert/strict'
import type { Engine } from '../../src/store/engine.ts'
import { changedPolicy, grafanaCallback, wiki } from '../support/example_policy.ts'
import type { Person, TestClient } from '../support/person.ts'
import { secretOf } from '../support/program.ts'

/** Grafana may read the wiki without asking anybody, so that clients need no page. */
export const policy = changedPolicy(({ grants }) => {
  grants.push({
    src: ['*@example.com'],
    dst: ['resource:wiki'],
    app: { authorize: [{ scopes: ['wiki:read'], clients: ['client:grafana'], consent: 'never' }] },
  })
})
export const grafana: TestClient = { client_id: 'client:grafana', client_secret: secretOf('grafana'), redirect_uri: grafanaCallback }
export const wikiServer: TestClient = { client_id: 'client:wiki-server', client_secret: secretOf('wiki-server'), redirect_uri: '' }

export type Code = { code: string; code_verifier: string }
/** A code for the wiki. */
export const codeFor = (person: Person): Promise<Code> => person.code(grafana, wiki)
export const redeem = (person: Person, { code, code_verifier }: Code) =>
  person.token(grafana, { grant_type: 'authorization_code', code, code_verifier, redirect_uri: grafanaCallback })

/** What must be true of every database, whatever happened to its daemon. */
export async function assertSound(engine: Engine): Promise<void> {
  const wrong: [string, string][] = [
    ['a code is spent, and nothing came of it', `consumed_at IS NOT NULL AND r.authorization_id IS NULL`],
    ['a token came of a code that is not spent', 'consumed_at IS NULL AND r.authorization_id IS NOT NULL'],
    [
      'a token was issued without a decision',
      `(consumed_at IS NOT NULL) <> (SELECT count(*) FROM decisions AS d WHERE d.authorization_id = a.id AND outcome = 'allowed' AND entry = 'authorization_code')`,
    ],
    [
      'a token was rotated without a decision',
      `rotated_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM decisions AS d WHERE d.authorization_id = a.id AND outcome = 'allowed' AND entry = 'refresh_token')`,
    ],
    ['an authorization without a code', 'c.authorization_id IS NULL'],
    ['an authorization ended without a reason', '(ended_at IS NULL) <> (end_reason IS NULL)'],
  ]
  for (const [what, where] of wrong) {
    const rows = await engine.all(
      `SELECT a.id FROM authorizations AS a LEFT JOIN codes AS c ON c.authorization_id = a.id
        LEFT JOIN refresh_tokens AS r ON r.authorization_id = a.id WHERE ${where}`,
      {},
    )
    assert.deepEqual(rows, [], what)
  }
  const count = async (from: string) => (await engine.get<{ n: number }>(`SELECT count(*) AS n FROM ${from}`, {}))?.n
  assert.equal(
    await count(`decisions WHERE entry = 'authorize' AND outcome = 'allowed'`),
    await count('authorizations'),
    'one decision for each',
  )
  assert.equal(await count('decisions WHERE policy NOT IN (SELECT digest FROM records)'), 0)
  assert.equal(await count('decisions WHERE identity IS NOT NULL AND identity NOT IN (SELECT digest FROM records)'), 0)
  assert.equal((await engine.get<{ integrity_check: string }>('PRAGMA integrity_check', {}))?.integrity_check, 'ok')
  assert.deepEqual(await engine.all('PRAGMA foreign_key_check', {}), [])
}
