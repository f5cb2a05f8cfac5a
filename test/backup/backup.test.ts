import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { openSqlite } from '../../src/store/sqlite.ts'
import { assertSound, codeFor, policy, redeem } from '../daemon/load.ts'
import { type Installation, install, meshidp } from '../support/program.ts'
import { unhurried } from '../support/start.ts'

const stateOf = ({ directory }: Installation) => join(directory, 'state')

test('a backup under load is one moment: whole, sound, and no more than what was answered before and after it [threats 466]', async (t) => {
  const limits = { ...unhurried, per_principal: unhurried.per_address }
  const installation = await install(t, { policy, config: { limits } })
  const { directory, serve, run } = installation
  await serve()
  const alice = installation.at('127.0.0.2')
  let signIns = 0
  let done = false
  const working = (async () => {
    while (!done) {
      await redeem(alice, await codeFor(alice))
      signIns++
    }
  })()
  while (signIns < 5) await new Promise((resolve) => setTimeout(resolve, 5))
  const before = signIns
  const file = join(directory, 'first.tar')
  const made = await run('backup', file)
  const after = signIns
  done = true
  await working
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.match(made.stdout, /first\.tar: the database, 3 keys; \d\.\d MiB\.\nWhoever can read it can sign any token/)
  assert.ok(after > before, 'people signed in meanwhile')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(
    readdirSync(stateOf(installation)).filter((name) => name.includes('unfinished')),
    [],
  )

  // What any machine has can look inside.
  const unpacked = join(directory, 'unpacked')
  mkdirSync(unpacked)
  execFileSync('tar', ['-xf', file, '-C', unpacked])
  execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: unpacked })
  assert.deepEqual(readdirSync(unpacked).sort(), ['SHA256SUMS', 'keys', 'manifest.json', 'meshidp.db'])
  const engine = await openSqlite(join(unpacked, 'meshidp.db'))
  t.after(() => engine.close())
  await assertSound(engine)
  const inside = (await engine.get<{ n: number }>('SELECT count(*) AS n FROM refresh_tokens', {}))?.n ?? 0
  assert.ok(inside >= before && inside <= after + 1, `${before} ≤ ${inside} ≤ ${after}`)
})

test('a directory gets backups that are named by the time, and keeps the newest; a file that is there is never written over', async (t) => {
  const installation = await install(t)
  const { directory, serve, run } = installation
  const daemon = await serve()
  await daemon.end()
  const folder = join(directory, 'backups')
  mkdirSync(folder)
  for (const name of [
    'meshidp-20200101T000000Z.tar',
    'meshidp-20210101T000000Z.tar.age',
    'meshidp-notes.txt',
    '.meshidp-20220101T000000Z.tar.unfinished',
  ])
    writeFileSync(join(folder, name), '')
  const made = await run('backup', folder, '--keep', '2')
  assert.match(made.stdout, /Removed meshidp-20200101T000000Z\.tar\.\n$/)
  assert.match(readdirSync(folder).sort().join(' '), /^meshidp-20210101T000000Z\.tar\.age meshidp-\d{8}T\d{6}Z\.tar meshidp-notes\.txt$/)

  const again = await run('backup', join(folder, 'meshidp-notes.txt'))
  assert.deepEqual([again.code, again.stderr.includes('is there already')], [1, true])
  assert.equal(readFileSync(join(folder, 'meshidp-notes.txt'), 'utf8'), '')
  const nowhere = await run('backup', join(directory, 'no', 'where.tar'))
  assert.match(nowhere.stderr, /^meshidp: There is no directory /)
  assert.equal((await run('backup', join(directory, 'one.tar'), '--keep', '2')).code, 2)
})

test('the backup just made is never the one that goes, whatever a wrong clock has named others; N stay in all', async (t) => {
  const { directory, run, serve } = await install(t)
  await (await serve()).end()
  const folder = join(directory, 'backups')
  mkdirSync(folder)
  for (const year of [2020, 2037, 2038]) writeFileSync(join(folder, `meshidp-${year}0101T000000Z.tar`), '')
  const two = JSON.parse((await run('backup', folder, '--keep', '2', '--json')).stdout) as { file: string; removed: string[] }
  assert.deepEqual(two.removed, ['meshidp-20200101T000000Z.tar', 'meshidp-20370101T000000Z.tar'])
  assert.deepEqual(readdirSync(folder), [basename(two.file), 'meshidp-20380101T000000Z.tar'])
  rmSync(two.file)
  const one = JSON.parse((await run('backup', folder, '--keep', '1', '--json')).stdout) as { file: string; removed: string[] }
  assert.deepEqual(one.removed, ['meshidp-20380101T000000Z.tar'])
  assert.deepEqual(readdirSync(folder), [basename(one.file)])
})

