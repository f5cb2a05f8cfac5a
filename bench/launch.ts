/** Starting a server, and how long that takes. */
import { get, type RequestOptions } from 'node:http'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { type Child, start } from './child.ts'
import { MEASURED_CORE } from './machine.ts'
import type { Prepared } from './servers/server.ts'

const START_DEADLINE_MS = 15_000
const BETWEEN_TRIES_MS = 1

/** Starts a server on the measured core; resolves when its metadata is there, with the time since it was spawned. */
export async function launch({ command, env, issuer, profile }: Prepared): Promise<{ child: Child; milliseconds: number }> {
  const child = start(MEASURED_CORE, command, env)
  const { host, port } = new URL(issuer)
  const options = { host: '127.0.0.1', port, path: profile.metadata_path, headers: { host }, agent: false }
  const answered = async () => {
    while (performance.now() - child.spawnedAt < START_DEADLINE_MS) {
      if ((await statusOf(options)) === 200) return performance.now() - child.spawnedAt
      await pause(BETWEEN_TRIES_MS)
    }
    throw new Error(`${issuer}${profile.metadata_path} is not there after ${START_DEADLINE_MS / 1000} s. It said: ${child.said().trim()}`)
  }
  try {
    return { child, milliseconds: await Promise.race([answered(), child.failed]) }
  } catch (error) {
    await child.stop()
    throw error
  }
}

/** The status of the answer to a GET; undefined where nobody answers. */
const statusOf = (options: RequestOptions) =>
  new Promise<number | undefined>((resolve) => {
    get(options, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', () => resolve(undefined))
  })

/** A port of 127.0.0.1 on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('There is no free port.')
  return address.port
}
