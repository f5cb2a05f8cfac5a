/** A node on which nothing was set up yet: meshidp finds what it needs, or says which command is missing; each command is run as it was said. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { ConfigInput } from '../../src/config.ts'
import { type Pair, validBetween, validFor } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { personBy } from '../support/person.ts'
import { meshidp, program, type Running } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'
import { connectedTo, shownAt } from '../support/tls_node.ts'
import { binaries } from './binaries.ts'
import { layCertificate, type Machine, mesh } from './mesh.ts'
import { document, policy, whoIn, wiki } from './provider.ts'
import { atUsualPlace, noServices } from './usual_place.ts'

const fingerprint = ({ cert }: Pair) => new X509Certificate(cert).fingerprint256

/** Runs a command of Tailscale as it was said, with what only this lab needs behind it. */
async function runs(command: string, ...more: readonly string[]): Promise<void> {
  const [program, ...args] = command.split(' ')
  assert.equal(program, 'tailscale')
  await promisify(execFile)(join(binaries(), 'tailscale'), [...args, ...more])
}

/** A folder with a policy, and what `meshidp serve` makes of it; `change`: what the configuration says beyond that. */
function fresh(t: TestContext) {
  const directory = temporaryDirectory(t)
  const [configFile, policy_file] = [join(directory, 'config.hujson'), join(directory, 'policy.hujson')]
  writeFileSync(policy_file, JSON.stringify(policy))
  const serve = (change: Partial<ConfigInput> = {}): Running => {
    const written: ConfigInput = { state_directory: join(directory, 'state'), policy_file, ...change }
    writeFileSync(configFile, JSON.stringify(written))
    return meshidp(t, ['serve', '--config', configFile])
  }
  return {
    directory,
    configFile,
    serve,
    /** Serves, and resolves with the issuer that it says. */
    async serves(change?: Partial<ConfigInput>) {
      const daemon = serve(change)
      await daemon.says(/"msg":"meshidp serves /)
      return { daemon, issuer: /"msg":"meshidp serves ([^"]*)"/.exec(daemon.said())?.[1] ?? '' }
    },
    /** What it says where it does not start. */
    async refuses(change?: Partial<ConfigInput>) {
      const { code, stderr } = await serve(change).ended
      assert.equal(code, 1)
      assert.match(stderr, /Nobody says the name of this node, which the issuer is made of\./)
      assert.match(stderr, /Then start again; or write "issuer" into the configuration\.\n$/)
      return stderr
    },
  }
}

