/**
 * What the LocalAPI answers, as far as meshidp reads it: Go's field names, absent where empty. Unknown fields are ignored; an absent
 * one is unknown, never a default that lets somebody in.
 */
import { z } from 'zod'

/** A user id: an int64 in Go, which may exceed 2^53, so text here. 0 is Go's "none". */
const userId = z.union([z.int().positive(), z.string().regex(/^[1-9]\d{0,18}$/)]).transform(String)

const strings = z.array(z.string()).nullish()
const time = z.iso.datetime({ offset: true }).nullish()

export const whoisAnswer = z.object({
  Node: z.object({
    StableID: z.string().min(1),
    Name: z.string().nullish(),
    User: userId,
    Sharer: z.union([z.number(), z.string()]).nullish(),
    KeyExpiry: time,
    Expired: z.boolean().nullish(),
    UnsignedPeerAPIOnly: z.boolean().nullish(),
    Addresses: strings,
    Tags: strings,
    Hostinfo: z.object({ OS: z.string().nullish(), OSVersion: z.string().nullish() }).nullish(),
    /** Attributes of the node, by name; what has another shape shows none. */
    CapMap: z.record(z.string(), z.unknown()).nullish().catch(null),
  }),
  UserProfile: z.object({
    ID: userId,
    LoginName: z.string().min(1),
    DisplayName: z.string().nullish(),
    ProfilePicURL: z.string().nullish(),
    Groups: strings,
  }),
  /** Looked at apart: a malformed one gives no capabilities, and costs nobody their identity. */
  CapMap: z.unknown().optional(),
})
export type WhoisAnswer = z.infer<typeof whoisAnswer>

/** A node in `status`; its `ID` is what whois calls `StableID`. */
const peer = z.object({
  ID: z.string().min(1),
  UserID: userId.nullish().catch(null),
  AltSharerUserID: z.union([z.number(), z.string()]).nullish(),
  ShareeNode: z.boolean().nullish(),
  Tags: strings,
  DNSName: z.string().nullish(),
  TailscaleIPs: strings,
  KeyExpiry: time,
  Expired: z.boolean().nullish(),
})
export type Peer = z.infer<typeof peer>

/** Fully qualified, without the trailing dot; '' where it has none. */
export const nameOf = (node: Pick<Peer, 'DNSName'> | null | undefined): string => (node?.DNSName ?? '').replace(/\.$/, '')

export const statusAnswer = z.object({
  BackendState: z.string().min(1),
  TUN: z.boolean().nullish(),
  /** Without an id while this node is in no mesh. */
  Self: peer.extend({ ID: z.string(), Online: z.boolean().nullish() }).nullish(),
  CurrentTailnet: z.object({ Name: z.string().nullish() }).nullish(),
  Health: strings,
  /** Names that tailscaled can get certificates for; none where the tailnet has HTTPS off. */
  CertDomains: strings,
  Peer: z.record(z.string(), peer).nullish(),
})
export type StatusAnswer = z.infer<typeof statusAnswer>

/** What `Self.Online` being false means; `Health` does not speak of it, or only minutes later. */
export const controlLost = 'The control server is out of reach: the mesh goes on, but nobody new comes in, and nobody who was removed goes.'

/** What is wrong with the mesh although it goes on, in sentences. */
export const complaintsOf = ({ Self, Health }: Pick<StatusAnswer, 'Self' | 'Health'>): readonly string[] => [
  ...(Self?.Online === false ? [controlLost] : []),
  ...(Health ?? []),
]

/** Where a number of 16 or more digits may stand; a false alarm costs microseconds. */
const longNumber = /[:,[]\s*-?\d{16}/

type WithSource = { source?: string }

/** `JSON.parse` that keeps integers beyond 2^53 as their text, instead of as a neighbouring integer. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  // The reviver is several times slower than the parser, so it runs only where it could matter.
  if (!longNumber.test(text)) return JSON.parse(text)
  const keepLong = (_key: string, value: unknown, { source = '' }: WithSource = {}) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? source : value
  return JSON.parse(text, keepLong as (key: string, value: unknown) => unknown)
}

/** Go's time → seconds since the epoch; null for Go's zero time, which means "never", and for an absent one. */
export function seconds(value: string | null | undefined): number | null {
  return value == null || value.startsWith('0001-01-01T00:00:00') ? null : Math.floor(Date.parse(value) / 1000)
}

/** S6: an expired node is still answered for, with its capabilities; either field says so. */
export function hasExpired(node: { Expired?: boolean | null | undefined; KeyExpiry?: string | null | undefined }, now: number): boolean {
  const expiry = seconds(node.KeyExpiry)
  return node.Expired === true || (expiry !== null && expiry <= now)
}
