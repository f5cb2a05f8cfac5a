import * as z from 'zod'
import { policyDocument } from './document.ts'

/** The JSON Schema of a policy file, for editors: what stands in policy/policy.schema.json. */
export const policyJsonSchema = (): object => ({
  title: 'The policy file of meshidp',
  ...z.toJSONSchema(policyDocument, { io: 'input' }),
})
