/** What tests of `/token` share: refusals, rows that must not change, requests that truly overlap. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { examplePolicy } from '../../src/cli/dev.ts'
import type { Change } from '../../src/identity/dev_mesh_document.ts'
import type { Answer, Person } from './person.ts'
import type { Started } from './start.ts'

/** The example policy, each text of it replaced once; throws where one is not there. Its own tests are left out, for they speak of the unchanged one. */
export function editedPolicy(...changes: readonly (readonly [from: string, to: string])[]): string {
  return changes.reduce(
    (text, [from, to]) => {
      assert.ok(text.includes(from), `the example policy has no ${from}`)
      return text.replace(from, to)
    },
    readFileSync(examplePolicy, 'utf8').replace(/^ {2}"tests": \[.*^ {2}\],\n/ms, ''),
  )
}

/** People may register clients with a secret. */
export const confidentialToo = editedPolicy(['"max_clients": 20 }', '"max_clients": 20, "confidential": true }'])

/** A token request to the letter: nothing is added. */
export const post = (
  person: Person,
  form: Record<string, string | readonly string[]> | string,
  headers: Record<string, string> = {},
): Promise<Answer> => person.send('/token', { form, headers })

export const basicOf = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` })

/** RFC 6749 §5.2: a refusal that nobody keeps, in words, with an id to look up. */
export function assertRefused(answer: Answer, error: string, status = 400): void {
  assert.equal(answer.json().error, error, answer.text)
  assert.equal(answer.status, status)
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.match(String(answer.json().error_description), /\.$/)
  assert.ok(answer.json().request_id)
}

/** What requests could have spent, ended or issued. */
export const spendable = async ({ daemon }: Pick<Started, 'daemon'>) => {
  const { engine } = daemon.deps.store
  const [codes, tokens, authorizations] = await Promise.all([
    engine.all('SELECT digest, consumed_at FROM codes ORDER BY digest LIMIT 5000', {}),
    engine.all('SELECT digest, previous_digest, replays FROM refresh_tokens ORDER BY digest LIMIT 5000', {}),
    engine.all('SELECT id, ended_at FROM authorizations ORDER BY id LIMIT 5000', {}),
  ])
  return { codes, tokens, authorizations }
}

/** Changes the mesh, and waits until the daemon has seen it. */
export async function changeMesh({ mesh, daemon }: Pick<Started, 'mesh' | 'daemon'>, change: Change): Promise<void> {
  mesh.change(change)
  await daemon.deps.identity.refresh()
}

/** From now on requests wait where they ask the mesh for their person, until they are let go: so that they overlap for sure. */
export function holdAtMesh({ daemon }: Pick<Started, 'daemon'>) {
  const { identity } = daemon.deps
  const { stillThere } = identity
  const gate = Promise.withResolvers<void>()
  let here = 0
  let arrived = () => {}
  identity.stillThere = async (remembered) => {
    here++
    arrived()
    await gate.promise
    return stillThere(remembered)
  }
  return {
    /** Resolves when so many requests wait. */
    waiting: (many: number) =>
      new Promise<void>((resolve) => {
        arrived = () => void (here >= many && resolve())
        arrived()
      }),
    letGo() {
      identity.stillThere = stillThere
      gate.resolve()
    },
  }
}

export const inParallel = <T>(times: number, run: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: times }, (_, index) => run(index)))

const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Near twins of a credential: every prefix, padded, in another case, and with the same bytes in another text (RFC 4648 §3.5). */
export function nearTwins(secret: string): string[] {
  const last = base64url.indexOf(secret.at(-1) ?? '')
  return [
    ...Array.from({ length: secret.length - 1 }, (_, length) => secret.slice(0, length + 1)),
    ...['=', '==', ' ', '\n', '\t', '.', 'A', '\u200b'].map((more) => secret + more),
    ` ${secret}`,
    secret.toUpperCase(),
    secret.toLowerCase(),
    secret.slice(4),
    ...[1, 2, 3].map((spare) => secret.slice(0, -1) + base64url[last ^ spare]),
  ].filter((twin) => twin !== secret)
}
