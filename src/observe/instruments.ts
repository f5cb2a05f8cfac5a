/**
 * Counters, histograms and gauges in the text format of Prometheus (exposition format 0.0.4). The values of labels are always of a set that the program
 * knows, so that no stranger makes series. prom-client would do the same for 6 MiB more at rest, and for half a microsecond or more a count.
 */

/** Rows of a gauge: the values of its labels, and the value. */
export type Sample = readonly [labels: readonly string[], value: number]

export type Counter = { add: (value: number, ...labels: string[]) => void }
/** `seconds`: what took so long. */
export type Histogram = { observe: (seconds: number, ...labels: string[]) => void }

/** One metric: its name, and its lines now. */
type Instrument = { name: string; lines: () => string[] | Promise<string[]> }

export type Registry = {
  counter: (name: string, help: string, labels?: readonly string[]) => Counter
  histogram: (name: string, help: string, labels?: readonly string[]) => Histogram
  /** `read` is asked at each look. A name that ends in `_total` is that of a counter, which somebody else keeps. */
  gauge: (name: string, help: string, labels: readonly string[], read: () => readonly Sample[] | Promise<readonly Sample[]>) => void
  names: () => string[]
  /** All of them. What cannot be read now is left out. */
  text: () => Promise<string>
}

/** Of all histograms, seconds: from what a signature takes to what a client waits for at most. */
export const buckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const

/** Between the values of labels, none of which may hold it. */
const separator = '\0'

const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')

function labelled(names: readonly string[], values: readonly string[], more = ''): string {
  const pairs = names.map((name, at) => `${name}="${escaped(values[at] ?? '')}"`)
  const all = more === '' ? pairs : [...pairs, more]
  return all.length === 0 ? '' : `{${all.join(',')}}`
}

const head = (name: string, help: string, type: string) => [`# HELP ${name} ${help.replaceAll('\\', '\\\\')}`, `# TYPE ${name} ${type}`]

type Counts = { buckets: Float64Array; sum: number; count: number }

export function createRegistry(): Registry {
  const instruments: Instrument[] = []
  const add = (name: string, lines: Instrument['lines']) => void instruments.push({ name, lines })
  return {
    counter(name, help, labels = []) {
      const values = new Map<string, number>(labels.length === 0 ? [['', 0]] : [])
      add(name, () => [
        ...head(name, help, 'counter'),
        ...Array.from(values, ([key, value]) => `${name}${labelled(labels, key.split(separator))} ${value}`),
      ])
      return {
        add(value, ...given) {
          const key = given.length === 1 ? (given[0] as string) : given.join(separator)
          values.set(key, (values.get(key) ?? 0) + value)
        },
      }
    },

    histogram(name, help, labels = []) {
      const all = new Map<string, Counts>()
      const counts = (key: string): Counts => {
        let found = all.get(key)
        if (!found) {
          found = { buckets: new Float64Array(buckets.length), sum: 0, count: 0 }
          all.set(key, found)
        }
        return found
      }
      if (labels.length === 0) counts('')
      add(name, () => [...head(name, help, 'histogram'), ...Array.from(all, ([key, one]) => histogramLines(name, labels, key, one)).flat()])
      return {
        observe(seconds, ...given) {
          const found = counts(given.length === 1 ? (given[0] as string) : given.join(separator))
          found.sum += seconds
          found.count++
          let at = 0
          while (at < buckets.length && seconds > (buckets[at] as number)) at++
          if (at < buckets.length) found.buckets[at] = (found.buckets[at] as number) + 1
        },
      }
    },

    gauge(name, help, labels, read) {
      add(name, async () => {
        const samples = await read()
        return [
          ...head(name, help, name.endsWith('_total') ? 'counter' : 'gauge'),
          ...samples.map(([values, value]) => `${name}${labelled(labels, values)} ${value}`),
        ]
      })
    },

    names: () => instruments.map(({ name }) => name),

    async text() {
      const parts = await Promise.all(instruments.map(async ({ lines }) => lines()).map((lines) => lines.catch(() => [])))
      return `${parts.flat().join('\n')}\n`
    },
  }
}

/** Each bucket counts what is in those below it, too. */
function histogramLines(name: string, labels: readonly string[], key: string, { buckets: counted, sum, count }: Counts): string[] {
  const values = key.split(separator)
  let below = 0
  const lines = buckets.map((bound, at) => {
    below += counted[at] ?? 0
    return `${name}_bucket${labelled(labels, values, `le="${bound}"`)} ${below}`
  })
  lines.push(`${name}_bucket${labelled(labels, values, 'le="+Inf"')} ${count}`)
  return [...lines, `${name}_sum${labelled(labels, values)} ${sum}`, `${name}_count${labelled(labels, values)} ${count}`]
}
