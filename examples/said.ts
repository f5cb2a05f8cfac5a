/** How an example ends where somebody says no: with a sentence for the person before it, never with a stack. */

/** The command line is not understood; the message says what is wrong with it. */
export class Misused extends Error {
  override name = 'Misused'
}

/** Runs an example. Where it fails, a sentence is printed and the exit code is 1; for a misused command line it is 2, and `help` follows. */
export async function runExample(help: string, example: () => Promise<void>): Promise<void> {
  try {
    await example()
  } catch (error) {
    const misused = isMisuse(error)
    console.error(misused ? `${sentenceOf(error)}\n\n${help}` : sentenceOf(error))
    process.exitCode = misused ? 2 : 1
  }
}

/** `value` of the option `--name`, where it is a whole number up to `most`. Throws Misused. */
export function wholeNumber(name: string, value: string, most: number): number {
  if (!/^\d{1,15}$/.test(value) || Number(value) > most) throw new Misused(`--${name} takes a whole number up to ${most}, not "${value}".`)
  return Number(value)
}

/** `value` of the option `--name`, where it is the address of a web server. Throws Misused. */
export function webAddress(name: string, value: string): string {
  if (!/^https?:$/.test(URL.parse(value)?.protocol ?? '')) throw new Misused(`--${name} takes an http or https URL, not "${value}".`)
  return value
}

const isMisuse = (error: unknown) => error instanceof Misused || codeOf(error).startsWith('ERR_PARSE_ARGS_')

const codeOf = (error: unknown) => String((error as { code?: unknown } | undefined)?.code ?? '')

/** What the system means by its codes. */
const systemErrors = new Map<string, (error: { path?: string; address?: string; port?: number }) => string>([
  [
    'EADDRINUSE',
    ({ address, port }) => `${address}:${port} is taken: something listens there already. Stop that first, or choose another port.`,
  ],
  ['ENOENT', ({ path }) => `There is no file ${path}.`],
  ['EACCES', ({ path, address, port }) => `The system does not allow the use of ${path ?? `${address}:${port}`}.`],
])

/** What an error says to a person. Where a server's answer is in it, that is the server's own `error_description` (RFC 6749 §5.2). */
export function sentenceOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const said = systemErrors.get(codeOf(error))?.(error as object) ?? describedIn(message) ?? message
  // The words before are of the protocol, those after are Node's advice on another matter.
  const sentence = said
    .replace(/^MCP error -\d+: /, '')
    .replace(/\. To specify .*$/s, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return /[.?!]$/.test(sentence) ? sentence : `${sentence}.`
}

/** The SDKs hand a refusal on as they got it: some words of theirs, then the answer's JSON. */
function describedIn(message: string): string | undefined {
  const [json = ''] = /\{.*\}/s.exec(message) ?? []
  try {
    const { error_description } = JSON.parse(json) as { error_description?: unknown }
    return typeof error_description === 'string' ? error_description : undefined
  } catch {
    return undefined
  }
}
