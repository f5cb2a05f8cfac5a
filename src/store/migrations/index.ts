/** The schema's history: append only. A migration that has run anywhere is never changed; its hash is checked. */
import { first } from './0001_first.ts'

export const migrations = [{ id: 1, name: 'first', sql: first }]
