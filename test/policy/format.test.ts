/** The layout of policy files: what stays, what changes, and that nothing means anything else afterwards. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { createScanner } from 'jsonc-parser'
import { compile } from '../../src/policy/compile.ts'
import { evaluate, format, policyJsonSchema } from '../../src/policy/index.ts'
import { documents, now, policyOf, questionsTo } from '../support/random_policy.ts'

function formatted(text: string): string {
  const result = format(text)
  assert.ok(result.ok, `${text}\n${JSON.stringify(result)}`)
  return result.text
}

/** What a text holds besides white space: tokens, and comments with their lines trimmed, each in order. */
function contents(text: string): { tokens: string[]; comments: string[] } {
  const scanner = createScanner(text, false)
  const found = { tokens: [] as string[], comments: [] as string[] }
  for (let kind: number = scanner.scan(); kind !== 17; kind = scanner.scan()) {
    const value = text.slice(scanner.getTokenOffset(), scanner.getTokenOffset() + scanner.getTokenLength())
    if (kind === 12 || kind === 13) found.comments.push(value.replaceAll(/\r\n?/g, '\n').trimEnd())
    else if (kind !== 14 && kind !== 15) found.tokens.push(`${kind} ${value}`)
  }
  return found
}

const gap = fc.oneof(
  { arbitrary: fc.constant(''), weight: 6 },
  { arbitrary: fc.constantFrom(' ', '\n', '\n\n\n', '\r\n', '\t', '  \n  '), weight: 4 },
  fc.constantFrom(
    '// one\n',
    ' // two \r\n',
    '\n// three\n\n',
    '/* four */',
    '\n/* five */ ',
    '/* six\n   lines */',
    '// seven\n// eight\n',
    '/**/\n',
  ),
)

/** JSON with anything between its tokens that HuJSON allows there, and commas after last items. */
const laidOut = (document: unknown): fc.Arbitrary<string> => {
  const tokens = JSON.stringify(document).match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^{}[\],:"]+/g) ?? []
  return fc
    .tuple(
      fc.array(gap, { minLength: tokens.length + 1, maxLength: tokens.length + 1 }),
      fc.array(fc.boolean(), { minLength: tokens.length }),
    )
    .map(([gaps, commas]) =>
      tokens
        .map((token, i) => {
          const trailing = /[}\]]/.test(token) && !/[{[,]/.test(tokens[i - 1] ?? '') && commas[i]
          return `${trailing ? ',' : ''}${gaps[i]}${token}`
        })
        .concat(gaps.at(-1) ?? '')
        .join(''),
    )
}

test('fmt: every token and every comment stays, in its order; a second time changes nothing; no line ends in a space', () => {
  fc.assert(
    fc.property(
      fc
        .oneof(
          fc.json({ maxDepth: 4 }).map((json) => JSON.parse(json)),
          documents(),
        )
        .chain(laidOut),
      (text) => {
        const result = format(text)
        if (!result.ok) return // a key that is there twice, "__proto__"
        assert.deepEqual(contents(result.text), contents(text))
        assert.equal(formatted(result.text), result.text)
        assert.doesNotMatch(result.text.replaceAll(/\/\*[\s\S]*?\*\//g, 'x'), /[ \t\r]$|\n\n\n/m)
        assert.ok(result.text.endsWith('\n') && !result.text.endsWith('\n\n'))
      },
    ),
    { numRuns: 1000 },
  )
})

test('fmt: a policy decides the same afterwards', () => {
  const cases = documents().chain((document) => fc.tuple(fc.constant(document), laidOut(document), questionsTo(document)))
  fc.assert(
    fc.property(cases, ([document, text, asked]) => {
      const compiled = compile(formatted(text))
      assert.ok(compiled.ok)
      assert.deepEqual(evaluate(compiled.policy, asked, now), evaluate(policyOf(document), asked, now))
    }),
    { numRuns: 500 },
  )
})

test('fmt: what stands on one line stays there, the rest gets a line for each item, and neighbours stand below each other', () => {
  const text = `// Who.
{"groups": {  "group:eng":["alice@example.com" ,"bob@example.com"],
      "group:oncall": ["group:eng"], // at night


  // Nobody else.
  "group:a": ["a@example.com"] },
"grants": [{ "src": ["group:eng"],
"app": {"admin":[{"access":"read"}]}}, {"src": ["*"], "app": {} } // all
, ]
}
/* the end */`
  assert.equal(
    formatted(text),
    `// Who.
{
  "groups": {
    "group:eng":    ["alice@example.com", "bob@example.com"],
    "group:oncall": ["group:eng"], // at night

    // Nobody else.
    "group:a": ["a@example.com"]
  },
  "grants": [
    {
      "src": ["group:eng"],
      "app": { "admin": [{ "access": "read" }] }
    },
    { "src": ["*"], "app": {} }, // all
  ]
}
/* the end */
`,
  )
  assert.equal(formatted('{}'), '{}\n')
  assert.equal(formatted('{ "a" // why\n: 1 }'), '{\n  "a": // why\n    1\n}\n')
  assert.equal(formatted('{ "a": [{\n"b": 1 }] }'), '{\n  "a": [{\n    "b": 1\n  }]\n}\n')
})

test('fmt: a line of more than 140 letters, with its comma, is broken, outermost first; one of 140 is not', () => {
  const list = (length: number) => `{"a": ["${'x'.repeat(length)}", "y"]}\n`
  const [fits, tooLong] = [formatted(list(121)), formatted(list(122))]
  assert.equal(fits.split('\n')[0]?.length, 139)
  assert.equal(fits, `{ "a": ["${'x'.repeat(121)}", "y"] }\n`)
  assert.equal(tooLong, `{\n  "a": ["${'x'.repeat(122)}", "y"]\n}\n`)
})

test('fmt: a long file, a wide one and a deep one take no time to speak of', () => {
  const deep = `${'[{"a":'.repeat(31)}[${'1,'.repeat(300)}[\n1]]${'}]'.repeat(31)}`
  const wide = `{${Array.from({ length: 20_000 }, (_, i) => `\n"k${i}": 1`).join(',')}}`
  for (const text of [deep, wide, `[${'[1, 2, 3], '.repeat(20_000)}[\n1]]`]) {
    const began = performance.now()
    assert.equal(formatted(formatted(text)), formatted(text))
    assert.ok(performance.now() - began < 5_000)
  }
})

test('fmt: what is no HuJSON is not touched', () => {
  for (const text of ['', '{', '{ "a": 1 "b": 2 }', '{ "a": 1, "a": 2 }', '\uFEFF{}', '[1,,2]']) assert.ok(!format(text).ok, text)
})

test('the example policy is laid out so', () => {
  const text = readFileSync(new URL('../../policy/example.hujson', import.meta.url), 'utf8')
  assert.equal(formatted(text), text)
})

test('policy schema: the JSON Schema that policy/policy.schema.json holds', () => {
  const held = JSON.parse(readFileSync(new URL('../../policy/policy.schema.json', import.meta.url), 'utf8'))
  assert.deepEqual(JSON.parse(JSON.stringify(policyJsonSchema())), held)
})
