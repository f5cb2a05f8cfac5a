/** Secrets are never in the configuration, which is shown and copied about. What looks like one is refused, and nowhere repeated. */
import type { Path } from '../hujson/read.ts'

/** A key in PEM, a JWT, what this server or Tailscale gives out, and whatever has several lines, as only the content of a file has. */
const looks = [/-----BEGIN /, /^eyJ[\w-]+\.[\w-]+\./, /^mi[a-z]_/, /^tskey-/, /[\r\n]/]

/** Where in `value` something stands that looks like a secret. */
export function secretsIn(value: unknown, path: Path = []): Path[] {
  if (typeof value === 'string') return looks.some((look) => look.test(value)) ? [path] : []
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => secretsIn(member, [...path, Array.isArray(value) ? Number(key) : key]))
}
