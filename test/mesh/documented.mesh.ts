/** docs/tailscale.md: each command that it shows is run, and each file is used, on a real mesh; other are only the folders, and the tailnet's name. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { parse } from 'jsonc-parser'
import { eventually } from '../support/eventually.ts'
import { personBy } from '../support/person.ts'
import { program } from '../support/program.ts'
import { temporaryDirectory } from '../support/start.ts'
import { binaries } from './binaries.ts'
import { domain, layCertificate, type Machine, type MeshDocument, mesh } from './mesh.ts'
import { document as people, whoIn } from './provider.ts'
import { atUsualPlace, noServices } from './usual_place.ts'

const page = readFileSync(new URL('../../docs/tailscale.md', import.meta.url), 'utf8')
const blocks = (section: string, language: string) =>
  [...section.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, body = '']) => body)
const sections = new Map(page.split(/^## /m).map((section) => [section.slice(0, section.indexOf('\n')), section]))

/** The machine of the page, in a folder. */
function pageIn(t: TestContext, idp: Machine) {
  const root = temporaryDirectory(t)
  const here = (written: string) =>
    written
      .replaceAll(/\/(?:etc|var\/lib|run)\/(?:meshidp|tailscale-second)/g, (path) => root + path)
      .replaceAll('tail1234.ts.net', domain)
      .replaceAll('https://headscale.example.com', idp.control)
  for (const folder of ['etc/meshidp', 'var/lib', 'run']) mkdirSync(join(root, folder), { recursive: true })
  const running = new Map<string, ChildProcess>()
  const ran = new Set<string>()
  const env = {
    ...process.env,
    PATH: `${binaries()}:${process.env.PATH}`,
    MESHIDP_CONFIG: here('/etc/meshidp/config.hujson'),
    TS_NO_LOGS_NO_SUPPORT: 'true',
    TS_DEBUG_ACME_DIRECTORY_URL: 'http://127.0.0.1:1/',
  }

  /** Runs a command of the page. What serves goes on until `ends`; all else ends by itself, well. Resolves with what it said. */
  async function run(command: string): Promise<string> {
    const section = [...sections].find(([, section]) => blocks(section, 'sh').join('').split('\n').includes(command))
    assert.ok(section, `the page does not say: ${command}`)
    ran.add(command)
    // How the lab is joined is no matter of the page.
    const more = /^tailscale .*\bup\b/.test(command) ? idp.joining.filter((option) => !command.includes(option.split('=')[0] ?? '')) : []
    const goesOn = /^(?:meshidp serve|tailscaled)\b/.test(command)
    const line = [here(command.replace(/ &$/, '')), ...more].join(' ').replace(/^meshidp/, `"${process.execPath}" "${program}"`)
    const child = spawn('bash', ['-c', `exec ${line}`], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    t.after(() => void child.kill('SIGKILL'))
    if (!goesOn) {
      const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)])
      assert.equal(child.exitCode ?? (await new Promise((done) => child.once('exit', done))), 0, `${line}\n${said}${complained}`)
      return said + complained
    }
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        said += chunk
      })
    running.set(command, child)
    const [, socket] = /^tailscaled .*--socket=(\S+)/.exec(line) ?? []
    if (socket !== undefined) await eventually('its socket', () => existsSync(socket))
    if (command.startsWith('meshidp'))
      await eventually(`${command}\n${said}`, () => {
        assert.equal(child.exitCode, null, said)
        return /"msg":"meshidp serves /.test(said)
      })
    return said
  }
  return {
    here,
    run,
    /** Runs all commands of a section, in order, after its files are written. */
    async all(name: string, { but = [] }: { but?: readonly string[] } = {}) {
      const section = sections.get(name)
      assert.ok(section, `the page has no section ${name}`)
      files(name)
      for (const command of blocks(section, 'sh').join('').trim().split('\n')) if (!but.includes(command)) await run(command)
    },
    async ends(command: string) {
      const child = running.get(command)
      assert.ok(child)
      child.kill('SIGTERM')
      await eventually(`${command} ends`, () => child.exitCode !== null || child.signalCode !== null)
    },
    files,
    ran,
  }

  /** Writes the files of a section, each of which begins with its path. */
  function files(name: string): void {
    for (const body of blocks(sections.get(name) ?? '', 'jsonc')) {
      const [, path] = /^\/\/ (\/\S+)\n/.exec(body) ?? []
      if (path === undefined) continue
      mkdirSync(dirname(here(path)), { recursive: true })
      writeFileSync(here(path), here(body))
    }
  }
}

