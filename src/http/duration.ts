/** Lengths of time as people say them. */

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const

/** Whole seconds → "90 days", "1 hour and 30 minutes": the two largest units, what is less is left out. */
export function inWords(seconds: number): string {
  const first = units.findIndex(([, size]) => seconds >= size)
  if (first < 0) return '0 seconds'
  let left = seconds
  return units
    .slice(first, first + 2)
    .flatMap(([name, size]) => {
      const many = Math.floor(left / size)
      left -= many * size
      return many === 0 ? [] : [`${many} ${name}${many === 1 ? '' : 's'}`]
    })
    .join(' and ')
}

/** Made when it is first asked for: to load a language's words takes 10 ms, and no start needs them. */
let moment: Intl.DateTimeFormat | undefined

/** Seconds since the epoch → "26 November 2026 at 13:40 UTC". Without script nobody knows the reader's zone, so it is said which one this is. */
export function momentInWords(at: number): string {
  moment ??= new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' })
  return `${moment.format(at * 1000)} UTC`
}
