/** Who is in which group: those of the file, nested, and the names that only the mesh fills. */

import { didYouMean } from '../hujson/nearest.ts'
import { type Path, quote } from '../hujson/read.ts'
import type { Report } from '../hujson/report.ts'
import type { PolicyDocument } from './document.ts'
import { parseSelector } from './selector.ts'

export type Groups = {
  /** All group names that selectors may use. */
  names: ReadonlySet<string>
  /** Those of them that only the mesh fills. */
  ofMesh: ReadonlySet<string>
  /** Login key → every group that holds this person, directly or through other groups. */
  byLogin: ReadonlyMap<string, readonly string[]>
  /** Group → itself and every group that holds it. */
  within: ReadonlyMap<string, readonly string[]>
}

const deepest = 32

/** Reads `groups` and `mesh_groups`; reports undefined members, other selectors than people and groups, cycles, and nesting beyond 32. */
export function compileGroups(document: PolicyDocument, report: Report): Groups {
  const groups = new Map(Object.entries(document.groups ?? {}))
  const names = new Set([...groups.keys(), ...(document.mesh_groups ?? [])])
  const ofMesh = new Set((document.mesh_groups ?? []).filter((name) => !groups.has(name)))
  const holders = new Map<string, Set<string>>([...names].map((name) => [name, new Set()]))
  const people: [login: string, group: string][] = []

  for (const [name, members] of groups) {
    for (const [i, member] of members.entries()) {
      const path = ['groups', name, i]
      const selector = parseSelector(member)
      if ('refused' in selector) report.error(path, selector.refused, { hint: selector.hint })
      else if (selector.kind === 'login') people.push([selector.key, name])
      else if (selector.kind !== 'group') report.error(path, `A group holds login names and other groups; ${quote(member)} is neither.`)
      else if (names.has(member)) holders.get(member)?.add(name)
      else report.error(path, `${quote(member)} is not defined.`, { hint: didYouMean(member, names) })
      if (!('refused' in selector) && selector.kind === 'login') warnOfLogin(member, names, path, report)
    }
  }

  if (!nestsWell(groups, holders, report)) return { names, ofMesh, byLogin: new Map(), within: new Map() }
  const within = new Map([...names].map((name) => [name, upwards(name, holders)]))
  const found = new Map<string, Set<string>>()
  for (const [login, group] of people) {
    const groups = found.get(login) ?? new Set()
    found.set(login, groups)
    for (const holder of within.get(group) ?? []) groups.add(holder)
  }
  const byLogin = new Map([...found].map(([login, groups]) => [login, [...groups].sort()]))
  return { names, ofMesh, byLogin, within }
}

/** What may be a login name, and hardly was meant as one: "eng" where "group:eng" exists, and the name of a machine. */
export function warnOfLogin(text: string, groups: ReadonlySet<string>, path: Path, report: Report): void {
  if (groups.has(`group:${text}`))
    report.warning(path, `${quote(text)} is taken as a login name.`, { hint: () => `Did you mean "group:${text}"?` })
  if (/\.ts\.net\.?$/i.test(text))
    report.warning(
      path,
      `${quote(text)} is taken as a login name; names of machines are no selectors, since people choose them. Use its tag or its address.`,
    )
}

/** Groups whose holders are all settled are taken away, level by level; what remains is in a cycle or is held by one. */
function nestsWell(
  groups: ReadonlyMap<string, readonly string[]>,
  holders: ReadonlyMap<string, ReadonlySet<string>>,
  report: Report,
): boolean {
  const waits = new Map([...holders].map(([name, set]) => [name, set.size]))
  let level = [...waits].filter(([, count]) => count === 0).map(([name]) => name)
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > deepest) {
      report.error(['groups', level[0] ?? ''], `Groups nest more than ${deepest} deep here.`, { at: 'key' })
      return false
    }
    const next: string[] = []
    for (const name of level) {
      waits.delete(name)
      for (const member of new Set(groups.get(name)?.filter((text) => holders.has(text)))) {
        const count = (waits.get(member) ?? 0) - 1
        waits.set(member, count)
        if (count === 0) next.push(member)
      }
    }
    level = next
  }
  if (waits.size === 0) return true

  const cycle = cycleAmong(waits, holders)
  const place = ['groups', cycle[0] ?? '', groups.get(cycle[0] ?? '')?.indexOf(cycle[1] ?? '') ?? 0]
  report.error(place, `A group may not hold itself: ${cycle.slice(0, 8).join(' → ')}${cycle.length > 8 ? ' → …' : ''}.`)
  return false
}

/** Walks upwards among the groups that remain: each has a holder that remains too, so the walk must meet itself. */
function cycleAmong(remaining: ReadonlyMap<string, number>, holders: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const walk: string[] = []
  const seen = new Map<string, number>()
  for (
    let name = [...remaining.keys()][0];
    name !== undefined;
    name = [...(holders.get(name) ?? [])].find((holder) => remaining.has(holder))
  ) {
    const before = seen.get(name)
    if (before !== undefined) return [...walk.slice(before), name].reverse()
    seen.set(name, walk.push(name) - 1)
  }
  return walk
}

function upwards(name: string, holders: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const found = new Set([name])
  for (const group of found) for (const holder of holders.get(group) ?? []) found.add(holder)
  return [...found].sort()
}
