/** `meshidp policy apply`: a policy over the control socket. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { replace } from '../../src/policy_file/replace.ts'
import { changedPolicy } from '../support/example_policy.ts'
import { printed } from '../support/printed.ts'
import { install } from '../support/program.ts'
import { type StartOptions, start, temporaryDirectory } from '../support/start.ts'

const good = changedPolicy(() => undefined)
const better = changedPolicy(({ groups }) => {
  groups['group:new'] = ['bob@example.com']
})

/** A daemon, and a policy in another place to apply. */
async function applying(t: Parameters<typeof start>[0], text: string, options: StartOptions = {}) {
  const started = await start(t, { policy: good, ...options })
  const candidate = join(temporaryDirectory(t), 'candidate.hujson')
  writeFileSync(candidate, text)
  const { policy_file } = started.config
  return {
    ...started,
    candidate,
    policy_file,
    inForce: () => started.daemon.deps.policy(),
    apply: (...args: string[]) => printed(['policy', 'apply', candidate, '--config', started.configFile, ...args]),
    /** Nothing half-written is left beside the policy file. */
    assertClean: () =>
      assert.deepEqual(
        readdirSync(dirname(policy_file)).filter((name) => name.startsWith(`.${basename(policy_file)}`)),
        [],
      ),
  }
}

