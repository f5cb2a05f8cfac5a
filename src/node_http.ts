/**
 * `node:http`, by `require`: an ES import reads every export of it, and the getters of `WebSocket` and its kin would load a second HTTP client and its
 * parser at each start.
 */
import { createRequire } from 'node:module'

const load = createRequire(import.meta.url)

export const http = load('node:http') as typeof import('node:http')

/** `node:https`, where it is needed. */
export const https = () => load('node:https') as typeof import('node:https')

/** `node:tls`, where it is needed. */
export const tls = () => load('node:tls') as typeof import('node:tls')
