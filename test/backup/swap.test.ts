import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { finishSwap, unfinishedIn } from '../../src/backup/swap.ts'
import { freshDir } from '../store/fresh_dir.ts'

const swaps = fileURLToPath(new URL('swaps.ts', import.meta.url))
const files = ['meshidp.db', 'keys/a.key', 'secrets/b']

function write(directory: string, text: string, names: readonly string[]): void {
  for (const name of names) {
    mkdirSync(join(directory, name, '..'), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
}

const read = (directory: string) => files.map((name) => readFileSync(join(directory, name), 'utf8'))

test('a restore that dies after any step leaves the old state or the new one, and the next start finishes it; the former one is kept whole', (t) => {
  const seen = new Set<string>()
  let steps = 0
  for (; ; steps++) {
    const state = freshDir(t)
    write(state, 'old', [...files, 'meshidp.db-wal', 'lock.db'])
    write(unfinishedIn(state), 'new', [...files, 'manifest.json'])
    const { signal, stderr } = spawnSync(process.execPath, [swaps, state, String(steps)], { encoding: 'utf8' })
    assert.equal(stderr, '')
    finishSwap(state)
    const now = read(state)
    const [one] = now
    assert.deepEqual(now, [one, one, one], `after ${steps} steps it is a mixture`)
    seen.add(String(one))
    assert.equal(existsSync(join(state, 'meshidp.db-wal')), one === 'old', 'a log of one database beside the other')
    const former = join(state, 'replaced-20261129T211500Z-abcdef')
    if (one === 'new') {
      assert.deepEqual(read(former), ['old', 'old', 'old'])
      assert.equal(readFileSync(join(former, 'meshidp.db-wal'), 'utf8'), 'old')
      assert.deepEqual(readdirSync(state).sort(), ['keys', 'lock.db', 'meshidp.db', 'replaced-20261129T211500Z-abcdef', 'secrets'])
    } else assert.equal(existsSync(former), false)
    if (signal === null) break
    assert.equal(signal, 'SIGKILL')
  }
  assert.deepEqual([...seen], ['old', 'new'])
  assert.ok(steps >= 10, `${steps} steps`)
})
