/** Why a place cannot be listened on, in words for whoever starts the daemon. */
import { ConfigError } from '../config.ts'

/** By the code of the system's error: a sentence about the place of that name. */
export type Sentences = ReadonlyMap<string, (name: string) => string>

/** Of an address with a port. */
export const addressSentences: Sentences = new Map([
  ['EADDRINUSE', (name) => `${name} is in use by another program. Stop that one, or choose another port.`],
  ['EACCES', (name) => `This user may not listen on ${name}. Choose a port above 1023, or give the service CAP_NET_BIND_SERVICE.`],
])

/** What was thrown while `name` was to be listened on → ConfigError. */
export const cannotListen = (cause: NodeJS.ErrnoException, name: string, sentences: Sentences = addressSentences): ConfigError =>
  cause instanceof ConfigError
    ? cause
    : new ConfigError(sentences.get(cause.code ?? '')?.(name) ?? `Cannot listen on ${name}: ${cause.message}`, { cause })
