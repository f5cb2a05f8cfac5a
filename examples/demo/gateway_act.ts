/** The second act: a gateway between the agents and the wiki, and every token says who authorized and who acts. */
import type { Agent } from '../client/agent.ts'
import { startGateway } from '../mcp-gateway/gateway.ts'
import { sentenceOf } from '../said.ts'
import { adminRevokes, agentAskingOnce, hasToAskAgain } from './agents.ts'
import { machineAt } from './from_address.ts'
import { chapter, expect, machines, type Stage, say, tell } from './stage.ts'

export async function startTheGateway(stage: Stage): Promise<void> {
  chapter(stage, 'Act two: a gateway before the wiki and the notes')
  const machine = machineAt(machines.gateway)
  stage.ends.push(machine.close)
  const gateway = await startGateway({
    issuer: stage.daemon.issuer,
    resource: stage.gateway,
    scope: 'tools:call',
    upstreams: [
      { name: 'wiki', resource: stage.wiki },
      { name: 'notes', resource: stage.notes },
    ],
    // It asks about its callers' tokens at every call.
    introspect: { client_id: 'client:gateway', fetch: machine.fetch, cacheSeconds: 0 },
  })
  stage.ends.push(gateway.close)
  tell(stage, 'gateway', `${stage.gateway}, has no secret: whois says that its machine is tagged tag:mcp-gateway`)
}

export async function aliceGoesThroughTheGateway(stage: Stage): Promise<Agent> {
  chapter(stage, "Alice's agent calls the wiki through it")
  const agent = await agentAskingOnce(stage, { url: stage.gateway, name: "Alice's agent", who: 'alice' })
  say(stage, 'agent', 'calls the tool wiki_whoami')
  const answer = await agent.call('wiki_whoami')
  const { sub, act } = JSON.parse(answer) as { sub: string; act?: { sub: string } }
  expect(sub === 'userid:101' && act?.sub === 'client:gateway', `the wiki should have seen alice and who acts, and saw ${answer}`)
  tell(stage, 'the wiki says', answer)
  tell(stage, 'so', 'the gateway swapped its token for one of the wiki: it is alice, and the gateway acts for her')
  return agent
}

export async function bobIsRefused(stage: Stage): Promise<void> {
  chapter(stage, 'Bob may use the wiki and the gateway, but nothing lets the gateway act for him')
  const agent = await agentAskingOnce(stage, { url: stage.gateway, name: "Bob's agent", who: 'bob' })
  say(stage, 'agent', 'calls the tool wiki_whoami')
  const refusal = await agent.call('wiki_whoami').then(() => '', sentenceOf)
  expect(refusal.includes('No grant lets anybody act for bob@example.com'), `bob should have been refused, and heard: ${refusal || 'yes'}`)
  tell(stage, 'refused', refusal)
}

export async function theGatewayIsRevoked(stage: Stage, agent: Agent): Promise<void> {
  chapter(stage, 'An admin ends what alice let her agent do through the gateway')
  const id = await adminRevokes(stage, stage.gateway)
  say(stage, 'agent', 'reads a page of the wiki')
  await hasToAskAgain(agent.call('wiki_read_page', { page: 'home' }))
  tell(stage, 'so', 'her token is dead at the gateway, and with it all that was swapped for it')
  say(stage, 'admin', `meshidp tokens trace ${id}`)
  const tree = await stage.daemon.printed('tokens', 'trace', id)
  expect(!tree.some((line) => line.includes('alive')), `nothing of it should be alive, and it is:\n${tree.join('\n')}`)
  for (const line of tree) tell(stage, '', line)
}
