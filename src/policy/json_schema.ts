/** The policy file as JSON Schema. */
import * as z from 'zod'
import { descriptions } from './descriptions.ts'
import { policyDocument } from './document.ts'

type Schema = {
  properties?: Record<string, Schema>
  additionalProperties?: Schema | false
  items?: Schema
  anyOf?: Schema[]
}

/** The JSON Schema of a policy file, for editors: what stands in policy/policy.schema.json. Each key says what it is. */
export const policyJsonSchema = (): object => ({
  title: 'The policy file of meshidp',
  ...taught(z.toJSONSchema(policyDocument, { io: 'input' }) as Schema, ''),
})

/** The same schema, with what `descriptions` says of each key below `path`. */
function taught(schema: Schema, path: string): Schema {
  const { properties, additionalProperties, items, anyOf } = schema
  const below = (key: string) => (path === '' ? key : `${path}.${key}`)
  const inside = ([key, value]: [string, Schema]) => [key, { ...descriptions[below(key)], ...taught(value, below(key)) }]
  return {
    ...schema,
    ...(properties && { properties: Object.fromEntries(Object.entries(properties).map(inside)) }),
    ...(additionalProperties && { additionalProperties: taught(additionalProperties, path) }),
    ...(items && { items: taught(items, path) }),
    ...(anyOf && { anyOf: anyOf.map((one) => taught(one, path)) }),
  }
}
