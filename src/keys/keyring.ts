/** The keys of a running daemon: what signs now, and what `meshidp keys` and time change about it. */
import type { KeyObject } from 'node:crypto'
import { OAuthError } from '../oauth/error.ts'
import { readPrivateKey } from './import.ts'
import {
  type Algorithm,
  algorithms,
  type KeySet,
  loadKeys,
  makeSigningKey,
  removeSigningKey,
  removeUnfinished,
  type SigningKey,
  signingKeyOf,
  successionName,
  writeSigningKey,
  writeSuccession,
} from './keyset.ts'
import { type Phase, scheduleOf, signerOf } from './rotation.ts'

export type Keys = {
  /** The key that signs with this algorithm now. */
  signing: (alg: Algorithm) => SigningKey
  /** All keys whose signatures are ours: another list after each change. */
  readonly all: readonly SigningKey[]
  /** RFC 7517 §5: public members only; another object after each change. */
  readonly jwks: { keys: Record<string, unknown>[] }
  /** The key of the refresh tokens' succession (HMAC-SHA256). */
  readonly succession: KeyObject
}

/** What is told of a key; times in seconds, null where nobody knows yet. */
export type ShownKey = {
  kid: string
  alg: string
  state: Phase
  signs_from: number
  signs_until: number | null
  published_until: number | null
}

export type Keyring = Keys & {
  /** All of them; the key of the refresh tokens is called "succession", and is not published. */
  list: () => ShownKey[]
  /** For each algorithm a new key: published now, signing after `publish_ahead`; with `now` at once. One that waits already is not doubled. */
  rotate: (how: { now: boolean }) => Promise<ShownKey[]>
  /** The same with a key that was made elsewhere: a private JWK, or PEM. Throws OAuthError where it is not fit. */
  import: (text: string, how: { now: boolean }) => Promise<ShownKey[]>
  /** Takes a key away at once: what it signed is worthless. Where it was the one that signs, another one does from now on. */
  retire: (kid: string) => Promise<ShownKey[]>
  /** What time brings: keys whose tokens are all dead go, and a new one comes when it is due. `uptime`: seconds that no clock change moves. */
  tend: (uptime: number) => Promise<{ made: string[]; removed: string[] }>
}

export type KeyringOptions = {
  /** Seconds since the epoch. */
  now: () => number
  randomBytes: (size: number) => Buffer
  /** Seconds; `rotate_every` 0: never by itself. */
  schedule: { rotate_every: number; publish_ahead: number }
  /** Nothing in the directory may be changed: systemd fills it. */
  fixed: boolean
}

/** How long it must be time for something before `tend` does it: a clock that is wrong for a while costs no key. Seconds. */
const sure = 3600

