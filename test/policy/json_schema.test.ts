/** policy/policy.schema.json, by which an editor teaches the language. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { parse } from 'jsonc-parser'
import { descriptions } from '../../src/policy/descriptions.ts'
import { policyJsonSchema } from '../../src/policy/index.ts'

type Schema = {
  type?: string
  enum?: unknown[]
  const?: unknown
  description?: string
  examples?: unknown[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema | false
  items?: Schema
  anyOf?: Schema[]
}

const schema = policyJsonSchema() as Schema
const ajv = new Ajv2020({ formats: { date: true, 'date-time': true }, allErrors: true })
const folder = new URL('../../policy/', import.meta.url)

/** Every property of the schema, with the keys that lead to it; one that is written in two branches comes twice. */
function propertiesOf(schema: Schema, path: string[] = []): [path: string, schema: Schema][] {
  const { properties = {}, additionalProperties, items, anyOf = [] } = schema
  const own = Object.entries(properties).flatMap(([key, value]): [string, Schema][] => [
    [[...path, key].join('.'), value],
    ...propertiesOf(value, [...path, key]),
  ])
  const nested = [additionalProperties, items, ...anyOf].flatMap((one) => (one ? propertiesOf(one, path) : []))
  return [...own, ...nested]
}

test('each key of the language has a description, and each description a key', () => {
  const properties = propertiesOf(schema)
  assert.deepEqual(
    properties.filter(([, { description }]) => !description?.endsWith('.')).map(([path]) => path),
    [],
  )
  const known = new Set(properties.map(([path]) => path))
  assert.deepEqual(
    Object.keys(descriptions).filter((path) => !known.has(path)),
    [],
  )
})

test('what stands in a key that is neither a choice nor an object of keys is shown by an example, and each example is a good one', () => {
  for (const [path, property] of propertiesOf(schema)) {
    const chosen = property.enum ?? property.const ?? property.properties ?? (property.type === 'boolean' || undefined)
    assert.ok(chosen !== undefined || (property.examples?.length ?? 0) > 0, `${path} has no example`)
    const valid = ajv.compile(property)
    for (const example of property.examples ?? [])
      assert.ok(valid(example), `${path}: ${JSON.stringify(example)} ${ajv.errorsText(valid.errors)}`)
  }
})

test('policy/example.hujson and all of policy/modes are good by the schema, and a misspelt key or a wrong type is not', () => {
  const valid: ValidateFunction = ajv.compile(schema)
  const files = ['example.hujson', ...readdirSync(new URL('modes/', folder)).map((name) => `modes/${name}`)]
  assert.ok(files.length > 5)
  for (const file of files) assert.ok(valid(parse(readFileSync(new URL(file, folder), 'utf8'))), `${file}: ${ajv.errorsText(valid.errors)}`)
  for (const bad of [
    { grant: [] },
    { groups: { eng: ['a'] } },
    { groups: { 'group:eng': 'a' } },
    { grants: [{ src: ['*'], app: { register: {} } }] },
  ])
    assert.ok(!valid(bad), JSON.stringify(bad))
})
