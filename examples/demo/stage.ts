/** Where the story is played: a daemon, two MCP servers, machines of the mesh; and how it is told. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMcpServer } from '../mcp-server/server.ts'
import { type DaemonProcess, daemonProcess } from './daemon_process.ts'
import { examplePolicyAt, examplePorts, type Ports, portsFrom, uriAt } from './example_policy.ts'
import { freePorts, isFree } from './free_ports.ts'
import { type Exchange, type Machine, machineAt } from './from_address.ts'
import type { Narrate } from './narrate.ts'

export const machines = { alice: '127.0.0.2', bob: '127.0.0.3', mallory: '127.0.0.5', gateway: '127.0.0.9' }

/** Seconds for which the notes keep what introspection said. 15 would be usual, but people wait for this story. */
export const cacheSeconds = 1

/** Something went otherwise than the story says. */
export class StoryFailed extends Error {
  override name = 'StoryFailed'
}

export function expect(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new StoryFailed(`The story should have gone on otherwise: ${sentence}`)
}

export type Stage = {
  narrate: Narrate
  daemon: DaemonProcess
  wiki: string
  notes: string
  /** Where a gateway will be. */
  gateway: string
  /** What ends with the story, the last first. */
  ends: (() => unknown)[]
}

export const say = ({ narrate }: Stage, who: string, text: string) => narrate({ kind: 'deed', who, text })
export const tell = ({ narrate }: Stage, name: string, text: string) => narrate({ kind: 'fact', name, text })
export const chapter = ({ narrate }: Stage, text: string) => narrate({ kind: 'chapter', text })

/** Starts it all; what has to end with the story is added to `ends`. */
export async function setStage(narrate: Narrate, ends: Stage['ends'], program?: readonly string[]): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'meshidp-demo-'))
  ends.push(() => rmSync(directory, { recursive: true, force: true }))
  const ports = await resourcePorts()
  const policyFile = join(directory, 'policy.hujson')
  writeFileSync(policyFile, examplePolicyAt(ports))
  const daemon = daemonProcess({ port: await freePorts(2), directory, policyFile, ...(program && { program }) })
  const stage = { narrate, daemon, wiki: uriAt(ports.wiki), notes: uriAt(ports.notes), gateway: uriAt(ports.gateway), ends }

  chapter(stage, 'A daemon on a development mesh, and two MCP servers')
  ends.push(daemon.kill)
  await daemon.start()
  tell(stage, 'issuer', daemon.issuer)
  tell(stage, 'people', 'alice, bob and mallory, each on a machine of their own; whois says who calls')
  const { issuer } = daemon
  const wiki = await startMcpServer({ issuer, resource: stage.wiki, scope: 'wiki:read' })
  ends.push(wiki.close)
  tell(stage, 'wiki', `${stage.wiki}, verifies signatures itself`)
  const client_secret = readFileSync(join(directory, 'secrets', 'notes-server'), 'utf8').trim()
  const introspect = { client_id: 'client:notes-server', client_secret, cacheSeconds }
  const notes = await startMcpServer({ issuer, resource: stage.notes, scope: 'notes:read', introspect })
  ends.push(notes.close)
  tell(stage, 'notes', `${stage.notes}, asks the daemon about each token`)
  return stage
}

/** Those of the example policy, or others where somebody listens there already. */
async function resourcePorts(): Promise<Ports> {
  const free = await Promise.all(Object.values(examplePorts).map(isFree))
  if (free.every(Boolean)) return examplePorts
  return portsFrom(await freePorts(3))
}

/** A machine of the mesh, whose requests to the authorization server and refusals are told. */
export function machineOf(stage: Stage, address: string): Machine {
  const told = ({ method, url, status }: Exchange) => {
    if (url.origin === stage.daemon.issuer || status === 401 || url.pathname.startsWith('/.well-known/'))
      tell(stage, `${method} → ${status}`, `${url.host}${url.pathname}`)
  }
  const machine = machineAt(address, told)
  stage.ends.push(machine.close)
  return machine
}
