/** `laptop_browser.ts HISTORY URL`: the person before it agrees to what is asked, and is taken back to the application. */
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { machineAt } from '../../../examples/demo/from_address.ts'
import { authorize } from '../../../examples/demo/person.ts'

const [history = '', url = ''] = process.argv.slice(2)
appendFileSync(history, `${url}\n`)
const laptop = machineAt('127.0.0.1')
const { location } = await authorize(laptop, new URL(url))
// Some programs open the browser first and listen a moment later: a person would not have been so quick.
const deadline = Date.now() + 20_000
for (;;) {
  const answered = await laptop.browse(location.href).catch((error) => {
    if (Date.now() > deadline) throw error
  })
  if (answered) break
  await delay(50)
}
await laptop.close()
