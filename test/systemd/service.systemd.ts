/** The service under a real systemd: `npm run test:systemd`. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ConfigInput } from '../../src/config.ts'
import { eventually } from '../support/eventually.ts'
import { boot } from './machine.ts'

const config: ConfigInput = {
  issuer: 'https://idp.example.ts.net',
  state_directory: '/var/lib/meshidp',
  runtime_directory: '/run/meshidp',
  policy_file: '/etc/meshidp/policy.hujson',
  policy_watch: false,
  listen: { tls_certificate_file: '/etc/meshidp/tls.crt', tls_key_file: '/etc/meshidp/tls.key' },
  limits: { per_address: { rate: 1e6, burst: 1e6 }, per_principal: { rate: 1e6, burst: 1e6 }, at_once: 1000 },
}
const policy = { grants: [{ src: ['*'], app: { register: [{ max_clients: 1_000_000 }] } }] }

/** Opens more connections than the daemon may have, and each that ends again, for so many milliseconds. */
const connecting = `
const { connect } = require('node:net')
const open = (localAddress) => connect({ host: '100.64.0.1', port: 443, localAddress }).on('error', () => {}).on('close', () => setTimeout(open, 50, localAddress))
for (let n = 0; n < 100; n++) for (const from of ['100.64.0.2', '100.64.0.3']) open(from)
setTimeout(() => process.exit(), Number(process.argv[1]))`

