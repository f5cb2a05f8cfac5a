/** The configuration file as JSON Schema, for editors: what stands in config/config.schema.json. */
import * as z from 'zod'

/** No key is required: the environment and the command line may say it. */
export function jsonSchemaOf(schema: z.ZodType): object {
  const { required: _, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  return { title: 'The configuration file of meshidp', ...rest }
}
