/** `meshidp policy check` and `test`: what they print, in every form, and with which exit code. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { examplePolicy } from '../../src/cli/dev.ts'
import { written } from '../support/policy_command.ts'
import { printed } from '../support/printed.ts'
import { meshidp, program, spawned } from '../support/program.ts'

const misspelt = `{
  "groups": { "group:eng": ["alice@example.com"] },
  "grants": [{ "src": ["group:egn"], "app": { "admin": [{ "access": "read" }] } }],
}
`

const failing = `{
  "groups": { "group:eng": ["alice@example.com"] },
  "grants": [{ "src": ["group:eng"], "app": { "admin": [{ "access": "write" }] } }],
  "tests": [
    { "src": "alice@example.com", "app": "admin", "accept": ["write"] },
    { "src": "bob@example.com", "app": "admin", "accept": ["read"], "deny": ["write"] },
  ],
}
`

test('policy check: a good file is usable, with what only the daemon can check; exit code 0', async () => {
  const { code, stdout, stderr } = await printed(['policy', 'check', examplePolicy])
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /policy\/example\.hujson is usable: 3 resources, 4 clients, 15 tests, no warnings\.\n/)
  assert.match(stdout, /Not checked here: whether the daemon has the secrets grafana, wiki-server, notes-server\.\n$/)
})

test('policy check: a star is said to be other than that of a tailnet policy', async (t) => {
  const { code, stdout } = await printed(['policy', 'check', written(t, '{ "grants": [{ "src": ["*"], "app": { "register": [{}] } }] }')])
  assert.equal(code, 0)
  assert.match(
    stdout,
    /no warnings\.\n"\*" is the people of this tailnet here: never tagged nodes, nor whoever is shared in, unlike in a tailnet policy\.\n$/,
  )
})

test('policy check: a grant that has expired is warned of', async (t) => {
  const grant = `{ "src": ["*"], "app": { "register": [{}] }, "expires": "2020-01-31" }`
  const { code, stdout } = await printed(['policy', 'check', written(t, `{ "grants": [${grant}] }`)])
  assert.equal(code, 0)
  assert.match(stdout, /:1:70: warning: Grant 1 has expired \(2020-01-31\)/)
})

test('policy check: a problem is FILE:LINE:COLUMN, a sentence, and the line with a caret; exit code 1 [threats 376]', async (t) => {
  const file = written(t, misspelt)
  const { code, stdout } = await meshidp(t, ['policy', 'check', file]).ended
  assert.equal(code, 1)
  assert.equal(
    stdout,
    `${file}:3:24: "group:egn" is not defined. Did you mean "group:eng"?
  3 │   "grants": [{ "src": ["group:egn"], "app": { "admin": [{ "access": "read" }] } }],
    │                        ^

${file}: 1 problem, no warnings.
`,
  )
})

test('policy check: what cannot be read, and what is no command line, is exit code 2, and never half an answer [threats 374]', async (t) => {
  const runs = [['/nowhere/policy.hujson'], ['/tmp'], [], ['one', 'two'], ['one', '--format', 'xml']]
  const ends = await Promise.all(runs.map((words) => meshidp(t, ['policy', 'check', ...words]).ended))
  for (const { code, stdout, stderr } of ends) {
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /^meshidp: .*\n$/)
  }
  assert.match(ends[0]?.stderr ?? '', /^meshidp: \/nowhere\/policy\.hujson cannot be read: ENOENT/)
})

test('policy check: FILE - is standard input, byte order mark and all [threats 374]', () => {
  const checked = (input: Buffer | string) =>
    spawnSync(process.execPath, [program, 'policy', 'check', '-'], { input, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } })
  const good = checked('{}')
  assert.deepEqual([good.status, good.stdout], [0, '<stdin> is usable: no resources, no clients, no tests, no warnings.\n'])
  const marked = checked('\uFEFF{}')
  assert.equal(marked.status, 1)
  assert.match(marked.stdout, /^<stdin>:1:1: The file starts with a byte order mark/)
  assert.match(checked(Buffer.from([0x7b, 0xff, 0x7d])).stdout, /^<stdin>:1:2: Something here is not UTF-8/)
})

test('policy check --json: every problem with its place; no word besides', async (t) => {
  const file = written(t, misspelt)
  const { code, stdout } = await printed(['policy', 'check', file, '--json'])
  assert.equal(code, 1)
  assert.deepEqual(JSON.parse(stdout), {
    file,
    ok: false,
    hash: null,
    problems: [{ line: 3, column: 24, severity: 'error', message: '"group:egn" is not defined.', hint: 'Did you mean "group:eng"?' }],
    tests: 0,
    notes: [],
    not_checked: [],
  })
  const good = JSON.parse((await printed(['policy', 'check', examplePolicy, '--format', 'json'])).stdout)
  assert.deepEqual([good.ok, good.hash.length, good.problems, good.tests], [true, 64, [], 15])
})

test('policy check --format github: workflow commands, escaped so that a file can neither end one nor begin another', async (t) => {
  const policy =
    '{ "groups": { "group:100%": ["a%\\n::error::b"] },\n"grants": [{ "src": ["*"], "app": { "admin": [{ "access": "write" }] } }] }'
  const file = written(t, policy, 'a,b:c%.hujson')
  const { code, stdout } = await printed(['policy', 'check', file, '--format', 'github'])
  assert.equal(code, 1)
  const [error = '', warning = '', last, ...none] = stdout.trimEnd().split('\n')
  const name = file.replace('a,b:c%.hujson', 'a%2Cb%3Ac%25.hujson')
  assert.ok(error.startsWith(`::error file=${name},line=1,col=30,title=meshidp policy::"a%25\\n::error::b" is no selector`), error)
  assert.ok(warning.startsWith(`::warning file=${name},line=2,col=59,title=meshidp policy::"*" is everybody`), warning)
  assert.match(last ?? '', /: 1 problem, 1 warning\.$/)
  assert.deepEqual(none, [])
})

test('policy check: colours on a terminal only, and not where NO_COLOR forbids them; a long line is cut around the caret', async (t) => {
  const long = `{ "grants": [${'{ "src": ["tag:ci"], "app": { "register": [{}] } }, '.repeat(20)}{ "src": ["group:egn"], "app": { "register": [{}] } }] }`
  const file = written(t, long)
  const run = (env: Record<string, string>, columns: number) =>
    printed(['policy', 'check', file], { interactive: true, columns, env }).then(({ stdout }) => stdout)
  const [painted, plain, dumb] = await Promise.all([run({}, 80), run({ NO_COLOR: '1' }, 80), run({ TERM: 'dumb' }, 80)])
  assert.ok(painted.includes('\u001b[31m'))
  assert.equal(stripVTControlCharacters(painted), plain)
  assert.equal(dumb, plain)
  for (const columns of [30, 80, 200]) {
    const [, line = '', caret = ''] = (await run({ NO_COLOR: '1' }, columns)).split('\n')
    assert.ok(line.length <= columns && line.includes('…'), line)
    assert.ok(line.slice(caret.indexOf('^')).startsWith('"gro'), `${line}\n${caret}`)
  }
})

test('policy check: nothing in the file can move the cursor, paint, or turn the direction of writing; wide letters keep the caret in place', async (t) => {
  const file = written(t, '{\t"grants": [ /* \u001b]0;x\u0007 \u200f 漢字 */ 7 ] }')
  const { stdout } = await printed(['policy', 'check', file])
  const [, line = '', caret = ''] = stdout.split('\n')
  for (const sign of ['\u001b', '\u0007', '\u200f']) assert.ok(!stdout.includes(sign))
  assert.equal(line, '  1 │ { "grants": [ /* \uFFFD]0;x\uFFFD \uFFFD 漢字 */ 7 ] }')
  assert.equal(caret.indexOf('^'), line.indexOf('7') + 2, 'each of the two takes two places')

  const turned = (await printed(['policy', 'check', written(t, '{ /* \u202e */ "grants": 7 }')])).stdout.split('\n')
  assert.deepEqual(turned.slice(1, 3), ['  1 │ { /* \uFFFD */ "grants": 7 }', '    │      ^'])
})

