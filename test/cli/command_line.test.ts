import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { suite, test } from 'node:test'
import { ask, Refused } from '../../src/cli/ask.ts'
import { UsageError } from '../../src/cli/command.ts'
import { commands } from '../../src/cli/index.ts'
import { parseConfig } from '../../src/config.ts'
import { printed } from '../support/printed.ts'
import { install, meshidp, program, spawned } from '../support/program.ts'
import { start, temporaryDirectory } from '../support/start.ts'

/** Runs a command line in this process; resolves with what it printed. */
async function said(argv: readonly string[], columns?: number): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await printed(argv, { columns })
  return { code, text: stdout + stderr }
}

test('every command says what it does, what may follow it, and each of its options', async () => {
  const { code, text } = await said(['--help'])
  assert.equal(code, 0)
  for (const [name, { summary, options }] of commands) {
    assert.ok(text.includes(`  ${name}`) && text.includes(summary), name)
    for (const help of ['--help', '-h']) {
      const own = await said([...name.split(' '), help])
      assert.equal(own.code, 0)
      assert.ok(own.text.startsWith(`Usage: meshidp ${name}`), name)
      for (const option of Object.keys(options)) assert.ok(own.text.includes(`--${option}`), option)
    }
  }
  assert.deepEqual(await said([]), { code: 2, text })
  const together = await said(['policy', '--help'])
  assert.equal(together.code, 0)
  assert.match(together.text, /^Usage: meshidp policy COMMAND .*\n\n {2}policy check +whether .*\n {2}policy test +run/s)
  assert.match((await said(['--version'])).text, /^\d+\.\d+\.\d+\n$/)
})

test('a command line that is not understood is never half obeyed: a sentence, and where to read more', async () => {
  for (const [argv, words] of [
    [['frobnicate'], /^There is no command "frobnicate"\. See: meshidp --help$/],
    [['--frobnicate'], /^There is no option "--frobnicate"\. See: meshidp --help$/],
    [['constructor'], /^There is no command "constructor"\./],
    [['serve', '--frobnicate'], /^Unknown option '--frobnicate'\. See: meshidp serve --help$/],
    [['serve', '--lisen-port', '1'], /^Unknown option '--lisen-port'\. Did you mean "--listen-port"\? See: meshidp serve --help$/],
    [['decisons', 'list'], /^There is no command "decisons"\. Did you mean "decisions"\? See: meshidp --help$/],
    [['serve', '--config'], /^Option '--config <value>' argument missing\. See: meshidp serve --help$/],
    [['serve', '--config', 'one', '--config', 'two'], /^--config is there twice; say it once\.$/],
    [['backup', ''], /^Say where: meshidp backup FILE \| DIRECTORY$/],
    [['restore', ''], /^Say which: meshidp restore FILE$/],
    [['serve', 'now'], /^"now" means nothing after "meshidp serve"\. See: meshidp serve --help$/],
    [['status', 'now'], /^"now" means nothing after "meshidp status"\./],
    [['policy'], /^Say which: meshidp policy check \| test/],
    [['policy', 'frobnicate'], /^Say which: meshidp policy check \| test/],
    [['policy', 'check'], /^Say: meshidp policy check FILE$/],
    [['policy', 'check', 'one', 'two'], /^Say: meshidp policy check FILE$/],
    [['policy', 'check', 'one', '--format', 'xml'], /^--format must be text, json, github, not xml\.$/],
    [['policy', 'check', 'one', '--json', '--format', 'github'], /^--json and --format github exclude each other\.$/],
    [['clients'], /^Say which: meshidp clients list \| show CLIENT_ID \| revoke CLIENT_ID$/],
    [['clients', 'toString'], /^Say which: /],
    [['clients', 'show'], /^Say: meshidp clients show CLIENT_ID$/],
    [['tokens', 'initial'], /^Say which: meshidp tokens trace ID \| revoke ID \| initial create \| initial list \| initial revoke ID$/],
    [['tokens', 'create'], /^Say which: /],
    [['tokens', 'initial', 'create'], /^Say --for WHO: whose it is/],
    [['tokens', 'initial', 'create', '--for', '*', '--uses', '0'], /^--uses must be a number from 1 to 1000, not 0\.$/],
    [
      ['tokens', 'initial', 'create', '--for', '*', '--expires', '2y'],
      /^--expires must be a time such as 90s, 15m, 12h or 30d, of a year at the most, not 2y\.$/,
    ],
    [['tokens', 'initial', 'create', '--for', '*', '--expires', '367d'], /^--expires must be a time/],
    [['authorizations', 'revoke', 'one', 'two'], /^Say: meshidp authorizations revoke ID$/],
    [['decisions', 'list', '--limit', 'many', '--config', '/dev/null'], /^--limit must be a number from 1 to 1000, not many\.$/],
    [['decisions', 'list', '--limit', '1001', '--config', '/dev/null'], /^--limit must be a number from 1 to 1000, not 1001\.$/],
    [['dev', '--port', 'http'], /^--port must be a number from 1 to 65534, not http\.$/],
  ] as const)
    await assert.rejects(said(argv), (error: Error) => {
      assert.ok(error instanceof UsageError, error.stack)
      assert.match(error.message, words)
      return true
    })
})

