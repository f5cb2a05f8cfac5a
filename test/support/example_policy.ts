/** The example policy, changed as a test wants it; and the clients that it names. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'jsonc-parser'
import type { Development } from '../../src/cli/dev.ts'
import { examplePolicy } from '../../src/cli/dev.ts'
import type { TestClient } from './person.ts'

type Grant = { src: string[]; dst?: string[]; app: Record<string, Record<string, unknown>[]> }

export type PolicyObject = {
  groups: Record<string, string[]>
  resources: Record<string, Record<string, unknown>>
  clients: Record<string, Record<string, unknown>>
  grants: Grant[]
}

/** Text of the example policy after `change`. Its own tests are left out, for they speak of the unchanged one. */
export function changedPolicy(change: (policy: PolicyObject) => void): string {
  const { tests: _, ...policy } = parse(readFileSync(examplePolicy, 'utf8')) as PolicyObject & { tests: unknown }
  change(policy)
  return JSON.stringify(policy)
}

/** The example policy where registration is granted just so, to all of example.com. */
export const withRegistration = (...register: Record<string, unknown>[]): string =>
  changedPolicy((policy) => {
    for (const { app } of policy.grants) if (app.register) app.register = register
  })

/** A client of the policy, with the secret that the development mode made for it. */
export const policyClient = (
  { config }: Pick<Development, 'config'>,
  name: string,
  redirect_uri = '',
): TestClient & { client_secret: string } => ({
  client_id: `client:${name}`,
  client_secret: readFileSync(join(config.secrets_directory, name), 'utf8').trim(),
  redirect_uri,
})

export const wiki = { resource: 'http://localhost:8490/mcp', scope: 'wiki:read' } as const
export const grafanaCallback = 'http://localhost:3000/login/generic_oauth'