test('policy check: a file without end is too large, and of very many problems the first are shown [threats 374]', async (t) => {
  const endless = await meshidp(t, ['policy', 'check', '/dev/zero']).ended
  assert.equal(endless.code, 1)
  assert.match(endless.stdout, /^\/dev\/zero:1:1: The file is larger than 8 MiB\./)
  const grants = Array.from({ length: 300 }, (_, i) => `{ "src": ["group:x${i}"], "app": { "register": [{}] } }`)
  const { stdout } = await printed(['policy', 'check', written(t, `{ "grants": [${grants.join(',\n')}] }`)])
  assert.match(stdout, /policy\.hujson: the first 100 problems, no warnings\.\n$/)
})

test('whoever reads only the first lines ends nothing but the reading', async (t) => {
  const groups = Array.from({ length: 20_000 }, (_, i) => `"group:g${i}": ["alice@example.com"]`)
  const file = written(t, `{ "groups": { ${groups.join(', ')} } }`)
  const { code, stdout, stderr } = await spawned(t, 'sh', ['-c', `"$0" "$1" policy fmt "$2" | head -n 1`, process.execPath, program, file])
    .ended
  assert.deepEqual([code, stdout, stderr.replace(/.*ExperimentalWarning.*\n.*\n/, '')], [0, '{\n', ''])
})

