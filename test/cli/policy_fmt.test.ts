/** `meshidp policy fmt` and `schema`, on real files. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '../../src/cli/command.ts'
import { written } from '../support/policy_command.ts'
import { printed } from '../support/printed.ts'
import { meshidp, program } from '../support/program.ts'

const untidy = '{"groups": {"group:a":["a@example.com"], // at night\n}}'
const tidy = '{\n  "groups": {\n    "group:a": ["a@example.com"], // at night\n  }\n}\n'

test('policy fmt: prints the file laid out, --check only says whether it is, --write changes it in one step', async (t) => {
  const file = written(t, untidy)
  chmodSync(file, 0o640)
  const link = join(dirname(file), 'link.hujson')
  symlinkSync('policy.hujson', link)

  assert.deepEqual(await meshidp(t, ['policy', 'fmt', file]).ended, { code: 0, signal: null, stdout: tidy, stderr: '' })
  const before = await printed(['policy', 'fmt', link, '--check'])
  assert.equal(before.code, 1)
  assert.equal(before.stderr, `${link}:1: laid out otherwise. Mend it with: meshidp policy fmt ${link} --write\n`)
  assert.equal(readFileSync(file, 'utf8'), untidy)

  assert.deepEqual(await printed(['policy', 'fmt', link, '--write']), { code: 0, stdout: '', stderr: '' })
  assert.equal(readFileSync(file, 'utf8'), tidy)
  assert.equal(statSync(file).mode & 0o777, 0o640)
  assert.deepEqual(readdirSync(dirname(file)).sort(), ['link.hujson', 'policy.hujson'])
  assert.equal((await printed(['policy', 'fmt', link, '--check'])).code, 0)
  const { ino } = statSync(file)
  assert.equal((await printed(['policy', 'fmt', file, '--write'])).code, 0)
  assert.equal(statSync(file).ino, ino, 'a file that is laid out so is left alone')
})

test('policy fmt --check: for GitHub Actions a note at the line, for programs JSON', async (t) => {
  const file = written(t, untidy)
  const github = await printed(['policy', 'fmt', file, '--check', '--format', 'github'])
  assert.deepEqual([github.code, github.stderr], [1, ''])
  assert.match(
    github.stdout,
    /^::error file=.*policy\.hujson,line=1,col=1,title=meshidp policy::This is laid out otherwise\. Mend it with: meshidp policy fmt /,
  )
  const json = await printed(['policy', 'fmt', file, '--check', '--json'])
  assert.deepEqual([json.code, JSON.parse(json.stdout)], [1, { file, ok: false, line: 1 }])
  const good = written(t, tidy)
  assert.deepEqual(await printed(['policy', 'fmt', good, '--check', '--format', 'github']), { code: 0, stdout: '', stderr: '' })
  assert.equal(JSON.parse((await printed(['policy', 'fmt', good, '--check', '--json'])).stdout).ok, true)
})

test('policy fmt: standard input, and what it cannot do', async (t) => {
  const run = spawnSync(process.execPath, [program, 'policy', 'fmt', '-'], { input: untidy, encoding: 'utf8' })
  assert.deepEqual([run.status, run.stdout], [0, tidy])
  const file = written(t, '{ "a": 1,, }')
  const bad = await printed(['policy', 'fmt', file, '--write'])
  assert.deepEqual([bad.code, bad.stdout, readFileSync(file, 'utf8')], [2, '', '{ "a": 1,, }'])
  assert.match(bad.stderr, /policy\.hujson:1:10: .*\n.*\n.*\^\n/)
  for (const words of [['-', '--write'], [file, '--write', '--check'], [file, '--json'], []])
    await assert.rejects(printed(['policy', 'fmt', ...words]), UsageError)
  await assert.rejects(printed(['policy', 'fmt', '/nowhere/policy.hujson']), { name: 'Unusable' })
})

test('policy schema: prints what policy/policy.schema.json holds', async () => {
  const { code, stdout } = await printed(['policy', 'schema'])
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), JSON.parse(readFileSync(new URL('../../policy/policy.schema.json', import.meta.url), 'utf8')))
})