suite('policy apply', { concurrency: 4 }, () => {
  test('a good policy is in the file and in force, with the owner and the mode that the file had; the health answer says how it came', async (t) => {
    const { apply, policy_file, inForce, alice, clock, assertClean } = await applying(t, better)
    chmodSync(policy_file, 0o640)
    if (process.getuid?.() === 0) chownSync(policy_file, 0, 7) // only root may give files away
    const before = statSync(policy_file)
    const { code, stdout, stderr } = await apply()
    assert.deepEqual([code, stdout, stderr], [0, `Policy ${inForce().hash} is in force.\n`, ''])
    assert.deepEqual([inForce().text, readFileSync(policy_file, 'utf8')], [better, better])
    const after = statSync(policy_file)
    assert.deepEqual([after.mode, after.uid, after.gid], [before.mode, before.uid, before.gid])
    assert.deepEqual((await alice.send('/readyz')).json().policy, { hash: inForce().hash, source: 'apply', loaded_at: clock.now() })
    assertClean()
  })

  test('a policy that is not usable, or fails its tests, changes nothing: its problems with the line as "policy check" shows it, exit code 1 [threats 370]', async (t) => {
    for (const [text, words] of [
      ['{\n  "grops": {},\n}\n', /candidate\.hujson:2:3: "grops" is not a key .*\n {2}2 │ {3}"grops": \{\},\n {4}│ {3}\^\n/],
      [
        better.replace(/\}$/, ',"tests":[{"src":"carol@example.com","app":"authorize","dst":"resource:wiki","accept":["wiki:read"]}]}'),
        /candidate\.hujson:1:\d+: carol@example\.com was to be given "wiki:read"/,
      ],
      [
        changedPolicy(({ clients }) => {
          clients['client:new'] = { client_secret_file: 'new', redirect_uris: ['https://new.example.com/cb'] }
        }),
        /client:new has its secret in .*\/new, which cannot be read/,
      ],
    ] as const) {
      const { apply, policy_file, inForce, assertClean, alice } = await applying(t, text)
      const { hash } = inForce()
      const { code, stdout, stderr } = await apply()
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, words)
      assert.match(stderr, new RegExp(`\nNothing was changed: policy ${hash} stays in force\\.\n$`))
      assert.deepEqual([inForce().hash, readFileSync(policy_file, 'utf8')], [hash, good])
      assert.equal((await alice.send('/readyz')).status, 200, 'the file on disk is as good as before')
      const json = JSON.parse((await apply('--json')).stdout) as Record<string, unknown>
      assert.deepEqual([json.ok, json.hash], [false, hash])
      assertClean()
    }
  })

  test('--dry-run finds out all of it, and changes nothing', async (t) => {
    const { apply, policy_file, inForce, assertClean } = await applying(t, better)
    const { mtimeMs } = statSync(policy_file)
    const { code, stdout } = await apply('--dry-run')
    assert.equal(code, 0)
    assert.match(stdout, /^Policy [0-9a-f]{64} could be put into force; nothing was changed\.\n$/)
    assert.deepEqual([inForce().text, readFileSync(policy_file, 'utf8'), statSync(policy_file).mtimeMs], [good, good, mtimeMs])
    assertClean()
  })

  test('a bad file on disk, or none, is healed by it', async (t) => {
    const { apply, policy_file, daemon, alice } = await applying(t, better)
    for (const harm of [() => writeFileSync(policy_file, '{'), () => rmSync(policy_file)]) {
      harm()
      daemon.reload()
      assert.equal((await alice.send('/readyz')).status, 503)
      assert.equal((await apply()).code, 0)
      assert.equal((await alice.send('/readyz')).status, 200)
      assert.equal(readFileSync(policy_file, 'utf8'), better)
    }
  })

  test('a symbolic link stays one: the file that it leads to is replaced', async (t) => {
    const elsewhere = temporaryDirectory(t)
    writeFileSync(join(elsewhere, 'real.hujson'), good)
    symlinkSync('real.hujson', join(elsewhere, 'policy.hujson'))
    const { apply, policy_file } = await applying(t, better, { config: { policy_file: join(elsewhere, 'policy.hujson') } })
    assert.equal((await apply()).code, 0)
    assert.equal(lstatSync(policy_file).isSymbolicLink(), true)
    assert.equal(readFileSync(join(elsewhere, 'real.hujson'), 'utf8'), better)
  })

  test('in a volume of Kubernetes nothing is written: it says to change the ConfigMap', async (t) => {
    const directory = temporaryDirectory(t)
    const at = (name: string) => join(directory, name)
    mkdirSync(at('..2026_11_26_13_40_00.5'))
    writeFileSync(at('..2026_11_26_13_40_00.5/policy.hujson'), good)
    symlinkSync('..2026_11_26_13_40_00.5', at('..data'))
    symlinkSync('..data/policy.hujson', at('policy.hujson'))
    const { apply, inForce } = await applying(t, better, { config: { policy_file: at('policy.hujson') } })
    await assert.rejects(apply(), /is in a volume that Kubernetes writes, .* Change the ConfigMap: the daemon loads it/)
    await assert.rejects(apply('--dry-run'), /Kubernetes/)
    assert.equal(inForce().text, good)
    assert.equal(readdirSync(at('..data')).length, 1)
  })

  test('where the daemon may not write, it says so and what to do', async () => {
    // A place where not even root makes files.
    await assert.rejects(replace('/sys/kernel/notes', 'x'), {
      code: 'forbidden',
      message:
        /^(?:The daemon's user may not|\/sys\/kernel\/notes is on a file system that is mounted read-only).*, so nothing was changed\. Where another user .* put the policy there/,
    })
  })

  test('in the program: a policy of 4 MB; the watch finds nothing new; without a daemon it says so', async (t) => {
    const { serve, run, policyFile, at } = await install(t)
    const candidate = join(temporaryDirectory(t), 'large.hujson')
    writeFileSync(candidate, `${better}\n// ${'"\\\t'.repeat(1_400_000)}\n`)
    assert.match((await run('policy', 'apply', candidate)).stderr, /No daemon is running/)
    const daemon = await serve()
    const applied = await run('policy', 'apply', candidate)
    assert.deepEqual([applied.code, applied.stderr], [0, ''])
    assert.equal(statSync(policyFile).size, statSync(candidate).size)
    await new Promise((resolve) => setTimeout(resolve, 600))
    assert.equal(daemon.said().match(/is in force/g)?.length, 1)
    assert.match((await run('status')).stdout, /loaded \S+ \S+Z by "meshidp policy apply"$/m)
    assert.equal((await at('127.0.0.2').send('/readyz')).status, 200)
  })
})
