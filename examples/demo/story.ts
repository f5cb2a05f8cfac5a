/** The whole story with real parts: a daemon that is killed, MCP servers, a gateway, MCP clients of the official SDK. Only the people are played. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Agent, connectAgent } from '../client/agent.ts'
import { inMemory, type Storage } from '../client/oauth_provider.ts'
import { sentenceOf } from '../said.ts'
import { adminRevokes, agentAskingOnce, hasToAskAgain } from './agents.ts'
import type { Machine } from './from_address.ts'
import { aliceGoesThroughTheGateway, bobIsRefused, startTheGateway, theGatewayIsRevoked } from './gateway_act.ts'
import type { Narrate } from './narrate.ts'
import { signIn } from './person.ts'
import { cacheSeconds, chapter, expect, machineOf, machines, type Stage, StoryFailed, say, setStage, tell } from './stage.ts'

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
    await startTheGateway(stage)
    const throughGateway = await aliceGoesThroughTheGateway(stage)
    await bobIsRefused(stage)
    await theGatewayIsRevoked(stage, throughGateway)
    chapter(stage, 'That was all')
    tell(stage, 'try it yourself', 'npm start, then see examples/README.md')
  } finally {
    for (const end of ends.reverse()) await end()
  }
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

async function theAdminRevokes(stage: Stage): Promise<void> {
  chapter(stage, 'Alice lets an agent read her notes, and an admin ends it')
  const agent = await agentAskingOnce(stage, { url: stage.notes, name: 'Notes agent', who: 'alice' })
  say(stage, 'agent', 'reads a note')
  tell(stage, 'read_page', await agent.call('read_page', { page: 'coffee' }))
  await adminRevokes(stage, stage.notes)
  await pause(cacheSeconds * 1000 + 50)
  say(stage, 'agent', 'reads the next note')
  await hasToAskAgain(agent.call('read_page', { page: 'home' }))
  tell(stage, 'so', 'access and refresh token are dead, and the agent would have to ask alice again')
  tell(stage, 'by the way', 'a server that verifies by itself, as the wiki, would take a token for the rest of its five minutes')
}