const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/** Reads the keys of `directory`, and keeps them. Throws KeyError. */
export function createKeyring(directory: string, { now, randomBytes, schedule, fixed }: KeyringOptions): Keyring {
  let set: KeySet
  let jwks: Keys['jwks']
  const dueSince = new Map<string, number>()
  let line: Promise<unknown> = Promise.resolve()
  if (!fixed) removeUnfinished(directory)
  load()

  function load(): void {
    set = loadKeys(directory)
    jwks = { keys: set.signing.map(publicJwk) }
  }

  const of = (alg: Algorithm) => set.signing.filter((key) => key.alg === alg)
  const signing = (alg: Algorithm) => signerOf(of(alg), now()) as SigningKey
  /** Never the one that signs, also where that was dated by a clock that was ahead. */
  const waiting = (alg: Algorithm) => of(alg).find((key) => key.signs_from > now() && key !== signing(alg))
  const begin = (alg: Algorithm, at: number) => Math.max(at, signing(alg).signs_from + 1)

  /**
   * A key that signs although its time has not come was dated by a clock that was ahead: it signs from now on, so that others can follow it. Where it is the
   * clock that is behind now, the key counts as older than it is, and is replaced the sooner.
   */
  function dateRight(alg: Algorithm): void {
    const signer = signing(alg)
    if (signer.signs_from <= now()) return
    writeSigningKey(directory, { ...signer, signs_from: now() })
    load()
  }

  /** One change at a time; what is in force afterwards is what lies on disk. Throws OAuthError where it cannot be written. */
  function changed<T>(change: () => Promise<T>): Promise<T> {
    const turn = line.then(async () => {
      if (fixed)
        throw new OAuthError(
          'forbidden',
          `The keys are in ${directory}, which systemd fills. Change its credentials, and restart the daemon.`,
        )
      try {
        for (const alg of algorithms) dateRight(alg)
        return await change()
      } catch (error) {
        const { syscall, message } = error as NodeJS.ErrnoException
        throw syscall === undefined ? error : new OAuthError('forbidden', `The keys cannot be changed: ${message}.`, { cause: error })
      } finally {
        load()
      }
    })
    line = turn.catch(() => undefined)
    return turn
  }

  /** A key for this algorithm begins to sign at `at`: the one that waits, or a new one. */
  async function succeed(alg: Algorithm, at: number): Promise<string> {
    const next = waiting(alg) ?? (await makeSigningKey(alg, at))
    writeSigningKey(directory, { ...next, signs_from: at })
    return next.kid
  }

  function list(): ShownKey[] {
    const shown = algorithms.flatMap((alg) =>
      scheduleOf(of(alg), now()).map(({ key: { kid, signs_from }, phase, signs_until, published_until }) => ({
        kid,
        alg,
        state: phase,
        signs_from,
        signs_until,
        published_until,
      })),
    )
    return [...shown, { kid: successionName, alg: 'HS256', state: 'signing', signs_from: 0, signs_until: null, published_until: null }]
  }

  /** Whether it has been time for `what` for long enough. */
  function isSure(what: string, due: boolean, uptime: number): boolean {
    if (!due) dueSince.delete(what)
    else if (!dueSince.has(what)) dueSince.set(what, uptime)
    return due && uptime - (dueSince.get(what) ?? uptime) >= sure
  }

  return {
    signing,
    list,
    get all() {
      return set.signing
    },
    get jwks() {
      return jwks
    },
    get succession() {
      return set.succession
    },

    rotate({ now: atOnce }) {
      return changed(async () => {
        for (const alg of algorithms)
          if (atOnce) await succeed(alg, begin(alg, now()))
          else if (!waiting(alg)) await succeed(alg, begin(alg, now() + schedule.publish_ahead))
      }).then(list)
    },

    import(text, { now: atOnce }) {
      return changed(async () => {
        const { kid, alg, privateKey } = await readPrivateKey(text)
        if (set.signing.some((one) => one.kid === kid)) throw new OAuthError('invalid_request', `There is a key ${kid} already.`)
        const next = waiting(alg)
        if (next)
          throw new OAuthError(
            'invalid_request',
            `The ${alg} key ${next.kid} waits for its turn. First say: meshidp keys retire ${next.kid}`,
          )
        const signs_from = begin(alg, atOnce ? now() : now() + schedule.publish_ahead)
        writeSigningKey(directory, signingKeyOf(privateKey, { kid, alg, signs_from }))
      }).then(list)
    },

    retire(kid) {
      return changed(async () => {
        if (kid === successionName) return writeSuccession(directory, randomBytes)
        const key = set.signing.find((one) => one.kid === kid)
        if (!key) throw new OAuthError('not_found', `There is no key ${kid}. See: meshidp keys list`)
        if (signing(key.alg) === key) await succeed(key.alg, begin(key.alg, now()))
        removeSigningKey(directory, key)
      }).then(list)
    },

    async tend(uptime) {
      const done = { made: [] as string[], removed: [] as string[] }
      if (fixed) return done
      for (const alg of algorithms) {
        for (const { key, phase, published_until } of scheduleOf(of(alg), now()))
          if (isSure(`${key.kid} goes`, phase === 'retiring' && (published_until ?? 0) <= now(), uptime)) {
            await changed(async () => removeSigningKey(directory, key))
            done.removed.push(key.kid)
          }
        const { signs_from } = signing(alg)
        if (isSure(`${alg} is dated right`, signs_from > now(), uptime)) await changed(async () => undefined)
        const { rotate_every, publish_ahead } = schedule
        const next = Math.max(signs_from + rotate_every, now() + publish_ahead)
        // One that waits for longer than any would was dated by a clock that was ahead, and is brought forward.
        const due = rotate_every > 0 && (waiting(alg)?.signs_from ?? Infinity) > next && signs_from + rotate_every - publish_ahead <= now()
        if (isSure(`${alg} rotates`, due, uptime)) done.made.push(await changed(() => succeed(alg, begin(alg, next))))
      }
      return done
    },
  }
}

function publicJwk({ kid, alg, publicKey }: SigningKey): Record<string, unknown> {
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  return { ...Object.fromEntries(publicMembers.filter((name) => name in jwk).map((name) => [name, jwk[name]])), kid, alg, use: 'sig' }
}
