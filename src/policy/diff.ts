/** Two policies compared in terms of people: what each gives to each caller, and the difference. Everything is asked of `evaluate`. */
import { type Access, accessOf, type Caller, type Fact, type Terms, type Universe, universeOf } from './access.ts'
import { type Compared, likenessIn } from './callers.ts'
import type { Policy } from './policy.ts'
import { registered } from './selector.ts'

/**
 * What `who` gain, lose, or keep on other terms: `items` (scopes, ways to register, …) at `target`, each with every one of `by`; an empty
 * `by` where that makes no difference, `['*']` where it is any software. `from`, `to`: terms that differ.
 */
export type Change = {
  kind: 'gained' | 'lost' | 'changed'
  who: string[]
  app: Fact['app']
  target: string
  items: string[]
  by: string[]
  from: Terms | null
  to: Terms | null
}

type Raw = Pick<Change, 'kind' | 'from' | 'to'> & { fact: Fact }

/**
 * The changes from one policy to the other for these callers, whom `callersOf` finds. None where both give everybody the same.
 * @param now seconds since the epoch
 */
export function diff(old: Policy, next: Policy, callers: readonly Compared[], now: number): Change[] {
  const universe = universeOf([old, next])
  const likeness = likenessIn(old, next)
  const known = new Map<string, Raw[]>()
  const changesOf = (caller: Caller): Raw[] => {
    const like = likeness(caller)
    if (!like) return []
    const access = (policy: Policy) => accessOf(policy, caller, universe, like.touched, now)
    const found = known.get(like.text) ?? compare(access(old), access(next))
    known.set(like.text, found)
    return found
  }
  const all = new Map<string, Change>()
  const tell = (label: string, raw: readonly Raw[]) => {
    for (const row of gathered(raw, universe)) {
      const key = JSON.stringify(row)
      const same = all.get(key)
      if (!same) all.set(key, { ...row, who: [label] })
      else if (!same.who.includes(label)) same.who.push(label)
    }
  }
  for (const { caller, variants } of callers) {
    const base = changesOf(caller)
    tell(caller.label, base)
    const told = new Set(base.map((one) => JSON.stringify(one)))
    for (const variant of variants)
      tell(
        variant.label,
        changesOf(variant).filter((one) => !told.has(JSON.stringify(one))),
      )
  }
  return [...all.values()]
}

function compare(old: Access, next: Access): Raw[] {
  const changes: Raw[] = []
  for (const [key, { fact, terms }] of next) {
    const before = old.get(key)
    if (!before) changes.push({ kind: 'gained', fact, from: null, to: null })
    else {
      const differing = Object.keys(terms).filter((name) => terms[name] !== before.terms[name])
      const only = (all: Terms): Terms => Object.fromEntries(differing.map((name) => [name, all[name] ?? null]))
      if (differing.length > 0) changes.push({ kind: 'changed', fact, from: only(before.terms), to: only(terms) })
    }
  }
  for (const [key, { fact }] of old) if (!next.has(key)) changes.push({ kind: 'lost', fact, from: null, to: null })
  return changes
}

/** One caller's changes in as few rows as say the same: items together where all else is alike, then the software. */
function gathered(raw: readonly Raw[], { clients }: Universe): Omit<Change, 'who'>[] {
  const rows = new Map<string, Omit<Change, 'who'>>()
  for (const { kind, from, to, fact } of raw) {
    const { app, target, item, by } = fact
    const key = JSON.stringify([kind, app, target, by, from, to])
    const row = rows.get(key)
    if (row) row.items.push(item)
    else rows.set(key, { kind, app, target, items: [item], by: by === null ? [] : [by], from, to })
  }
  const merged = new Map<string, Omit<Change, 'who'>>()
  for (const row of rows.values()) {
    row.items.sort()
    const key = JSON.stringify({ ...row, by: row.by.length })
    const same = merged.get(key)
    if (same) same.by.push(...row.by)
    else merged.set(key, row)
  }
  const software = [...clients, registered]
  for (const row of merged.values()) {
    row.by.sort()
    if (row.app === 'authorize' && row.by.length > 1 && software.every((name) => row.by.includes(name))) row.by = ['*']
  }
  return [...merged.values()]
}