test('meshidp as a service of systemd', async (t) => {
  const { run, sh, etc } = await boot(t)
  const write = (name: string, value: unknown) => writeFileSync(join(etc, name), typeof value === 'string' ? value : JSON.stringify(value))
  write('config.hujson', config)
  write('policy.hujson', policy)
  const show = async (property: string) => (await sh(`systemctl show --value --property=${property} meshidp.service`)).trim()
  const ask = (from: string, to: string, path: string) =>
    run(
      'node',
      '-e',
      `
      const { request } = require('node:https')
      request({ host: ${JSON.stringify(to)}, port: 443, path: ${JSON.stringify(path)}, localAddress: ${JSON.stringify(from)}, rejectUnauthorized: false,
        headers: { host: 'idp.example.ts.net', accept: 'text/html' } }, (answer) => {
        let text = ''
        answer.on('data', (chunk) => (text += chunk)).on('end', () => console.log(answer.statusCode, text))
      }).on('error', (error) => console.log(error.code)).end()`,
    )

  await t.test('"service install --now" makes it: a user of its own, its state, sockets; "systemctl status" says how it is', async () => {
    const installed = await run('meshidp', 'service', 'install', '--now', '--program', '/usr/local/bin/meshidp')
    assert.equal(installed.code, 0, installed.stdout + installed.stderr)
    assert.deepEqual([await show('ActiveState'), await show('User')], ['active', 'meshidp'])
    assert.match(
      await show('StatusText'),
      /^Policy [0-9a-f]{12} is in force, .* Mesh: idp\.example\.ts\.net\. Certificate of files for idp\.example\.ts\.net: ends within a day\. Listening on 100\.64\.0\.1:443\.$/,
    )
    assert.equal((await sh('stat -c "%U %a" /var/lib/private/meshidp /var/lib/meshidp 2>/dev/null || true')).trim(), 'meshidp 700')
    const page = await ask('100.64.0.2', '100.64.0.1', '/')
    assert.match(page.stdout, /^200 [\s\S]*alice@example\.com/)
    const again = await run('meshidp', 'service', 'install', '--program', '/usr/local/bin/meshidp')
    assert.match(again.stdout, /meshidp\.service is as it should be/)
    assert.doesNotMatch(again.stdout, /as it was before/)
  })

  await t.test('every hardening switch that Node can bear: exposure by systemd-analyze at most 1.5', async (t) => {
    const { stdout } = await run('systemd-analyze', 'security', '--no-pager', 'meshidp.service')
    const [, exposure = '10'] = /Overall exposure level for meshidp\.service: ([\d.]+)/.exec(stdout) ?? []
    t.diagnostic(`exposure ${exposure}`)
    assert.ok(Number(exposure) <= 1.5, stdout)
    assert.equal(await show('TimeoutStartUSec'), 'infinity', 'a migration takes as long as the database is large')
    assert.equal(await show('LimitCORE'), '0', 'no dump of its memory: the signing keys are in it')
    const units = ['meshidp.service', 'meshidp.socket', 'meshidp-backup.service', 'meshidp-backup.timer']
    const verified = await run('systemd-analyze', 'verify', ...units.map((unit) => `/etc/systemd/system/${unit}`))
    assert.deepEqual([verified.code, verified.stderr], [0, ''])
  })

  await t.test(
    '"systemctl reload" fails, with the reason, where the policy is not usable, and the status says so; a good one is taken',
    async () => {
      write('policy.hujson', '{ "grants": 1 }')
      const failed = await run('systemctl', 'reload', 'meshidp')
      assert.notEqual(failed.code, 0)
      assert.match(await sh('journalctl --unit=meshidp --no-pager --output=cat'), /policy\.hujson:1:\d+: /)
      assert.match(await show('ActiveState'), /^active$/)
      await eventually('the status says so', async () =>
        /stays in force: .* not usable \(line 1, column \d+\)/.test(await show('StatusText')),
      )
      write('policy.hujson', { ...policy, resources: { 'resource:wiki': { uri: 'https://wiki.example.com/mcp', scopes: ['wiki:read'] } } })
      assert.equal((await run('systemctl', 'reload', 'meshidp')).code, 0)
      await eventually('the status says so', async () => /is in force.* 1 resources/.test(await show('StatusText')))
      assert.equal((await run('systemctl', 'kill', '--kill-who=main', '--signal=HUP', 'meshidp')).code, 0)
      await eventually(
        'loaded by SIGHUP',
        async () => /after SIGHUP/.test(await show('StatusText')) && (await show('ActiveState')) === 'active',
      )
    },
  )

  await t.test('a restart under load: the sockets stay open, and no request fails, though none is repeated', async (t) => {
    const load = run('node', '--disable-warning=ExperimentalWarning', '/opt/meshidp/test/systemd/load.ts', '12')
    for (let times = 0; times < 3; times++) {
      await new Promise((done) => setTimeout(done, 1500))
      await sh('systemctl restart meshidp.service')
    }
    const { stdout, stderr } = await load
    const answers = JSON.parse(stdout || stderr) as Record<string, number>
    t.diagnostic(stdout.trim())
    assert.deepEqual(Object.keys(answers), ['201'])
    assert.ok((answers['201'] ?? 0) > 100)
  })

  await t.test('a daemon whose event loop stands still is killed by the watchdog, and starts anew [threats 503]', async () => {
    await sh(
      'mkdir -p /etc/systemd/system/meshidp.service.d; printf "[Service]\\nWatchdogSec=3\\n" > /etc/systemd/system/meshidp.service.d/test.conf; systemctl daemon-reload; systemctl restart meshidp',
    )
    const before = await show('MainPID')
    await new Promise((done) => setTimeout(done, 7000))
    assert.equal(await show('MainPID'), before, 'one that is well goes on')
    await sh(`kill -STOP ${before}`)
    await eventually(
      'another one',
      async () => {
        const now = await show('MainPID')
        return now !== '0' && now !== before && (await show('ActiveState')) === 'active'
      },
      30_000,
    )
    assert.match(await sh('journalctl --unit=meshidp --no-pager --output=cat'), /Watchdog timeout/)
  })

  await t.test('the watchdog hears of a daemon whose file descriptors are all in use, and lets it live', async () => {
    await sh(
      'printf "[Service]\\nWatchdogSec=3\\nLimitNOFILE=90\\n" > /etc/systemd/system/meshidp.service.d/test.conf; systemctl daemon-reload; systemctl restart meshidp',
    )
    const before = await show('MainPID')
    const flood = run('node', '-e', connecting, '12000')
    const used = async () => Number((await sh(`ls /proc/${before}/fd | wc -l`)).trim())
    let most = 0
    for (let times = 0; times < 20; times++) {
      await new Promise((done) => setTimeout(done, 500))
      most = Math.max(most, await used())
    }
    assert.ok(most >= 89, `${most} of 90 were in use`)
    await flood
    assert.equal(await show('MainPID'), before)
    await eventually('it answers', async () => (await ask('100.64.0.2', '100.64.0.1', '/healthz')).stdout.startsWith('200'))
    await sh('printf "[Service]\\nWatchdogSec=3\\n" > /etc/systemd/system/meshidp.service.d/test.conf; systemctl daemon-reload')
  })

  await t.test('whoever bound it: a connection to an address that is not this node’s in the mesh is closed', async () => {
    await sh(
      'mkdir -p /etc/systemd/system/meshidp.socket.d; printf "[Socket]\\nListenStream=127.0.0.1:443\\n" > /etc/systemd/system/meshidp.socket.d/test.conf; systemctl daemon-reload; systemctl stop meshidp.service; systemctl restart meshidp.socket; systemctl start meshidp.service',
    )
    assert.match(await show('StatusText'), /127\.0\.0\.1:443/)
    assert.match((await ask('100.64.0.2', '127.0.0.1', '/')).stdout, /ECONNRESET|EPIPE/)
    assert.match((await ask('100.64.0.2', '100.64.0.1', '/')).stdout, /^200 /)
  })

  await t.test(
    'where the node has another address the daemon is not ready, and names the command; that command makes it well',
    async () => {
      await sh('ip address add 100.64.0.9/10 dev lo; echo 100.64.0.9 > /run/tailscale/tailscaled.sock.addresses')
      await eventually('it says so', async () => /service install/.test(await show('StatusText')), 30_000)
      const { stdout } = await run('meshidp', 'status')
      assert.match(stdout, /^ready +no/m)
      assert.match(stdout, /Nobody listens on 100\.64\.0\.9:443, .* Run: meshidp service install --now/)
      await sh('rm -r /etc/systemd/system/meshidp.socket.d')
      const service = ['service', 'install', '--program', '/usr/local/bin/meshidp']
      const written = await run('meshidp', ...service)
      assert.match(written.stdout, /What runs is as it was before\. Start it anew: systemctl restart meshidp\.socket meshidp\.service\n$/)
      const anew = await run('meshidp', ...service, '--now')
      assert.match(anew.stdout, /^ {2}systemctl restart meshidp\.socket meshidp\.service$/m)
      assert.equal(anew.code, 0, anew.stderr)
      assert.match((await ask('100.64.0.2', '100.64.0.9', '/readyz')).stdout, /^200 /)
      const before = await show('MainPID')
      const again = await run('meshidp', ...service, '--now')
      assert.equal(again.code, 0, again.stderr)
      assert.equal(await show('MainPID'), before, 'what runs as its files say is left alone')
    },
  )

  await t.test('a backup each night: the timer waits, and what it starts makes one beside the daemon, for its user alone', async () => {
    assert.match(await sh('systemctl list-timers --no-pager meshidp-backup.timer'), /meshidp-backup\.service/)
    const made = await run('systemctl', 'start', 'meshidp-backup.service')
    assert.equal(made.code, 0, await sh('journalctl --unit=meshidp-backup --no-pager --output=cat'))
    assert.match(
      (await sh('stat -c "%U %a %n" /var/lib/meshidp-backup/*')).trim(),
      /^meshidp 600 \/var\/lib\/meshidp-backup\/meshidp-\d{8}T\d{6}Z\.tar$/,
    )
    assert.equal((await sh('stat -c "%U %a" /var/lib/meshidp-backup')).trim(), 'meshidp 700')
    assert.equal(await show('ActiveState'), 'active')
  })

  await t.test(
    'what no restart heals ends: tried ten times, each with one sentence and exit code 1, then failed; repaired, it starts [threats 473]',
    async () => {
      await sh(
        'systemctl stop meshidp.service meshidp.socket; cp /var/lib/meshidp/meshidp.db /root/sound.db; printf "no database" > /var/lib/meshidp/meshidp.db; rm -f /var/lib/meshidp/meshidp.db-*',
      )
      const since = (await sh('date +%s')).trim()
      await run('systemctl', 'start', 'meshidp.service')
      await eventually(
        'it gives up',
        async () => (await show('Result')) === 'start-limit-hit' || (await show('SubState')) === 'failed',
        120_000,
      )
      assert.equal(await show('ExecMainStatus'), '1')
      const said = await sh(`journalctl --unit=meshidp --no-pager --output=cat --since=@${since}`)
      const sentences = said.split('\n').filter((line) => /meshidp\.db is damaged .* Restore a backup/.test(line))
      assert.ok(sentences.length >= 2 && sentences.length <= 10, said)
      assert.ok(said.split('\n').length < 150, 'the journal is flooded')
      await sh(
        'cp /root/sound.db /var/lib/meshidp/meshidp.db; chown meshidp: /var/lib/meshidp/meshidp.db; systemctl reset-failed meshidp.service meshidp.socket; systemctl start meshidp.socket meshidp.service',
      )
      assert.equal(await show('ActiveState'), 'active')
    },
  )

  await t.test('it stops well, and "service uninstall" leaves configuration, policy and state', async () => {
    const gone = await run('meshidp', 'service', 'uninstall')
    assert.equal(gone.code, 0, gone.stdout + gone.stderr)
    assert.equal(await show('Result'), 'success')
    assert.equal((await run('systemctl', 'cat', 'meshidp.service')).code, 1)
    await sh('test -f /var/lib/meshidp/meshidp.db; test -f /etc/meshidp/policy.hujson')
  })
})

