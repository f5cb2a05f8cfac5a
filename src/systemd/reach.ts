/** What the service can reach on this machine: its unit hides folders from it, and lets it write into two. */
import { resolve } from 'node:path'
import type { Config } from '../config.ts'

/** By ProtectHome= and PrivateTmp= (hardening.ts). */
const hidden = ['/home', '/root', '/run/user', '/tmp', '/var/tmp']

/** By StateDirectory= and RuntimeDirectory= (units.ts); all else is read-only by ProtectSystem=. */
const own = { state: '/var/lib/meshidp', sockets: '/run/meshidp' }

const isIn = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)

/** A sentence for each place that the service could not work with, and what to do about it. `program`: its absolute path. */
export function outOfReach(program: string, config: Config): string[] {
  const { state_directory, runtime_directory, policy_file, secrets_directory, listen, metrics } = config
  const place = (path: string) => resolve('/', path) // the folder that a service is started in
  const isHidden = (path: string) => hidden.some((folder) => isIn(path, folder))
  const isWritable = (path: string) => Object.values(own).some((folder) => isIn(path, folder))
  const read = {
    policy_file,
    secrets_directory,
    'listen.tls_certificate_file': listen.tls_certificate_file,
    'listen.tls_key_file': listen.tls_key_file,
  }
  const socket = metrics.listen?.startsWith('/') ? metrics.listen : undefined
  const written = { state_directory, runtime_directory, 'metrics.listen': socket }
  const found = (
    places: Record<string, string | undefined>,
    isWrong: (path: string) => boolean,
    words: (key: string, path: string) => string,
  ) => Object.entries(places).flatMap(([key, path]) => (path !== undefined && isWrong(place(path)) ? [words(key, place(path))] : []))
  return [
    ...(isHidden(program)
      ? [
          `The service sees nothing below ${hidden.join(', ')}, and its program is ${program}. Copy it to /usr/local/bin/meshidp, and run this with that one.`,
        ]
      : []),
    ...found(read, isHidden, (key, path) => `The service does not see ${path} ("${key}"). Put it into /etc/meshidp.`),
    ...found(
      written,
      (path) => !isWritable(path),
      (key, path) =>
        `The service may not write in ${path} ("${key}"). Say a place in ${key === 'state_directory' ? own.state : own.sockets}.`,
    ),
  ]
}
