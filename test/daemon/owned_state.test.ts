import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { install } from '../support/program.ts'

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