test('keys and secrets that are links to files, as others put them there, are in a backup; a link to nothing is refused', async (t) => {
  const { directory, run, serve } = await install(t)
  await (await serve()).end()
  const at = (name: string) => join(directory, name)
  const backup = (name: string) => run('backup', at(name), '--secrets-directory', at('state/secrets'))
  const linked = (name: string, target: string) => {
    if (existsSync(at(name))) renameSync(at(name), at(target))
    symlinkSync(at(target), at(name))
  }
  for (const name of readdirSync(at('state/keys'))) linked(`state/keys/${name}`, name)
  // As Kubernetes has it: the files are links through a link to a directory beside them.
  mkdirSync(at('state/secrets/..2026_11_29'), { recursive: true })
  symlinkSync('..2026_11_29', at('state/secrets/..data'))
  writeFileSync(at('state/secrets/..data/wiki'), 'a secret of sixteen', { mode: 0o600 })
  symlinkSync('..data/wiki', at('state/secrets/wiki'))
  const made = await backup('a.tar')
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.match(made.stdout, /the database, 3 keys, 1 client secret;/)
  const kids = (await run('keys', 'list')).stdout

  symlinkSync(at('nothing'), at('state/secrets/grafana'))
  const refused = await backup('b.tar')
  assert.match(refused.stderr, /^meshidp: \S+\/state\/secrets\/grafana is a link to a file that is not there, so no backup was made\. /)
  assert.deepEqual([refused.code, existsSync(at('b.tar'))], [1, false])

  rmSync(at('state'), { recursive: true })
  assert.equal((await run('restore', at('a.tar'))).code, 0)
  assert.equal((await run('keys', 'list')).stdout, kids)
  assert.equal(lstatSync(at('state/keys/succession.key')).isFile(), true)
  assert.equal(readFileSync(at('state/secrets/wiki'), 'utf8'), 'a secret of sixteen')
})

test('a key with the longest name that "keys import" takes is in a backup, for tar too, and comes back with it', async (t) => {
  const { directory, run, serve } = await install(t)
  await (await serve()).end()
  const at = (name: string) => join(directory, name)
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  const kids = ['a'.repeat(64), 'b'.repeat(100), 'c'.repeat(101)]
  for (const [index, kid] of kids.entries()) {
    writeFileSync(at('own.jwk'), JSON.stringify({ ...jwk, kid }), { mode: 0o600 })
    assert.equal((await run('keys', 'import', at('own.jwk'), '--now')).code, index < 2 ? 0 : 1, kid)
  }
  const listed = (await run('keys', 'list')).stdout
  const made = await run('backup', at('a.tar'))
  assert.deepEqual([made.code, made.stderr], [0, ''])
  mkdirSync(at('unpacked'))
  execFileSync('tar', ['-xf', at('a.tar'), '-C', at('unpacked')])
  execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: at('unpacked') })
  rmSync(at('state'), { recursive: true })
  const restored = await run('restore', at('a.tar'))
  assert.deepEqual([restored.code, restored.stderr], [0, ''])
  assert.equal((await run('keys', 'list')).stdout, listed)
  assert.match(listed, /^b{100} /m)
})

test('a backup that is not encrypted is not restored where what opens it is given: it may have been put in the place of one that is', async (t) => {
  const { directory, run, serve } = await install(t)
  const daemon = await serve()
  const at = (name: string) => join(directory, name)
  writeFileSync(at('passphrase'), 'four words of nonsense\n', { mode: 0o600 })
  assert.equal((await run('backup', at('a.tar'))).code, 0)
  await daemon.end()
  const { code, stderr } = await run('restore', at('a.tar'), '--replace', '--passphrase-file', at('passphrase'))
  assert.deepEqual([code, /a\.tar is not encrypted, though what opens it was given/.test(stderr)], [1, true], stderr)
  assert.equal((await run('restore', at('a.tar'), '--replace')).code, 0)
})

test('a backup of a state without keys says so: nobody can tell where they are', async (t) => {
  const { directory, run, serve } = await install(t)
  await (await serve()).end()
  rmSync(join(directory, 'state/keys'), { recursive: true })
  const { code, stdout } = await run('backup', join(directory, 'a.tar'))
  assert.deepEqual([code, /There are no signing keys in the state directory, so none are in it\./.test(stdout)], [0, true], stdout)
})

