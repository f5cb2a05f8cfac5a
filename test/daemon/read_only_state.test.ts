import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { install, meshidp } from '../support/program.ts'

test('a state on a file system that is mounted read-only: no command takes it for damaged or foreign, and the doctor says what to do; writable again, all is as it was', {
  skip: process.getuid?.() !== 0 && 'to mount something takes root',
}, async (t) => {
  const { directory, configFile, serve, run } = await install(t)
  const state = join(directory, 'state')
  await (await serve()).end()
  execFileSync('mount', ['--bind', state, state])
  try {
    execFileSync('mount', ['-o', 'remount,bind,ro', state])
    for (const command of [['serve'], ['keys', 'list'], ['backup', join(directory, 'a.tar')], ['export', join(directory, 'a.jsonl')]]) {
      const { code, stderr } = await meshidp(t, [...command, '--config', configFile]).ended
      assert.deepEqual([command[0], code], [command[0], 1])
      assert.match(stderr, /^meshidp: .*(?:read-only file system|whether its file system is read-only \(findmnt\)\.)/)
      assert.doesNotMatch(stderr, /damaged|no database/)
    }
    const { code, stdout } = await run('doctor')
    assert.equal(code, 1)
    assert.match(
      stdout,
      /✗ its file system +It is mounted read-only: nothing can be saved\.\n.*\n +→ Mount it to be written to: findmnt -T \//,
    )
  } finally {
    execFileSync('umount', [state])
  }
  assert.equal((await run('doctor')).code, 0)
})
