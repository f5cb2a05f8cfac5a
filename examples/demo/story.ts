/** The whole story with real parts: a daemon that is killed, two MCP servers, MCP clients of the official SDK. Only the people are played. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Agent, connectAgent } from '../client/agent.ts'
import { inMemory, type Storage } from '../client/oauth_provider.ts'
import { startMcpServer } from '../mcp-server/server.ts'
import { sentenceOf } from '../said.ts'
import { type DaemonProcess, daemonProcess } from './daemon_process.ts'
import { examplePolicyAt, examplePorts, type Ports, portsFrom, uriAt } from './example_policy.ts'
import { freePorts, isFree } from './free_ports.ts'
import { type Exchange, type Machine, machineAt } from './from_address.ts'
import type { Narrate } from './narrate.ts'
import { signIn } from './person.ts'

const machines = { alice: '127.0.0.2', mallory: '127.0.0.5' }

/** Seconds for which the notes keep what introspection said. 15 would be usual, but people wait for this story. */
const cacheSeconds = 1

/** Something went otherwise than the story says. */
export class StoryFailed extends Error {
  override name = 'StoryFailed'
}

function expect(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new StoryFailed(`The story should have gone on otherwise: ${sentence}`)
}

type Stage = {
  narrate: Narrate
  daemon: DaemonProcess
  wiki: string
  notes: string
  /** What ends with the story, the last first. */
  ends: (() => unknown)[]
}

const say = ({ narrate }: Stage, who: string, text: string) => narrate({ kind: 'deed', who, text })
const tell = ({ narrate }: Stage, name: string, text: string) => narrate({ kind: 'fact', name, text })
const chapter = ({ narrate }: Stage, text: string) => narrate({ kind: 'chapter', text })

type Played = {
  narrate: Narrate
  /** The command line of the daemon and its commands; default: that of this checkout. */
  program?: readonly string[] | undefined
}

/** Plays it all and tells it line by line. Rejects where a step fails; leaves nothing behind either way. */
export async function playDemo({ narrate, program }: Played): Promise<void> {
  const ends: Stage['ends'] = []
  try {
    const stage = await setStage(narrate, ends, program)
    const alice = await aliceSignsIn(stage)
    await aliceRefreshes(stage, alice)
    await theDaemonDies(stage, alice)
    await malloryIsRefused(stage)
    await theAdminRevokes(stage)
    chapter(stage, 'That was all')
    tell(stage, 'try it yourself', 'npm start, then see examples/README.md')
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

async function setStage(narrate: Narrate, ends: Stage['ends'], program?: readonly string[]): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'meshidp-demo-'))
  ends.push(() => rmSync(directory, { recursive: true, force: true }))
  const ports = await resourcePorts()
  const policyFile = join(directory, 'policy.hujson')
  writeFileSync(policyFile, examplePolicyAt(ports))
  const daemon = daemonProcess({ port: await freePorts(2), directory, policyFile, ...(program && { program }) })
  const stage = { narrate, daemon, wiki: uriAt(ports.wiki), notes: uriAt(ports.notes), ends }

  chapter(stage, 'A daemon on a development mesh, and two MCP servers')
  ends.push(daemon.kill)
  await daemon.start()
  tell(stage, 'issuer', daemon.issuer)
  tell(stage, 'people', 'alice and mallory, each on a machine of their own; whois says who calls')
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
function machineOf(stage: Stage, address: string): Machine {
  const told = ({ method, url, status }: Exchange) => {
    if (url.origin === stage.daemon.issuer || status === 401 || url.pathname.startsWith('/.well-known/'))
      tell(stage, `${method} → ${status}`, `${url.host}${url.pathname}`)
  }
  const machine = machineAt(address, told)
  stage.ends.push(machine.close)
  return machine
}

type Alice = { machine: Machine; storage: Storage; agent: Agent }

async function aliceSignsIn(stage: Stage): Promise<Alice> {
  chapter(stage, "Alice's agent goes to the wiki, and nobody has told it anything")
  const machine = machineOf(stage, machines.alice)
  const storage = inMemory()
  say(stage, 'agent', 'connects without a token, is told where to get one, and registers itself')
  const agent = await connectAgent({
    url: stage.wiki,
    name: "Alice's agent",
    storage,
    fetch: machine.fetch,
    async openBrowser(url) {
      say(stage, 'alice', 'sees a page in her browser; no password, the mesh knows her')
      const page = await signIn(machine, url)
      expect(page !== null, 'alice should have been asked')
      for (const [heading, text] of page) tell(stage, heading, text)
      say(stage, 'alice', 'presses Allow')
    },
  })
  stage.ends.push(agent.close)
  await callsWhoami(stage, agent)
  tell(stage, 'read_page', await agent.call('read_page', { page: 'on-call' }))
  return { machine, storage, agent }
}

async function callsWhoami(stage: Stage, agent: Agent): Promise<void> {
  const answer = await agent.call('whoami')
  expect((JSON.parse(answer) as { sub: string }).sub === 'userid:101', `the server should have seen alice, and saw ${answer}`)
  say(stage, 'agent', 'calls the tool whoami')
  tell(stage, 'the wiki says', answer)
}

