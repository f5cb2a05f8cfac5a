/** Agents whose people answer once, and the admin who ends what they were let do. */
import { type Agent, connectAgent } from '../client/agent.ts'
import { sentenceOf } from '../said.ts'
import { signIn } from './person.ts'
import { expect, machineOf, machines, type Stage, say, tell } from './stage.ts'

const askedAgain = new Error('The agent has to ask its person again.')

/** Connects an agent of `who`, who allows it once. Asked a second time they are not there. */
export async function agentAskingOnce(
  stage: Stage,
  { url, name, who }: { url: string; name: string; who: 'alice' | 'bob' },
): Promise<Agent> {
  const machine = machineOf(stage, machines[who])
  let asked = 0
  const agent = await connectAgent({
    url,
    name,
    fetch: machine.fetch,
    async openBrowser(page) {
      if (asked++ > 0) throw askedAgain
      const read = await signIn(machine, page)
      for (const [heading, text] of read ?? []) if (heading.startsWith('Through')) tell(stage, heading, text)
      say(stage, who, 'presses Allow')
    },
  })
  stage.ends.push(agent.close)
  return agent
}

/** Throws StoryFailed where the call came to anything else. */
export async function hasToAskAgain(call: Promise<unknown>): Promise<void> {
  const failure = await call.then(
    (answer) => `it was answered: ${answer}`,
    (error) => error as unknown,
  )
  expect(failure === askedAgain, `the token should have been refused, but ${typeof failure === 'string' ? failure : sentenceOf(failure)}`)
}

type Authorization = { id: string; login: string; resource: string; scopes: string }

/** Ends, by the commands of an admin, what alice let an agent do at `resource`; resolves with the id of that. */
export async function adminRevokes(stage: Stage, resource: string): Promise<string> {
  const { authorizations } = await stage.daemon.command<{ authorizations: Authorization[] }>('authorizations', 'list')
  say(stage, 'admin', 'meshidp authorizations list')
  for (const { id, login, resource, scopes } of authorizations) tell(stage, 'authorization', `${id}  ${login}  ${resource}  ${scopes}`)
  const found = authorizations.find((one) => one.resource === resource && one.login === 'alice@example.com')
  expect(found !== undefined, `the authorization of alice for ${resource} should be in the list`)
  await stage.daemon.command('authorizations', 'revoke', found.id)
  say(stage, 'admin', `meshidp authorizations revoke ${found.id}`)
  return found.id
}
