import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, createReadStream, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { unpack } from '../../src/backup/archive.ts'
import { commitSwap, newLabel, unfinishedIn } from '../../src/backup/swap.ts'
import { install, meshidp } from '../support/program.ts'

const cannotMount = spawnSync('unshare', ['--mount', 'true']).status !== 0 && 'nothing can be mounted here'

/** An installation at rest, with a backup `a.tar` whose keys have been replaced since; `mounted` runs a command where a part of the state is a mount point. */
async function atRest(t: TestContext) {
  const { directory, configFile, run, serve } = await install(t)
  await (await serve()).end()
  const at = (name: string) => join(directory, name)
  const kids = async () => (await run('keys', 'list')).stdout
  const ofBackup = await kids()
  assert.equal((await run('backup', at('a.tar'))).code, 0)
  assert.equal((await run('keys', 'rotate', '--now')).code, 0)
  const mounted = (part: string, ...args: string[]) =>
    meshidp(t, [...args, '--config', configFile], {
      under: ['unshare', '--mount', 'sh', '-c', `mount --bind "$0" "$0" && exec "$@"`, at(`state/${part}`)],
    }).ended
  return { state: at('state'), at, run, serve, kids, ofBackup, mounted }
}

const contents = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/lock\.db|-(?:wal|shm)$/.test(name))
    .sort()

for (const part of ['keys', 'meshidp.db'])
  test(`what cannot be moved aside, as ${part} where it is a mount point, refuses a restore before anything is changed`, {
    skip: cannotMount,
  }, async (t) => {
    const { state, at, run, kids, ofBackup, mounted } = await atRest(t)
    const [before, listed] = [contents(state), await kids()]
    const { code, stderr } = await mounted(part, 'restore', at('a.tar'), '--replace')
    assert.equal(code, 1)
    assert.match(
      stderr,
      new RegExp(`^meshidp: Nothing was restored: \\S+/state/${part} must be moved aside, and cannot be \\(E\\w+\\)\\. .* Unmount it`),
    )
    assert.deepEqual(contents(state), before)
    assert.equal(await kids(), listed)
    assert.equal((await run('restore', at('a.tar'), '--replace')).code, 0)
    assert.equal(await kids(), ofBackup)
  })

test('where a restore that was committed cannot be finished, whoever opens the state says how far it is; it is finished once nothing is in the way', {
  skip: cannotMount,
}, async (t) => {
  const { state, at, kids, ofBackup, mounted } = await atRest(t)
  mkdirSync(unfinishedIn(state), { mode: 0o700 })
  await unpack(createReadStream(at('a.tar')), unfinishedIn(state))
  commitSwap(state, newLabel(Date.now() / 1000))
  for (const args of [
    ['keys', 'list'],
    ['backup', at('b.tar')],
    ['restore', at('a.tar'), '--replace'],
  ]) {
    const { code, stderr } = await mounted('keys', ...args)
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^meshidp: A backup was restored, but not all of it is in its place: EBUSY.* What waits is in \S+\/restored-\S+, the former state in \S+\/replaced-/,
    )
    assert.doesNotMatch(stderr, /Nothing was/)
  }
  assert.equal(await kids(), ofBackup)
  assert.deepEqual(
    readdirSync(state).filter((name) => name.startsWith('restored-')),
    [],
  )
})

test('a directory of an admin, called as that of a restore, is neither swapped in nor removed', async (t) => {
  const { state, at, run, serve, kids } = await atRest(t)
  const own = ['restored-by-hand', 'restored-20261129T211500Z-abcdef', 'restored-20261129T211500Z-abcde0']
  mkdirSync(unfinishedIn(state), { mode: 0o700 })
  await unpack(createReadStream(at('a.tar')), unfinishedIn(state))
  const label = newLabel(Date.now() / 1000)
  commitSwap(state, label)
  // As a restore leaves it, and as a copy of that is.
  for (const name of own) cpSync(join(state, `restored-${label}`), join(state, name), { recursive: true })
  rmSync(join(state, own[1] ?? '', 'committed'))
  rmSync(join(state, `restored-${label}`), { recursive: true })
  writeFileSync(join(state, 'restored-20261129T211500Z-abcdee'), 'a file')
  const [before, listed] = [contents(state), await kids()]
  await (await serve()).end()
  assert.equal((await run('backup', at('b.tar'))).code, 0)
  assert.equal(await kids(), listed)
  assert.deepEqual(contents(state), before)
})

test('backup and export leave the lock of the daemon alone where there is nothing to finish: one that starts just then is not refused', async (t) => {
  const { state, at, run } = await atRest(t)
  rmSync(join(state, 'lock.db'))
  assert.equal((await run('backup', at('b.tar'))).code, 0)
  assert.equal((await run('export', at('rows.jsonl'))).code, 0)
  assert.equal(existsSync(join(state, 'lock.db')), false)
})
