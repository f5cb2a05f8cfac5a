import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError, toConfig } from '../../src/config.ts'
import { onSocket } from '../../src/http/listeners.ts'
import { temporaryDirectory } from '../support/start.ts'

test('behind serve: the socket is this user’s alone, or of one group too, by name or number; a group that is not there is a sentence', async (t) => {
  const path = join(temporaryDirectory(t), 'http.sock')
  const server = createServer()
  t.after(() => server.close())
  const opened = (group?: string) => onSocket(path, () => new Promise<void>((done) => server.close(() => server.listen(path, done))), group)
  const access = () => [(statSync(path).mode & 0o777).toString(8), statSync(path).gid]
  const own = process.getgid?.() ?? 0
  await opened()
  assert.deepEqual(access(), ['600', own])
  await opened(String(own))
  assert.deepEqual(access(), ['660', own])
  const name = new RegExp(`^([^:]+):[^:]*:${own}:`, 'm').exec(readFileSync('/etc/group', 'utf8'))?.[1]
  if (name !== undefined) {
    await opened(name)
    assert.deepEqual(access(), ['660', own])
  }
  await assert.rejects(opened('nobody-has-this-one'), /no such group/)
  assert.throws(() => toConfig({ state_directory: '/s', policy_file: '/p', listen: { socket_group: 'a b' } }), ConfigError)
})
