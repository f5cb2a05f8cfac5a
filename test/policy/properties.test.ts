/** "How grants add up", as properties of policies that nobody wrote. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Asked, evaluate, type Verdict } from '../../src/policy/index.ts'
import { compareLeniency } from '../../src/policy/limits.ts'
import { asked, ci, type Grant, grant, now, type PolicyDocument, persons, policyOf, software } from '../support/random_policy.ts'

const answer = (document: unknown, asked: Asked): Verdict => evaluate(policyOf(document), asked, now)

/** A verdict less what is about positions in the file: which grants, and their reasons in the order of the grants. */
const substance = (verdict: Verdict) =>
  verdict.allowed
    ? { ...verdict, grants: [], reasons: [], scopes: [...verdict.scopes].sort() }
    : { allowed: false, reason: verdict.reason, sentence: verdict.sentence }

/** `change` makes of a random document another one, which must answer every question alike. */
function meansTheSame(change: (document: PolicyDocument) => fc.Arbitrary<unknown>, numRuns = 600): void {
  const both = asked().chain(([document, question]) => fc.tuple(fc.constant(document), change(document), fc.constant(question)))
  fc.assert(
    fc.property(both, ([one, other, asked]) => {
      assert.deepEqual(substance(answer(other, asked)), substance(answer(one, asked)))
    }),
    { numRuns },
  )
}

const shuffled = <T>(items: readonly T[]) => fc.shuffledSubarray([...items], { minLength: items.length })

test('adding a grant never takes access away, nor makes a scope stricter [threats 385]', () => {
  fc.assert(
    fc.property(asked(), grant, fc.nat(6), ([document, asked], added, at) => {
      const more = { ...document, grants: document.grants.toSpliced(at, 0, added) }
      const [old, today] = [answer(document, asked), answer(more, asked)]
      if (!old.allowed) return
      assert.ok(today.allowed)
      for (const scope of old.scopes) assert.ok(today.scopes.includes(scope))
      for (const group of old.limits.groups) assert.ok(today.limits.groups.includes(group))
      for (const claim of Object.keys(old.limits.claims)) assert.ok(claim in today.limits.claims)
      for (const limit of ['max_clients', 'client_ttl'] as const) assert.ok((today.limits[limit] ?? 0) >= (old.limits[limit] ?? 0))
      assert.ok(old.limits.metadata === 'strict' || today.limits.metadata === 'lenient')
      // The request takes the strictest of its scopes, and a new scope may be stricter: so compare one scope at a time.
      for (const scope of old.scopes) {
        const one = { ...asked, scopes: [scope] } as Asked
        const [was, is] = [answer(document, one), answer(more, one)]
        assert.ok(was.allowed && is.allowed && compareLeniency(is.limits, was.limits) >= 0)
      }
    }),
    { numRuns: 1000 },
  )
})

test('the order of grants means nothing [threats 385]', () => {
  meansTheSame((document) => shuffled(document.grants).map((grants) => ({ ...document, grants })))
})

test('the order of keys means nothing', () => {
  const anyOrder = (value: unknown): fc.Arbitrary<unknown> => {
    if (Array.isArray(value)) return fc.tuple(...value.map(anyOrder))
    if (typeof value !== 'object' || value === null) return fc.constant(value)
    return shuffled(Object.entries(value)).chain((entries) =>
      fc
        .tuple(...entries.map(([, item]) => anyOrder(item)))
        .map((items) => Object.fromEntries(items.map((item, i) => [entries[i]?.[0], item]))),
    )
  }
  meansTheSame(anyOrder, 400)
})

test('the order of the items of a list means nothing', () => {
  const reversed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.toReversed().map(reversed)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reversed(item)]))
  }
  meansTheSame((document) => fc.constant(reversed(document)))
})

test('a group nested deeper, or a member named twice, changes nothing', () => {
  /** Each member by way of a group of its own, and those of no depth twice. */
  meansTheSame((document) =>
    fc.boolean().map((deep) => {
      const groups: Record<string, string[]> = {}
      for (const [name, members] of Object.entries(document.groups)) {
        groups[name] = members.flatMap((member, i) => [`${name}-${i}`, ...(deep ? [] : [member, member])])
        for (const [i, member] of members.entries())
          groups[`${name}-${i}`] = [member, member.startsWith('group:') ? member : member.toUpperCase()]
      }
      return { ...document, groups }
    }),
  )
})

