/** A real browser for tests: Chromium, where this machine has one, driven by playwright-core. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, chromium } from 'playwright-core'

const wellKnown = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The program to start: what CHROMIUM names, or one in a well-known place; undefined where there is none. */
export const browserProgram: string | undefined = [process.env.CHROMIUM, ...wellKnown].find((path) => path && existsSync(path))

/** For a test's options: false, or why it cannot run here. */
export const noBrowser: string | false =
  browserProgram === undefined &&
  'There is no Chromium on this machine. Install it, or name one in CHROMIUM, to test the pages in a browser.'

/** Starts it with an empty profile. It calls nobody by itself. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: browserProgram ?? '',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** The text of axe-core's script, to be evaluated on a page. */
export const axeFile: string = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