test('colours are for the stream that is a terminal, and not for a file beside it', async (t) => {
  const file = written(t, misspelt)
  const log = `${file}.log`
  const command = `${process.execPath} ${program} policy test ${file} 2> ${log}; ${process.execPath} ${program} policy check ${file}`
  const { stdout } = await spawned(t, 'script', ['-qec', command, '/dev/null'], { env: { TERM: 'xterm', NO_COLOR: undefined } }).ended
  assert.ok(stdout.includes('\u001b[31m'), 'on the terminal')
  assert.ok(stdout.includes(misspelt.split('\n')[2] ?? 'x'), 'which has not said how wide it is')
  assert.match(readFileSync(log, 'utf8'), /policy\.hujson:3:24: "group:egn" is not defined\./)
  assert.ok(!readFileSync(log, 'utf8').includes('\u001b'))
})

test('policy test: letters that are wide on a terminal keep the columns in line', async (t) => {
  const tests = ['漢字@example.com', 'a@example.com'].map((src) => `{ "src": "${src}", "app": "register", "deny": ["dcr"] }`)
  const { stdout } = await printed(['policy', 'test', written(t, `{ "tests": [${tests}] }`)])
  const places = stdout
    .split('\n')
    .slice(1, 3)
    .map((line) => line.indexOf('deny dcr'))
  assert.deepEqual(places, [(places[1] ?? 0) - 2, places[1]])
})

test('policy test: every test with what it expects and what it got; exit code 1 where one fails', async (t) => {
  const file = written(t, failing)
  const { code, stdout } = await meshidp(t, ['policy', 'test', file]).ended
  assert.equal(code, 1)
  assert.equal(
    stdout,
    `        LINE  TEST                     EXPECTED      GOT
ok      5     alice@example.com admin  accept write  given, by grant 1
FAILED  6     bob@example.com admin    accept read   denied. bob@example.com is not an admin here. bob@example.com would match grant 1 if in group:eng.
ok      6     bob@example.com admin    deny write    denied. bob@example.com is not an admin here. bob@example.com would match grant 1 if in group:eng.

${file}:6:60: bob@example.com was to be given "read" by "admin", and is not. bob@example.com is not an admin here. bob@example.com would match grant 1 if in group:eng.
  6 │     { "src": "bob@example.com", "app": "admin", "accept": ["read"], "deny": ["write"] },
    │                                                            ^

${file}: 1 test passed, 1 failed.
`,
  )
  const json = JSON.parse((await printed(['policy', 'test', file, '--json'])).stdout)
  assert.deepEqual(
    json.tests[1].expectations.map(({ expected, item, holds, line, column }: Record<string, unknown>) => [
      expected,
      item,
      holds,
      line,
      column,
    ]),
    [
      ['accept', 'read', false, 6, 60],
      ['deny', 'write', true, 6, 78],
    ],
  )
  const github = await printed(['policy', 'test', file, '--format', 'github'])
  assert.match(github.stdout, /^::error file=.*,line=6,col=60,title=meshidp policy::bob@example\.com was to be given "read"/)
})

test('policy test: a file without tests has not been tested, one that does not compile shows why, and one whose tests hold is well', async (t) => {
  const none = await printed(['policy', 'test', written(t, '{}')])
  assert.equal(none.code, 1)
  assert.match(none.stdout, /policy\.hujson holds no tests\.\n$/)
  const bad = await printed(['policy', 'test', written(t, misspelt)])
  assert.deepEqual([bad.code, bad.stdout], [1, ''])
  assert.match(bad.stderr, /policy\.hujson:3:24: "group:egn".*\n.*\n.*\^\n\n.*policy\.hujson is not a usable policy\.\n$/)
  const badJson = await printed(['policy', 'test', written(t, misspelt), '--json'])
  assert.equal(JSON.parse(badJson.stdout).problems[0].line, 3)
  const good = await printed(['policy', 'test', examplePolicy])
  assert.equal(good.code, 0)
  assert.match(good.stdout, /\n\n.*example\.hujson: 15 tests passed, none failed\.\n$/)
  assert.equal(
    good.stdout.match(/^ok /gm)?.length,
    readFileSync(examplePolicy, 'utf8')
      .match(/"(?:accept|deny)": *\[[^\]]*\]/g)
      ?.flatMap((list) => list.split(',')).length,
  )
})