/** Makes the agent's access token worthless, as five minutes would; the refresh token stays. */
function loseAccessToken({ storage }: Alice): void {
  const { tokens, ...saved } = storage.read()
  expect(tokens?.refresh_token !== undefined, 'the agent should have a refresh token')
  storage.write({ ...saved, tokens: { ...tokens, access_token: 'lost' } })
}

async function refreshes(stage: Stage, alice: Alice): Promise<void> {
  loseAccessToken(alice)
  const before = alice.storage.read().tokens?.refresh_token
  await callsWhoami(stage, alice.agent)
  const after = alice.storage.read().tokens?.refresh_token
  expect(after !== undefined && after !== before, 'the refresh token should have been rotated')
}

async function aliceRefreshes(stage: Stage, alice: Alice): Promise<void> {
  chapter(stage, 'An access token lives five minutes')
  say(stage, 'agent', 'loses its access token, and gets the next one without alice')
  await refreshes(stage, alice)
  tell(stage, 'refresh token', 'rotated: the old one is spent')
}

async function theDaemonDies(stage: Stage, alice: Alice): Promise<void> {
  chapter(stage, 'The daemon is killed')
  await stage.daemon.kill()
  say(stage, 'kill -9', stage.daemon.issuer)
  await callsWhoami(stage, alice.agent)
  tell(stage, 'so', 'the wiki knows the keys, and needs nobody')
  await stage.daemon.start()
  say(stage, 'daemon', 'starts again on the same files')
  say(stage, 'agent', 'refreshes with the token that it had before')
  await refreshes(stage, alice)
}

type Decision = { id: string; outcome: string; entry: string; principal: string; sentence: string | null; reason: string | null }

async function malloryIsRefused(stage: Stage): Promise<void> {
  chapter(stage, 'Mallory, of another company on the same mesh, tries the same')
  const machine = machineOf(stage, machines.mallory)
  say(stage, 'agent', 'connects, and wants to register')
  const refusal = await connectAgent({
    url: stage.wiki,
    name: "Mallory's agent",
    fetch: machine.fetch,
    openBrowser: () => {
      throw new StoryFailed('Mallory should not have come as far as a browser.')
    },
  }).then(() => '', sentenceOf)
  const [, decisionId = ''] = /mention decision ([0-9A-Z]+)/.exec(refusal) ?? []
  expect(decisionId !== '', `mallory should have been refused, and heard: ${refusal || 'yes'}`)
  tell(stage, 'refused', refusal)

  say(stage, 'admin', `meshidp decisions show ${decisionId}`)
  const decision = await stage.daemon.command<Decision>('decisions', 'show', decisionId)
  expect(decision.outcome === 'denied' && decision.principal === 'mallory@other.com', 'the decision should be about mallory')
  for (const name of ['principal', 'entry', 'outcome', 'reason', 'sentence'] as const) tell(stage, name, String(decision[name]))
}

type Authorization = { id: string; login: string; resource: string; scopes: string }

async function theAdminRevokes(stage: Stage): Promise<void> {
  chapter(stage, 'Alice lets an agent read her notes, and an admin ends it')
  const machine = machineOf(stage, machines.alice)
  let asked = 0
  const askedAgain = new Error('The agent has to ask alice again.')
  const agent = await connectAgent({
    url: stage.notes,
    name: 'Notes agent',
    fetch: machine.fetch,
    async openBrowser(url) {
      if (asked++ > 0) throw askedAgain
      await signIn(machine, url)
      say(stage, 'alice', 'presses Allow')
    },
  })
  stage.ends.push(agent.close)
  say(stage, 'agent', 'reads a note')
  tell(stage, 'read_page', await agent.call('read_page', { page: 'coffee' }))

  const { authorizations } = await stage.daemon.command<{ authorizations: Authorization[] }>('authorizations', 'list')
  say(stage, 'admin', 'meshidp authorizations list')
  for (const { id, login, resource, scopes } of authorizations) tell(stage, 'authorization', `${id}  ${login}  ${resource}  ${scopes}`)
  const found = authorizations.find(({ resource }) => resource === stage.notes)
  expect(found !== undefined, 'the authorization for the notes should be in the list')
  await stage.daemon.command('authorizations', 'revoke', found.id)
  say(stage, 'admin', `meshidp authorizations revoke ${found.id}`)

  await pause(cacheSeconds * 1000 + 50)
  say(stage, 'agent', 'reads the next note')
  const failure = await agent.call('read_page', { page: 'home' }).then(
    () => undefined,
    (error) => error as unknown,
  )
  expect(
    failure === askedAgain,
    `the notes should have refused the token, but: ${failure === undefined ? 'they gave the page' : sentenceOf(failure)}`,
  )
  tell(stage, 'so', 'access and refresh token are dead, and the agent would have to ask alice again')
  tell(stage, 'by the way', 'a server that verifies by itself, as the wiki, would take a token for the rest of its five minutes')
}
