/** Preloaded into the daemon: at SIGUSR2 it says how much its heap holds after a collection, in KiB, and how many timers are set. */
import { createHook } from 'node:async_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const timers = new Set<number>()
createHook({
  init: (id, type) => void (type === 'Timeout' && timers.add(id)),
  destroy: (id) => void timers.delete(id),
}).enable()

process.on('SIGUSR2', () => {
  collect()
  process.stderr.write(`heap ${Math.round(process.memoryUsage().heapUsed / 1024)} KiB, ${timers.size} timers\n`)
})
