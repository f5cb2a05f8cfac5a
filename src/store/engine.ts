/** What a database must do for meshidp. Repositories say SQL in the subset that SQLite and PostgreSQL share; an engine runs it. */

export type Value = string | number | null
/**
 * Named parameters: `$name` in the SQL, `name` here. A number takes its type from the column that it meets; on its own (in `||`,
 * a division, `json_object`) or in a TEXT column SQLite takes it for a real: write `CAST($name AS INTEGER)` there.
 */
export type Params = Readonly<Record<string, Value>>

/** One statement of a commit. With `expect`, the commit stands only if exactly so many rows were changed. */
export type Write = { sql: string; params: Params; expect?: number }

export type Trouble = {
  /** For anybody who asks how the daemon is: nothing of the machine's. */
  brief: string
  /** For whoever runs it: what is wrong, and what to do. */
  sentence: string
  /** Whether nothing may be read either. */
  unreadable: boolean
}

export interface Engine {
  /** The first row, or undefined. Rejects with `Unavailable` when the database cannot be read. */
  get<Row>(sql: string, params: Params): Promise<Row | undefined>
  /** All rows. Every statement that may match many has a LIMIT of its own. */
  all<Row>(sql: string, params: Params): Promise<Row[]>
  /**
   * Runs the writes in order, whole or not at all, and resolves when they are on disk.
   * Rejects with GuardFailed when a write changed another number of rows than it expects, or when its row is there already or refers
   * to one that is not (unique and foreign keys, which are never deferred); with `Unavailable` when the disk fails or too many wait.
   */
  commit(writes: readonly Write[]): Promise<void>
  /** What keeps it from its work, as far as it has met it; null where all is well. Reads go on unless it says `unreadable`. */
  trouble(): Trouble | null
  /** Looks for trouble, and whether what there was is over: where the last commit failed, another is tried. To be called every few seconds. */
  examine(): void
  /** Finishes what is in flight and closes. Afterwards everything rejects with `Unavailable`. */
  close(): Promise<void>
}

/** Somebody else was first: a guarded write met a row that is not as it was read. Nothing of its commit was written. */
export class GuardFailed extends Error {
  readonly write: Write
  constructor(write: Write, cause?: unknown) {
    super('a guarded write did not meet the rows that it expects', cause === undefined ? undefined : { cause })
    this.name = 'GuardFailed'
    this.write = write
  }
}
