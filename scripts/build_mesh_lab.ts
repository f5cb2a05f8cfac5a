/** `npm run mesh:build`: builds the programs of the mesh lab into the user's cache, once; 2 minutes on two cores. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { areBuilt, binaries, sources, tags } from '../test/mesh/binaries.ts'

const wanted = ['.', 'tailscale.com/cmd/tailscaled']

/** Runs `go build` in the lab's folder; resolves with its exit code. Says how far it is every five seconds, and what Go complains of. */
function goBuild(into: string): Promise<number> {
  const options = ['build', '-v', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', `-tags=${tags}`, '-o', `${into}/`]
  const go = spawn('go', [...options, ...wanted], { cwd: sources, stdio: ['ignore', 'inherit', 'pipe'] })
  const began = Date.now()
  let packages = 0
  const progress = setInterval(() => say(`${packages} packages compiled after ${Math.round((Date.now() - began) / 1000)} s …`), 5000)
  createInterface({ input: go.stderr }).on('line', (line) => {
    // With -v Go names each package on a line of its own.
    if (/^[\w./~-]+$/.test(line)) packages++
    else if (!line.startsWith('go: downloading ')) console.error(line)
  })
  return new Promise((resolve, reject) => {
    go.once('error', reject)
    go.once('close', (code) => resolve(code ?? 1))
  }).finally(() => clearInterval(progress)) as Promise<number>
}

const say = (text: string) => console.error(`mesh:build: ${text}`)

async function build(): Promise<void> {
  if (areBuilt()) return say(`nothing to do, ${binaries()} is there.`)
  const parent = dirname(binaries())
  mkdirSync(parent, { recursive: true })
  const into = mkdtempSync(join(parent, 'building-'))
  try {
    say('building tailscaled and a control plane for tests from Go modules; 2 minutes, and a download of some 200 MB the first time …')
    if ((await goBuild(into)) !== 0) throw new Error('Go could not build the mesh lab; its own words are above.')
    symlinkSync('tailscaled', join(into, 'tailscale'))
    renameSync(into, binaries())
    say(`done: ${binaries()}`)
  } catch (error) {
    rmSync(into, { recursive: true, force: true })
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    say(missing ? 'Go is not on the PATH. Install Go 1.26 or later, then run this again.' : (error as Error).message)
    process.exitCode = 1
  }
}

await build()
