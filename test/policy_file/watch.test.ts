/** That a change of the file is seen, however it is made. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  type watch as watchDirectory,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type WatchOptions, watchFile } from '../../src/policy_file/watch.ts'
import { temporaryDirectory, testLog } from '../support/start.ts'

const never = 3_600_000

/** A watch that notes what stands in the file whenever it is told of a change. */
function watched(t: TestContext, path: string, options: Partial<WatchOptions> = {}) {
  const { log, lines } = testLog()
  const read: string[] = []
  let told = () => {}
  const changed = () => {
    try {
      read.push(readFileSync(path, 'utf8'))
    } catch {
      read.push('nothing')
    }
    told()
  }
  const watch = watchFile(path, { changed, again: () => false, log, every: never, steady: 50, ...options })
  t.after(watch.close)
  return {
    read,
    lines,
    watch,
    /** Resolves when the last that was read is `text`. */
    reads: (text: string) =>
      new Promise<void>((resolve) => {
        told = () => void (read.at(-1) === text && resolve())
        told()
      }),
  }
}

/** A file `policy` whose text is "old", and a change after which it is "new". */
const ways: {
  what: string
  before: (at: (name: string) => string) => void
  change: (at: (name: string) => string) => void
  path?: string
}[] = [
  {
    what: 'written in place',
    before: (at) => writeFileSync(at('policy'), 'old'),
    change: (at) => writeFileSync(at('policy'), 'new'),
  },
  {
    what: 'renamed over, as editors do',
    before: (at) => writeFileSync(at('policy'), 'old'),
    change(at) {
      writeFileSync(at('.policy.swp'), 'new')
      renameSync(at('.policy.swp'), at('policy'))
    },
  },
  {
    what: 'moved away and written anew, as other editors do',
    before: (at) => writeFileSync(at('policy'), 'old'),
    change(at) {
      renameSync(at('policy'), at('policy~'))
      writeFileSync(at('policy'), 'new')
    },
  },
  {
    what: 'a link to another file, swapped',
    before(at) {
      mkdirSync(at('versions'))
      writeFileSync(at('versions/1'), 'old')
      writeFileSync(at('versions/2'), 'new')
      symlinkSync('versions/1', at('policy'))
    },
    change(at) {
      symlinkSync('versions/2', at('next'))
      renameSync(at('next'), at('policy'))
    },
  },
  {
    what: 'behind a link, written in place where the link leads',
    before(at) {
      mkdirSync(at('elsewhere'))
      writeFileSync(at('elsewhere/it'), 'old')
      symlinkSync(at('elsewhere/it'), at('policy'))
    },
    change: (at) => writeFileSync(at('elsewhere/it'), 'new'),
  },
  {
    what: 'as Kubernetes swaps a ConfigMap',
    before(at) {
      mkdirSync(at('..1'))
      writeFileSync(at('..1/policy'), 'old')
      symlinkSync('..1', at('..data'))
      symlinkSync('..data/policy', at('policy'))
    },
    change(at) {
      mkdirSync(at('..2'))
      writeFileSync(at('..2/policy'), 'new')
      symlinkSync('..2', at('..data_tmp'))
      renameSync(at('..data_tmp'), at('..data'))
      rmSync(at('..1'), { recursive: true })
    },
  },
  {
    what: 'in a directory that is a link, swapped',
    path: 'current/policy',
    before(at) {
      for (const [release, text] of [
        ['1', 'old'],
        ['2', 'new'],
      ] as const) {
        mkdirSync(at(release))
        writeFileSync(at(`${release}/policy`), text)
      }
      symlinkSync('1', at('current'))
    },
    change(at) {
      symlinkSync('2', at('next'))
      renameSync(at('next'), at('current'))
    },
  },
]

const deaf = (() => {
  throw Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' })
}) as typeof watchDirectory

suite('a change of the file', { concurrency: true }, () => {
  for (const { what, before, change, path = 'policy' } of ways)
    for (const [how, options] of [
      ['the kernel tells of it', {}],
      ['where the kernel tells nothing it is found by looking', { every: 40, watch: deaf }],
    ] as const)
      test(`${what}: ${how}; and so is the change after that [threats 373]`, async (t) => {
        const directory = temporaryDirectory(t)
        const at = (name: string) => join(directory, name)
        before(at)
        const { reads, read } = watched(t, at(path), options)
        await reads('old')
        change(at)
        await reads('new')
        writeFileSync(at(path), 'newer')
        await reads('newer')
        assert.ok(!read.includes('nothing'), String(read))
      })

  test('deleted: told once it stays away; made again: told', async (t) => {
    const file = join(temporaryDirectory(t), 'policy')
    writeFileSync(file, 'old')
    const { reads } = watched(t, file)
    await reads('old')
    rmSync(file)
    await reads('nothing')
    writeFileSync(file, 'new')
    await reads('new')
  })

  test('its whole directory replaced under its name: found by looking, and watched from then on', async (t) => {
    const directory = temporaryDirectory(t)
    const [here, next] = [join(directory, 'here'), join(directory, 'next')]
    for (const one of [here, next]) mkdirSync(one)
    writeFileSync(join(here, 'policy'), 'old')
    writeFileSync(join(next, 'policy'), 'new')
    const { reads } = watched(t, join(here, 'policy'), { every: 300 })
    await reads('old')
    renameSync(here, join(directory, 'gone'))
    renameSync(next, here)
    await reads('new')
  })

  test('while it is being written nothing is told; then once [threats 373]', async (t) => {
    const file = join(temporaryDirectory(t), 'policy')
    writeFileSync(file, 'old')
    const { reads, read } = watched(t, file, { steady: 1000, every: 40 })
    await reads('old')
    writeFileSync(file, '')
    for (const letter of 'letters') {
      appendFileSync(file, letter)
      await pause(60)
    }
    await reads('letters')
    assert.deepEqual(read, ['old', 'letters'])
  })

  test('what happens to its neighbours is nobody’s business', async (t) => {
    const directory = temporaryDirectory(t)
    const file = join(directory, 'policy')
    writeFileSync(file, 'old')
    const { reads, read } = watched(t, file)
    await reads('old')
    writeFileSync(join(directory, 'policy2'), 'x')
    rmSync(join(directory, 'policy2'))
    await pause(200)
    assert.deepEqual(read, ['old'])
  })

  test('that the kernel tells nothing is said once, with how often it is looked at', async (t) => {
    const file = join(temporaryDirectory(t), 'policy')
    writeFileSync(file, 'old')
    const { reads, lines } = watched(t, file, { every: 20, watch: deaf })
    await reads('old')
    await pause(200)
    assert.deepEqual(
      lines.map(({ level, message }) => [level, message]),
      [['warn', `Changes of ${file} are not told by the kernel here, so it is looked at every 0.02 s.`]],
    )
  })
})
