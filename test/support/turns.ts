/** Measures the longest turn of the event loop until `stop`, which returns it: milliseconds of CPU, for the wall's would count what other programs take. */
export function turns() {
  let going = true
  let longest = 0
  let last = process.cpuUsage()
  const look = () => {
    const { user, system } = process.cpuUsage(last)
    last = process.cpuUsage()
    longest = Math.max(longest, (user + system) / 1000)
  }
  const turn = () => {
    look()
    if (going) setImmediate(turn).unref()
  }
  setImmediate(turn).unref()
  return {
    stop() {
      going = false
      look()
      return Math.round(longest)
    },
  }
}
