/** RFC 9111: for how long an answer may be used again. We are a shared cache: one copy serves everybody. */
import type { Headers } from './guarded_fetch.ts'

/** Seconds. A stranger's "ten years" is a day here, so that a corrected document arrives; without a word from the origin, a little (§4.2.2). */
const longest = 86_400
const unsaid = 300

/** §5.2: name → its values (undefined for none), one for each time it is there. */
function directives(cacheControl: string): Map<string, (string | undefined)[]> {
  const found = new Map<string, (string | undefined)[]>()
  for (const part of cacheControl.split(',')) {
    const [name = '', ...value] = part.split('=')
    const key = name.trim().toLowerCase()
    const given =
      value.length === 0
        ? undefined
        : value
            .join('=')
            .trim()
            .replace(/^"(.*)"$/, '$1')
    const values = found.get(key)
    if (values) values.push(given)
    else found.set(key, [given])
  }
  return found
}

/** §1.2.2 delta-seconds. Anything else is stale at once (§4.2.1). */
const deltaSeconds = (text: string | undefined): number => (/^[0-9]+$/.test(text ?? '') ? Number(text) : 0)

/** §5.3, §5.6.7 of RFC 9110. A date that is none, "0" for one, is in the past. */
const httpDate = (text: string): number => (text.endsWith(' GMT') ? Date.parse(text) / 1000 || 0 : 0)

/** How long the origin lets it be used, counted from when the origin made it; undefined where it does not say. §4.2.1. */
function freshness(headers: Headers, now: number): number | undefined {
  const said = directives(headers.get('cache-control') ?? '')
  if (['no-store', 'no-cache', 'private'].some((name) => said.has(name))) return 0
  const ages = said.get('s-maxage') ?? said.get('max-age') // §5.2.2.10: a shared cache obeys s-maxage first
  if (ages) return Math.min(...ages.map(deltaSeconds)) // said twice: the most careful counts
  const expires = headers.get('expires')
  if (expires === undefined) return undefined
  return httpDate(expires) - (httpDate(headers.get('date') ?? '') || now)
}

/** Seconds, 0 to a day, for which an answer just received may be used again. `now`: seconds since the epoch. */
export function freshFor(headers: Headers, now: number): number {
  const seconds = (freshness(headers, now) ?? unsaid) - deltaSeconds(headers.get('age'))
  return Math.max(0, Math.min(longest, Math.floor(seconds)))
}
