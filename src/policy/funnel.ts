/** What the public internet may see at all (Tailscale Funnel). */
import { hasExpired } from './inquiry.ts'
import type { Policy } from './policy.ts'
import type { Engine } from './rules.ts'

/**
 * Whether any grant lets some client in that way; which one that is, `evaluate` decides.
 * @param now seconds since the epoch
 */
export const opensFunnel = ({ compiled }: Policy, now: number): boolean =>
  ((compiled as Engine).shelves.funnel.get('')?.all ?? []).some(({ grant }) => !hasExpired(grant, now))