test('from nothing to a service: meshidp init, service install, doctor', async (t) => {
  const { run, sh } = await boot(t)
  await t.test('a tagged machine without --admin is told the command; with it, all is made', async () => {
    const refused = await run('meshidp', 'init')
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /meshidp init --admin alice@example\.com/)
    const { code, stdout, stderr } = await run('meshidp', 'init', '--admin', 'alice@example.com')
    assert.deepEqual([code, stderr], [0, ''], stdout)
    assert.match(stdout, /the service runs as meshidp\.\n {4}Let meshidp have it: echo TS_PERMIT_CERT_UID=meshidp/)
    assert.match(
      stdout,
      /\nNext:\n {2}sudo meshidp service install --now\n {2}sudo meshidp doctor\n {2}meshidp policy check \/etc\/meshidp\/policy\.hujson\n$/,
    )
  })

  await t.test('the service starts on that, as a user of its own, with the certificate of the mesh', async () => {
    const { code, stdout, stderr } = await run('meshidp', 'service', 'install', '--now', '--program', '/usr/local/bin/meshidp')
    assert.equal(code, 0, stdout + stderr)
    assert.match(
      await sh('systemctl show --value --property=StatusText meshidp.service'),
      /Certificate of the mesh for idp\.example\.ts\.net: ends within a day\./,
    )
    assert.equal((await sh('find /var/lib/meshidp ! -user meshidp')).trim(), '')
  })

  await t.test('the doctor finds it well, and init again changes nothing', async () => {
    const doctor = await run('meshidp', 'doctor')
    assert.equal(doctor.code, 0, doctor.stdout)
    const before = await sh('cat /etc/meshidp/*.hujson')
    const again = await run('meshidp', 'init')
    assert.equal(again.code, 0, again.stdout + again.stderr)
    assert.match(
      again.stdout,
      /there already, left as it is\n.*there already, left as it is\n {2}state +\/var\/lib\/meshidp, in use by a daemon\n/,
    )
    assert.equal(await sh('cat /etc/meshidp/*.hujson'), before)
    assert.equal((await sh('find /var/lib/meshidp ! -user meshidp')).trim(), '')
  })
})