test('an encrypted backup says nothing, and is opened by its passphrase or identity only', async (t) => {
  const installation = await install(t)
  const { directory, serve, run } = installation
  const daemon = await serve()
  const at = (name: string) => join(directory, name)
  writeFileSync(at('passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
  writeFileSync(at('wrong'), 'correct horse battery stable\n', { mode: 0o600 })
  const { stdout: recipient } = await meshidp(t, ['backup', 'keygen', at('identity')]).ended
  assert.match(recipient, /^age1[a-z0-9]{58}\n$/)
  assert.equal(statSync(at('identity')).mode & 0o777, 0o600)
  await meshidp(t, ['backup', 'keygen', at('other')]).ended
  writeFileSync(at('recipients'), `# of the office\n${recipient}`)

  assert.match((await run('backup', at('a.age'), '--passphrase-file', at('passphrase'))).stdout, /, encrypted\.\n$/)
  assert.match((await run('backup', at('b.age'), '--recipient-file', at('recipients'))).stdout, /, encrypted\.\n$/)
  for (const name of ['a.age', 'b.age']) {
    const text = readFileSync(at(name), 'latin1')
    assert.match(text, /^age-encryption\.org\/v1\n/)
    assert.doesNotMatch(text, /SQLite format|"kty"|manifest/)
  }
  await daemon.end()

  for (const options of [[], ['--passphrase-file', at('wrong')], ['--identity-file', at('identity')]]) {
    const refused = await run('restore', at('a.age'), '--replace', ...options)
    assert.deepEqual([refused.code, /is encrypted|cannot be opened with/.test(refused.stderr)], [1, true], refused.stderr)
  }
  assert.match((await run('restore', at('b.age'), '--replace', '--identity-file', at('other'))).stderr, /cannot be opened with/)
  assert.equal((await run('restore', at('a.age'), '--replace', '--passphrase-file', at('passphrase'))).code, 0)
  assert.equal((await run('restore', at('b.age'), '--replace', '--identity-file', at('identity'))).code, 0)

  writeFileSync(at('short'), 'short\n', { mode: 0o600 })
  assert.match((await run('backup', at('c.age'), '--passphrase-file', at('short'))).stderr, /12 characters at least/)
  writeFileSync(at('open'), 'correct horse battery staple\n', { mode: 0o644 })
  assert.match((await run('backup', at('c.age'), '--passphrase-file', at('open'))).stderr, /can be read by others/)
  assert.equal(existsSync(at('c.age')), false)
})

test('what was taken for a recipient is never repeated: it may be the identity, or a passphrase; no backup is made', async (t) => {
  const installation = await install(t)
  const { directory, serve, run } = installation
  await (await serve()).end()
  const at = (name: string) => join(directory, name)
  await meshidp(t, ['backup', 'keygen', at('identity')]).ended
  writeFileSync(at('passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
  for (const [name, words] of [
    ['identity', /^meshidp: \S+ holds an identity, which opens backups .*\n$/],
    ['passphrase', /^meshidp: \S+: no\. 1 of its recipients is none, for one looks like age1….\n$/],
  ] as const) {
    const { code, stdout, stderr } = await run('backup', at('x.age'), '--recipient-file', at(name))
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, words)
    assert.deepEqual(
      readdirSync(directory).filter((one) => one.includes('x.age')),
      [],
    )
  }
})

test('a backup that is damaged, cut short or something else is refused, wherever it is hurt, and the state stays as it is [threats 463]', async (t) => {
  const installation = await install(t, { policy })
  const { directory, serve, run } = installation
  const daemon = await serve()
  const alice = installation.at('127.0.0.2')
  await redeem(alice, await codeFor(alice))
  const file = join(directory, 'good.tar')
  await run('backup', file)
  await daemon.end()
  const good = readFileSync(file)
  const state = () => readdirSync(stateOf(installation)).sort().join(' ')
  const before = state()
  const hurt = join(directory, 'hurt.tar')
  const refused = async (what: string) => {
    const { code, stderr } = await run('restore', hurt, '--replace')
    assert.deepEqual(
      [code, /^meshidp: (?:This backup cannot be used|This backup has no|.* is no backup)/.test(stderr)],
      [1, true],
      `${what}: ${stderr}`,
    )
    assert.equal(state(), before, what)
  }
  const keyAt = good.indexOf('"kty"')
  for (const at of [3, 600, 1100, Math.floor(good.length / 2), keyAt, good.length - 1600]) {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    writeFileSync(hurt, bytes)
    await refused(`a bit at ${at}`)
  }
  writeFileSync(hurt, good)
  truncateSync(hurt, good.length - 3000)
  await refused('cut short')
  writeFileSync(hurt, 'a letter')
  await refused('a letter')
  execFileSync('tar', ['-cf', hurt, '--format=ustar', '-C', directory, 'policy.hujson'])
  await refused('another archive')
})
