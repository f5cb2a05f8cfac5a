/** The example policy, whose resources may have to be on other ports than those that it names. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = fileURLToPath(new URL('../../policy/example.hujson', import.meta.url))

/** The ports of the example's resources, as it is written. */
export const examplePorts = { wiki: 8490, notes: 8491, gateway: 8492 }

export type Ports = typeof examplePorts

/** Other ones, in a row from `first`. */
export const portsFrom = (first: number): Ports => ({ wiki: first, notes: first + 1, gateway: first + 2 })

export const uriAt = (port: number): string => `http://localhost:${port}/mcp`

/** Its text, with the resources at these ports. */
export const examplePolicyAt = ({ wiki, notes, gateway }: Ports): string =>
  readFileSync(file, 'utf8')
    .replace(uriAt(examplePorts.wiki), uriAt(wiki))
    .replace(uriAt(examplePorts.notes), uriAt(notes))
    .replace(uriAt(examplePorts.gateway), uriAt(gateway))
