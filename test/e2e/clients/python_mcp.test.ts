import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { repository, spawned } from '../../support/program.ts'
import { startWithServers } from '../servers.ts'
import { type Laptop, laptopOf } from './laptop.ts'

const python = join(repository, '.dev/python/bin/python')
const skip = existsSync(python) ? false : 'There is no Python environment for tests; scripts/python_environment.sh makes it.'

/** Seconds: long enough for the first questions also where the daemon's clock goes on by itself, and on a slow machine. */
const lifetime = 4

/** Runs test/e2e/python/client.py, which asks who its person is, and when its token has ended again. */
const asking = (t: TestContext, { home, env }: Laptop, url: string) =>
  spawned(t, python, [join(repository, 'test/e2e/python/client.py'), url, home, String(lifetime + 0.5)], {
    env: { ...env, PYTHONUNBUFFERED: '1' },
    group: true,
  })

test('Python mcp 2.3: RFC 7591 §3, RFC 6749 §6, RFC 8252 §7.3: registers once, signs in by the browser, refreshes in time; a later start has another port and signs in anew', {
  skip,
}, async (t) => {
  // By its own clock, which no test can set, the token has ended before it asks again.
  const { started, wiki } = await startWithServers(t, { config: { lifetimes: { access_token: lifetime } } })
  const laptop = laptopOf(t)
  const kept = (name: string) =>
    readFileSync(join(laptop.home, name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  const first = asking(t, laptop, wiki)
  await first.says(/userid:101/)
  started.clock.advance({ minutes: 6 })
  const { code, stdout, stderr } = await first.ended
  assert.equal(code, 0, stderr)
  const [before, after] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const [{ client_id }] = kept('client')
  assert.match(client_id, /^dcr_/)
  assert.deepEqual(before, { sub: 'userid:101', client_id, scopes: ['wiki:read', 'offline_access'] })
  assert.deepEqual(after, before)
  assert.equal(laptop.opened().length, 1)
  const ofRefresh = new Set(kept('tokens').map(({ refresh_token }) => refresh_token))
  assert.ok(ofRefresh.size >= 2, 'where it took its time, its token had ended before it first asked, too')

  // It does not keep when a token ends: it shows the old one, and on 401 it begins at the browser again.
  started.clock.advance({ minutes: 6 })
  const later = await asking(t, laptop, wiki).ended
  assert.equal(later.code, 0, later.stderr)
  assert.deepEqual(JSON.parse(later.stdout.split('\n')[0] ?? ''), before)
  assert.equal(kept('client').length, 1)
  const [port, another] = laptop.opened().map((url) => new URL(new URL(url).searchParams.get('redirect_uri') ?? '').port)
  assert.notEqual(port, another)
})

test('Python mcp 2.3: RFC 7591 §3.2.2: whom the policy lets bring no software is told so in the exception', { skip }, async (t) => {
  const { started, wiki } = await startWithServers(t)
  started.mesh.change({ browser: 'mallory-laptop' })
  const { code, stderr } = await asking(t, laptopOf(t), wiki).ended
  assert.equal(code, 1)
  assert.match(stderr, /OAuthRegistrationError.*mallory@other\.com may not register software here/)
})
