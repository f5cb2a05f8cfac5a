import { policyJsonSchema } from '../../policy/index.ts'
import type { Command } from '../command.ts'
import { inJson } from '../json.ts'

export const schema: Command = {
  summary: 'print the JSON Schema of policy files, for editors',
  description: `Prints the JSON Schema of a policy file. An editor that knows it shows what may stand where, and marks what may not.

  meshidp policy schema > policy.schema.json
  { "$schema": "./policy.schema.json", … }    at the top of the policy`,
  options: {},
  async run(terminal) {
    terminal.write(inJson(policyJsonSchema()))
    return 0
  },
}
