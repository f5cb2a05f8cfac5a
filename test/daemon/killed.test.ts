import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { authorizationOfCode, digest } from '../../src/oauth/secret.ts'
import type { Engine } from '../../src/store/engine.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { type Person, Refusal, type Tokens } from '../support/person.ts'
import { type Installation, install } from '../support/program.ts'
import { assertSound, type Code, codeFor, grafana, policy, redeem, wikiServer } from './load.ts'

/** What software does that wants to stay signed in: it knows what it asked for last, and whether it was answered. */
type Session = {
  person: Person
  /** The last answer of the sign-in that it works with. */
  held: Tokens | null
  /** The last answers of those before it. */
  kept: Tokens[]
  /** Codes whose answer was lost and that were then refused. */
  refused: string[]
  /** What was sent when the connection broke. */
  asked: { code: Code } | { token: string } | null
  /** Answers received. */
  signIns: number
  refreshes: number
}

/** Works until the connection breaks: signs in, and refreshes again and again. Everything but a broken connection is a failure of the test. */
async function work(session: Session): Promise<void> {
  const { person } = session
  try {
    for (;;) {
      if (session.held && Math.random() < 0.25) {
        session.kept.push(session.held)
        session.held = null
      }
      if (session.held === null) {
        const code = await codeFor(person)
        session.asked = { code }
        session.held = await redeem(person, code)
        session.signIns++
      } else {
        const token = session.held.refresh_token ?? ''
        session.asked = { token }
        session.held = await person.refresh(grafana, { refresh_token: token })
        session.refreshes++
      }
      session.asked = null
    }
  } catch (error) {
    if (error instanceof Refusal || !isBroken(error as NodeJS.ErrnoException)) throw error
  }
}

const isBroken = ({ code }: NodeJS.ErrnoException) => ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '')

type Tally = { kills: number; lostCodes: number; lostRefreshes: number }

/** What software does after such a break: asks the same again. Nothing that it was given may be worth less than before. */
async function recover(session: Session, tally: Tally): Promise<void> {
  const { person, asked, held } = session
  if (held) assert.equal((await person.introspect(wikiServer, held.access_token)).active, true, 'an access token that was given is lost')
  session.asked = null
  if (asked && 'token' in asked) {
    tally.lostRefreshes++
    const again = await person.refresh(grafana, { refresh_token: asked.token })
    const oncemore = await person.refresh(grafana, { refresh_token: asked.token })
    assert.equal(oncemore.refresh_token, again.refresh_token, 'one token has two successors')
    session.held = again
  } else if (asked) {
    tally.lostCodes++
    session.held = await redeem(person, asked.code).catch((error) => {
      // Its answer was lost: to use it twice is what a thief does (OAuth 2.1 §4.1.3), and is refused in so many words.
      assert.equal((error as Refusal).error, 'invalid_grant', String(error))
      session.refused.push(asked.code.code)
      return null
    })
  }
}

/** Kills the daemon `times` times under load, with a start behind each; resolves with what came of it. */
async function killed(installation: Installation, sessions: readonly Session[], times: number): Promise<Tally> {
  const tally: Tally = { kills: 0, lostCodes: 0, lostRefreshes: 0 }
  const answers = () => sessions.reduce((sum, { signIns, refreshes }) => sum + signIns + refreshes, 0)
  let daemon = await installation.serve()
  while (tally.kills < times) {
    const from = answers()
    const working = Promise.all(sessions.map(work))
    const enough = from + Math.floor(Math.random() * 30)
    while (answers() <= enough) await Promise.race([working, new Promise((done) => setTimeout(done, Math.random() * 4))])
    const { signal } = await daemon.end('SIGKILL')
    assert.equal(signal, 'SIGKILL')
    tally.kills++
    await working
    daemon = await installation.serve()
    await Promise.all(sessions.map((session) => recover(session, tally)))
  }
  const { code } = await daemon.end('SIGTERM')
  assert.equal(code, 0)
  return tally
}

/** Of every sign-in, the token that its client was given last is the one current token; a code that was used twice ended what came of it. */
async function assertHeld(engine: Engine, { held, kept, refused }: Session): Promise<void> {
  for (const { refresh_token = '' } of held ? [held, ...kept] : kept) {
    const rows = await engine.all<{ ended_at: number | null }>(
      'SELECT ended_at FROM refresh_tokens JOIN authorizations ON id = authorization_id WHERE digest = $digest',
      { digest: digest(refresh_token) },
    )
    assert.deepEqual(rows, [{ ended_at: null }], 'a client holds a token that is not the current one')
  }
  for (const code of refused) {
    const authorization = await engine.get<{ ended_at: number | null }>('SELECT ended_at FROM authorizations WHERE id = $id', {
      id: authorizationOfCode(code) ?? '',
    })
    assert.equal(typeof authorization?.ended_at, 'number', 'what came of a code that was used twice lives on')
  }
}

const newSession = (person: Person): Session => ({ person, held: null, kept: [], refused: [], asked: null, signIns: 0, refreshes: 0 })

async function killedAndSound(t: TestContext, times: number): Promise<Tally & { signIns: number; refreshes: number }> {
  const installation = await install(t, { policy, config: { log_level: 'info' } })
  const sessions = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.8'].map((address) => newSession(installation.at(address)))
  const tally = await killed(installation, sessions, times)
  const engine = await openSqlite(join(installation.directory, 'state', 'meshidp.db'))
  t.after(() => engine.close())
  await assertSound(engine)
  for (const session of sessions) await assertHeld(engine, session)
  const sum = (what: 'signIns' | 'refreshes') => sessions.reduce((total, session) => total + session[what], 0)
  return { ...tally, signIns: sum('signIns'), refreshes: sum('refreshes') }
}

test('kill -9 under load, 50 times at random moments: the next start is clean, no token that a client was given is lost, and none is usable twice [threats 455, 472]', async (t) => {
  // Two daemons that are killed 25 times each: as many ends, in half the time.
  const tallies = await Promise.all([killedAndSound(t, 25), killedAndSound(t, 25)])
  const sum = (what: keyof (typeof tallies)[0]) => tallies.reduce((total, tally) => total + tally[what], 0)
  t.diagnostic(JSON.stringify(tallies))
  assert.equal(sum('kills'), 50)
  // Else it was no load, and nothing was lost that could have been found again.
  assert.ok(sum('signIns') >= 50 && sum('refreshes') >= 50, JSON.stringify(tallies))
  assert.ok(sum('lostRefreshes') >= 20 && sum('lostCodes') >= 5, JSON.stringify(tallies))
})