test('an admin makes an initial access token, sees it once, and finds it in a list until it is revoked', async (t) => {
  const { configFile } = await start(t)
  const run = (...argv: string[]) => said(['tokens', 'initial', ...argv, '--config', configFile]).then(({ text }) => text)
  const made = await run('create', '--for', 'alice@example.com', '--uses', '3', '--expires', '12h')
  const [, id = ''] = /^Initial access token (\w{26}), for alice@example\.com: 3 times, until 20/m.exec(made) ?? []
  assert.match(made, /^mii_[\w-]{43}\n/)
  const list = await run('list')
  assert.match(list, new RegExp(`^${id} {2}alice@example\\.com {2}0 of 3 {2}20\\S+ \\S+ {2}good$`, 'm'))
  assert.equal(list.includes('mii_'), false)
  assert.match(await run('revoke', id), /registers nothing any more/)
  assert.match(await run('list'), / {2}revoked$/m)
})

test('where a terminal is narrower than a table, the last column stands below the others, in lines that fit', async (t) => {
  const { mallory, configFile } = await start(t)
  for (let times = 0; times < 2; times++) await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  const wide = await said(['decisions', 'list', '--config', configFile])
  assert.equal(wide.text.split('\n').length, 3, 'one line for each decision, for programs that read lines')
  const { text } = await said(['decisions', 'list', '--config', configFile], 100)
  const [head = '', why = '', row = '', ...below] = text.trimEnd().split('\n')
  assert.match(head, /^DECISION +WHEN +OUTCOME +AT +WHO +CLIENT$/)
  assert.equal(why, '    WHY OR WHAT')
  assert.match(row, / denied +register +mallory@other\.com +–$/)
  assert.ok(below.length > 1 && below.every((line) => line.startsWith('    ') && line.length <= 100), text)
  const sentence = below.map((line) => line.trim()).join(' ')
  assert.match(sentence, /^mallory@other\.com may not register software here\. .*\.$/)
  assert.ok(wide.text.includes(sentence))
})

test('"service install" refuses another configuration than the one that the service reads', async (t) => {
  const { configFile } = await start(t)
  // The program is refused after that, so that nothing is written on this machine whatever comes of this.
  const install = (...more: string[]) => said(['service', 'install', '--program', 'not absolute', ...more])
  const words = (rest: string) => ({ name: 'Refused', message: `The service reads /etc/meshidp/config.hujson, ${rest}` })
  await assert.rejects(install('--config', configFile), words(`not ${configFile}. Put it there first.`))
  await assert.rejects(install('--dry-run', '--config', configFile), /--program must be an absolute path/)
})

test('"service install" says which places its unit hides from the service, or lets it not write, and what to do', async (t) => {
  const { configFile } = await start(t)
  const dry = async (program: string, ...more: string[]) => {
    const { code, stderr } = await meshidp(t, ['service', 'install', '--dry-run', '--program', program, '--config', configFile, ...more])
      .ended
    assert.equal(code, 0)
    return stderr.trimEnd().split('\n')
  }
  const good = [
    '--state-directory',
    '/var/lib/meshidp',
    '--runtime-directory',
    '/run/meshidp',
    '--policy-file',
    '/etc/meshidp/policy.hujson',
  ]
  assert.deepEqual(await dry('/usr/local/bin/meshidp', ...good), [''])
  const bad = ['--state-directory', '/srv/meshidp', '--runtime-directory', '/run/meshidp-2', '--policy-file', '/root/policy.hujson']
  assert.deepEqual(await dry('/home/alice/meshidp', ...bad, '--secrets-directory', 'home', '--metrics-listen', '/srv/m.sock'), [
    'meshidp: By itself this would not work as a service.',
    '  The service sees nothing below /home, /root, /run/user, /tmp, /var/tmp, and its program is /home/alice/meshidp. Copy it to /usr/local/bin/meshidp, and run this with that one.',
    '  The service does not see /root/policy.hujson ("policy_file"). Put it into /etc/meshidp.',
    '  The service does not see /home ("secrets_directory"). Put it into /etc/meshidp.',
    '  The service may not write in /srv/meshidp ("state_directory"). Say a place in /var/lib/meshidp.',
    '  The service may not write in /run/meshidp-2 ("runtime_directory"). Say a place in /run/meshidp.',
    '  The service may not write in /srv/m.sock ("metrics.listen"). Say a place in /run/meshidp.',
  ])
})