test('docs/tailscale.md', async (t) => {
  noServices()
  const lab = await mesh(t, { ...people, machines: { ...people.machines, 'idp-second': { tags: ['tag:idp'] } } })
  const [idp, alice, bob, server] = (['idp', 'alice-laptop', 'bob-laptop', 'wiki-server'] as const).map(lab.machine) as [
    Machine,
    Machine,
    Machine,
    Machine,
  ]
  atUsualPlace(idp)
  const { here, run, all, ends, files, ran } = pageIn(t, idp)
  const at = (machine: Machine, issuer: string) => personBy(machine.dispatcher, issuer, machine.address)
  const who = (machine: Machine, issuer: string) =>
    eventually(`${machine.name} is somebody at ${issuer}`, async () => {
      const answer = await at(machine, issuer)
        .send('/', { headers: { accept: 'text/html' } })
        .catch(() => null)
      return answer?.status === 200 && whoIn(answer.text)
    })
  const issuer = `https://idp.${domain}`
  const wiki = { resource: `https://wiki-server.${domain}/mcp`, scope: 'wiki:read' }

  /** By both policies of the page: alice signs in at the wiki, its machine looks at the token, and bob may not. */
  async function story() {
    const client = await at(alice, issuer).register()
    const { access_token } = await at(alice, issuer).signIn(client, wiki)
    const looked = await at(server, issuer).send('/introspect', { form: { client_id: 'client:wiki-server', token: access_token } })
    assert.equal(looked.json().username, 'alice@example.com')
    assert.match((await at(bob, issuer).authorize(client, wiki)).text, /bob@example\.com may not use/)
  }

  await t.test('The machine', async () => {
    await idp.forget()
    await all('The machine')
  })

  await t.test('The tailnet policy', async () => {
    const [tailnet = ''] = blocks(sections.get('The tailnet policy') ?? '', 'jsonc')
    const { groups, grants } = parse(tailnet) as { groups: Record<string, string[]>; grants: Required<MeshDocument>['grants'] }
    assert.deepEqual(groups['group:eng'], ['alice@example.com'])
    await lab.change((said) => {
      said.grants = grants.filter(({ app }) => app) // what the lab leaves out is who reaches whom
    })
    files('The tailnet policy')
    await run('tailscale whois --json 100.64.0.2')
    assert.equal(
      await eventually('the grant arrives', async () =>
        /example.com\/cap\/meshidp/.test(await idp.tailscale('whois', '--json', alice.address)),
      ),
      true,
    )
  })

  await t.test('Direct, here without a TUN device', async () => {
    await all('Direct')
    assert.equal(await who(alice, issuer), 'alice@example.com')
    await story()
    await ends('meshidp serve')
  })

  await t.test('Behind tailscale serve', async () => {
    const off = 'tailscale serve --https=443 off'
    await all('Behind tailscale serve', { but: [off] })
    assert.equal(await who(alice, issuer), 'alice@example.com')
    await story()
    await idp.kill()
    await idp.start()
    assert.equal(await who(alice, issuer), 'alice@example.com', 'tailscaled remembers')
  })

  await t.test('Several on one machine', async () => {
    layCertificate(here('/var/lib/tailscale-second'), `idp-second.${domain}`)
    await all('Several on one machine')
    assert.equal(await who(alice, `${issuer}:8443`), 'alice@example.com')
    assert.equal(await who(alice, issuer), 'alice@example.com')
    assert.equal(await who(alice, `https://idp-second.${domain}:9443`), 'alice@example.com')
    await run('tailscale serve --https=443 off')
    assert.doesNotMatch(await idp.tailscale('serve', 'status'), /:443\b|idp\.mesh\.test \(/)
  })

  await t.test('headscale', async () => {
    await idp.forget()
    await all('headscale')
    assert.match(await idp.tailscale('status', '--peers=false'), /idp/)
  })

  await t.test('no command was left out', () => {
    assert.deepEqual(
      [...sections.values()]
        .flatMap((section) => blocks(section, 'sh').join('').split('\n'))
        .filter((line) => line !== '' && !ran.has(line)),
      [],
    )
  })
})
