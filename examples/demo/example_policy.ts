/** The example policy, whose resources may have to be on other ports than those that it names. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = fileURLToPath(new URL('../../policy/example.hujson', import.meta.url))

/** The ports of the example's two resources, as it is written. */
export const examplePorts = { wiki: 8490, notes: 8491 }

export type Ports = typeof examplePorts

export const uriAt = (port: number): string => `http://localhost:${port}/mcp`

/** Its text, with the resources at these ports. */
export const examplePolicyAt = ({ wiki, notes }: Ports): string =>
  readFileSync(file, 'utf8').replace(uriAt(examplePorts.wiki), uriAt(wiki)).replace(uriAt(examplePorts.notes), uriAt(notes))
