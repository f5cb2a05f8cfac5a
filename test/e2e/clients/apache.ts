/** Debian's Apache with libapache2-mod-auth-openidc before a server of the test, with a configuration of its own on a loopback port. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { until } from '../../support/local_api.ts'
import { spawned } from '../../support/program.ts'
import { temporaryDirectory } from '../../support/start.ts'

const program = '/usr/sbin/apache2'
const moduleFolder = '/usr/lib/apache2/modules'

/** Why tests with it do not run here; false where they do. */
export const withoutApache = [program, `${moduleFolder}/mod_auth_openidc.so`].every(existsSync)
  ? false
  : 'There is no Apache with mod_auth_openidc; on Debian: apt-get install apache2 libapache2-mod-auth-openidc.'

/** What the server behind Apache was told of who asks: REMOTE_USER, and the claims without their prefix. */
export type Told = { path: string; user: string | undefined; claims: Record<string, string> }

/** The server behind it: answers what it was told, as JSON. Resolves with its port. */
async function serveBehind(t: TestContext): Promise<number> {
  const server = createServer(({ url: path = '', headers }, response) => {
    const claims = Object.entries(headers).flatMap(([name, value]) => (name.startsWith('oidc_claim_') ? [[name.slice(11), value]] : []))
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ path, user: headers['x-remote-user'], claims: Object.fromEntries(claims) } as Told))
  })
  t.after(() => void server.close().closeAllConnections())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Starts it on that port with `lines` of configuration; resolves when it serves. It ends with the test, and leaves nothing behind. */
export async function startApache(t: TestContext, port: number, lines: string, env: Record<string, string> = {}): Promise<void> {
  const folder = temporaryDirectory(t)
  const behind = await serveBehind(t)
  const run = join(folder, 'run')
  mkdirSync(run)
  const log = join(folder, 'error.log')
  writeFileSync(
    join(folder, 'apache.conf'),
    `ServerRoot "${folder}"
ServerName localhost:${port}
Listen 127.0.0.1:${port}
DefaultRuntimeDir "${run}"
Mutex "file:${run}" default
PidFile "${run}/apache2.pid"
ErrorLog "${log}"
LogLevel info
${['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'headers', 'proxy', 'proxy_http', 'auth_openidc']
  .map((name) => `LoadModule ${name}_module ${moduleFolder}/mod_${name}.so`)
  .join('\n')}
User www-data
Group www-data
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
MinSpareThreads 1
MaxSpareThreads 8
ProxyPass / http://127.0.0.1:${behind}/
RequestHeader set X-Remote-User "expr=%{REMOTE_USER}"
${lines}
`,
  )
  let end: () => Promise<unknown> = async () => undefined
  t.after(() => end()) // Before it would be killed: it takes its semaphores and files with it.
  const apache = spawned(t, program, ['-f', join(folder, 'apache.conf'), '-D', 'FOREGROUND'], {
    cwd: folder,
    env: { ...env, TMPDIR: run },
    group: true,
  })
  end = apache.end
  let over = false
  void apache.ended.then(() => {
    over = true
  })
  const said = () => apache.said() + (existsSync(log) ? readFileSync(log, 'utf8') : '')
  await until(() => {
    if (over) throw new Error(`Apache ended: ${said()}`)
    return said().includes('resuming normal operations')
  })
}
