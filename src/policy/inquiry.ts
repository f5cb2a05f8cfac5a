/** A question to the rules of one kind, and which rules answer it. */
import type { Principal } from '../oauth/principal.ts'
import { hasPosture } from './posture.ts'
import type { Grant, Shelf } from './rules.ts'

/** `conditions` are those of the capability itself, by name; those of its grant (src, posture, expires) hold for every kind. */
export type Inquiry<R> = {
  shelves: readonly Shelf<R>[]
  targets: readonly string[]
  keys: readonly string[]
  principal: Principal | null
  now: number | undefined
  conditions: Readonly<Record<string, (rule: R) => boolean>>
}

/** Rules of grants whose own conditions hold for this caller. A rule that two selectors reach is there twice, which adds nothing. */
export function reached<R extends { grant: Grant }>({ shelves, targets, keys, principal, now }: Inquiry<R>): R[] {
  const found: R[] = []
  for (const target of targets) {
    for (const shelf of shelves) {
      const byKey = shelf.get(target)?.byKey
      if (!byKey) continue
      for (const key of keys) {
        for (const rule of byKey.get(key) ?? [])
          if (hasPosture(rule.grant.posture, principal) && !hasExpired(rule.grant, now)) found.push(rule)
      }
    }
  }
  return found
}

/** Rules that hold in all their conditions. */
export function passing<R extends { grant: Grant }>(inquiry: Inquiry<R>): R[] {
  const conditions = Object.values(inquiry.conditions)
  return reached(inquiry).filter((rule) => conditions.every((holds) => holds(rule)))
}

/** A grant that expires needs to be told the time. */
export const hasExpired = ({ expires }: Grant, now: number | undefined): boolean =>
  expires !== null && !(now !== undefined && now < expires)
