/** JSON that means one thing only: RFC 8259 §4 leaves open what a member means that is there twice, and two readers may differ about it (RFC 7519 §4). */

const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]/g

/** The object that `text` is; undefined where it is none, or where any object in it has a member twice. */
export function parseStrictObject(text: string): Record<string, unknown> | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject && !hasRepeatedMember(text) ? (value as Record<string, unknown>) : undefined
}

/** `text` is valid JSON. Names are compared as they are meant, whatever their escapes. */
function hasRepeatedMember(text: string): boolean {
  const open: (Set<string> | null)[] = [] // the names of each object that is open; null for a list
  let last = ''
  for (const [found] of text.matchAll(token)) {
    if (found === '{') open.push(new Set())
    else if (found === '[') open.push(null)
    else if (found === '}' || found === ']') open.pop()
    else if (found === ':') {
      const name = JSON.parse(last) as string
      const names = open.at(-1)
      if (names?.has(name)) return true
      names?.add(name)
    }
    last = found
  }
  return false
}
