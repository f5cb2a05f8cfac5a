/** The callers without identity: for each reason what happened, and what to do about it. */
import type { NoIdentityReason } from '../oauth/principal.ts'

export type Nobody = { principal: null; reason: NoIdentityReason; sentence: string }

const sentences: Record<NoIdentityReason, (address: string) => string> = {
  unknown: (address) => `The mesh knows nobody at ${address}. Check that your machine is connected to this mesh, then try again.`,
  expired: (address) => `The key of the machine at ${address} has expired. Sign it in to the mesh again ("tailscale up"), then try again.`,
  shared: (address) =>
    `The machine at ${address} is shared in from another tailnet. Use a machine of this tailnet, or ask an admin for an account here.`,
  funnel: () => 'This request came from the public internet through Funnel. Connect your machine to the mesh, and use its address there.',
  self: (address) =>
    `This request came from the machine that meshidp runs on (${address}), where any local process could be asking. Use another machine of yours.`,
  unsigned: (address) =>
    `The machine at ${address} is not signed yet, as tailnet lock demands. Ask an admin of the tailnet to sign it, then try again.`,
  malformed: (address) =>
    `What the mesh says of ${address} names neither a person nor a tagged machine. Ask an admin to look at it with "tailscale whois ${address}".`,
  not_mesh: (address) =>
    `This connection from ${address} did not come over the mesh. Connect your machine to the mesh, and use the mesh name of this server.`,
  local_process: (address) =>
    `The connection from ${address} was opened by a process of this machine, not by tailscaled. Connect over the mesh instead.`,
  forwarded: () =>
    'This request does not say, or not clearly, for which mesh address it was forwarded. Let "tailscale serve" be the only thing in front of meshidp.',
}

/** @param address for the sentence only */
export const nobody = (reason: NoIdentityReason, address: string): Nobody => ({
  principal: null,
  reason,
  sentence: sentences[reason](address),
})
