import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** One of each kind; the chain of refresh tokens begins with a code flow. */
const workloads = ['discovery', 'refresh', 'introspect_first', 'register']
const main = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))

const bench = async (directory: string, ...options: string[]) => {
  const brief = ['--json', '--seconds', '0.1', '--warmup', '0', '--directory', directory, ...options]
  const { stdout } = await promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...brief])
  return JSON.parse(stdout)
}

test('the benchmark drives all servers without an error, also with rows in the database, and tells what each signs with', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'bench-test-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const few = ['--connections', '2', '--starts', '0', '--rows', '2000', '--workload', workloads.join()]
  const { servers, ratios, failures } = await bench(directory, ...few)
  assert.deepEqual(failures, [])
  const others = ['oidc-provider', 'oidc-provider-sqlite', 'meshidp-full']
  assert.deepEqual(Object.keys(ratios), others)
  for (const name of others) assert.deepEqual(Object.keys(ratios[name]), workloads)
  assert.deepEqual(
    servers.map(({ name }: { name: string }) => name),
    ['meshidp', ...others],
  )
  assert.match(servers.at(-1).filled, /^2,000 refresh tokens of 200 clients,/)
  for (const { name, signatures, workloads: measured } of servers) {
    assert.equal(signatures, 'access tokens ES256 (P-256), ID tokens RS256 (2048 bits), also at a refresh')
    for (const workload of workloads) assert.equal(measured[workload].first_error, null, `${name}, ${workload}`)
  }
})

test('under a flood each stranger is counted by itself, lands nowhere, and no operation of others fails', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'bench-test-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const { strangers, targets, memory_peak } = await bench(directory, '--flood', '--seconds', '0.5')
  assert.deepEqual(Object.keys(strangers), ['of another domain', 'unknown to whois', 'unknown, reconnecting'])
  for (const what of Object.keys(strangers)) {
    const [round] = strangers[what].rounds
    for (const { workload, operations, errors, first_error } of strangers[what].shares)
      assert.deepEqual([operations > 0, errors, first_error], [true, 0, null], `${what}, ${workload}`)
    const { due, sent, answered, statuses } = round.flood // how many, depends on what else the machine does: the stranger gives way
    assert.ok(due >= sent && sent >= answered, what)
    for (const status of Object.keys(statuses)) assert.ok(['429', '403', '401', '303'].includes(status), `${what}: ${status}`)
  }
  assert.equal(targets.length, 7)
  assert.ok(memory_peak > 50)
})
