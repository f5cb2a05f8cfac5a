/** Alice's laptop, for command line programs: a home folder of their own, and a browser that they can open, in which she agrees. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../../support/start.ts'

export type Laptop = {
  home: string
  /** Environment for a program on this laptop; nothing of that of the tests is in it but PATH. */
  env: Record<string, string>
  /** The addresses that the browser was opened with so far. */
  opened: () => string[]
}

const browser = fileURLToPath(new URL('laptop_browser.ts', import.meta.url))

/** The development mesh takes whoever calls from 127.0.0.1, as these programs do, for alice. All of it goes when the test ends. */
export function laptopOf(t: TestContext): Laptop {
  const home = temporaryDirectory(t)
  const history = join(home, 'browser-history')
  writeFileSync(history, '')
  // What xdg-open looks for where there is no desktop.
  const BROWSER = join(home, 'browser')
  writeFileSync(BROWSER, `#!/bin/sh\nexec "${process.execPath}" --disable-warning=ExperimentalWarning "${browser}" "${history}" "$1"\n`, {
    mode: 0o755,
  })
  return {
    home,
    env: { PATH: process.env.PATH ?? '', HOME: home, BROWSER },
    opened: () => readFileSync(history, 'utf8').split('\n').filter(Boolean),
  }
}
