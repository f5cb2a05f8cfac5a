/** What a backup says of itself: its first entry, manifest.json. */
import { z } from 'zod'
import { BackupRefused } from './refused.ts'

export const version = 1

const manifestSchema = z.object({
  format: z.literal('meshidp-backup'),
  version: z.literal(version),
  /** Seconds. */
  made_at: z.int(),
  /** Id and name of the last migration that the database has seen. */
  schema: z.object({ id: z.int(), name: z.string() }),
  issuer: z.string().nullable(),
  tailnet: z.string().nullable(),
})

export type Manifest = z.output<typeof manifestSchema>

/** Text of a manifest → Manifest. Throws BackupRefused. */
export function parseManifest(text: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {}
  const { success, data } = manifestSchema.safeParse(value)
  if (success) return data
  const { version: of } = (value ?? {}) as { version?: unknown }
  throw new BackupRefused(
    Number(of) > version
      ? `This backup is of a newer meshidp (format ${of}, this one knows ${version}). Restore it with that one.`
      : 'This backup has no manifest that could be read. Take another one.',
  )
}
