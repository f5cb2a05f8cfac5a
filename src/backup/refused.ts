/** A backup is not made, or not taken for one. The message says what is wrong and what to do about it. */
export class BackupRefused extends Error {
  override name = 'BackupRefused'
}
