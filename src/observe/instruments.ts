/**
 * Counters, histograms and gauges of prom-client, told to Prometheus as text. The values of labels are always of a set that the program knows, so that no
 * stranger makes series.
 */
import PromCounter from 'prom-client/lib/counter.js'
import PromGauge from 'prom-client/lib/gauge.js'
import PromHistogram from 'prom-client/lib/histogram.js'
import PromRegistry from 'prom-client/lib/registry.js'

/** Rows of a gauge: the values of its labels, and the value. */
export type Sample = readonly [labels: readonly string[], value: number]

export type Counter = { add: (value: number, ...labels: string[]) => void }
/** `seconds`: what took so long. */
export type Histogram = { observe: (seconds: number, ...labels: string[]) => void }

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

export function createRegistry(): Registry {
  const registry = new PromRegistry()
  const common = (name: string, help: string, labelNames: readonly string[]) => ({ name, help, labelNames, registers: [registry] })
  return {
    counter(name, help, labels = []) {
      const counter = new PromCounter(common(name, help, labels))
      return {
        add: bySeries(
          (...given) => counter.labels(...given),
          (series, value) => series.inc(value),
        ),
      }
    },
    histogram(name, help, labels = []) {
      const histogram = new PromHistogram({ ...common(name, help, labels), buckets: [...buckets] })
      return {
        observe: bySeries(
          (...given) => histogram.labels(...given),
          (series, seconds) => series.observe(seconds),
        ),
      }
    },
    gauge(name, help, labels, read) {
      const options = { ...common(name, help, labels), collect }
      const isCounter = name.endsWith('_total')
      const kept = isCounter ? new PromCounter(options) : new PromGauge(options)
      async function collect() {
        kept.reset()
        if (labels.length === 0) kept.remove() // or it would be 0 where nobody knows
        for (const [values, value] of await Promise.resolve()
          .then(read)
          .catch(() => []))
          if (isCounter) kept.labels(...values).inc(value)
          else (kept as PromGauge).labels(...values).set(value)
      }
    },
    names: () => registry.getMetricsAsArray().map(({ name }) => name),
    text: () => registry.metrics(),
  }
}

/** Does `act` to the series of these labels, each of which is looked up once. */
function bySeries<Series>(find: (...labels: string[]) => Series, act: (series: Series, value: number) => void) {
  const known = new Map<string, Series>()
  return (value: number, ...labels: string[]) => {
    const key = labels.join('\0')
    const series = known.get(key) ?? find(...labels)
    known.set(key, series)
    act(series, value)
  }
}
