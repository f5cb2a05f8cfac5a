/** `npm run demo`: the whole story in the terminal. Exits with 0 where all went as it is told. */
import { inTerminal } from './narrate.ts'
import { playDemo } from './story.ts'

const { stdout } = process
const narrate = inTerminal((text) => void stdout.write(text), stdout.isTTY === true && process.env.NO_COLOR === undefined)

try {
  await playDemo({ narrate })
} catch (error) {
  console.error(`\nThe demo failed. ${(error as Error).stack}`)
  process.exitCode = 1
}
