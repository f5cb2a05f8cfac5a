import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { install, meshidp } from '../support/program.ts'

test('meshidp keys: shown, rotated, imported and retired, with a daemon and without one; what is not possible is a sentence', async (t) => {
  const installation = await install(t)
  const { run, directory, serve, configFile } = installation
  const daemon = await serve()
  const list = await run('keys', 'list')
  assert.match(list.stdout, /^KEY +FOR +STATE +SIGNS FROM +UNTIL +PUBLISHED UNTIL\n/)
  assert.match(list.stdout, /^[\w-]{43} +ES256 tokens +signing +20\d\d-.*Z +– +–$/m)
  assert.match(list.stdout, /^succession +refresh tokens +signing +the beginning +– +–$/m)

  await run('keys', 'rotate')
  const { keys } = JSON.parse((await run('keys', 'list', '--json')).stdout) as { keys: { kid: string; alg: string; state: string }[] }
  const waiting = keys.find(({ alg, state }) => alg === 'ES256' && state === 'published')?.kid ?? ''
  const retired = await run('keys', 'retire', waiting)
  assert.match(retired.stdout, new RegExp(`^Key ${waiting} is gone: what it signed is worthless here`))
  assert.equal((await run('keys', 'retire', waiting)).code, 1)

  const file = join(directory, 'own.pem')
  writeFileSync(file, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'sec1' }))
  assert.match((await run('keys', 'import', file)).stdout, /ES256 tokens +published/)
  const missing = await run('keys', 'import', join(directory, 'none'))
  assert.deepEqual([missing.code, missing.stderr.startsWith('meshidp: ')], [2, true])

  await daemon.end()
  const offline = await run('keys', 'list')
  assert.match(offline.stdout, /ES256 tokens +published/)
  assert.equal((await run('keys', 'rotate', '--now')).code, 0)
  const state = join(directory, 'state', 'keys')
  assert.deepEqual(
    readdirSync(state).filter((name) => !/^(?:signing-(?:es|rs)256-[\w-]+\.jwk\.json|succession\.key)$/.test(name)),
    [],
  )

  // As systemd has them: in a directory that it fills.
  const credentials = join(directory, 'credentials')
  cpSync(state, credentials, { recursive: true })
  rmSync(state, { recursive: true })
  const fixed = await meshidp(t, ['keys', 'rotate', '--config', configFile], { env: { CREDENTIALS_DIRECTORY: credentials } }).ended
  assert.equal(fixed.code, 1)
  assert.equal(
    fixed.stderr,
    `meshidp: The keys are in ${credentials}, which systemd fills. Change its credentials, and restart the daemon.\n`,
  )
})