test('a fresh node', async (t) => {
  noServices()
  const lab = await mesh(t, document)
  const [idp, alice] = (['idp', 'alice-laptop'] as const).map(lab.machine) as [Machine, Machine]
  const at = (machine: Machine, issuer: string) => personBy(machine.dispatcher, issuer, machine.address)
  const isCalled = async (name: string) => {
    await idp.tailscale('set', `--hostname=${name}`)
    await eventually(`it is ${name}`, async () => (await idp.tailscale('status', '--json')).includes(`"DNSName": "${name}.mesh.test."`))
  }
  const home = async (issuer: string) => whoIn((await at(alice, issuer).send('/', { headers: { accept: 'text/html' } })).text)

  await t.test('without tailscaled it says how to start it, and which others run here', async (t) => {
    const said = await fresh(t).refuses()
    assert.match(
      said,
      /\/var\/run\/tailscale\/tailscaled\.sock is not there\. Start tailscaled \("systemctl start tailscaled"\), or name its socket/,
    )
    assert.ok(said.includes(` One is at `) && said.includes(idp.socket), said)
  })

  await idp.forget()
  atUsualPlace(idp)
  const node = fresh(t)

  await t.test('on a machine that is in no mesh yet it says how to join', async () => {
    const said = await node.refuses()
    assert.match(said, /tailscaled says "NeedsLogin"/)
    await runs(/Run: (.*)$/m.exec(said)?.[1] ?? said, ...idp.joining)
  })

  await t.test('then it finds socket, name, addresses and certificate by itself', async () => {
    const { daemon, issuer } = await node.serves()
    assert.equal(issuer, 'https://idp.mesh.test')
    assert.match(daemon.said(), /the certificate for idp\.mesh\.test is good until \d{4}-\d\d-\d\d/)
    const person = at(alice, issuer)
    const tokens = await person.signIn(await person.register(), { resource: wiki, scope: 'wiki:read' })
    assert.equal(tokens.scope, 'wiki:read')
    const shown = await meshidp(t, ['resource', 'show', 'wiki', '--json', '--config', node.configFile]).ended
    assert.equal((JSON.parse(shown.stdout) as { issuer: string }).issuer, issuer)
    const { checks } = JSON.parse((await meshidp(t, ['doctor', '--json', '--config', node.configFile]).ended).stdout) as {
      checks: { id: string; outcome: string; found: string }[]
    }
    const found = new Map(checks.map(({ id, outcome, found }) => [id, `${outcome}: ${found}`]))
    assert.equal(found.get('issuer_name'), 'well: idp.mesh.test, as this node.')
    assert.match(found.get('certificate') ?? '', /^well: tailscaled gives it; good for \d+ more days/)
    assert.match(found.get('sign_in') ?? '', /^well: /)
    await daemon.end()
  })

  await t.test('a certificate that tailscaled has renewed is served without a restart, and who is connected stays so', async () => {
    const minute = 60_000
    // It is asked for after a hundredth of its life.
    const short = validBetween(new Date(Date.now() - minute), new Date(Date.now() + 4 * minute), idp.host)
    const lay = (pair: Pair) => layCertificate(dirname(idp.socket), idp.host, pair)
    const shown = () => shownAt(443, { servername: idp.host })
    lay(short)
    const { daemon, issuer } = await node.serves()
    assert.equal(await shown(), fingerprint(short))
    const kept = await connectedTo(443, { servername: idp.host })
    const fresh = validFor(90, idp.host)
    lay(fresh)
    await eventually('it is served', async () => (await shown()) === fingerprint(fresh))
    const answer = once(kept, 'data')
    kept.write(`GET /healthz HTTP/1.1\r\nHost: ${new URL(issuer).host}\r\n\r\n`)
    assert.match(String(await answer), /^HTTP\/1\.1 200 /)
    kept.destroy()
    await daemon.end()
  })

  await t.test('meshidp init makes whoever is there by SSH the admin, and what it writes is served', async (t) => {
    const directory = temporaryDirectory(t)
    const configFile = join(directory, 'config.hujson')
    const { code, stdout, stderr } = await meshidp(t, ['init', '--config', configFile, '--state-directory', join(directory, 'state')], {
      env: { SSH_CONNECTION: `${alice.address} 50000 ${idp.address} 22` },
    }).ended
    assert.deepEqual([code, stderr], [0, ''], stdout)
    assert.match(stdout, /^ {2}admin +alice@example\.com, who is here by SSH from /m)
    assert.doesNotMatch(stdout, /Before it can serve/)
    const daemon = meshidp(t, ['serve', '--config', configFile])
    await daemon.says(/"msg":"meshidp serves /)
    const person = at(alice, 'https://idp.mesh.test')
    const { scope } = await person.signIn(await person.register(), { scope: 'openid' })
    assert.equal(scope, 'openid')
    await daemon.end()
  })

  await t.test('another user than root is told what lets them have the certificate', async (t) => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const
    const [command, ...args] = nobody
    if (spawnSync(command, [...args, process.execPath, program, '--version']).status !== 0)
      return t.skip('nobody may not read this checkout')
    const directory = temporaryDirectory(t)
    for (const folder of [directory, dirname(idp.socket), dirname(dirname(idp.socket))]) chmodSync(folder, 0o777)
    const configFile = join(directory, 'config.hujson')
    writeFileSync(join(directory, 'policy.hujson'), JSON.stringify(policy))
    writeFileSync(configFile, JSON.stringify({ state_directory: join(directory, 'state'), policy_file: join(directory, 'policy.hujson') }))
    const { code, stderr } = await meshidp(t, ['serve', '--config', configFile], { under: nobody }).ended
    assert.equal(code, 1)
    assert.match(
      stderr,
      /gives the certificate of idp\.mesh\.test to root only\.\nLet nobody have it: echo TS_PERMIT_CERT_UID=nobody \| sudo tee/,
    )
  })

  await t.test('its issuer is that of the first start: also while the mesh is down, and when the node is called otherwise', async () => {
    await idp.tailscale('down')
    const dark = await node.serves()
    assert.equal(dark.issuer, 'https://idp.mesh.test')
    assert.match(dark.daemon.said(), /tailscaled says \\"Stopped\\"/)
    await dark.daemon.end()
    await idp.tailscale('up', ...idp.joining)

    await lab.change(({ machines }) => Object.assign(machines, { other: machines.idp }))
    await isCalled('other')
    const { cert, key } = idp.certificate
    const renamed = await node.serves({ listen: { tls_certificate_file: cert, tls_key_file: key } })
    assert.equal(renamed.issuer, 'https://idp.mesh.test')
    assert.match(renamed.daemon.said(), /This node would be https:\/\/other\.mesh\.test now\. The issuer stays https:\/\/idp\.mesh\.test/)
    await renamed.daemon.end()
    await isCalled('idp')
  })

  await t.test('behind "tailscale serve" it needs nothing but the command that it says', async (t) => {
    const { daemon, issuer } = await fresh(t).serves({ mesh: { identity: 'serve' } })
    assert.equal(issuer, 'https://idp.mesh.test')
    await runs(/(tailscale serve --bg [^"]*)"/.exec(daemon.said())?.[1] ?? daemon.said())
    assert.equal(await home(issuer), 'alice@example.com')
    await daemon.end()
  })
})
