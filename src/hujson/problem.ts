/** What is wrong with a file that somebody wrote. */

/**
 * A mistake in a file, where it is (line and column from 1; a column is a UTF-16 code unit), a sentence, and perhaps a second
 * sentence that says what was meant: `Did you mean "group:eng"?`
 */
export type Problem = { line: number; column: number; severity: 'error' | 'warning'; message: string; hint?: string }
