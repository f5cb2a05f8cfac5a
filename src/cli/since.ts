/** A moment of the past, as people write it. */
import { UsageError } from './command.ts'

const seconds = { m: 60, h: 3600, d: 86_400, w: 604_800 } as const

/** "7d" before `now` (seconds), or a day or time as RFC 3339 writes it → seconds. Throws UsageError. */
export function sinceOf(text: string, now: number): number {
  const [, count, unit] = /^([1-9]\d{0,5})([mhdw])$/.exec(text) ?? []
  const at = unit
    ? now - Number(count) * seconds[unit as keyof typeof seconds]
    : /^\d{4}-\d\d-\d\d/.test(text)
      ? Date.parse(text) / 1000
      : Number.NaN
  if (Number.isNaN(at)) throw new UsageError(`--since takes 30m, 12h, 7d, 4w or a date such as 2026-01-31, not ${text}.`)
  return Math.floor(at)
}
