/** The policy file of a running daemon, changed behind its back. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { writableBy } from '../../src/load_policy.ts'
import { assertPage } from '../support/answers.ts'
import { changedPolicy } from '../support/example_policy.ts'
import { install } from '../support/program.ts'
import { type StartOptions, start, temporaryDirectory } from '../support/start.ts'

const good = changedPolicy(() => undefined)
const better = changedPolicy(({ groups }) => {
  groups['group:new'] = ['bob@example.com']
})
const broken = '{\n  "grops": {},\n}'

/** A daemon whose policy file is watched, in a directory of its own. */
async function watching(t: TestContext, policy = good, options: StartOptions = {}) {
  const policy_file = join(temporaryDirectory(t), 'policy.hujson')
  writeFileSync(policy_file, policy)
  const started = await start(t, { ...options, config: { policy_file, policy_watch: true, ...options.config } })
  const { daemon, logged } = started
  const errors = () => logged.filter(({ level }) => level === 'error').map(({ message }) => message)
  const until = async (is: () => boolean | Promise<boolean>) => {
    while (!(await is())) await pause(20)
  }
  return {
    ...started,
    policy_file,
    errors,
    until,
    isInForce: (text: string) => until(() => daemon.deps.policy().text === text),
    policyOf: async () => (await started.alice.send('/readyz')).json().policy as Record<string, unknown>,
  }
}

