/** Where compile puts the problems that it finds. */

import type { Hint } from './nearest.ts'
import type { Problem } from './problem.ts'
import type { Hujson, Path } from './read.ts'

type Details = { hint?: Hint | undefined; at?: 'key' | 'value' }

export type Report = {
  problems: readonly Problem[]
  error(path: Path, message: string, details?: Details): void
  warning(path: Path, message: string, details?: Details): void
}

/** More than this helps nobody, and each costs a search for its place. */
export const mostProblems = 100

export function newReport(hujson: Hujson): Report {
  const problems: Problem[] = []
  const left = { error: mostProblems, warning: mostProblems } // each its own, so that warnings never hide an error
  const add = (severity: Problem['severity'], path: Path, message: string, { hint, at }: Details = {}) => {
    if (left[severity]-- <= 0) return
    const meant = hint?.()
    problems.push({ ...hujson.place(path, at), severity, message, ...(meant === undefined ? {} : { hint: meant }) })
  }
  return {
    problems,
    error: (path, message, details) => add('error', path, message, details),
    warning: (path, message, details) => add('warning', path, message, details),
  }
}
