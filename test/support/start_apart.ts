/** The single executable in place of the daemon that tests have within reach: in a process of its own, and with a clock that is moved from outside. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Development, prepareDevelopment } from '../../src/cli/dev.ts'
import type { Daemon } from '../../src/daemon.ts'
import { startDevMesh } from '../../src/identity/dev_mesh.ts'
import { spawned } from './program.ts'
import type { Clock } from './start.ts'

/** Gives a process the time of the machine and what a file says more (libfaketime; on Debian: apt-get install faketime). */
export const fakeTime = ['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`).find(existsSync)

const offsetFile = (directory: string) => join(directory, 'clock')

/** The clock of the daemons that are started in `directory`. It goes on by itself, unlike the other. */
export function clockApart(directory: string): Clock {
  let ahead = 0
  const write = () => writeFileSync(offsetFile(directory), `${ahead < 0 ? '' : '+'}${ahead}`)
  write()
  return {
    now: () => Math.floor(Date.now() / 1000) + ahead,
    advance({ seconds = 0, minutes = 0, hours = 0, days = 0 }) {
      if (fakeTime === undefined) throw new Error('Without libfaketime no clock but the machine\u2019s can be had.')
      ahead += seconds + 60 * (minutes + 60 * (hours + 24 * days))
      write()
    },
  }
}

/** What a process is started with that lives by `clockApart(directory)`: its wall clock; the one that nobody sets is the machine's. */
export const environment = (directory: string): Record<string, string> =>
  fakeTime === undefined
    ? {}
    : { LD_PRELOAD: fakeTime, FAKETIME_TIMESTAMP_FILE: offsetFile(directory), FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }

const outOfReach = new Proxy({} as Daemon, {
  get() {
    throw new Error('This daemon is in a process of its own, and nothing inside of it is within reach.')
  },
})

/** As `startDevelopment`, but that nothing inside of the daemon can be had. */
export async function startApart(
  t: TestContext,
  executable: string,
  place: Parameters<typeof prepareDevelopment>[0],
): Promise<Development> {
  const { config, configFile, socket } = prepareDevelopment(place)
  const mesh = await startDevMesh({ socket })
  const daemon = spawned(t, executable, ['serve', '--config', configFile], { bare: true, env: environment(place.directory) })
  await daemon.says(/"msg":"meshidp serves /)
  return {
    config: { ...config, issuer: `${config.issuer}` },
    configFile,
    mesh,
    daemon: outOfReach,
    async close() {
      await daemon.end()
      await mesh.close()
    },
  }
}