suite('the policy file is watched', { concurrency: 4 }, () => {
  test('a change is loaded as soon as the file is left alone, and the health answer says what came, how and when [threats 370, 373]', async (t) => {
    const { policy_file, isInForce, policyOf, clock, daemon, errors } = await watching(t)
    const first = await policyOf()
    assert.deepEqual([first.source, first.loaded_at], ['start', clock.now()])
    clock.advance({ minutes: 5 })
    for (const part of [40, 400, 4000]) {
      writeFileSync(policy_file, better.slice(0, part)) // half a file, each of them steady for less than a moment
      await pause(20)
    }
    writeFileSync(policy_file, better)
    await isInForce(better)
    assert.deepEqual(await policyOf(), { hash: daemon.deps.policy().hash, source: 'watch', loaded_at: clock.now() })
    assert.notEqual(daemon.deps.policy().hash, first.hash)
    assert.deepEqual(errors(), [])
  })

  test('a bad one: the last good one stays; log, health, admins’ home page say where, others see no more than before; the next good one heals [threats 370]', async (t) => {
    const { policy_file, until, errors, policyOf, alice, mallory, carol, daemon } = await watching(t)
    const { hash } = daemon.deps.policy()
    const home = async (who: typeof alice) => assertPage(await who.send('/', { headers: { accept: 'text/html' } }), 200, /Who you are/)
    writeFileSync(policy_file, broken)
    await until(() => errors().length > 0)
    const said = `The new policy is not usable, so the last good one stays in force.\n${policy_file}:2:3: "grops" is not a key of the policy. Did you mean "groups"?`
    assert.deepEqual(errors(), [said])
    const { problem, ...rest } = await policyOf()
    assert.equal(problem, 'the file on disk is not usable (line 2, column 3); the last good one is in force')
    assert.deepEqual([rest.hash, rest.source], [hash, 'start'])
    assert.equal((await alice.send('/readyz')).status, 503)

    await home(carol)
    const { text } = await carol.send('/', { headers: { accept: 'text/html' } })
    assert.match(
      text,
      new RegExp(`Policy ${hash.slice(0, 12)} stays in force: what was found in its file .* is not usable \\(line 2, column 3\\)`),
    )
    assert.match(text, /policy\.hujson:2:3: &quot;grops&quot; is not a key/)
    assert.match(text, new RegExp(hash))
    for (const who of [mallory])
      assert.doesNotMatch((await who.send('/', { headers: { accept: 'text/html' } })).text, /admins|grops|hujson|stays/)

    writeFileSync(policy_file, good)
    await until(async () => (await alice.send('/readyz')).status === 200)
    assert.equal((await policyOf()).hash, hash)
    assert.equal(errors().length, 1)
  })

  test('a file that is touched, or written again as it was, changes nothing', async (t) => {
    const { policy_file, daemon, logged } = await watching(t)
    const before = daemon.deps.policy()
    writeFileSync(policy_file, good)
    chmodSync(policy_file, 0o600)
    await pause(700)
    assert.equal(daemon.deps.policy(), before)
    assert.deepEqual(
      logged.filter(({ message }) => message.includes('policy')),
      [],
    )
  })

  test('a file that is gone: the last good one stays, and says so once; it is back: healed', async (t) => {
    const { policy_file, until, errors, alice } = await watching(t)
    rmSync(policy_file)
    await until(() => errors().length > 0)
    assert.match(errors()[0] ?? '', /The policy file cannot be read: ENOENT/)
    assert.equal((await alice.send('/readyz')).status, 503)
    writeFileSync(policy_file, good)
    await until(async () => (await alice.send('/readyz')).status === 200)
    assert.equal(errors().length, 1)
  })

  test('a policy that names a secret which comes a moment later is loaded by itself then', async (t) => {
    const { policy_file, until, errors, isInForce, config } = await watching(t)
    const more = changedPolicy(({ clients }) => {
      clients['client:later'] = { client_secret_file: 'later', redirect_uris: ['https://later.example.com/cb'] }
    })
    writeFileSync(policy_file, more)
    await until(() => errors().length > 0)
    assert.match(errors()[0] ?? '', /client:later has its secret in .*\/later, which cannot be read/)
    writeFileSync(join(config.secrets_directory, 'later'), 'a-secret-that-came-later')
    await isInForce(more)
    assert.equal(errors().length, 1)
  })

  test('with "policy_watch": false nothing is loaded until somebody says so', async (t) => {
    const { policy_file, daemon } = await watching(t, good, { config: { policy_watch: false } })
    writeFileSync(policy_file, better)
    await pause(700)
    assert.equal(daemon.deps.policy().text, good)
    assert.equal(daemon.reload().ok, true)
    assert.equal(daemon.deps.policy().text, better)
  })

  test('as Kubernetes swaps a ConfigMap, in the program: loaded, and "meshidp status" says how [threats 373]', async (t) => {
    const directory = temporaryDirectory(t)
    const at = (name: string) => join(directory, name)
    mkdirSync(at('..1'))
    writeFileSync(at('..1/policy.hujson'), good)
    symlinkSync('..1', at('..data'))
    symlinkSync('..data/policy.hujson', at('policy.hujson'))
    const { serve, run } = await install(t, { config: { policy_file: at('policy.hujson') } })
    const daemon = await serve()
    assert.match(
      (await run('status')).stdout,
      /^policy +\/.*\/policy\.hujson, [0-9a-f]{64}, loaded 20\S+ \S+Z at the start of the daemon$/m,
    )
    mkdirSync(at('..2'))
    writeFileSync(at('..2/policy.hujson'), better)
    symlinkSync('..2', at('..data_tmp'))
    renameSync(at('..data_tmp'), at('..data'))
    rmSync(at('..1'), { recursive: true })
    await daemon.says(/"source":"watch".*"msg":"policy [0-9a-f]{12} is in force"/)
    assert.match((await run('status')).stdout, /^policy +.*, loaded \S+ \S+Z when its file changed$/m)
    assert.doesNotMatch(daemon.said(), /"level":"error"/)
  })

  test('a file that everybody may write is refused, at the start and later [threats 380]', async (t) => {
    const { policy_file, daemon, until, errors } = await watching(t)
    chmodSync(policy_file, 0o666)
    writeFileSync(policy_file, better)
    await until(() => errors().length > 0)
    assert.match(errors()[0] ?? '', /Everybody on this machine can write the policy file .*\. Run: chmod o-w \//)
    assert.equal(daemon.deps.policy().text, good)
    const installation = await install(t)
    chmodSync(installation.policyFile, 0o666)
    const { code, stderr } = await installation.run('serve')
    assert.equal(code, 1)
    assert.match(stderr, /^meshidp: Everybody on this machine can write the policy file .*\. Run: chmod o-w \S+\n$/)
    assert.equal(readFileSync(installation.policyFile, 'utf8'), good)
  })

  test('who else may write the file is said: its group, or another user that it belongs to [threats 380]', (t) => {
    const file = join(temporaryDirectory(t), 'policy.hujson')
    writeFileSync(file, good)
    chmodSync(file, 0o644)
    assert.equal(writableBy(file), null)
    chmodSync(file, 0o664)
    assert.match(writableBy(file) ?? '', /^The group of the policy file .* can write it, and so decides what is allowed\.$/)
    if (process.getuid?.() !== 0) return // only root gives files away
    chownSync(file, 1234, 0)
    assert.match(writableBy(file) ?? '', /belongs to another user \(uid 1234\), who so decides what is allowed\.$/)
  })
})
