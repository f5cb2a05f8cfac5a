/** How it stands with the certificate, in words. */
import type { CertificateState } from '../tls/held.ts'

const aDay = 86_400

/** Days until the certificate ends, rounded down; negative once it has. Null where there is none. */
export const daysLeft = ({ until }: CertificateState, now: number): number | null =>
  until === null ? null : Math.floor((until - now) / aDay)

/** Whether clients can connect: there is one, and it has not ended. */
export const isServable = (state: CertificateState | null, now: number): boolean => state === null || (state.until ?? 0) > now

const shownDays = (days: number) =>
  days > 0 ? `good for ${days} more day${days === 1 ? '' : 's'}` : days === 0 ? 'ends within a day' : 'has ended'

/** A line of status: where it comes from, for how long it is good, and what is wrong with the next one. */
export function certificateInWords(state: CertificateState, now: number): string {
  const { name, source, problem } = state
  const days = daysLeft(state, now)
  const what = `Certificate ${source === 'mesh' ? 'of the mesh' : 'of files'} for ${name}: ${days === null ? 'none yet' : shownDays(days)}.`
  return problem ? `${what} ${problem.message}` : what
}
