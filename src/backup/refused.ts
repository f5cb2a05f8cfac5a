/** A backup is not made, or not taken for one. The message says what is wrong and what to do about it. */
export class BackupRefused extends Error {
  override name = 'BackupRefused'
}

/** A file that is not what a backup is. `what`: in the middle of a sentence. */
export const broken = (what: string) => new BackupRefused(`This backup cannot be used: ${what}. Take another one.`)
