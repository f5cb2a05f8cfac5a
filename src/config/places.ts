/** What the configuration calls a place: files, folders, sockets, origins. Refused here is what no kernel and no browser would ever take. */
import { join } from 'node:path'
import { z } from 'zod'

/** Of a path in `sockaddr_un`, in bytes, without the NUL at its end (unix(7)). */
const longestSocketPath = 107

export const fitsSocket = (path: string): boolean => Buffer.byteLength(path) <= longestSocketPath

/** Where the control socket is, below a runtime directory. */
export const controlSocketIn = (directory: string): string => join(directory, 'control.sock')

const isPath = (text: string) => !text.includes('\0')

export const path = z.string().min(1).refine(isPath, 'must be a path, which has no NUL in it')

export const tooLong = `must be a path of ${longestSocketPath} bytes at most, for a unix socket takes no longer one`

/** The path of a unix socket. */
export const socketPath = path.refine(fitsSocket, tooLong)

const longestFolder = longestSocketPath - controlSocketIn('').length - 1

/** A folder that is to hold the control socket. */
export const socketFolder = path.refine(
  (folder) => fitsSocket(controlSocketIn(folder)),
  `must be a path of ${longestFolder} bytes at most, for a unix socket will be in it, and takes ${longestSocketPath}`,
)

/** An origin as browsers write it into their header (RFC 6454 §6.2): scheme, host in lower case, the port where it is another than usual; extensions have schemes of their own. */
export const origin = z.string().refine((text) => {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/.test(text) || !URL.canParse(text)) return false
  return !/^https?:/.test(text) || new URL(text).origin === text
}, 'must be an origin as browsers send it, such as "https://app.example.com", without path, and without a slash at the end')