test('what the mesh calls its people paints no terminal and moves no cursor, in no table and no record', async (t) => {
  const { mesh, mallory, configFile } = await start(t)
  mesh.change({ people: { 'mallory@other.com': { name: '\u001b[31m\u009b2J\u202eMallory' } } })
  await mallory.send('/register', { json: { redirect_uris: ['http://127.0.0.1/cb'] } })
  const [, id = ''] = /^(\w{26}) /m.exec((await said(['decisions', 'list', '--config', configFile])).text) ?? []
  const { text } = await said(['decisions', 'show', id, '--config', configFile])
  assert.match(text, /Mallory/)
  assert.doesNotMatch(text, /[^\P{Cc}\n]|\p{Bidi_Control}/u)
})

suite('as a process', { concurrency: true }, () => {
  test('what cannot be written is a sentence and exit code 1, not half a file that passes for whole', async (t) => {
    const { code, stderr } = await meshidp(t, ['--help'], { under: ['sh', '-c', 'exec "$0" "$@" > /dev/full'] }).ended
    assert.deepEqual([code, stderr], [1, 'meshidp: Not all could be written to standard output: ENOSPC: no space left on device, write.\n'])
  })

  test('"decisions tail" ends when nobody reads along any more', async (t) => {
    const { alice, configFile } = await start(t)
    await alice.register()
    const tail = meshidp(t, ['decisions', 'tail', '--config', configFile], { under: ['sh', '-c', '"$0" "$@" | head -n 1'] })
    await tail.says(/alice@example\.com/)
    await alice.register()
    const { stdout, stderr } = await tail.ended
    assert.deepEqual([stdout.split('\n').length, stderr], [2, ''])
  })

  test('what the machine refuses is a sentence, with no stack', async (t) => {
    const { run, directory } = await install(t)
    for (const [command, words] of [
      ['import', /^meshidp: \S+ is no file\.\n$/],
      ['restore', /^meshidp: \S+ cannot be read: it is no file\.\n$/],
    ] as const) {
      const { code, stderr } = await run(command, directory)
      assert.equal(code, 1)
      assert.match(stderr, words)
    }
    writeFileSync(join(directory, 'state'), '')
    const { code, stderr } = await run('backup', join(directory, 'x.tar'))
    assert.equal(code, 1)
    assert.match(stderr, /^meshidp: \S.*\n$/)
  })

  test('what is not understood goes to standard error, with exit code 2', async (t) => {
    const ended = await meshidp(t, ['frobnicate']).ended
    assert.deepEqual(ended, {
      code: 2,
      signal: null,
      stdout: '',
      stderr: 'meshidp: There is no command "frobnicate". See: meshidp --help\n',
    })
  })

  test('no configuration anywhere: the places that were looked at, and what to do', {
    skip: existsSync('/etc/meshidp') && 'there is one here',
  }, async (t) => {
    const { code, stderr } = await meshidp(t, ['status'], { cwd: temporaryDirectory(t), env: { MESHIDP_CONFIG: undefined } }).ended
    assert.equal(code, 2)
    assert.match(
      stderr,
      /^meshidp: There is no configuration at \/etc\/meshidp\/config\.hujson nor at \.dev\/config\.hujson\. Name one with --config FILE/,
    )
  })

  test('a Node that is too old says so in words, before it meets the first type', async (t) => {
    const old = (process.env.PATH ?? '')
      .split(delimiter)
      .filter((folder) => !folder.includes('node_modules'))
      .map((folder) => join(folder, 'node'))
      .find((node) => existsSync(node) && isTooOld(node))
    if (old === undefined) return t.skip('no Node before 22.19 is on the PATH of this machine')
    const { code, stdout, stderr } = await spawned(t, old, [program, 'status']).ended
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^meshidp needs Node ≥ 22\.19; this is Node \d+\.\d+\.\d+\. In a checkout, "npm start" brings its own\.\n$/)
  })
})

function isTooOld(node: string): boolean {
  const [major = 0, minor = 0] = execFileSync(node, ['--version'], { encoding: 'utf8' }).slice(1).split('.').map(Number)
  return major < 22 || (major === 22 && minor < 19)
}

test('a control socket that does not answer as it should: sentences, for whoever typed the command', async (t) => {
  const { configFile, serve } = await install(t)
  const config = parseConfig(readFileSync(configFile, 'utf8'))
  const refused = (words: RegExp) =>
    assert.rejects(ask(config, 'status', {}, undefined), (error: Error) => {
      assert.ok(error instanceof Refused, error.stack)
      assert.match(error.message, words)
      return true
    })
  await serve()
  const socket = join(config.runtime_directory, 'control.sock')
  rmSync(socket)
  await refused(
    /^A daemon uses .*\/state, but has no control socket in .*\/run\. It is starting or stopping just now, or has another "runtime_directory"\.$/,
  )

  const silent = createServer((connection) => connection.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n'))
  await new Promise<void>((done) => silent.listen(socket, done))
  t.after(() => silent.close())
  await refused(/^The daemon behind .*\/control\.sock did not answer: .*\. Its log may say why\.$/)
})
