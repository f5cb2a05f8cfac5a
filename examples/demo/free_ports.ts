/** Ports of loopback that nobody listens on. */
import { createServer } from 'node:net'

/** Whether `port` of 127.0.0.1 is free now. */
export const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/**
 * The first of `count` free ports in a row. Below those that systems give to outgoing connections, so that it is still free after a restart; of many, so that
 * who chooses at the same moment chooses others.
 */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 11_000 + Math.floor(Math.random() * 8_900)
    const ports = Array.from({ length: count }, (_, at) => first + at)
    const free = await Promise.all(ports.map(isFree))
    if (free.every(Boolean)) return first
  }
}
