/** The people and machines of the development mesh: one plain document, from a file, changed in memory only. */
import { z } from 'zod'

const person = z.strictObject({
  /** A user id, as text. */
  id: z.string().regex(/^[1-9]\d{0,18}$/),
  name: z.string().optional(),
  picture: z.url().optional(),
  /** Absent: the control plane does not show groups to this node, which is not "none". */
  groups: z.array(z.string()).optional(),
})
export type Person = z.infer<typeof person>

const machine = z.strictObject({
  /** Its mesh address, which here is a loopback address: nobody else can have it. */
  address: z.ipv4().startsWith('127.', 'must be in 127.0.0.0/8: the development mesh never leaves this machine'),
  /** Login of its person; a tagged machine has none. */
  owner: z.string().optional(),
  tags: z.array(z.string().regex(/^tag:./)).optional(),
  /** StableID; its name where absent. */
  id: z.string().min(1).optional(),
  os: z.string().optional(),
  os_version: z.string().optional(),
  /** Names of node attributes, as the control plane may show them (`Node.CapMap`). */
  attributes: z.array(z.string()).optional(),
  /** Capability name → values, as `grants[].app` of a tailnet policy would give. */
  capabilities: z.record(z.string(), z.array(z.unknown()).nullable()).optional(),
  expired: z.boolean().optional(),
  /** RFC 3339; absent: never. */
  key_expiry: z.iso.datetime({ offset: true }).optional(),
  /** Shared in from another tailnet. */
  shared: z.boolean().optional(),
  /** Not signed, where tailnet lock demands it. */
  unsigned: z.boolean().optional(),
  /** Gone from the mesh; false brings it back. */
  removed: z.boolean().optional(),
})
export type Machine = z.infer<typeof machine>

const document = z.strictObject({
  tailnet: z.string().min(1),
  /** The machines' names end in this. */
  suffix: z.string().min(1),
  /** `BackendState` of tailscaled: "Running", "Stopped", "NoState", … */
  state: z.string().min(1),
  /** The machine that meshidp runs on. */
  self: z.string(),
  /** The machine which whoever calls from the node's own address is taken for. */
  browser: z.string(),
  /** By login. */
  people: z.record(z.string(), person),
  /** By name. */
  machines: z.record(z.string(), machine),
})
export type MeshDocument = z.infer<typeof document>

/** What to change: members that are here replace; `undefined` takes an optional one away; a new name adds. */
export type Change = {
  [K in 'tailnet' | 'state' | 'browser']?: string
} & {
  people?: Record<string, { [K in keyof Person]?: Person[K] | undefined }>
  machines?: Record<string, { [K in keyof Machine]?: Machine[K] | undefined }>
}

/** Throws an Error with a sentence where the document is not one. */
export function readDocument(value: unknown): MeshDocument {
  const result = document.safeParse(value)
  if (!result.success) throw new Error(`This is not a development mesh:\n${z.prettifyError(result.error)}`)
  const { machines, people, self, browser } = result.data
  for (const name of [self, browser]) {
    if (!Object.hasOwn(machines, name)) throw new Error(`The development mesh has no machine "${name}".`)
  }
  for (const [name, { owner, tags }] of Object.entries(machines)) {
    if (Boolean(owner) === Boolean(tags?.length)) throw new Error(`Machine "${name}" must have either an owner or tags.`)
    if (owner && !Object.hasOwn(people, owner))
      throw new Error(`Machine "${name}" belongs to "${owner}", who is not in the development mesh.`)
  }
  return result.data
}

/** A changed copy; throws, as `readDocument`, where the change makes no sense. */
export function changed(before: MeshDocument, { people = {}, machines = {}, ...members }: Change): MeshDocument {
  const merged = <T extends object>(old: Record<string, T>, news: Record<string, object>) => ({
    ...old,
    ...Object.fromEntries(Object.entries(news).map(([name, news]) => [name, { ...old[name], ...news }])),
  })
  return readDocument({ ...before, ...members, people: merged(before.people, people), machines: merged(before.machines, machines) })
}
