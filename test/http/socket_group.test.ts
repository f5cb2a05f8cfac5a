import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError, toConfig } from '../../src/config.ts'
import { endListening, onSocket } from '../../src/http/unix_socket.ts'
import { temporaryDirectory } from '../support/start.ts'

test('behind serve: the socket is this user’s alone, or of one group too, by name or number; a group that is not there is a sentence', async (t) => {
  const path = join(temporaryDirectory(t), 'http.sock')
  const opened = async (group?: string) => {
    const server = createServer()
    await onSocket(server, { path, key: 'listen.socket', group }, () => new Promise<void>((done) => server.listen(path, done)))
    const found = [(statSync(path).mode & 0o777).toString(8), statSync(path).gid]
    await new Promise<void>((done) => endListening(server, done))
    return found
  }
  const own = process.getgid?.() ?? 0
  assert.deepEqual(await opened(), ['600', own])
  assert.deepEqual(await opened(String(own)), ['660', own])
  const name = new RegExp(`^([^:]+):[^:]*:${own}:`, 'm').exec(readFileSync('/etc/group', 'utf8'))?.[1]
  if (name !== undefined) assert.deepEqual(await opened(name), ['660', own])
  await assert.rejects(opened('nobody-has-this-one'), /no such group/)
  assert.equal(statSync(path, { throwIfNoEntry: false }), undefined, 'where it may not be opened as it should, nobody listens')
  assert.throws(() => toConfig({ state_directory: '/s', policy_file: '/p', listen: { socket_group: 'a b' } }), ConfigError)
})
