import assert from 'node:assert/strict'
import { chmodSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockState } from '../../src/store/lock.ts'
import { StoreRefused } from '../../src/store/refused.ts'
import { child } from './child.ts'
import { freshDir } from './fresh_dir.ts'

const another = (error: unknown) => error instanceof StoreRefused && /Another meshidp is using .* Stop it first/.test(error.message)

test('A second daemon on the same state is refused with a sentence; kill -9 of the first frees it [threats 461]', async (t) => {
  const dir = freshDir(t)
  const first = child(t, 'holds_the_lock.ts', dir)
  await first.speaks()
  assert.throws(() => lockState(dir), another)

  const second = await child(t, 'holds_the_lock.ts', dir).ended
  assert.match(second.stderr, /Another meshidp is using/)
  assert.equal(second.stdout, '')

  first.kill()
  assert.equal((await first.ended).signal, 'SIGKILL')
  lockState(dir).release()
})

test('The lock holds within one process too, until it is released', (t) => {
  const dir = freshDir(t)
  const lock = lockState(dir)
  assert.throws(() => lockState(dir), another)
  lock.release()
  lockState(dir).release()
})

test('The state directory is made for its owner only; one that others can enter is refused', (t) => {
  const dir = join(freshDir(t), 'var', 'meshidp')
  lockState(dir).release()
  assert.equal(statSync(dir).mode & 0o777, 0o700)
  assert.equal(statSync(join(dir, 'lock.db')).mode & 0o777, 0o600)

  chmodSync(dir, 0o750)
  assert.throws(
    () => lockState(dir),
    (error) => error instanceof StoreRefused && error.message.includes(`chmod 700 ${dir}`),
  )
})
