import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { install, meshidp } from '../support/program.ts'

/** The user of the daemon; root is who mends its state while it is stopped. */
const [user, group] = [65_534, 65_533]

const others = (state: string) =>
  readdirSync(state, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const { uid, gid } = lstatSync(join(state, name))
    return uid !== user || gid !== group
  })

test('what root makes in a state while the daemon is stopped belongs to whose state it is, so that the daemon can start: keys, imports, restores', {
  skip: process.getuid?.() !== 0 && 'only root can give files away',
}, async (t) => {
  const { directory, serve, run } = await install(t)
  const state = join(directory, 'state')
  const give = () => execFileSync('chown', ['-R', `${user}:${group}`, state])
  await (await serve()).end()
  give()
  for (const args of [
    ['keys', 'rotate', '--now'],
    ['keys', 'retire', 'succession'],
    ['export', join(directory, 'rows.jsonl')],
    ['backup', join(directory, 'a.tar')],
    ['restore', join(directory, 'a.tar'), '--replace'],
  ]) {
    const { code, stderr } = await run(...args)
    assert.deepEqual([code, others(state)], [0, []], `${args.join(' ')}: ${stderr}`)
  }
  assert.ok(readdirSync(state).some((name) => name.startsWith('replaced-')))

  rmSync(state, { recursive: true })
  mkdirSync(state, { mode: 0o700 })
  give()
  assert.equal((await run('import', join(directory, 'rows.jsonl'))).code, 0)
  assert.deepEqual(others(state), [])
  assert.equal(readdirSync(join(state, 'keys')).length, 3)
})

test('a state of another user cannot be opened, and the sentence says by whom, and what to look at', {
  skip: process.getuid?.() !== 0 && 'only root can give files away',
}, async (t) => {
  const { directory, configFile, serve } = await install(t)
  const state = join(directory, 'state')
  await (await serve()).end()
  execFileSync('chown', ['-R', `${user}:${group}`, directory])
  for (const spoilt of ['meshidp.db', 'lock.db']) {
    execFileSync('chown', ['-R', `${user}:${group}`, state])
    execFileSync('chown', ['0', join(state, spoilt)])
    const { code, stderr } = await meshidp(t, ['keys', 'list', '--config', configFile], {
      under: ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups'],
    }).ended
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^meshidp: The state in .* cannot be opened: .*\. Run it as the user whose state it is, and see that all of it is .*: ls -laR \/\S+\n$/,
    )
  }
})
