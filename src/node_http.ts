/**
 * `node:http`, by `require`: an ES import reads every export of it, and the getters of `WebSocket` and its kin would load a second HTTP client and its
 * parser at each start.
 */
import { createRequire } from 'node:module'

export const http = createRequire(import.meta.url)('node:http') as typeof import('node:http')
