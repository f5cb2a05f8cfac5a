/** Text in; a policy, or what is wrong with it, out. */
import { hash } from 'node:crypto'
import type { Problem } from '../hujson/problem.ts'
import { readHujson } from '../hujson/read.ts'
import { newReport } from '../hujson/report.ts'
import { reportSchemaIssues } from '../hujson/schema_problems.ts'
import { compileClients } from './clients.ts'
import { exampleOf } from './descriptions.ts'
import { policyDocument } from './document.ts'
import { compileGrants } from './grants.ts'
import { compileGroups } from './groups.ts'
import type { Compiled } from './policy.ts'
import { compileResources } from './resources.ts'
import type { Engine } from './rules.ts'

/**
 * Compiles a policy file. Never throws: whatever is wrong with `text` comes back as problems, in the order of the file. First the text
 * must be HuJSON, then every key and value must be known, then all that it names must exist: problems of one kind hide those of the next.
 */
export function compile(text: string): Compiled {
  const read = readHujson(text)
  if (!read.ok) return read
  const report = newReport(read.hujson)

  const parsed = policyDocument.safeParse(read.hujson.value)
  if (!parsed.success) {
    reportSchemaIssues(report, parsed.error.issues, {
      value: read.hujson.value,
      schema: policyDocument,
      whole: 'the policy',
      hintOf: exampleOf,
    })
    return { ok: false, problems: inOrder(report.problems) }
  }

  const document = parsed.data
  const groups = compileGroups(document, report)
  const resources = compileResources(document, report)
  const clients = compileClients(document, resources, report)
  const named = new Set(Object.keys(document.clients ?? {}))
  const { shelves, prefixes, workloads, grants } = compileGrants(document, { report, groups, resources, clients: named })

  const problems = inOrder(report.problems)
  if (problems.some((problem) => problem.severity === 'error')) return { ok: false, problems }
  const { mesh_grants } = document
  const mesh = mesh_grants
    ? { capability: mesh_grants.capability, admin: mesh_grants.admin ?? false, byDigest: new Map(), byValues: new WeakMap() }
    : null
  const engine: Engine = { resources, clients: named, groups, prefixes, workloads, shelves, grants, mesh }
  return { ok: true, policy: { hash: hash('sha256', text), text, resources, clients, warnings: problems, compiled: engine } }
}

const inOrder = (problems: readonly Problem[]): Problem[] => problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