test('a group and its members in its place are the same', () => {
  meansTheSame((document) => {
    const flat = (name: string): string[] =>
      (document.groups[name] ?? []).flatMap((member) => [member, ...(member.startsWith('group:') ? flat(member) : [])])
    const src = (grant: Grant) => grant.src.flatMap((selector) => [selector, ...flat(selector)])
    return fc.constant({ ...document, grants: document.grants.map((grant) => ({ ...grant, src: [...new Set(src(grant))] })) })
  })
})

test('the same grant twice changes nothing', () => {
  meansTheSame((document) => fc.constant({ ...document, grants: [...document.grants, ...document.grants] }), 400)
})

test('a grant of two people is two grants of one each', () => {
  meansTheSame((document) =>
    fc.constant({ ...document, grants: document.grants.flatMap((grant) => grant.src.map((one) => ({ ...grant, src: [one] }))) }),
  )
})

test('fields of two grants never mix: whatever is allowed, one grant alone allows each scope of it on those terms', () => {
  fc.assert(
    fc.property(asked(), ([document, asked]) => {
      const verdict = answer(document, asked)
      if (!verdict.allowed || asked.app === 'exchange') return
      const only = (index = -1) => ({ ...document, grants: document.grants.slice(index, index + 1) })
      if (!('scopes' in asked)) {
        for (const index of verdict.grants) assert.ok(answer(only(index), asked).allowed)
        return
      }
      for (const scope of verdict.scopes) {
        const one = { ...asked, scopes: [scope] } as Asked
        const together = answer(document, one)
        assert.ok(together.allowed && together.grants.length === 1)
        // An identity scope at a resource also needs any grant there; asked without the resource, its own grant suffices.
        const alone = scope === 'openid' || scope === 'email' ? ({ ...one, resource: null } as Asked) : one
        const by = answer(only(together.grants[0]), alone)
        assert.ok(by.allowed)
        assert.deepEqual(by.limits, together.limits)
      }
    }),
    { numRuns: 1000 },
  )
})

test('fields of two grants never mix: each scope of an exchange is from one "exchange" grant and at most one of the subject', () => {
  fc.assert(
    fc.property(asked({ maxLength: 8 }), ([document, asked]) => {
      if (asked.app !== 'exchange') return
      const verdict = answer(document, asked)
      if (!verdict.allowed) return
      for (const scope of verdict.scopes) {
        const one = { ...asked, scopes: [scope] }
        const pairs = document.grants.flatMap((a) => document.grants.map((b) => [...new Set([a, b])]))
        const found = pairs.map((grants) => answer({ ...document, grants }, one)).filter((by) => by.allowed)
        const together = answer(document, one)
        assert.ok(together.allowed && found.some((by) => compareLeniency(by.limits, together.limits) === 0))
      }
    }),
    { numRuns: 1500 },
  )
})

test('nothing is granted that was not asked, and what was asked is granted or dropped', () => {
  fc.assert(
    fc.property(asked(), ([document, asked]) => {
      const verdict = answer(document, asked)
      if (!verdict.allowed || !('scopes' in asked) || asked.scopes.length === 0) return
      assert.deepEqual([...verdict.scopes, ...verdict.dropped].sort(), [...asked.scopes].sort())
    }),
    { numRuns: 600 },
  )
})

test('without any grant nothing is allowed [threats 385]', () => {
  fc.assert(
    fc.property(asked({ maxLength: 0 }), ([document, asked]) => !answer(document, asked).allowed),
    { numRuns: 200 },
  )
})

test('a star matches no tagged node [threats 379]', () => {
  const star = fc.constantFrom(['*'], ['autogroup:member'], ['*@x'], ['*', 'group:a'])
  fc.assert(
    fc.property(asked(), star, ([document, asked], src) => {
      const workload = { ...asked, principal: ci, client: software[2] } as Asked
      const open = { ...document, grants: document.grants.map((grant) => ({ ...grant, src })) }
      assert.ok(!answer(open, workload).allowed)
    }),
    { numRuns: 400 },
  )
})

test('whoever is in no group, and not named, gets what a star gives and no more', () => {
  const stranger = { ...persons[0], user_id: 'eve', login: 'eve@z', address: '100.64.1.1' }
  fc.assert(
    fc.property(asked(), ([document, asked]) => {
      const hers = { ...asked, principal: stranger } as Asked
      const open = document.grants.filter(
        ({ src }) => src.includes('*') || src.includes('autogroup:member') || asked.app.match(/client_|intro|funnel/),
      )
      assert.deepEqual(substance(answer({ ...document, grants: open }, hers)), substance(answer(document, hers)))
    }),
    { numRuns: 400 },
  )
})
